/* SPDX-License-Identifier: Apache-2.0 */
/* The real bulkhead-rng, confined, with a guest that is this test. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wire/child.h"
#include "tests/wire/front.h"

#define CANARY		0xa5
#define REQUEST_MAX	65536	/* what the device gives at once */

static struct child child;
static struct front front;
static struct front_queue *queue = &front.queue[0];

static void start(const struct front_options *options)
{
	const struct child_spec spec = {
		.role = "rng", .life_role = LIFE_ROLE_RNG,
		.link_type = SOCK_STREAM, .res_fd = -1, .res2_fd = -1,
	};

	child_start(&child, &spec);
	front_start(&front, child.link, options);
}

/* A buffer with canaries in it and behind it. */
static struct front_buf make_buf(uint32_t len)
{
	struct front_buf buf = {
		.gpa = front_alloc(&front, len + 64ull, 64), .len = len,
	};

	memset(front_ptr(&front, buf.gpa), CANARY, len + 64ull);
	return buf;
}

/* True if all of [from, to) of the buffer is as make_buf() left it. */
static bool untouched(const struct front_buf *buf, uint32_t from, uint32_t to)
{
	const uint8_t *byte = front_ptr(&front, buf->gpa);

	for (uint32_t i = from; i < to; i++)
		if (byte[i] != CANARY)
			return false;
	return true;
}

/* One request.  Return: bytes that the device says it wrote. */
static uint32_t ask(const struct front_buf *out, unsigned int nr_out,
		    const struct front_buf *in, unsigned int nr_in)
{
	uint32_t written = ~0u;

	ck_assert_int_ge(front_add(queue, out, nr_out, in, nr_in, NULL), 0);
	front_kick(queue);
	ck_assert(front_take_wait(queue, NULL, &written, FRONT_TIMEOUT_MS));
	return written;
}

static const struct front_options variants[] = {
	{ .queue_size = 128 },
	{ .queue_size = 128, .no_event_idx = true },
	{ .queue_size = 128, .indirect = true },
	{ .queue_size = 1 },
	{ .queue_size = 1024, .nr_regions = 4 },
};
#define NR_VARIANTS ((int)(sizeof(variants) / sizeof(*variants)))

START_TEST(buffers_are_filled_to_their_end)
{
	static const uint32_t sizes[] = { 1, 3, 16, 64, 257, 4096, 65536 };

	start(&variants[_i]);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct front_buf buf = make_buf(sizes[i]);

		ck_assert_uint_eq(ask(NULL, 0, &buf, 1), buf.len);
		ck_assert(untouched(&buf, buf.len, buf.len + 64));
		if (buf.len >= 16)
			ck_assert(!untouched(&buf, buf.len - 16, buf.len));
	}
	child_stop(&child);
	ck_assert_uint_eq(child.stats->queue[0].requests, 7);
	ck_assert_uint_eq(child.stats->queue[0].bytes_read, 69973);
}
END_TEST

/* Each value of a byte in a MiB: 4096 expected, 64 the deviation. */
START_TEST(bytes_look_random)
{
	static unsigned int count[256];

	start(&variants[0]);
	for (int i = 0; i < 16; i++) {
		struct front_buf buf = make_buf(65536);
		const uint8_t *byte = front_ptr(&front, buf.gpa);

		ck_assert_uint_eq(ask(NULL, 0, &buf, 1), buf.len);
		for (uint32_t j = 0; j < buf.len; j++)
			count[byte[j]]++;
	}
	for (int i = 0; i < 256; i++)
		ck_assert(count[i] > 4096 - 640 && count[i] < 4096 + 640);
	child_stop(&child);
}
END_TEST

START_TEST(a_huge_buffer_gets_a_bounded_part)
{
	struct front_buf buf;

	start(&variants[0]);
	buf = make_buf(8 << 20);
	ck_assert_uint_eq(ask(NULL, 0, &buf, 1), REQUEST_MAX);
	ck_assert(!untouched(&buf, REQUEST_MAX - 16, REQUEST_MAX));
	ck_assert(untouched(&buf, REQUEST_MAX, buf.len));
	child_stop(&child);
}
END_TEST

START_TEST(a_chain_is_filled_in_order)
{
	struct front_buf in[3];

	start(&variants[_i]);
	for (int i = 0; i < 3; i++)
		in[i] = make_buf(30000);
	ck_assert_uint_eq(ask(NULL, 0, in, 3), REQUEST_MAX);
	ck_assert(!untouched(&in[0], 0, 16));
	ck_assert(!untouched(&in[1], 29984, 30000));
	ck_assert(!untouched(&in[2], 5520, 5536));
	ck_assert(untouched(&in[2], 5536, 30000));
	child_stop(&child);
}
END_TEST

/* More spans than the device keeps: what it fills is still contiguous. */
START_TEST(a_very_long_chain_is_filled_in_part)
{
	struct front_buf in[100];
	uint32_t written;

	start(&variants[0]);
	for (int i = 0; i < 100; i++)
		in[i] = make_buf(64);
	written = ask(NULL, 0, in, 100);
	ck_assert_uint_ge(written, 64);
	ck_assert_uint_eq(written % 64, 0);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(untouched(&in[i], 0, 64), i >= written / 64);
	child_stop(&child);
}
END_TEST

START_TEST(what_the_driver_gives_to_read_is_left_alone)
{
	struct front_buf out, in;

	start(&variants[0]);
	out = make_buf(64);
	in = make_buf(64);
	ck_assert_uint_eq(ask(&out, 1, NULL, 0), 0);
	ck_assert_uint_eq(ask(&out, 1, &in, 1), 64);
	ck_assert(untouched(&out, 0, 128));
	ck_assert(!untouched(&in, 0, 64));
	child_stop(&child);
}
END_TEST

/* A guest that asks for more than a round gives: supervisor is still heard. */
START_TEST(a_greedy_guest_does_not_starve_the_supervisor)
{
	struct life_msg msg;
	struct front_buf buf;
	unsigned int taken = 0;

	start(&variants[0]);
	buf = make_buf(65536);
	for (int i = 0; i < 128; i++)
		ck_assert_int_ge(front_add(queue, NULL, 0, &buf, 1, NULL), 0);
	front_kick(queue);
	child_send(&child, LIFE_PING, -1);
	child_expect(&child, LIFE_PONG, &msg);
	while (taken < 128) {
		ck_assert(front_take_wait(queue, NULL, NULL,
					  FRONT_TIMEOUT_MS));
		taken++;
	}
	ck_assert(front_called(queue));
	child_stop(&child);
}
END_TEST

START_TEST(a_broken_ring_stops_the_queue_only)
{
	struct front_buf buf;

	start(&variants[0]);
	buf = make_buf(64);
	front_offer_head(queue, 999);
	front_kick(queue);
	for (int i = 0; i < 1000 && !front_erred(queue); i++)
		usleep(1000);
	ck_assert_int_ge(front_add(queue, NULL, 0, &buf, 1, NULL), 0);
	front_kick(queue);
	ck_assert(!front_take_wait(queue, NULL, NULL, 50));
	ck_assert(untouched(&buf, 0, 64));
	child_stop(&child);
}
END_TEST

START_TEST(a_queue_goes_on_after_a_stop)
{
	struct front_buf buf;

	start(&variants[0]);
	buf = make_buf(64);
	for (uint16_t i = 0; i < 5; i++) {
		ck_assert_uint_eq(ask(NULL, 0, &buf, 1), 64);
		ck_assert_uint_eq(front_queue_stop(queue), i + 1);
		front_queue_start(queue, (uint16_t)(i + 1));
	}
	close(child.link);
	ck_assert_int_eq(child_wait(&child), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rng");
	TCase *tcase = tcase_create("rng");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, buffers_are_filled_to_their_end, 0,
			    NR_VARIANTS);
	tcase_add_test(tcase, bytes_look_random);
	tcase_add_test(tcase, a_huge_buffer_gets_a_bounded_part);
	tcase_add_loop_test(tcase, a_chain_is_filled_in_order, 0, 3);
	tcase_add_test(tcase, a_very_long_chain_is_filled_in_part);
	tcase_add_test(tcase, what_the_driver_gives_to_read_is_left_alone);
	tcase_add_test(tcase, a_greedy_guest_does_not_starve_the_supervisor);
	tcase_add_test(tcase, a_broken_ring_stops_the_queue_only);
	tcase_add_test(tcase, a_queue_goes_on_after_a_stop);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
