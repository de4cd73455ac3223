/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real bulkhead-blk, confined, with rules in its fault page: the guest,
 * which is this test, sees exactly the fault that was asked for.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define DISK_BYTES	(1u << 20)
#define SECTOR		512u
#define NR_SECTORS	(DISK_BYTES / SECTOR)
#define PAIR_BYTES	8192u

static struct child child;
static struct front front;
static struct front_queue *queue = &front.queue[0];
static struct front_blk blk;
static char path[64];
static uint8_t before[DISK_BYTES], after[DISK_BYTES];

/* Sector n is full of the byte n. */
static void make_disk(void)
{
	int fd;

	snprintf(path, sizeof(path), "/var/tmp/bulkhead-test-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	for (unsigned int i = 0; i < NR_SECTORS; i++)
		memset(before + i * SECTOR, (int)i, SECTOR);
	ck_assert_int_eq(write(fd, before, DISK_BYTES), DISK_BYTES);
	close(fd);
}

static void remove_disk(void)
{
	unlink(path);
}

static void start_with(const struct front_options *options)
{
	static const struct life_birth_blk usual = {
		.nr_queues = 1, .discard = 1, .serial = "faulty",
	};
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &usual,
		.link_type = SOCK_STREAM,
		.res_fd = open(path, O_RDWR | O_CLOEXEC), .res2_fd = -1,
	};

	ck_assert_int_ge(spec.res_fd, 0);
	child_start(&child, &spec);
	front_start(&front, child.link, options);
	front_blk_init(&front, &blk, PAIR_BYTES, 0);
}

static void start(void)
{
	start_with(NULL);
}

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

static void set_none(void)
{
	fault_page_write(child.faults, NULL, 0);
}

static uint64_t fired(void)
{
	ck_assert_uint_eq(child.stats->head.fault[0].id, 7);
	return child.stats->head.fault[0].fired;
}

static uint8_t do_write(uint64_t sector, uint32_t len)
{
	memset(front_blk_data(&front, &blk), 0xdd, len);
	return front_blk_do(queue, &blk, VIRTIO_BLK_T_OUT, sector, len);
}

static uint8_t do_read(uint64_t sector, uint32_t len)
{
	memset(front_blk_data(&front, &blk), 0xee, len);
	return front_blk_do(queue, &blk, VIRTIO_BLK_T_IN, sector, len);
}

static uint8_t do_flush(void)
{
	return front_blk_do(queue, &blk, VIRTIO_BLK_T_FLUSH, 0, 0);
}

/* Sectors of the image that are not as they were; *first is the first. */
static unsigned int changed(unsigned int *first)
{
	int fd = open(path, O_RDONLY);
	unsigned int nr = 0;

	ck_assert_int_eq(pread(fd, after, DISK_BYTES, 0), DISK_BYTES);
	close(fd);
	for (unsigned int i = NR_SECTORS; i-- > 0; )
		if (memcmp(before + i * SECTOR, after + i * SECTOR, SECTOR)) {
			nr++;
			*first = i;
		}
	return nr;
}

static unsigned int differing_bits(const uint8_t *a, const uint8_t *b,
				   size_t len)
{
	unsigned int nr = 0;

	for (size_t i = 0; i < len; i++)
		nr += (unsigned int)__builtin_popcount(a[i] ^ b[i]);
	return nr;
}

/* --- each action of a disk -------------------------------------------------------- */

START_TEST(eio_fails_what_it_matches_and_nothing_else)
{
	struct fault_rule rule = rule_for(FAULT_EIO, 0);
	unsigned int first;

	start();
	rule.ops = 1u << FAULT_OP_WRITE;
	rule.first_sector = 10;
	rule.last_sector = 19;
	rule.count = 2;
	ck_assert_uint_eq(do_write(10, 512), VIRTIO_BLK_S_OK);
	set_rule(rule);
	ck_assert_uint_eq(do_write(9, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(do_write(20, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(do_read(10, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(do_flush(), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(do_write(19, 1024), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(do_write(9, 1024), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(do_write(10, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fired(), 2);
	ck_assert_uint_eq(child.stats->queue[0].errors, 2);
	ck_assert_uint_eq(changed(&first), 3);
	child_stop(&child);
}

START_TEST(enospc_is_an_error_too)
{
	start();
	set_rule(rule_for(FAULT_ENOSPC, 0));
	ck_assert_uint_eq(do_write(1, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(fired(), 1);
	set_none();
	ck_assert_uint_eq(do_write(1, 512), VIRTIO_BLK_S_OK);
	child_stop(&child);
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

START_TEST(a_delay_takes_its_time_and_blocks_nobody)
{
	struct fault_rule rule = rule_for(FAULT_DELAY, 200);
	struct front_blk other;
	long long began;
	void *cookie;

	start();
	front_blk_init(&front, &other, 512, 0);
	rule.last_sector = 0;
	set_rule(rule);
	began = now_ms();
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_IN, 0,
					  512), 0);
	ck_assert_int_eq(front_blk_submit(queue, &other, VIRTIO_BLK_T_IN, 5,
					  512), 0);
	front_kick(queue);
	ck_assert(front_take_wait(queue, &cookie, NULL, FRONT_TIMEOUT_MS));
	ck_assert_ptr_eq(cookie, &other);
	ck_assert(front_take_wait(queue, &cookie, NULL, FRONT_TIMEOUT_MS));
	ck_assert_ptr_eq(cookie, &blk);
	ck_assert_int_ge(now_ms() - began, 200);
	ck_assert_uint_eq(front_blk_status(&front, &blk), VIRTIO_BLK_S_OK);
	child_stop(&child);
}

START_TEST(a_held_request_waits_until_the_rule_is_gone)
{
	void *cookie;

	start();
	set_rule(rule_for(FAULT_HOLD, 0));
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_IN, 3,
					  512), 0);
	front_kick(queue);
	ck_assert(!front_take_wait(queue, &cookie, NULL, 100));
	/* The process itself is as lively as ever. */
	child_synchronise(&child);
	set_none();
	ck_assert(front_take_wait(queue, &cookie, NULL, FRONT_TIMEOUT_MS));
	ck_assert_uint_eq(front_blk_status(&front, &blk), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(front_blk_data(&front, &blk), before + 3 * SECTOR,
			 SECTOR);
	child_stop(&child);
}

START_TEST(a_held_request_does_not_hold_up_the_end)
{
	start();
	set_rule(rule_for(FAULT_HOLD, 0));
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_IN, 3,
					  512), 0);
	front_kick(queue);
	child_synchronise(&child);
	child_stop(&child);
}

START_TEST(a_short_request_is_half_done_and_fails)
{
	unsigned int first = 0;

	start();
	set_rule(rule_for(FAULT_SHORT, 0));
	ck_assert_uint_eq(do_write(100, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(changed(&first), 4);
	ck_assert_uint_eq(first, 100);
	ck_assert_uint_eq(do_read(200, 1024), VIRTIO_BLK_S_IOERR);
	ck_assert_mem_eq(front_blk_data(&front, &blk), before + 200 * SECTOR,
			 SECTOR);
	ck_assert_uint_eq(((uint8_t *)front_blk_data(&front, &blk))[512],
			  0xee);
	child_stop(&child);
}

START_TEST(a_torn_write_is_acknowledged)
{
	unsigned int first = 0;

	start();
	set_rule(rule_for(FAULT_TORN, 3));
	ck_assert_uint_eq(do_write(50, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(changed(&first), 3);
	ck_assert_uint_eq(first, 50);
	/* One that is no longer than that is whole. */
	ck_assert_uint_eq(do_write(100, 1024), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(changed(&first), 5);
	set_rule(rule_for(FAULT_TORN, 0));
	ck_assert_uint_eq(do_write(200, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(changed(&first), 5);
	child_stop(&child);
}

START_TEST(corrupt_flips_so_many_bits_of_a_read)
{
	uint8_t first[4096];

	start();
	set_rule(rule_for(FAULT_CORRUPT, 5));
	ck_assert_uint_eq(do_read(40, 4096), VIRTIO_BLK_S_OK);
	memcpy(first, front_blk_data(&front, &blk), sizeof(first));
	ck_assert_uint_eq(differing_bits(first, before + 40 * SECTOR, 4096), 5);
	/* Elsewhere the next time. */
	ck_assert_uint_eq(do_read(40, 4096), VIRTIO_BLK_S_OK);
	ck_assert_mem_ne(front_blk_data(&front, &blk), first, sizeof(first));
	ck_assert_uint_eq(differing_bits(front_blk_data(&front, &blk),
					 before + 40 * SECTOR, 4096), 5);
	child_stop(&child);
}

START_TEST(corrupt_writes_other_bits_and_leaves_the_guests_alone)
{
	uint8_t wanted[4096];
	unsigned int first = 0;

	start();
	memset(wanted, 0xdd, sizeof(wanted));
	set_rule(rule_for(FAULT_CORRUPT, 2));
	ck_assert_uint_eq(do_write(40, 4096), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(front_blk_data(&front, &blk), wanted, 4096);
	ck_assert_uint_eq(changed(&first), 8);
	ck_assert_uint_eq(differing_bits(after + 40 * SECTOR, wanted, 4096), 2);
	child_stop(&child);
}

START_TEST(a_lost_write_is_acknowledged)
{
	unsigned int first;

	start();
	set_rule(rule_for(FAULT_LOSE, 0));
	ck_assert_uint_eq(do_write(1, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(do_flush(), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(changed(&first), 0);
	ck_assert_uint_eq(fired(), 2);
	child_stop(&child);
}

START_TEST(a_misdirected_write_goes_elsewhere)
{
	unsigned int first = 0;

	start();
	set_rule(rule_for(FAULT_MISDIRECT, 8));
	ck_assert_uint_eq(do_write(30, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(changed(&first), 1);
	ck_assert_uint_eq(first, 38);
	/* Around the end, and not across it. */
	ck_assert_uint_eq(do_write(NR_SECTORS - 8, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(changed(&first), 2);
	ck_assert_uint_eq(first, 0);
	child_stop(&child);
}

/* --- each action of a device with rings ------------------------------------------- */

/* What the guest can see when the process has died at each point. */
static const struct {
	enum fault_point point;
	bool written;	/* the write has reached the image */
	bool used;	/* the used ring says so */
} points[] = {
	{ FAULT_POINT_FETCH, false, false },
	{ FAULT_POINT_COMPLETE, true, false },
	{ FAULT_POINT_USED, true, true },
};

START_TEST(a_crash_happens_where_it_should)
{
	unsigned int first = 0;
	void *cookie;

	start();
	set_rule(rule_for(FAULT_CRASH, points[_i].point));
	memset(front_blk_data(&front, &blk), 0xdd, 512);
	/* The start of a queue is a call of its own. */
	front_called(queue);
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_OUT, 60,
					  512), 0);
	front_kick(queue);
	child_wait_signal(&child, SIGILL);
	ck_assert_uint_eq(changed(&first), points[_i].written);
	ck_assert(front_take(queue, &cookie, NULL) == points[_i].used);
	ck_assert(!front_called(queue));
	ck_assert_uint_eq(fired(), 1);
	front_end(&front);
}

START_TEST(a_crash_after_submit_is_before_the_completion)
{
	void *cookie;

	start();
	set_rule(rule_for(FAULT_CRASH, FAULT_POINT_SUBMIT));
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_OUT, 60,
					  512), 0);
	front_kick(queue);
	child_wait_signal(&child, SIGILL);
	ck_assert(!front_take(queue, &cookie, NULL));
	front_end(&front);
}

START_TEST(a_hung_device_answers_nobody)
{
	struct pollfd life;
	void *cookie;

	start();
	set_rule(rule_for(FAULT_HANG, 0));
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_IN, 0,
					  512), 0);
	front_kick(queue);
	ck_assert(!front_take_wait(queue, &cookie, NULL, 100));
	child_send(&child, LIFE_PING, -1);
	life = (struct pollfd){ .fd = child.life, .events = POLLIN };
	ck_assert_int_eq(poll(&life, 1, 200), 0);
	ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
	child_wait_signal(&child, SIGKILL);
	front_end(&front);
}

START_TEST(a_lost_interrupt_is_one)
{
	/* A completion that has been seen already needs no interrupt. */
	static const struct front_options options = { .no_event_idx = true };
	struct fault_rule rule = rule_for(FAULT_LOSE_INTERRUPT, 0);

	start_with(&options);
	child_synchronise(&child);
	front_called(queue);
	rule.count = 1;
	set_rule(rule);
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_OK);
	child_synchronise(&child);
	ck_assert(!front_called(queue));
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_OK);
	child_synchronise(&child);
	ck_assert(front_called(queue));
	child_stop(&child);
}

START_TEST(a_spurious_interrupt_comes_from_nothing)
{
	struct fault_rule rules[2] = {
		rule_for(FAULT_SPURIOUS_INTERRUPT, 0),
		rule_for(FAULT_HOLD, 0),
	};
	void *cookie;

	start();
	child_synchronise(&child);
	front_called(queue);
	rules[1].id = 8;
	fault_page_write(child.faults, rules, 2);
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_IN, 0,
					  512), 0);
	front_kick(queue);
	ck_assert(front_call_wait(queue, FRONT_TIMEOUT_MS));
	ck_assert(!front_take_wait(queue, &cookie, NULL, 100));
	child_stop(&child);
}

START_TEST(a_bad_used_entry_names_no_request)
{
	struct fault_rule rule = rule_for(FAULT_BAD_USED, 0);
	uint16_t used;

	start();
	rule.count = 1;
	set_rule(rule);
	used = queue->used->idx;
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_IN, 0,
					  512), 0);
	front_kick(queue);
	for (int ms = 0; ms < FRONT_TIMEOUT_MS &&
			 *(volatile uint16_t *)&queue->used->idx == used; ms++)
		usleep(1000);
	ck_assert_uint_eq(queue->used->idx, (uint16_t)(used + 1));
	ck_assert_uint_ge(queue->used->ring[used % queue->size].id,
			  queue->size);
	child_stop(&child);
}

/* --- rules ---------------------------------------------------------------------------- */

START_TEST(a_reborn_device_goes_on_counting)
{
	struct fault_rule rule = rule_for(FAULT_EIO, 0);
	struct fault_page *page;
	struct stats_page *stats;

	start();
	rule.after = 1;
	rule.count = 2;
	set_rule(rule);
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_IOERR);
	child_stop(&child);
	front_end(&front);
	page = child.faults;
	stats = child.stats;
	start();
	/* The same pages, as the supervisor would give them. */
	*child.stats = *stats;
	fault_page_write(child.faults, page->rule, 1);
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fired(), 2);
	child_stop(&child);
}

START_TEST(a_rule_that_makes_no_sense_is_passed_over)
{
	struct fault_rule rules[3] = {
		rule_for(FAULT_EIO, 0), rule_for(FAULT_CRASH, 200),
		rule_for(FAULT_EIO, 0),
	};

	start();
	rules[0].action = 200;
	rules[2].ops = 0x80;
	fault_page_write(child.faults, rules, 3);
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_OK);
	child.faults->nr_rules = UINT32_MAX;
	child.faults->generation += 2;
	ck_assert_uint_eq(do_read(0, 512), VIRTIO_BLK_S_OK);
	child_stop(&child);
}

static void same_seed_run(uint8_t statuses[64])
{
	struct fault_rule rule = rule_for(FAULT_EIO, 0);

	start();
	rule.probability = UINT32_MAX / 3;
	set_rule(rule);
	for (int i = 0; i < 64; i++)
		statuses[i] = do_read((uint64_t)i, 512);
	child_stop(&child);
	front_end(&front);
}

START_TEST(the_same_seed_gives_the_same_faults)
{
	uint8_t one[64], two[64];
	unsigned int nr = 0;

	same_seed_run(one);
	same_seed_run(two);
	ck_assert_mem_eq(one, two, sizeof(one));
	for (int i = 0; i < 64; i++)
		nr += one[i] == VIRTIO_BLK_S_IOERR;
	ck_assert_uint_gt(nr, 8);
	ck_assert_uint_lt(nr, 36);
}

int main(void)
{
	Suite *suite = suite_create("faults");
	TCase *tc = tcase_create("blk");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 20);
	tcase_add_checked_fixture(tc, make_disk, remove_disk);
	tcase_add_test(tc, eio_fails_what_it_matches_and_nothing_else);
	tcase_add_test(tc, enospc_is_an_error_too);
	tcase_add_test(tc, a_delay_takes_its_time_and_blocks_nobody);
	tcase_add_test(tc, a_held_request_waits_until_the_rule_is_gone);
	tcase_add_test(tc, a_held_request_does_not_hold_up_the_end);
	tcase_add_test(tc, a_short_request_is_half_done_and_fails);
	tcase_add_test(tc, a_torn_write_is_acknowledged);
	tcase_add_test(tc, corrupt_flips_so_many_bits_of_a_read);
	tcase_add_test(tc, corrupt_writes_other_bits_and_leaves_the_guests_alone);
	tcase_add_test(tc, a_lost_write_is_acknowledged);
	tcase_add_test(tc, a_misdirected_write_goes_elsewhere);
	tcase_add_loop_test(tc, a_crash_happens_where_it_should, 0,
			    sizeof(points) / sizeof(points[0]));
	tcase_add_test(tc, a_crash_after_submit_is_before_the_completion);
	tcase_add_test(tc, a_hung_device_answers_nobody);
	tcase_add_test(tc, a_lost_interrupt_is_one);
	tcase_add_test(tc, a_spurious_interrupt_comes_from_nothing);
	tcase_add_test(tc, a_bad_used_entry_names_no_request);
	tcase_add_test(tc, a_reborn_device_goes_on_counting);
	tcase_add_test(tc, a_rule_that_makes_no_sense_is_passed_over);
	tcase_add_test(tc, the_same_seed_gives_the_same_faults);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
