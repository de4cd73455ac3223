/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/inflight_packed.c: a region full of lies breaks nothing, and says
 * what was left to do if it is none.  Deaths at every store are
 * test_recovery.c's.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devproc/vring_priv.h"

#define SIZE		8
#define REGION_SIZE	16	/* made for more than the ring has */

static _Alignas(INFLIGHT_ALIGN) uint8_t memory[1 << 13];
static struct inflight_packed_queue *const shared = (void *)memory;
static struct vring_packed_descriptor ring[SIZE];
static struct inflight_entry entries[SIZE];
static uint16_t again[SIZE];
static struct inflight_packed queue;
static struct vring_place used;

/* The next process takes the region up. */
static int reborn(void)
{
	memset(again, 0xff, sizeof(again));
	memset(entries, 0xff, sizeof(entries));
	ck_assert_int_eq(inflight_packed_attach(&queue, memory, REGION_SIZE),
			 0);
	queue.entries = entries;
	queue.size = SIZE;
	return inflight_packed_recover(&queue, ring, &used, again);
}

static void fresh(void)
{
	memset(memory, 0, sizeof(memory));
	for (int i = 0; i < SIZE; i++)
		ring[i].flags = VRING_DESC_AVAIL;
	used = (struct vring_place){ 3, true };
	ck_assert_int_eq(reborn(), 0);
}

/* One of nr descriptors.  Return: its head. */
static uint16_t take(uint16_t nr, uint16_t id)
{
	const struct vring_packed_descriptor desc = { .id = id };
	struct inflight_entry taken = { .num = nr, .id = id };
	uint16_t head = queue.free_head;

	taken.last = head;
	for (uint16_t i = 0; i < nr; i++) {
		if (i > 0)
			taken.last = entries[taken.last].next;
		inflight_packed_note(&queue, taken.last, &desc);
	}
	inflight_packed_taken(&queue, &taken);
	return head;
}

START_TEST(a_fresh_region_is_labelled)
{
	ck_assert_uint_eq(shared->version, INFLIGHT_VERSION);
	ck_assert_uint_eq(shared->desc_num, REGION_SIZE);
	ck_assert_uint_eq(shared->used.idx, 3);
	ck_assert_uint_eq(shared->used.wrap_counter, 1);
	ck_assert_uint_eq(queue.nr_free, SIZE);
}

START_TEST(another_version_or_size_is_refused)
{
	ck_assert_int_eq(inflight_packed_attach(&queue, memory, SIZE),
			 -EINVAL);
	shared->version = INFLIGHT_VERSION + 1;
	ck_assert_int_eq(inflight_packed_attach(&queue, memory, REGION_SIZE),
			 -EINVAL);
}

START_TEST(what_was_taken_is_done_again_oldest_first)
{
	uint16_t heads[3];

	for (uint16_t i = 0; i < 3; i++)
		heads[i] = take((uint16_t)(i + 1), (uint16_t)(100 + i));
	/* The front-end's word counts for nothing. */
	used = (struct vring_place){ 0, false };
	ck_assert_int_eq(reborn(), 3);
	ck_assert_uint_eq(used.slot, 3);
	ck_assert(used.wrap);
	ck_assert_uint_eq(queue.nr_free, SIZE - 6);
	for (uint16_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(again[i], heads[i]);
		ck_assert_uint_eq(entries[heads[i]].num, i + 1);
		ck_assert_uint_eq(entries[heads[i]].id, 100 + i);
	}
	/* What comes next is younger than all of them. */
	take(1, 200);
	ck_assert_int_eq(reborn(), 4);
	ck_assert_uint_eq(entries[again[3]].id, 200);
}

START_TEST(a_request_given_back_is_not_done_again)
{
	uint16_t one = take(2, 1);
	uint16_t two = take(3, 2);

	inflight_packed_untaken(&queue, two);
	ck_assert_int_eq(reborn(), 1);
	ck_assert_uint_eq(again[0], one);
	ck_assert_uint_eq(queue.nr_free, SIZE - 2);
}

START_TEST(what_was_published_is_not_done_again)
{
	struct vring_place to = { 5, true };
	uint16_t heads[2];

	heads[0] = take(1, 1);
	take(1, 2);
	heads[1] = take(1, 3);
	inflight_packed_publish(&queue, heads, 2, used, to);
	ring[3].flags = VRING_DESC_AVAIL | VRING_DESC_USED;
	inflight_packed_published(&queue, heads, 2, to);
	ck_assert_int_eq(reborn(), 1);
	ck_assert_uint_eq(entries[again[0]].id, 2);
	ck_assert_uint_eq(used.slot, 5);
}

/* A whole lap in one batch: only the wrap counter tells it from none. */
START_TEST(a_batch_of_the_whole_ring)
{
	struct vring_place to = { 3, false };
	uint16_t head = take(SIZE, 1);

	inflight_packed_publish(&queue, &head, 1, used, to);
	ck_assert_int_eq(reborn(), 1);
	ck_assert(used.wrap);
	inflight_packed_publish(&queue, again, 1, used, to);
	ring[3].flags = VRING_DESC_AVAIL | VRING_DESC_USED;
	ck_assert_int_eq(reborn(), 0);
	ck_assert(!used.wrap);
}

/* Each of these is told from the truth, and the ring can be begun anew. */
static void lie(int which)
{
	uint16_t head = take(2, 1);

	take(1, 2);
	switch (which) {
	case 0:
		shared->used.idx = SIZE;
		break;
	case 1:
		shared->used.old_idx = 0xffff;
		break;
	case 2:		/* back by one, on the same lap */
		shared->used.idx = 2;
		break;
	case 3:		/* more than a lap */
		shared->used.idx = 4;
		shared->used.wrap_counter = 0;
		break;
	case 4:
		shared->free.old_head = SIZE;
		break;
	case 5:		/* past one, which nobody has then */
		shared->free.old_head = shared->desc[shared->free.head].next;
		break;
	case 6:		/* no end */
		shared->desc[7].next = shared->free.head;
		break;
	case 7:
		shared->desc[head].num = 0;
		break;
	case 8:
		shared->desc[head].num = 0xffff;
		break;
	case 9:
		shared->desc[head].next = SIZE;
		break;
	case 10:	/* into the other buffer */
		shared->desc[head].num = 3;
		break;
	case 11:	/* nobody has them */
		shared->desc[head].inflight = 0;
		break;
	case 12:
		shared->desc[head + 1].inflight = 1;
		break;
	}
}
#define NR_LIES	13

START_TEST(lies_are_refused)
{
	lie(_i);
	ck_assert_int_eq(reborn(), -EPROTO);
	ck_assert_uint_eq(queue.nr_free, SIZE);
	ck_assert_uint_lt(used.slot, SIZE);
	/* The next successor finds it no different. */
	ck_assert_int_eq(reborn(), -EPROTO);
}

/* Whatever is in it: an answer, and lists that are whole. */
START_TEST(noise_breaks_nothing)
{
	uint64_t x = 88172645463325252ull + (uint64_t)_i;

	for (int round = 0; round < 2000; round++) {
		unsigned int total;
		int nr;

		for (size_t i = 10; i < sizeof(*shared) +
		     SIZE * sizeof(shared->desc[0]); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			memory[i] = x % 3 ? x % 10 : (uint8_t)(x >> 32);
		}
		shared->desc_num = REGION_SIZE;
		nr = reborn();
		ck_assert_uint_lt(used.slot, SIZE);
		total = queue.nr_free;
		for (int i = 0; i < nr; i++)
			total += entries[again[i]].num;
		ck_assert_uint_eq(total, SIZE);
	}
}

START_TEST(without_a_region_nothing_is_kept)
{
	ck_assert_int_eq(inflight_packed_attach(&queue, NULL, 0), 0);
	ck_assert_int_eq(inflight_packed_recover(&queue, ring, &used, again),
			 0);
	take(2, 1);
	ck_assert_uint_eq(queue.nr_free, SIZE - 2);
	ck_assert_int_eq(inflight_packed_recover(&queue, ring, &used, again),
			 0);
	ck_assert_uint_eq(queue.nr_free, SIZE);
}

int main(void)
{
	Suite *suite = suite_create("inflight_packed");
	TCase *tc = tcase_create("inflight_packed");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, fresh, NULL);
	tcase_add_test(tc, a_fresh_region_is_labelled);
	tcase_add_test(tc, another_version_or_size_is_refused);
	tcase_add_test(tc, what_was_taken_is_done_again_oldest_first);
	tcase_add_test(tc, a_request_given_back_is_not_done_again);
	tcase_add_test(tc, what_was_published_is_not_done_again);
	tcase_add_test(tc, a_batch_of_the_whole_ring);
	tcase_add_loop_test(tc, lies_are_refused, 0, NR_LIES);
	tcase_add_loop_test(tc, noise_breaks_nothing, 0, 4);
	tcase_add_test(tc, without_a_region_nothing_is_kept);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
