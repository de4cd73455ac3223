/* SPDX-License-Identifier: Apache-2.0 */
/* The real bulkhead-console, confined, with a guest that is this test. */
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wire/child.h"
#include "tests/wire/front.h"

static struct child child;
static struct front front;
static struct front_queue *receiveq = &front.queue[0];
static struct front_queue *transmitq = &front.queue[1];

static void start(enum life_chardev backend, int res_fd, int res2_fd)
{
	const struct child_spec spec = {
		.role = "console", .life_role = LIFE_ROLE_CONSOLE,
		.backend = backend, .link_type = SOCK_STREAM,
		.res_fd = res_fd, .res2_fd = res2_fd,
	};
	const struct front_options options = {
		.nr_queues = 2, .queue_size = 64,
	};

	child_start(&child, &spec);
	front_start(&front, child.link, &options);
}

/* --- the guest ---------------------------------------------------------------- */

/* The byte at this place of a stream that the guest writes. */
static uint8_t pattern(size_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

/* len bytes of the pattern from at on, as one chain; not waited for. */
static void transmit(size_t at, uint32_t len)
{
	struct front_buf buf = {
		.gpa = front_alloc(&front, len, 1), .len = len,
	};
	uint8_t *byte = front_ptr(&front, buf.gpa);

	for (uint32_t i = 0; i < len; i++)
		byte[i] = pattern(at + i);
	ck_assert_int_ge(front_add(transmitq, &buf, 1, NULL, 0, NULL), 0);
	front_kick(transmitq);
}

/* The device gives nr chains back, having written nothing. */
static void expect_done(unsigned int nr)
{
	uint32_t written;

	while (nr--) {
		ck_assert(front_take_wait(transmitq, NULL, &written,
					  FRONT_TIMEOUT_MS));
		ck_assert_uint_eq(written, 0);
	}
}

static uint64_t give_buffer(uint32_t len)
{
	struct front_buf buf = {
		.gpa = front_alloc(&front, len, 1), .len = len,
	};

	ck_assert_int_ge(front_add(receiveq, NULL, 0, &buf, 1,
				   front_ptr(&front, buf.gpa)), 0);
	front_kick(receiveq);
	return buf.gpa;
}

/* Collect input from completed buffers until text has come. */
static void expect_received(const char *text)
{
	char seen[512] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		uint32_t written;
		void *data;

		ck_assert(front_take_wait(receiveq, &data, &written,
					  FRONT_TIMEOUT_MS));
		ck_assert_uint_gt(written, 0);
		ck_assert_uint_lt(len + written, sizeof(seen));
		memcpy(seen + len, data, written);
		len += written;
	}
	ck_assert_str_eq(seen, text);
}

/* --- the host ------------------------------------------------------------------ */

/* The pattern arrives at fd, [from, to) of it. */
static void expect_pattern(int fd, size_t from, size_t to)
{
	uint8_t buf[65536];

	while (from < to) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t got;

		ck_assert_int_eq(poll(&pfd, 1, CHILD_TIMEOUT_MS), 1);
		got = read(fd, buf, sizeof(buf));
		ck_assert_int_gt(got, 0);
		for (ssize_t i = 0; i < got; i++)
			if (buf[i] != pattern(from + (size_t)i))
				ck_abort_msg("byte %zu is wrong",
					     from + (size_t)i);
		from += (size_t)got;
	}
	ck_assert_uint_eq(from, to);
}

static void expect_silence(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&pfd, 1, 50), 0);
}

/* --- output ---------------------------------------------------------------------- */

START_TEST(output_reaches_a_file_in_order)
{
	static const uint32_t sizes[] = { 1, 80, 4096, 65536, 65537, 1 << 20 };
	size_t at = 0;
	int back, file = child_temporary(&back);

	start(LIFE_CHARDEV_FILE, -1, file);
	for (unsigned int i = 0; i < 6; i++) {
		transmit(at, sizes[i]);
		at += sizes[i];
	}
	expect_done(6);
	child_stop(&child);
	expect_pattern(back, 0, at);
	ck_assert_uint_eq(child.stats->queue[1].bytes_written, at);
	ck_assert_uint_eq(child.stats->queue[1].requests, 6);
}
END_TEST

START_TEST(nobody_there_and_output_is_dropped)
{
	start(_i ? LIFE_CHARDEV_SOCKET : LIFE_CHARDEV_NULL, -1, -1);
	for (int i = 0; i < 10; i++) {
		transmit(0, 100000);
		expect_done(1);
	}
	child_stop(&child);
}
END_TEST

/* A slow peer: chains stay in the ring; all is there when it reads. */
START_TEST(a_slow_peer_holds_the_guest_back)
{
	size_t sent = 0, done = 0;
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	peer = child_attach(&child);
	for (; sent < 60; sent++)
		transmit(sent * 50000, 50000);
	child_synchronise(&child);
	while (front_take(transmitq, NULL, NULL))
		done++;
	ck_assert_uint_lt(done, sent);
	expect_pattern(peer, 0, sent * 50000);
	expect_done((unsigned int)(sent - done));
	child_stop(&child);
}
END_TEST

START_TEST(a_peer_that_leaves_frees_the_guest)
{
	unsigned int done = 0;
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	peer = child_attach(&child);
	for (int i = 0; i < 60; i++)
		transmit(0, 50000);
	child_synchronise(&child);
	while (front_take(transmitq, NULL, NULL))
		done++;
	close(peer);
	expect_done(60 - done);
	child_stop(&child);
}
END_TEST

/* Stopped and started with chains waiting: each byte arrives once. */
START_TEST(a_stopped_queue_keeps_what_was_not_sent)
{
	int peer;
	uint16_t base;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	peer = child_attach(&child);
	for (size_t i = 0; i < 60; i++)
		transmit(i * 50000, 50000);
	child_synchronise(&child);
	base = front_queue_stop(transmitq);
	ck_assert_uint_lt(base, 60);
	ck_assert_uint_eq(base, transmitq->used->idx);
	front_queue_start(transmitq, base);
	expect_pattern(peer, 0, 60 * 50000);
	expect_done(60);
	expect_silence(peer);
	child_stop(&child);
}
END_TEST

START_TEST(stop_writes_what_was_taken)
{
	int back, file = child_temporary(&back);

	start(LIFE_CHARDEV_FILE, -1, file);
	transmit(0, 30000);
	expect_done(1);
	child_stop(&child);
	expect_pattern(back, 0, 30000);
}
END_TEST

/* --- input ------------------------------------------------------------------------- */

START_TEST(input_fills_the_buffers_that_are_there)
{
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	for (int i = 0; i < 20; i++)
		give_buffer(4);
	peer = child_attach(&child);
	ck_assert_int_eq(write(peer, "root, and a password\r", 21), 21);
	expect_received("root, and a password\r");
	ck_assert(front_called(receiveq));
	child_stop(&child);
	ck_assert_uint_eq(child.stats->queue[0].bytes_read, 21);
}
END_TEST

START_TEST(input_waits_for_buffers)
{
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	peer = child_attach(&child);
	ck_assert_int_eq(write(peer, "typed early", 11), 11);
	child_synchronise(&child);
	give_buffer(6);
	expect_received("typed ");
	give_buffer(100);
	expect_received("early");
	child_stop(&child);
}
END_TEST

/* Far more than all buffers between; the guest gives few and takes its time. */
START_TEST(input_is_held_back_not_lost)
{
	static uint8_t stream[300000];
	size_t sent = 0, seen = 0;
	int peer;

	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = pattern(i);
	start(LIFE_CHARDEV_SOCKET, -1, -1);
	peer = child_attach(&child);
	for (int i = 0; i < 8; i++)
		give_buffer(1500);
	while (seen < sizeof(stream)) {
		ssize_t put = write(peer, stream + sent, sizeof(stream) - sent);
		struct front_buf buf = { .len = 1500 };
		uint32_t written;
		void *data;

		if (put > 0)
			sent += (size_t)put;
		ck_assert(front_take_wait(receiveq, &data, &written,
					  FRONT_TIMEOUT_MS));
		ck_assert_mem_eq(data, stream + seen, written);
		seen += written;
		buf.gpa = (uint64_t)((uint8_t *)data - front.ram);
		ck_assert_int_ge(front_add(receiveq, NULL, 0, &buf, 1, data),
				 0);
		front_kick(receiveq);
	}
	child_stop(&child);
}
END_TEST

START_TEST(terminal_escape_goes_to_the_supervisor)
{
	struct life_msg msg;
	int keys[2], screen[2];

	child_pipe(keys);
	child_pipe(screen);
	start(LIFE_CHARDEV_TERMINAL, keys[0], screen[1]);
	give_buffer(100);
	give_buffer(100);
	ck_assert_int_eq(write(keys[1], "a\x01x", 3), 3);
	child_expect(&child, LIFE_ESCAPE, &msg);
	expect_received("a");
	ck_assert_int_eq(write(keys[1], "\x01\x01z", 3), 3);
	expect_received("\x01z");
	child_stop(&child);
}
END_TEST

/* --- wrong guests --------------------------------------------------------------------- */

/* A buffer of the wrong direction goes back with nothing done to it. */
START_TEST(buffers_of_the_wrong_direction)
{
	struct front_buf buf = { .len = 64 };
	uint32_t written = 99;
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	buf.gpa = front_alloc(&front, 64, 1);
	peer = child_attach(&child);
	ck_assert_int_ge(front_add(transmitq, NULL, 0, &buf, 1, NULL), 0);
	front_kick(transmitq);
	expect_done(1);
	expect_silence(peer);
	ck_assert_int_ge(front_add(receiveq, &buf, 1, NULL, 0, NULL), 0);
	front_kick(receiveq);
	ck_assert_int_eq(write(peer, "x", 1), 1);
	ck_assert(front_take_wait(receiveq, NULL, &written, FRONT_TIMEOUT_MS));
	ck_assert_uint_eq(written, 0);
	give_buffer(8);
	expect_received("x");
	child_stop(&child);
}
END_TEST

START_TEST(a_broken_ring_stops_its_queue_only)
{
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	peer = child_attach(&child);
	front_offer_head(transmitq, 64);
	front_kick(transmitq);
	for (int i = 0; i < 1000 && !front_erred(transmitq); i++)
		usleep(1000);
	transmit(0, 100);
	expect_silence(peer);
	give_buffer(8);
	ck_assert_int_eq(write(peer, "alive", 5), 5);
	expect_received("alive");
	child_stop(&child);
}
END_TEST

static const struct {
	const char *options[3];
	int status;
} command_lines[] = {
	{ { "--help" }, 0 },
	{ { "--print-capabilities" }, 0 },
	{ { "--fd=4", "--columns=80" }, 2 },
	{ { "--pty" }, 2 },
};

START_TEST(command_line_ends_with_its_status)
{
	const struct child_spec spec = {
		.role = "console", .link_type = SOCK_STREAM,
		.res_fd = -1, .res2_fd = -1,
	};

	child_start_by_hand(&child, &spec, command_lines[_i].options);
	ck_assert_int_eq(child_wait(&child), command_lines[_i].status);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("console");
	TCase *tcase = tcase_create("console");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, output_reaches_a_file_in_order);
	tcase_add_loop_test(tcase, nobody_there_and_output_is_dropped, 0, 2);
	tcase_add_test(tcase, a_slow_peer_holds_the_guest_back);
	tcase_add_test(tcase, a_peer_that_leaves_frees_the_guest);
	tcase_add_test(tcase, a_stopped_queue_keeps_what_was_not_sent);
	tcase_add_test(tcase, stop_writes_what_was_taken);
	tcase_add_test(tcase, input_fills_the_buffers_that_are_there);
	tcase_add_test(tcase, input_waits_for_buffers);
	tcase_add_test(tcase, input_is_held_back_not_lost);
	tcase_add_test(tcase, terminal_escape_goes_to_the_supervisor);
	tcase_add_test(tcase, buffers_of_the_wrong_direction);
	tcase_add_test(tcase, a_broken_ring_stops_its_queue_only);
	tcase_add_loop_test(tcase, command_line_ends_with_its_status, 0,
			    sizeof(command_lines) / sizeof(*command_lines));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
