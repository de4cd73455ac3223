/* SPDX-License-Identifier: Apache-2.0 */
/*
 * on_error = hold: the real bulkhead-blk, confined, on a host that fails its
 * I/O.  The supervisor, which is this test, is told, and says when to try
 * again; the guest, which is this test too, only waits.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define DISK_BYTES	(1u << 20)
#define NR_BLKS		4
#define A_WHILE_MS	100

static struct child child;
static struct front front;
static struct front_queue *queue = &front.queue[0];
static struct front_blk blk[NR_BLKS];
static int image_fd;

static void make_image(void)
{
	char path[] = "/var/tmp/bulkhead-test-XXXXXX";

	image_fd = mkstemp(path);
	ck_assert_int_ge(image_fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(ftruncate(image_fd, DISK_BYTES), 0);
}

static void give_birth(enum life_on_error on_read, enum life_on_error on_write)
{
	const struct life_birth_blk birth = {
		.nr_queues = 1, .on_read_error = on_read,
		.on_write_error = on_write, .throttle.burst_s = 1,
	};
	const struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &birth,
		.link_type = SOCK_STREAM, .res_fd = dup(image_fd),
		.res2_fd = -1,
	};

	child_start(&child, &spec);
}

static void start(enum life_on_error on_read, enum life_on_error on_write)
{
	static const struct front_options options = { .inflight = true };

	give_birth(on_read, on_write);
	front_start(&front, child.link, &options);
	for (unsigned int i = 0; i < NR_BLKS; i++)
		front_blk_init(&front, &blk[i], 4096, 0);
}

static void set_rule(enum fault_action action, enum fault_op op,
		     uint64_t count)
{
	const struct fault_rule rule = {
		.id = 7, .action = (uint8_t)action, .ops = (uint8_t)(1u << op),
		.last_sector = UINT64_MAX, .count = count,
	};

	fault_page_write(child.faults, &rule, 1);
}

static void clear_rules(void)
{
	fault_page_write(child.faults, NULL, 0);
}

static void submit(unsigned int i, uint32_t type)
{
	memset(front_blk_data(&front, &blk[i]), 0xd0 + (int)i, 512);
	ck_assert_int_eq(front_blk_submit(queue, &blk[i], type, i,
					  type == VIRTIO_BLK_T_FLUSH ? 0 :
					  512), 0);
	front_kick(queue);
}

static void expect_held(uint32_t err, bool write, uint64_t offset)
{
	struct life_msg msg;

	child_expect(&child, LIFE_BLK_HELD, &msg);
	ck_assert_uint_eq(msg.u.blk_held.err, err);
	ck_assert_uint_eq(msg.u.blk_held.write, write);
	ck_assert_uint_eq(msg.u.blk_held.offset, offset);
}

/* Its kick and what the supervisor says come by two ways, in any order. */
static void wait_until_held(uint64_t nr)
{
	const volatile uint64_t *held = &child.stats->disk.held;

	for (int ms = 0; ms < CHILD_TIMEOUT_MS && *held != nr; ms++)
		usleep(1000);
	ck_assert_uint_eq(*held, nr);
}

static void resume(void)
{
	ck_assert_int_eq(life_send(child.life, LIFE_BLK_RESUME, NULL, NULL, 0,
				   CHILD_TIMEOUT_MS), 0);
}

/* All nr requests end, with that status. */
static void expect_done(unsigned int nr, uint8_t status)
{
	void *cookie;

	for (unsigned int i = 0; i < nr; i++) {
		ck_assert(front_take_wait(queue, &cookie, NULL,
					  FRONT_TIMEOUT_MS));
		ck_assert_uint_eq(front_blk_status(&front, cookie), status);
	}
}

static void expect_nothing(void)
{
	void *cookie;

	ck_assert(!front_take_wait(queue, &cookie, NULL, A_WHILE_MS));
}

static void check_written(unsigned int i)
{
	uint8_t wanted[512], found[512];

	memset(wanted, 0xd0 + (int)i, sizeof(wanted));
	ck_assert_int_eq(pread(image_fd, found, sizeof(found), i * 512), 512);
	ck_assert_mem_eq(found, wanted, sizeof(wanted));
}

START_TEST(a_write_without_room_waits)
{
	start(LIFE_ERROR_REPORT, LIFE_ERROR_HOLD);
	set_rule(FAULT_ENOSPC, FAULT_OP_WRITE, 0);
	submit(1, VIRTIO_BLK_T_OUT);
	expect_held(ENOSPC, true, 512);
	/* So does all that comes after it; the process is as lively as ever. */
	submit(2, VIRTIO_BLK_T_IN);
	submit(3, VIRTIO_BLK_T_OUT);
	wait_until_held(3);
	expect_nothing();
	child_synchronise(&child);
	ck_assert_uint_eq(child.stats->disk.held, 3);
	clear_rules();
	resume();
	expect_done(3, VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(child.stats->disk.held, 0);
	ck_assert_uint_eq(child.stats->queue[0].errors, 0);
	check_written(1);
	check_written(3);
	child_stop(&child);
}
END_TEST

START_TEST(what_fails_again_is_held_again)
{
	start(LIFE_ERROR_HOLD, LIFE_ERROR_HOLD);
	set_rule(FAULT_ENOSPC, FAULT_OP_WRITE, 3);
	submit(1, VIRTIO_BLK_T_OUT);
	expect_held(ENOSPC, true, 512);
	for (int i = 0; i < 2; i++) {
		resume();
		expect_held(ENOSPC, true, 512);
		expect_nothing();
	}
	/* The rule has fired three times. */
	resume();
	expect_done(1, VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(child.stats->head.fault[0].fired, 3);
	check_written(1);
	child_stop(&child);
}
END_TEST

/* No rule: the file has become shorter, and is made long again. */
START_TEST(an_error_of_the_host_is_held)
{
	start(LIFE_ERROR_HOLD, LIFE_ERROR_REPORT);
	ck_assert_int_eq(ftruncate(image_fd, 1024), 0);
	submit(2, VIRTIO_BLK_T_IN);
	expect_held(EIO, false, 1024);
	expect_nothing();
	ck_assert_int_eq(ftruncate(image_fd, DISK_BYTES), 0);
	resume();
	expect_done(1, VIRTIO_BLK_S_OK);
	child_stop(&child);
}
END_TEST

START_TEST(several_that_fail_are_one_event)
{
	struct life_msg msg;

	start(LIFE_ERROR_HOLD, LIFE_ERROR_HOLD);
	ck_assert_int_eq(ftruncate(image_fd, 0), 0);
	for (unsigned int i = 0; i < NR_BLKS; i++)
		ck_assert_int_eq(front_blk_submit(queue, &blk[i],
						  VIRTIO_BLK_T_IN, 8 * i, 512),
				 0);
	front_kick(queue);
	child_expect(&child, LIFE_BLK_HELD, &msg);
	expect_nothing();
	child_synchronise(&child);	/* no other event was before the pong */
	ck_assert_int_eq(ftruncate(image_fd, DISK_BYTES), 0);
	resume();
	expect_done(NR_BLKS, VIRTIO_BLK_S_OK);
	child_stop(&child);
}
END_TEST

START_TEST(the_other_direction_is_reported)
{
	start(LIFE_ERROR_REPORT, LIFE_ERROR_HOLD);
	set_rule(FAULT_EIO, FAULT_OP_READ, 0);
	submit(0, VIRTIO_BLK_T_IN);
	expect_done(1, VIRTIO_BLK_S_IOERR);
	child_stop(&child);
	start(LIFE_ERROR_HOLD, LIFE_ERROR_REPORT);
	set_rule(FAULT_EIO, FAULT_OP_WRITE, 0);
	submit(0, VIRTIO_BLK_T_OUT);
	expect_done(1, VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(child.stats->disk.held, 0);
	child_stop(&child);
}
END_TEST

START_TEST(a_flush_counts_as_a_write)
{
	start(LIFE_ERROR_REPORT, LIFE_ERROR_HOLD);
	set_rule(FAULT_EIO, FAULT_OP_FLUSH, 1);
	submit(0, VIRTIO_BLK_T_FLUSH);
	expect_held(EIO, true, 0);
	resume();
	expect_done(1, VIRTIO_BLK_S_OK);
	child_stop(&child);
}
END_TEST

/* A request that is wrong in itself is the guest's, and is no reason. */
START_TEST(the_guests_own_errors_are_reported)
{
	start(LIFE_ERROR_HOLD, LIFE_ERROR_HOLD);
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], VIRTIO_BLK_T_IN,
				       DISK_BYTES / 512, 512),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], 999, 0, 512),
			  VIRTIO_BLK_S_UNSUPP);
	child_stop(&child);
}
END_TEST

START_TEST(a_resume_without_need_is_harmless)
{
	start(LIFE_ERROR_HOLD, LIFE_ERROR_HOLD);
	resume();
	submit(0, VIRTIO_BLK_T_OUT);
	expect_done(1, VIRTIO_BLK_S_OK);
	child_stop(&child);
}
END_TEST

/* _i 0: it is exchanged in good order; 1: it is killed. */
START_TEST(what_is_held_outlives_the_process)
{
	start(LIFE_ERROR_REPORT, LIFE_ERROR_HOLD);
	set_rule(FAULT_ENOSPC, FAULT_OP_WRITE, 0);
	submit(1, VIRTIO_BLK_T_OUT);
	expect_held(ENOSPC, true, 512);
	submit(2, VIRTIO_BLK_T_OUT);
	wait_until_held(2);
	if (_i == 0) {
		child_stop(&child);
	} else {
		ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
		child_wait_signal(&child, SIGKILL);
	}
	ck_assert(!front_take(queue, NULL, NULL));
	/* There is room by now: the next one finds no error. */
	give_birth(LIFE_ERROR_REPORT, LIFE_ERROR_HOLD);
	front_reconnect(&front, child.link);
	expect_done(2, VIRTIO_BLK_S_OK);
	check_written(1);
	check_written(2);
	child_stop(&child);
}
END_TEST

/* The driver that resets the device gets everything back. */
START_TEST(a_reset_ends_what_is_held)
{
	start(LIFE_ERROR_HOLD, LIFE_ERROR_HOLD);
	set_rule(FAULT_ENOSPC, FAULT_OP_WRITE, 0);
	submit(1, VIRTIO_BLK_T_OUT);
	expect_held(ENOSPC, true, 512);
	submit(2, VIRTIO_BLK_T_IN);
	wait_until_held(2);
	front_queue_stop(queue);
	expect_done(2, VIRTIO_BLK_S_IOERR);
	child_stop(&child);
}
END_TEST

/* Orders for disks are not for others, who say so and go on. */
START_TEST(other_devices_take_no_orders_for_disks)
{
	const struct throttle_settings settings = { .burst_s = 1 };
	const struct child_spec spec = {
		.role = "rng", .life_role = LIFE_ROLE_RNG,
		.link_type = SOCK_STREAM, .res_fd = -1, .res2_fd = -1,
	};

	child_start(&child, &spec);
	resume();
	ck_assert_int_eq(life_send(child.life, LIFE_BLK_THROTTLE, &settings,
				   NULL, 0, CHILD_TIMEOUT_MS), 0);
	child_synchronise(&child);
	child_stop(&child);
}
END_TEST

/* One whose form is wrong ends the process: the supervisor is no supervisor. */
START_TEST(a_malformed_order_ends_the_process)
{
	static const enum life_type types[] = {
		LIFE_BLK_RESUME, LIFE_BLK_THROTTLE, LIFE_BLK_HELD,
	};
	struct {
		struct life_hdr hdr;
		uint8_t payload[4];
	} wrong = { .hdr = { .type = types[_i], .size = 4 } };

	start(LIFE_ERROR_HOLD, LIFE_ERROR_HOLD);
	ck_assert_int_eq(send(child.life, &wrong, sizeof(wrong), 0),
			 sizeof(wrong));
	ck_assert_int_eq(child_wait(&child), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hold");
	TCase *tc = tcase_create("hold");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_image, NULL);
	tcase_add_test(tc, a_write_without_room_waits);
	tcase_add_test(tc, what_fails_again_is_held_again);
	tcase_add_test(tc, an_error_of_the_host_is_held);
	tcase_add_test(tc, several_that_fail_are_one_event);
	tcase_add_test(tc, the_other_direction_is_reported);
	tcase_add_test(tc, a_flush_counts_as_a_write);
	tcase_add_test(tc, the_guests_own_errors_are_reported);
	tcase_add_test(tc, a_resume_without_need_is_harmless);
	tcase_add_loop_test(tc, what_is_held_outlives_the_process, 0, 2);
	tcase_add_test(tc, a_reset_ends_what_is_held);
	tcase_add_test(tc, other_devices_take_no_orders_for_disks);
	tcase_add_loop_test(tc, a_malformed_order_ends_the_process, 0, 3);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
