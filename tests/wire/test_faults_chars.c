/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the devices that are no disk, with the real processes: characters
 * of the serial port, its accesses and interrupts; rng and console in place
 * of all devices with rings.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/regchan.h"
#include "tests/wire/child.h"
#include "tests/wire/front.h"

enum { THR = 0, RBR = 0, IER = 1, LSR = 5, SCR = 7 };

#define LSR_DR		0x01
#define IER_THRI	0x02

#define QUIET_MS	200	/* then there is no more to come */

static struct child child;
static uint32_t next_seq;

static struct fault_rule rule_for(enum fault_action action, uint64_t value)
{
	return (struct fault_rule) {
		.id = 7, .action = (uint8_t)action, .ops = FAULT_ALL_OPS,
		.value = value, .last_sector = UINT64_MAX, .seed = 99,
	};
}

static void set_rule(struct fault_rule rule)
{
	fault_page_write(child.faults, &rule, 1);
}

/* --- serial --------------------------------------------------------------------- */

/* Return: the host's end, which has everything the guest sends. */
static int start_serial(void)
{
	const struct child_spec spec = {
		.role = "serial", .life_role = LIFE_ROLE_SERIAL,
		.backend = LIFE_CHARDEV_SOCKET, .link_type = SOCK_SEQPACKET,
		.res_fd = -1, .res2_fd = -1,
	};

	child_start(&child, &spec);
	return child_attach(&child);
}

static void out(uint16_t offset, uint8_t value)
{
	struct regchan_request req = { .op = REGCHAN_WRITE, .offset = offset,
				       .size = 1, .value = value };

	ck_assert_int_eq(regchan_post(child.link, &req, -1, CHILD_TIMEOUT_MS),
			 0);
}

static int in_within(uint16_t offset, uint32_t *value, int timeout_ms)
{
	struct regchan_request req = { .seq = next_seq++, .offset = offset,
				       .size = 1 };

	return regchan_read(child.link, &req, value, timeout_ms);
}

static uint8_t in(uint16_t offset)
{
	uint32_t value;

	ck_assert_int_eq(in_within(offset, &value, CHILD_TIMEOUT_MS), 0);
	return (uint8_t)value;
}

static void send_text(const char *text)
{
	for (; *text; text++) {
		out(THR, (uint8_t)*text);
		in(LSR);
	}
}

/* What has come: nr characters, however late, and those behind them. */
static size_t receive(int fd, char *buf, size_t max, size_t nr)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	while (len < max &&
	       poll(&pfd, 1, len < nr ? CHILD_TIMEOUT_MS : QUIET_MS) == 1) {
		ssize_t got = read(fd, buf + len, max - len);

		ck_assert_int_gt(got, 0);
		len += (size_t)got;
	}
	return len;
}

START_TEST(drop_loses_the_characters_that_it_says)
{
	struct fault_rule rule = rule_for(FAULT_DROP, 0);
	int host = start_serial();
	char buf[32];

	rule.every = 3;
	rule.ops = 1u << FAULT_OP_WRITE;
	set_rule(rule);
	send_text("abcdefgh");
	ck_assert_uint_eq(receive(host, buf, sizeof(buf), 6), 6);
	ck_assert_mem_eq(buf, "abdegh", 6);
	ck_assert_uint_eq(child.stats->head.fault[0].seen, 8);
	ck_assert_uint_eq(child.stats->head.fault[0].fired, 2);
	child_stop(&child);
}

/* Without its FIFO the receiver has room for one. */
static uint8_t next_input(void)
{
	for (int i = 0; i < 200 && !(in(LSR) & LSR_DR); i++)
		usleep(10000);
	return in(RBR);
}

START_TEST(drop_of_input)
{
	struct fault_rule rule = rule_for(FAULT_DROP, 0);
	int host = start_serial();

	rule.after = 1;
	rule.count = 1;
	rule.ops = 1u << FAULT_OP_READ;
	set_rule(rule);
	ck_assert_int_eq(write(host, "xyz", 3), 3);
	child_synchronise(&child);
	ck_assert_uint_eq(next_input(), 'x');
	ck_assert_uint_eq(next_input(), 'z');
	child_stop(&child);
}

START_TEST(garble_changes_a_bit)
{
	struct fault_rule rule = rule_for(FAULT_GARBLE, 0);
	int host = start_serial();
	char buf[8];

	rule.after = 2;
	rule.count = 1;
	set_rule(rule);
	send_text("aaaa");
	ck_assert_uint_eq(receive(host, buf, sizeof(buf), 4), 4);
	ck_assert_uint_eq(buf[0], 'a');
	ck_assert_uint_eq(buf[1], 'a');
	ck_assert_int_eq(__builtin_popcount((uint8_t)(buf[2] ^ 'a')), 1);
	ck_assert_uint_eq(buf[3], 'a');
	child_stop(&child);
}

START_TEST(stall_lasts_as_long_as_its_rule)
{
	int host = start_serial();
	char buf[8];

	set_rule(rule_for(FAULT_STALL, 0));
	send_text("abc");
	ck_assert_uint_eq(receive(host, buf, sizeof(buf), 0), 0);
	/* The guest's registers are as lively as ever. */
	out(SCR, 0x5a);
	ck_assert_uint_eq(in(SCR), 0x5a);
	fault_page_write(child.faults, NULL, 0);
	ck_assert_uint_eq(receive(host, buf, 3, 3), 3);
	ck_assert_mem_eq(buf, "abc", 3);
	child_stop(&child);
}

START_TEST(a_stalled_port_still_ends)
{
	int host = start_serial();
	char buf[8];

	set_rule(rule_for(FAULT_STALL, 0));
	send_text("abc");
	child_stop(&child);
	ck_assert_int_eq(read(host, buf, sizeof(buf)), 3);
}

START_TEST(serial_crashes_at_every_point)
{
	uint32_t value;
	int ret;

	start_serial();
	set_rule(rule_for(FAULT_CRASH, (uint64_t)_i));
	ret = in_within(LSR, &value, 2000);
	/* The answer is the effect; after it comes the interrupt. */
	if (_i == FAULT_POINT_USED)
		ck_assert_int_eq(ret, 0);
	else
		ck_assert_int_ne(ret, 0);
	child_wait_signal(&child, SIGILL);
}

START_TEST(serial_hangs)
{
	uint32_t value;

	start_serial();
	set_rule(rule_for(FAULT_HANG, 0));
	ck_assert_int_ne(in_within(LSR, &value, 200), 0);
	ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
	child_wait_signal(&child, SIGKILL);
}

START_TEST(serial_loses_an_interrupt_and_makes_one_up)
{
	struct regchan_request req = { .op = REGCHAN_SET_IRQ };
	int irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct fault_rule rule = rule_for(FAULT_LOSE_INTERRUPT, 0);
	uint64_t edges = 0;

	start_serial();
	ck_assert_int_eq(regchan_post(child.link, &req, irq, CHILD_TIMEOUT_MS),
			 0);
	rule.count = 1;
	set_rule(rule);
	out(IER, IER_THRI);
	in(LSR);
	child_synchronise(&child);
	ck_assert_int_lt(read(irq, &edges, sizeof(edges)), 0);
	rule = rule_for(FAULT_SPURIOUS_INTERRUPT, 0);
	rule.id = 8;
	rule.count = 1;
	set_rule(rule);
	in(SCR);
	child_synchronise(&child);
	ck_assert_int_eq(read(irq, &edges, sizeof(edges)), 8);
	ck_assert_uint_eq(edges, 1);
	child_stop(&child);
}

/* --- rng: a device that does its requests at once --------------------------------- */

static struct front front;

static void start_rng(uint64_t *gpa)
{
	const struct child_spec spec = {
		.role = "rng", .life_role = LIFE_ROLE_RNG,
		.link_type = SOCK_STREAM, .res_fd = -1, .res2_fd = -1,
	};

	child_start(&child, &spec);
	front_start(&front, child.link, NULL);
	*gpa = front_alloc(&front, 64, 64);
}

static void ask_rng(uint64_t gpa)
{
	const struct front_buf buf = { gpa, 64 };

	ck_assert_int_ge(front_add(&front.queue[0], NULL, 0, &buf, 1, NULL),
			 0);
	front_kick(&front.queue[0]);
}

START_TEST(rng_crashes_at_every_point)
{
	uint64_t gpa;

	start_rng(&gpa);
	set_rule(rule_for(FAULT_CRASH, (uint64_t)_i));
	ask_rng(gpa);
	child_wait_signal(&child, SIGILL);
	ck_assert(front_take(&front.queue[0], NULL, NULL) ==
		  (_i == FAULT_POINT_USED));
	front_end(&front);
}

START_TEST(rng_gives_back_what_it_never_got)
{
	struct front_queue *queue = &front.queue[0];
	struct fault_rule rule = rule_for(FAULT_BAD_USED, 0);
	uint64_t gpa;

	start_rng(&gpa);
	rule.count = 1;
	set_rule(rule);
	ask_rng(gpa);
	for (int ms = 0; ms < FRONT_TIMEOUT_MS &&
			 *(volatile uint16_t *)&queue->used->idx == 0; ms++)
		usleep(1000);
	ck_assert_uint_eq(queue->used->idx, 1);
	ck_assert_uint_ge(queue->used->ring[0].id, queue->size);
	child_stop(&child);
	front_end(&front);
}

START_TEST(rng_hangs)
{
	uint64_t gpa;

	start_rng(&gpa);
	set_rule(rule_for(FAULT_HANG, 0));
	ask_rng(gpa);
	ck_assert(!front_take_wait(&front.queue[0], NULL, NULL, 100));
	ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
	child_wait_signal(&child, SIGKILL);
	front_end(&front);
}

START_TEST(rng_loses_an_interrupt_and_makes_one_up)
{
	struct fault_rule rule = rule_for(FAULT_LOSE_INTERRUPT, 0);
	struct fault_rule both[2] = { rule, rule_for(FAULT_HANG, 0) };
	struct front_queue *queue = &front.queue[0];
	uint64_t gpa;

	start_rng(&gpa);
	child_synchronise(&child);
	front_called(queue);
	rule.count = 1;
	set_rule(rule);
	ask_rng(gpa);
	ck_assert(front_take_wait(queue, NULL, NULL, FRONT_TIMEOUT_MS));
	child_synchronise(&child);
	ck_assert(!front_called(queue));
	/* The other one is for nothing: before there is any answer. */
	both[0] = rule_for(FAULT_SPURIOUS_INTERRUPT, 0);
	both[0].id = 8;
	both[1].id = 9;
	fault_page_write(child.faults, both, 2);
	ask_rng(gpa);
	ck_assert(front_call_wait(queue, FRONT_TIMEOUT_MS));
	ck_assert(!front_take_wait(queue, NULL, NULL, 100));
	ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
	child_wait_signal(&child, SIGKILL);
	front_end(&front);
}

/* --- console ------------------------------------------------------------------------ */

#define CONSOLE_TX	1

/* Return: the host's end. */
static int start_console(void)
{
	const struct child_spec spec = {
		.role = "console", .life_role = LIFE_ROLE_CONSOLE,
		.backend = LIFE_CHARDEV_SOCKET, .link_type = SOCK_STREAM,
		.res_fd = -1, .res2_fd = -1,
	};
	struct front_options options = { .nr_queues = 2 };

	child_start(&child, &spec);
	front_start(&front, child.link, &options);
	return child_attach(&child);
}

static void print_text(const char *text)
{
	struct front_buf buf = { front_alloc(&front, 64, 64),
				 (uint32_t)strlen(text) };

	memcpy(front_ptr(&front, buf.gpa), text, buf.len);
	ck_assert_int_ge(front_add(&front.queue[CONSOLE_TX], &buf, 1, NULL, 0,
				   NULL), 0);
	front_kick(&front.queue[CONSOLE_TX]);
}

static void end_console(void)
{
	child_stop(&child);
	front_end(&front);
}

START_TEST(console_drops_characters)
{
	struct fault_rule rule = rule_for(FAULT_DROP, 0);
	int host = start_console();
	char got[16];

	rule.every = 2;
	set_rule(rule);
	print_text("123456");
	ck_assert_uint_eq(receive(host, got, sizeof(got), 3), 3);
	ck_assert_mem_eq(got, "135", 3);
	end_console();
}

START_TEST(console_garbles_a_character)
{
	struct fault_rule rule = rule_for(FAULT_GARBLE, 0);
	int host = start_console();
	char got[16];

	rule.after = 1;
	rule.count = 1;
	set_rule(rule);
	print_text("aaa");
	ck_assert_uint_eq(receive(host, got, sizeof(got), 3), 3);
	ck_assert_uint_eq(got[0], 'a');
	ck_assert_int_eq(__builtin_popcount((uint8_t)(got[1] ^ 'a')), 1);
	ck_assert_uint_eq(got[2], 'a');
	end_console();
}

START_TEST(console_stalls_as_long_as_its_rule)
{
	int host = start_console();
	char got[16];

	set_rule(rule_for(FAULT_STALL, 0));
	print_text("abc");
	ck_assert_uint_eq(receive(host, got, sizeof(got), 0), 0);
	fault_page_write(child.faults, NULL, 0);
	ck_assert_uint_eq(receive(host, got, 3, 3), 3);
	ck_assert_mem_eq(got, "abc", 3);
	end_console();
}

START_TEST(console_crashes_at_every_point)
{
	start_console();
	set_rule(rule_for(FAULT_CRASH, (uint64_t)_i));
	print_text("x");
	child_wait_signal(&child, SIGILL);
	ck_assert(front_take(&front.queue[CONSOLE_TX], NULL, NULL) ==
		  (_i == FAULT_POINT_USED));
	front_end(&front);
}

START_TEST(console_gives_back_what_it_never_got)
{
	struct front_queue *queue = &front.queue[CONSOLE_TX];
	struct fault_rule rule = rule_for(FAULT_BAD_USED, 0);

	start_console();
	rule.count = 1;
	rule.ops = 1u << FAULT_OP_WRITE;
	set_rule(rule);
	print_text("x");
	for (int ms = 0; ms < FRONT_TIMEOUT_MS &&
			 *(volatile uint16_t *)&queue->used->idx == 0; ms++)
		usleep(1000);
	ck_assert_uint_eq(queue->used->idx, 1);
	ck_assert_uint_ge(queue->used->ring[0].id, queue->size);
	end_console();
}

int main(void)
{
	Suite *suite = suite_create("faults_chars");
	TCase *tc = tcase_create("serial, rng, console");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, drop_loses_the_characters_that_it_says);
	tcase_add_test(tc, drop_of_input);
	tcase_add_test(tc, garble_changes_a_bit);
	tcase_add_test(tc, stall_lasts_as_long_as_its_rule);
	tcase_add_test(tc, a_stalled_port_still_ends);
	tcase_add_loop_test(tc, serial_crashes_at_every_point, 0,
			    FAULT_NR_POINTS);
	tcase_add_test(tc, serial_hangs);
	tcase_add_test(tc, serial_loses_an_interrupt_and_makes_one_up);
	tcase_add_loop_test(tc, rng_crashes_at_every_point, 0,
			    FAULT_NR_POINTS);
	tcase_add_test(tc, rng_gives_back_what_it_never_got);
	tcase_add_test(tc, rng_hangs);
	tcase_add_test(tc, rng_loses_an_interrupt_and_makes_one_up);
	tcase_add_test(tc, console_drops_characters);
	tcase_add_test(tc, console_garbles_a_character);
	tcase_add_test(tc, console_stalls_as_long_as_its_rule);
	tcase_add_loop_test(tc, console_crashes_at_every_point, 0,
			    FAULT_NR_POINTS);
	tcase_add_test(tc, console_gives_back_what_it_never_got);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
