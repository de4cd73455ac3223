/* SPDX-License-Identifier: Apache-2.0 */
/* ipc/regchan.c: each message right, and with each field wrong. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/regchan.h"

#define PATIENCE_MS	5000	/* for what is there, on any machine */

static int core_fd, device_fd;

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				    pair), 0);
	core_fd = pair[0];
	device_fd = pair[1];
}

static int count_open_fds(void)
{
	int nr = 0;

	for (int fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* --- requests --------------------------------------------------------------- */

static const struct regchan_request good[] = {
	{ .op = REGCHAN_READ, .seq = 7, .offset = 5, .size = 1 },
	{ .op = REGCHAN_READ, .seq = 8, .offset = 0xffff, .size = 4 },
	{ .op = REGCHAN_WRITE, .offset = 0, .size = 1, .value = 'a' },
	{ .op = REGCHAN_WRITE, .offset = 2, .size = 2, .value = 0xffff },
	{ .op = REGCHAN_SET_IRQ },
	{ .op = REGCHAN_RESET },
};
#define NR_GOOD ((int)(sizeof(good) / sizeof(*good)))

START_TEST(a_good_request_arrives_as_it_was)
{
	int passed = good[_i].op == REGCHAN_SET_IRQ ? core_fd : -1;
	struct regchan_request req;
	int irq_fd = 99;

	ck_assert_int_eq(regchan_post(core_fd, &good[_i], passed, 100), 0);
	ck_assert_int_eq(regchan_take(device_fd, &req, &irq_fd), 1);
	ck_assert_mem_eq(&req, &good[_i], sizeof(req));
	ck_assert_int_eq(irq_fd >= 0, passed >= 0);
	if (irq_fd >= 0)
		ck_assert_int_eq(fcntl(irq_fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(regchan_take(device_fd, &req, &irq_fd), -EAGAIN);
}
END_TEST

static const struct {
	const char *what;
	struct regchan_request req;
	unsigned int nr_fds;
} bad[] = {
	{ "op 0", { .op = 0, .size = 1 }, 0 },
	{ "op past the last", { .op = REGCHAN_RESET + 1, .size = 1 }, 0 },
	{ "op of high bits", { .op = 0x80000001, .size = 1 }, 0 },
	{ "pad set", { .op = REGCHAN_READ, .size = 1, .pad = 1 }, 0 },
	{ "read of no bytes", { .op = REGCHAN_READ, .size = 0 }, 0 },
	{ "read of 3 bytes", { .op = REGCHAN_READ, .size = 3 }, 0 },
	{ "write of 8 bytes", { .op = REGCHAN_WRITE, .size = 8 }, 0 },
	{ "write of 255 bytes", { .op = REGCHAN_WRITE, .size = 255 }, 0 },
	{ "read with an fd", { .op = REGCHAN_READ, .size = 1 }, 1 },
	{ "write with an fd", { .op = REGCHAN_WRITE, .size = 1 }, 1 },
	{ "reset with an fd", { .op = REGCHAN_RESET }, 1 },
	{ "irq without an fd", { .op = REGCHAN_SET_IRQ }, 0 },
	{ "irq with two fds", { .op = REGCHAN_SET_IRQ }, 2 },
};
#define NR_BAD ((int)(sizeof(bad) / sizeof(*bad)))

START_TEST(a_bad_request_is_refused_and_leaks_nothing)
{
	int fds[2] = { core_fd, core_fd };
	struct regchan_request req;
	int irq_fd = 99;
	int before = count_open_fds();

	ck_assert_int_eq(fdmsg_send(core_fd, &bad[_i].req, sizeof(req), fds,
				    bad[_i].nr_fds, 100), 0);
	ck_assert_msg(regchan_take(device_fd, &req, &irq_fd) == -EPROTO,
		      "%s was taken", bad[_i].what);
	ck_assert_int_eq(irq_fd, -1);
	ck_assert_int_eq(count_open_fds(), before);
}
END_TEST

START_TEST(a_short_or_long_request_is_refused)
{
	struct regchan_request twice[2] = { good[0], good[0] };
	struct regchan_request req;
	int irq_fd;

	for (size_t len = 1; len <= sizeof(twice); len++) {
		if (len == sizeof(req))
			continue;
		ck_assert_int_eq(fdmsg_send(core_fd, twice, len, NULL, 0, 100),
				 0);
		ck_assert_int_eq(regchan_take(device_fd, &req, &irq_fd),
				 -EPROTO);
	}
}
END_TEST

START_TEST(order_of_writes_and_reads_is_kept)
{
	struct regchan_request req = { .op = REGCHAN_WRITE, .size = 1 };
	int irq_fd;

	for (uint32_t i = 0; i < 50; i++) {
		req.value = i;
		ck_assert_int_eq(regchan_post(core_fd, &req, -1, 100), 0);
	}
	for (uint32_t i = 0; i < 50; i++) {
		ck_assert_int_eq(regchan_take(device_fd, &req, &irq_fd), 1);
		ck_assert_uint_eq(req.value, i);
	}
}
END_TEST

/* --- replies ---------------------------------------------------------------- */

/* A reply may wait already when the read is sent: no second thread needed. */
START_TEST(a_read_gets_its_reply)
{
	struct regchan_request req = { .seq = 5, .offset = 2, .size = 1 };
	uint32_t value = 0;
	int irq_fd;

	ck_assert_int_eq(regchan_answer(device_fd, 5, 0xc1), 0);
	ck_assert_int_eq(regchan_read(core_fd, &req, &value, 100), 0);
	ck_assert_uint_eq(value, 0xc1);
	ck_assert_int_eq(regchan_take(device_fd, &req, &irq_fd), 1);
	ck_assert_uint_eq(req.op, REGCHAN_READ);
	ck_assert_uint_eq(req.seq, 5);
}
END_TEST

START_TEST(late_replies_are_dropped)
{
	struct regchan_request req = { .seq = 1, .size = 1 };
	uint32_t value = 0;

	/* Also where the sequence wraps. */
	ck_assert_int_eq(regchan_answer(device_fd, 0xfffffffe, 11), 0);
	ck_assert_int_eq(regchan_answer(device_fd, 0, 22), 0);
	ck_assert_int_eq(regchan_answer(device_fd, 1, 33), 0);
	ck_assert_int_eq(regchan_read(core_fd, &req, &value, PATIENCE_MS), 0);
	ck_assert_uint_eq(value, 33);
}
END_TEST

START_TEST(a_reply_to_nothing_is_refused)
{
	struct regchan_request req = { .seq = 5, .size = 1 };
	uint32_t value = 0;

	ck_assert_int_eq(regchan_answer(device_fd, 6, 1), 0);
	ck_assert_int_eq(regchan_read(core_fd, &req, &value, 100), -EPROTO);
}
END_TEST

START_TEST(a_reply_of_a_wrong_shape_is_refused)
{
	struct regchan_reply reply[2] = { { .seq = 5 }, { .seq = 5 } };
	struct regchan_request req = { .seq = 5, .size = 1 };
	uint32_t value = 0;
	int before = count_open_fds();

	for (size_t len = 1; len <= sizeof(reply); len++) {
		if (len == sizeof(reply[0]))
			continue;
		ck_assert_int_eq(fdmsg_send(device_fd, reply, len, NULL, 0,
					    100), 0);
		ck_assert_int_eq(regchan_read(core_fd, &req, &value, 100),
				 -EPROTO);
	}
	ck_assert_int_eq(fdmsg_send(device_fd, reply, sizeof(reply[0]),
				    &core_fd, 1, 100), 0);
	ck_assert_int_eq(regchan_read(core_fd, &req, &value, 100), -EPROTO);
	ck_assert_int_eq(count_open_fds(), before);
}
END_TEST

START_TEST(a_silent_device_costs_its_deadline)
{
	struct regchan_request req = { .seq = 5, .size = 1 };
	long long began_ms = fdmsg_now_ms();
	uint32_t value = 0;

	ck_assert_int_eq(regchan_read(core_fd, &req, &value, 50), -ETIMEDOUT);
	ck_assert_int_ge(fdmsg_now_ms() - began_ms, 45);
	ck_assert_int_lt(fdmsg_now_ms() - began_ms, 2000);
}
END_TEST

/* Who asked may have stood still until then: no time is left, but an answer. */
START_TEST(an_answer_that_is_there_counts)
{
	struct regchan_request req = { .seq = 5, .size = 1 };
	uint32_t value = 0;

	ck_assert_int_eq(regchan_answer(device_fd, 5, 0xc1), 0);
	ck_assert_int_eq(regchan_read(core_fd, &req, &value, 0), 0);
	ck_assert_uint_eq(value, 0xc1);
}
END_TEST

/* Late replies may come faster than the core takes them, and for ever. */
START_TEST(a_deadline_holds_while_late_replies_come)
{
	static const struct regchan_reply late = { .seq = 6 };
	struct regchan_request req = { .seq = 7, .size = 1 };
	struct regchan_reply left;
	uint32_t value;

	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(fdmsg_send(device_fd, &late, sizeof(late),
					    NULL, 0, 0), 0);
	ck_assert_int_eq(regchan_read(core_fd, &req, &value, 0), -ETIMEDOUT);
	ck_assert_int_eq(fdmsg_recv(core_fd, &left, sizeof(left), NULL, NULL,
				    0), sizeof(left));
}
END_TEST

START_TEST(a_full_channel_costs_the_deadline_of_a_post)
{
	struct regchan_request req = { .op = REGCHAN_WRITE, .size = 1 };
	int err = 0;

	for (int i = 0; i < 100000 && !err; i++)
		err = regchan_post(core_fd, &req, -1, 20);
	ck_assert_int_eq(err, -ETIMEDOUT);
}
END_TEST

START_TEST(a_closed_peer_is_told_apart)
{
	struct regchan_request req = { .op = REGCHAN_WRITE, .size = 1 };
	uint32_t value = 0;
	int irq_fd;

	if (_i == 0) {
		close(device_fd);
		ck_assert_int_eq(regchan_post(core_fd, &req, -1, 100), -EPIPE);
		ck_assert_int_eq(regchan_read(core_fd, &req, &value, 100),
				 -EPIPE);
	} else {
		close(core_fd);
		ck_assert_int_eq(regchan_take(device_fd, &req, &irq_fd), 0);
		ck_assert_int_eq(regchan_answer(device_fd, 1, 1), -EPIPE);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("regchan");
	TCase *tcase = tcase_create("regchan");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, a_good_request_arrives_as_it_was, 0,
			    NR_GOOD);
	tcase_add_loop_test(tcase, a_bad_request_is_refused_and_leaks_nothing,
			    0, NR_BAD);
	tcase_add_test(tcase, a_short_or_long_request_is_refused);
	tcase_add_test(tcase, order_of_writes_and_reads_is_kept);
	tcase_add_test(tcase, a_read_gets_its_reply);
	tcase_add_test(tcase, late_replies_are_dropped);
	tcase_add_test(tcase, a_reply_to_nothing_is_refused);
	tcase_add_test(tcase, a_reply_of_a_wrong_shape_is_refused);
	tcase_add_test(tcase, a_silent_device_costs_its_deadline);
	tcase_add_test(tcase, an_answer_that_is_there_counts);
	tcase_add_test(tcase, a_deadline_holds_while_late_replies_come);
	tcase_add_test(tcase, a_full_channel_costs_the_deadline_of_a_post);
	tcase_add_loop_test(tcase, a_closed_peer_is_told_apart, 0, 2);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
