/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/events.c: what a core that a guest has taken over may say, and what it
 * costs.  The rest of the supervisor is stubs that count.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/children.h"
#include "cli/disks.h"

#define FLOOD	20000

static struct config config = { .name = (char[]){ "debian" } };
static struct vm vm;
static int child_end;
static unsigned int kills, ends, interrupts, held, moved;
static int end_status;

void child_kill(struct child *child) { child->state = CHILD_STOPPING; kills++; }
bool child_alive(const struct child *c) { return c->state != CHILD_UNBORN; }
bool child_is_dead(const struct child *c, int ms) { (void)c; (void)ms; return false; }
void child_take_death(struct child *child) { (void)child; }
void child_interrupt(struct child *child) { (void)child; interrupts++; }
int child_set_ready(struct child *child) { (void)child; return 0; }
void vm_child_ready(struct child *child) { (void)child; }
void event_note(struct vm *v, const char *k, const char *p, int pid, const char *fmt, ...)
{
	(void)v; (void)k; (void)p; (void)pid; (void)fmt;
}
void rebirth_pong(struct device *dev, uint64_t c) { (void)dev; (void)c; }
void move_is_through(struct device *dev, const struct life_blk_moved *m)
{
	(void)dev;
	(void)m;
	moved++;
}

void disk_is_held(struct device *dev, const struct life_blk_held *e)
{
	(void)dev;
	(void)e;
	held++;
}
bool rebirth_of_foreign(struct device *dev, const char *text, bool in_flight)
{
	(void)dev;
	(void)text;
	(void)in_flight;
	return false;
}

void vm_guest_started(struct vm *v) { (void)v; }
void vm_kill(struct vm *v, int s, const char *w) { (void)v; (void)s; (void)w; }
struct device *device_of(const struct child *c) { (void)c; return NULL; }

void vm_end(struct vm *v, int status)
{
	(void)v;
	ends++;
	end_status = status;
}

static void set_up(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	vm = (struct vm){ .cfg = &config, .state = VM_RUNNING };
	vm.loop_fd = loop_open();
	vm.core = (struct child){
		.vm = &vm, .role = LIFE_ROLE_CORE, .name = "core",
		.state = CHILD_READY, .life_fd = pair[0],
	};
	vm.core.life = (struct watch){ -1, events_take, &vm.core };
	child_end = pair[1];
	kills = ends = interrupts = held = moved = 0;
	vm.core.role = LIFE_ROLE_CORE;
}

static void tear_down(void)
{
	close(vm.core.life_fd);
	close(child_end);
	close(vm.loop_fd);
}

static void say(enum life_core_event_kind kind)
{
	struct life_core_event event = { .kind = kind, .text = "text" };

	ck_assert_int_eq(life_send(child_end, LIFE_CORE_EVENT, &event, NULL, 0,
				   100), 0);
	events_take(&vm.core.life, 0);
}

static unsigned int count_lines(FILE *file)
{
	unsigned int nr = 0;
	int c;

	rewind(file);
	while ((c = fgetc(file)) != EOF)
		nr += c == '\n';
	return nr;
}

static const enum life_core_event_kind kinds[] = {
	LIFE_EVENT_PANIC, LIFE_EVENT_DEVICE_NEEDS_RESET, LIFE_EVENT_POWEROFF,
	LIFE_EVENT_RESET, LIFE_EVENT_VCPU_FAILED, LIFE_EVENT_CLOCK_JUMPED,
};

START_TEST(a_core_that_floods_is_killed)
{
	FILE *file = tmpfile();
	int saved = dup(2);

	dup2(fileno(file), 2);
	for (int i = 0; i < FLOOD; i++)
		say(kinds[_i]);
	dup2(saved, 2);
	close(saved);
	ck_assert_uint_ge(kills, 1);
	ck_assert_uint_lt(count_lines(file), FLOOD / 4);
	fclose(file);
}
END_TEST

/* As many as a guest gets out of a core that is what it should be. */
START_TEST(a_guest_that_is_driven_wrong_is_not)
{
	for (int i = 0; i < 31 * 6; i++)
		say(LIFE_EVENT_DEVICE_NEEDS_RESET);
	ck_assert_uint_eq(kills, 0);
	config.on_panic = CONFIG_PANIC_STOP;
	say(LIFE_EVENT_PANIC);
	ck_assert_uint_eq(ends, 1);
	ck_assert_int_eq(end_status, RUN_PANIC);
}
END_TEST

static void say_held(void)
{
	const struct life_blk_held event = { .err = 28, .write = 1 };

	ck_assert_int_eq(life_send(child_end, LIFE_BLK_HELD, &event, NULL, 0,
				   100), 0);
	events_take(&vm.core.life, 0);
}

START_TEST(only_a_disk_is_held)
{
	say_held();
	ck_assert_uint_eq(held, 0);
	ck_assert_uint_eq(kills, 1);
}
END_TEST

START_TEST(only_a_disk_is_moved)
{
	const struct life_blk_moved event = { .err = 0 };

	ck_assert_int_eq(life_send(child_end, LIFE_BLK_MOVED, &event, NULL, 0,
				   100), 0);
	events_take(&vm.core.life, 0);
	ck_assert_uint_eq(kills, 1);
	ck_assert_uint_eq(moved, 0);
	vm.core.role = LIFE_ROLE_BLK;
	ck_assert_int_eq(life_send(child_end, LIFE_BLK_MOVED, &event, NULL, 0,
				   100), 0);
	events_take(&vm.core.life, 0);
	ck_assert_uint_eq(moved, 1);
}
END_TEST

START_TEST(a_disk_that_floods_is_killed)
{
	vm.core.role = LIFE_ROLE_BLK;
	say_held();
	ck_assert_uint_eq(held, 1);
	ck_assert_uint_eq(kills, 0);
	for (int i = 0; i < 100; i++)
		say_held();
	ck_assert_uint_lt(held, 100);
	ck_assert_uint_ge(kills, 1);
}
END_TEST

static const enum life_type small_talk[] = { LIFE_PONG, LIFE_FAILED };

/* Nothing is written for these, but each wakes the supervisor. */
START_TEST(a_device_that_only_talks_is_killed)
{
	const struct life_ping pong = { .cookie = 1 };
	const struct life_text text = { .text = "text" };
	bool is_pong = small_talk[_i] == LIFE_PONG;

	vm.core.role = LIFE_ROLE_BLK;
	for (int i = 0; i < FLOOD && !kills; i++) {
		ck_assert_int_eq(life_send(child_end, small_talk[_i],
					   is_pong ? (const void *)&pong : &text,
					   NULL, 0, 100), 0);
		events_take(&vm.core.life, 0);
	}
	ck_assert_uint_eq(kills, 1);
}
END_TEST

START_TEST(a_clock_that_jumps_brings_all_vcpus_out)
{
	say(LIFE_EVENT_CLOCK_JUMPED);
	ck_assert_uint_eq(interrupts, 1);
	ck_assert_uint_eq(kills + ends, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *tcase = tcase_create("events");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, a_core_that_floods_is_killed, 0,
			    (int)(sizeof(kinds) / sizeof(kinds[0])));
	tcase_add_test(tcase, a_guest_that_is_driven_wrong_is_not);
	tcase_add_test(tcase, only_a_disk_is_held);
	tcase_add_test(tcase, only_a_disk_is_moved);
	tcase_add_test(tcase, a_disk_that_floods_is_killed);
	tcase_add_loop_test(tcase, a_device_that_only_talks_is_killed, 0,
			    (int)(sizeof(small_talk) / sizeof(small_talk[0])));
	tcase_add_test(tcase, a_clock_that_jumps_brings_all_vcpus_out);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
