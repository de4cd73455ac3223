/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/inflight.c: wherever a device process dies, the next one does
 * exactly what is left to do; and a region full of lies breaks nothing.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devproc/inflight.h"
#include "devproc/vring.h"

#define SIZE	8

static _Alignas(64) uint8_t memory[1 << 15];
static struct inflight_split_queue *const shared = (void *)memory;
static uint16_t again[VRING_MAX_SIZE];
static struct inflight_queue queue;

static void fresh(void)
{
	memset(memory, 0, sizeof(memory));
	ck_assert_int_eq(inflight_attach(&queue, memory, SIZE), 0);
	ck_assert_int_eq(inflight_recover(&queue, 0, again), 0);
}

/* The next process takes the region up. */
static int reborn(uint16_t used_idx)
{
	memset(again, 0xff, sizeof(again));
	ck_assert_int_eq(inflight_attach(&queue, memory, SIZE), 0);
	return inflight_recover(&queue, used_idx, again);
}

START_TEST(a_fresh_region_is_labelled)
{
	ck_assert_uint_eq(shared->version, INFLIGHT_VERSION);
	ck_assert_uint_eq(shared->desc_num, SIZE);
}

START_TEST(another_version_or_size_is_refused)
{
	ck_assert_int_eq(inflight_attach(&queue, memory, SIZE * 2), -EINVAL);
	shared->version = INFLIGHT_VERSION + 1;
	ck_assert_int_eq(inflight_attach(&queue, memory, SIZE), -EINVAL);
}

START_TEST(what_was_taken_is_done_again_oldest_first)
{
	const uint16_t heads[] = { 5, 0, 7, 2 };

	for (unsigned int i = 0; i < 4; i++)
		inflight_taken(&queue, heads[i]);
	ck_assert_int_eq(reborn(0), 4);
	ck_assert_int_eq(memcmp(again, heads, sizeof(heads)), 0);
	/* What comes next is younger than all of them. */
	inflight_taken(&queue, 1);
	ck_assert_int_eq(reborn(0), 5);
	ck_assert_uint_eq(again[4], 1);
}

START_TEST(what_was_published_is_not_done_again)
{
	const uint16_t heads[] = { 3, 1 };

	inflight_taken(&queue, 1);
	inflight_taken(&queue, 2);
	inflight_taken(&queue, 3);
	inflight_pushed(&queue, 3);
	inflight_pushed(&queue, 1);
	inflight_published(&queue, heads, 2, 2);
	ck_assert_int_eq(reborn(2), 1);
	ck_assert_uint_eq(again[0], 2);
}

/*
 * A batch of heads 4 and 6 is pushed while 2 stays in flight; the process
 * dies after `step` of the stores that make up the completion.
 */
START_TEST(death_at_every_step_of_a_batch)
{
	const uint16_t heads[] = { 4, 6 };
	uint16_t used_idx = 10;
	int step = _i;

	ck_assert_int_eq(inflight_recover(&queue, used_idx, again), 0);
	inflight_taken(&queue, 4);
	inflight_taken(&queue, 2);
	inflight_taken(&queue, 6);
	if (step >= 1)
		inflight_pushed(&queue, 4);
	if (step >= 2)
		inflight_pushed(&queue, 6);
	if (step >= 3)
		used_idx += 2;	/* used->idx is stored: the guest knows */
	if (step >= 4)
		shared->desc[4].inflight = 0;
	if (step >= 5)
		shared->desc[6].inflight = 0;
	if (step >= 6)
		inflight_published(&queue, heads, 2, used_idx);
	if (step < 3) {
		ck_assert_int_eq(reborn(used_idx), 3);
		ck_assert_uint_eq(again[0], 4);
		ck_assert_uint_eq(again[1], 2);
		ck_assert_uint_eq(again[2], 6);
	} else {
		ck_assert_int_eq(reborn(used_idx), 1);
		ck_assert_uint_eq(again[0], 2);
	}
	ck_assert_uint_eq(shared->used_idx, used_idx);
}

START_TEST(the_used_index_wraps)
{
	ck_assert_int_eq(inflight_recover(&queue, UINT16_MAX, again), 0);
	inflight_taken(&queue, 1);
	inflight_taken(&queue, 2);
	inflight_taken(&queue, 3);
	inflight_pushed(&queue, 1);
	inflight_pushed(&queue, 2);
	ck_assert_int_eq(reborn(1), 1);
	ck_assert_uint_eq(again[0], 3);
}

START_TEST(a_request_given_back_is_not_done_again)
{
	inflight_taken(&queue, 1);
	inflight_untaken(&queue, 1);
	ck_assert_int_eq(reborn(0), 0);
}

START_TEST(a_region_new_to_an_old_ring_is_empty)
{
	ck_assert_int_eq(reborn(5000), 0);
	ck_assert_uint_eq(shared->used_idx, 5000);
}

START_TEST(lies_are_refused)
{
	/* The last batch begins nowhere. */
	shared->last_batch_head = SIZE;
	shared->used_idx = 0;
	ck_assert_int_eq(reborn(1), -EPROTO);
	/* It goes on nowhere. */
	shared->last_batch_head = 1;
	shared->desc[1].next = 0xffff;
	shared->used_idx = 0;
	ck_assert_int_eq(reborn(2), -EPROTO);
	/* Marked requests beside a batch larger than the queue. */
	shared->desc[3].inflight = 1;
	shared->used_idx = 0;
	ck_assert_int_eq(reborn(SIZE + 1), -EPROTO);
}

START_TEST(a_loop_of_batches_ends)
{
	shared->last_batch_head = 1;
	shared->desc[1].next = 2;
	shared->desc[2].next = 1;
	for (int i = 0; i < SIZE; i++)
		shared->desc[i].inflight = 1;
	ck_assert_int_eq(reborn(SIZE), SIZE - 2);
}

START_TEST(a_full_queue_is_sorted)
{
	struct inflight_queue large;
	uint64_t x = 88172645463325252ull;

	memset(memory, 0, sizeof(memory));
	ck_assert_int_eq(inflight_attach(&large, memory, VRING_MAX_SIZE), 0);
	for (int i = 0; i < VRING_MAX_SIZE; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		shared->desc[i].inflight = 1;
		shared->desc[i].counter = x;
	}
	ck_assert_int_eq(inflight_recover(&large, 0, again), VRING_MAX_SIZE);
	for (int i = 1; i < VRING_MAX_SIZE; i++)
		ck_assert(shared->desc[again[i - 1]].counter <
			  shared->desc[again[i]].counter);
}

START_TEST(without_a_region_nothing_happens)
{
	const uint16_t head = 1;
	struct inflight_queue none = { 0 };

	inflight_taken(&none, head);
	inflight_pushed(&none, head);
	inflight_published(&none, &head, 1, 1);
	inflight_untaken(&none, head);
	ck_assert_int_eq(inflight_recover(&none, 7, again), 0);
}

int main(void)
{
	Suite *suite = suite_create("inflight");
	TCase *tc = tcase_create("inflight");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, fresh, NULL);
	tcase_add_test(tc, a_fresh_region_is_labelled);
	tcase_add_test(tc, another_version_or_size_is_refused);
	tcase_add_test(tc, what_was_taken_is_done_again_oldest_first);
	tcase_add_test(tc, what_was_published_is_not_done_again);
	tcase_add_loop_test(tc, death_at_every_step_of_a_batch, 0, 7);
	tcase_add_test(tc, the_used_index_wraps);
	tcase_add_test(tc, a_request_given_back_is_not_done_again);
	tcase_add_test(tc, a_region_new_to_an_old_ring_is_empty);
	tcase_add_test(tc, lies_are_refused);
	tcase_add_test(tc, a_loop_of_batches_ends);
	tcase_add_test(tc, a_full_queue_is_sorted);
	tcase_add_test(tc, without_a_region_nothing_happens);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
