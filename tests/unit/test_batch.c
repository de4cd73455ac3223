/* SPDX-License-Identifier: Apache-2.0 */
/* devproc/blk/batch.c, in worlds that the test makes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "devproc/blk/batch.h"

#define MS	UINT64_C(1000000)
#define SECOND	(1000 * MS)

/* What a wake brings, and how long it takes until the next sleep. */
struct world {
	unsigned int requests;
	uint64_t wake_ns;
};

static struct batch batch;
static uint64_t now;
static bool is_batch;

/* What happened since the last call of live(). */
static struct {
	uint64_t ns[2];		/* as a normal process, as a batch process */
	uint64_t requests;
	unsigned int changes;
} seen;

static void setup(void)
{
	memset(&batch, 0, sizeof(batch));
	now = 1000 * SECOND;
	is_batch = false;
}

static void wake(const struct world *world)
{
	bool was = is_batch;

	now += world->wake_ns;
	seen.ns[is_batch] += world->wake_ns;
	seen.requests += world->requests;
	is_batch = batch_sleeps(&batch, world->requests, now);
	seen.changes += was != is_batch;
}

static void live(uint64_t ns, const struct world *normal,
		 const struct world *as_batch)
{
	uint64_t end = now + ns;

	memset(&seen, 0, sizeof(seen));
	while (now < end)
		wake(is_batch ? as_batch : normal);
}

/* Guest and disk on one processor: the disk interrupts it at each request. */
static const struct world one_by_one = { .requests = 1, .wake_ns = 1 * MS };
static const struct world gathered = { .requests = 8, .wake_ns = 3 * MS };
/* A stranger has the processor, and gives it up at a tick. */
static const struct world late = { .requests = 8, .wake_ns = 20 * MS };
static const struct world late_single = { .requests = 1, .wake_ns = 4 * MS };

START_TEST(what_serves_more_is_kept)
{
	live(2 * SECOND, &one_by_one, &gathered);
	ck_assert(batch.settled);
	live(20 * SECOND, &one_by_one, &gathered);
	ck_assert(batch.settled);
	ck_assert_uint_ge(seen.requests, 20000 * 8 / 3 * 95 / 100);
}
END_TEST

START_TEST(whoever_waits_for_strangers_does_not_stay_so)
{
	live(60 * SECOND, &one_by_one, &late);
	ck_assert(!batch.settled);
	ck_assert_uint_le(seen.ns[true], 60 * SECOND / 10);
	ck_assert_uint_ge(seen.requests, 60000 * 92 / 100);
}
END_TEST

START_TEST(one_request_at_a_time_gathers_nothing)
{
	live(60 * SECOND, &one_by_one, &late_single);
	ck_assert(!batch.settled);
	ck_assert_uint_gt(seen.changes, 0);
	ck_assert_uint_ge(seen.requests, 60000 * 98 / 100);
	/* Nor if it went faster meanwhile. */
	live(60 * SECOND, &late_single, &one_by_one);
	ck_assert(!batch.settled);
}
END_TEST

START_TEST(no_difference_makes_none)
{
	static const struct world same = { .requests = 4, .wake_ns = MS / 10 };

	live(60 * SECOND, &same, &same);
	ck_assert(!batch.settled);
}
END_TEST

START_TEST(what_comes_one_by_one_again_ends_it)
{
	live(2 * SECOND, &one_by_one, &gathered);
	ck_assert(batch.settled);
	while (!is_batch)	/* a trial of the other one */
		wake(&one_by_one);
	for (int i = 0; i < 8; i++)
		wake(&late_single);
	ck_assert(!batch.settled && !is_batch);
}
END_TEST

START_TEST(when_it_is_no_longer_better_it_ends)
{
	live(2 * SECOND, &one_by_one, &gathered);
	ck_assert(batch.settled);
	live(60 * SECOND, &one_by_one, &late);
	ck_assert(!batch.settled);
}
END_TEST

/* Each window is faster than the last one, whatever the policy. */
START_TEST(a_load_that_grows_is_not_its_merit)
{
	struct world growing = { .requests = 8 };

	for (growing.wake_ns = 100 * MS; growing.wake_ns > MS;
	     growing.wake_ns -= growing.wake_ns / 32) {
		wake(&growing);
		ck_assert(!batch.settled);
	}
}
END_TEST

START_TEST(an_idle_guest_is_not_tried)
{
	static const struct world rare = { .requests = 1,
					   .wake_ns = 2 * SECOND };
	static const struct world slow = { .requests = 1,
					   .wake_ns = 100 * MS };

	live(600 * SECOND, &rare, &rare);
	ck_assert_uint_eq(seen.changes, 0);
	live(600 * SECOND, &slow, &slow);
	ck_assert_uint_eq(seen.changes, 0);
}
END_TEST

/* A pause in the middle of a trial: the trial is over. */
START_TEST(a_pause_ends_a_trial)
{
	while (!is_batch)
		wake(&one_by_one);
	now += 5 * SECOND;
	wake(&gathered);
	ck_assert(!is_batch && !batch.settled);
}
END_TEST

/* Bursts that end within the first trial: later ones are not all trials. */
START_TEST(bursts_are_not_all_trials)
{
	unsigned int changes = 0;

	for (int i = 0; i < 100; i++) {
		live(130 * MS, &one_by_one, &gathered);
		changes += seen.changes;
		now += 2 * SECOND;
	}
	ck_assert_uint_gt(changes, 0);
	ck_assert_uint_le(changes, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("batch");
	TCase *tc = tcase_create("batch");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, what_serves_more_is_kept);
	tcase_add_test(tc, whoever_waits_for_strangers_does_not_stay_so);
	tcase_add_test(tc, one_request_at_a_time_gathers_nothing);
	tcase_add_test(tc, no_difference_makes_none);
	tcase_add_test(tc, what_comes_one_by_one_again_ends_it);
	tcase_add_test(tc, when_it_is_no_longer_better_it_ends);
	tcase_add_test(tc, a_load_that_grows_is_not_its_merit);
	tcase_add_test(tc, an_idle_guest_is_not_tried);
	tcase_add_test(tc, a_pause_ends_a_trial);
	tcase_add_test(tc, bursts_are_not_all_trials);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
