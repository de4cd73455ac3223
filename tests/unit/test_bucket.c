/* SPDX-License-Identifier: Apache-2.0 */
/* devproc/blk/bucket.c, on a clock that the test turns. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "devproc/blk/bucket.h"

#define SECOND	1000000000ull
#define START	(7 * 86400 * SECOND)	/* a week after boot */

static struct throttle_settings set;
static struct throttle_page page;
static uint64_t now;

static void setup(void)
{
	memset(&set, 0, sizeof(set));
	memset(&page, 0, sizeof(page));
	set.burst_s = 1;
	now = START;
}

/* As many as pass until `end`, one after the other, each at once. */
static uint64_t passed_until(uint64_t end, const struct bucket_load *load)
{
	uint64_t nr = 0;

	for (;;) {
		uint64_t wait = buckets_wait(&set, &page, load, now);

		if (now + wait >= end) {
			now = end;
			return nr;
		}
		now += wait;
		buckets_add(&set, &page, load, now);
		nr++;
	}
}

static const struct bucket_load read_4k = { .bytes = 4096 };
static const struct bucket_load write_4k = { .write = true, .bytes = 4096 };

START_TEST(without_a_limit_nothing_waits)
{
	ck_assert(!buckets_limit(&set));
	for (int i = 0; i < 1000; i++) {
		ck_assert_uint_eq(buckets_wait(&set, &page, &read_4k, now), 0);
		buckets_add(&set, &page, &read_4k, now);
	}
	set.limit[THROTTLE_BYTES_WRITE].rate = 1 << 20;
	ck_assert(buckets_limit(&set));
}
END_TEST

/* Within 0.1 % over ten seconds, beside what the slack lets pass at first. */
START_TEST(the_rate_is_kept)
{
	static const uint64_t rates[] = {
		1, 50, 333, 10000, 250000, 20000000
	};
	uint64_t rate = rates[_i], nr, slack;

	set.limit[THROTTLE_IOPS].rate = rate;
	if (rate > 1000000) {
		/* Ten seconds of them take too long here. */
		nr = passed_until(now + 51 * SECOND / 1000, &read_4k);
		ck_assert_uint_ge(nr, rate / 1000 * 100);
		ck_assert_uint_le(nr, rate / 1000 * 102);
		return;
	}
	slack = rate * BUCKET_SLACK_NS / SECOND + 1;
	passed_until(now + SECOND, &read_4k);
	nr = passed_until(now + 10 * SECOND, &read_4k);
	ck_assert_uint_ge(nr, rate * 10 - rate / 100 - 1);
	ck_assert_uint_le(nr, rate * 10 + rate / 100 + 1);
	/* After any rest, no more than the slack comes on top. */
	now += 1000 * SECOND;
	nr = passed_until(now + SECOND, &read_4k);
	ck_assert_uint_le(nr, rate + slack + 1);
}
END_TEST

START_TEST(bytes_are_counted_as_bytes)
{
	const struct bucket_load big = { .write = true, .bytes = 1 << 20 };
	uint64_t nr;

	set.limit[THROTTLE_BYTES].rate = 10 << 20;
	passed_until(now + SECOND, &big);
	nr = passed_until(now + 10 * SECOND, &big);
	ck_assert_uint_ge(nr, 99);
	ck_assert_uint_le(nr, 101);
	/* 4 GiB/s in requests of 512 bytes: rounding stays below 1 %. */
	setup();
	set.limit[THROTTLE_BYTES].rate = 4ull << 30;
	nr = passed_until(now + SECOND / 10,
			  &(struct bucket_load){ .bytes = 512 });
	ck_assert_uint_ge(nr, (4ull << 30) / 512 / 10 * 99 / 100);
	ck_assert_uint_le(nr, (4ull << 30) / 512 / 10 * 152 / 100);
}
END_TEST

START_TEST(one_larger_than_the_bucket_passes_and_is_paid_for)
{
	const struct bucket_load huge = { .write = true, .bytes = 10 << 20 };

	set.limit[THROTTLE_BYTES].rate = 1 << 20;
	ck_assert_uint_eq(buckets_wait(&set, &page, &huge, now), 0);
	buckets_add(&set, &page, &huge, now);
	ck_assert_uint_eq(buckets_wait(&set, &page, &write_4k, now),
			  10 * SECOND - BUCKET_SLACK_NS);
}
END_TEST

START_TEST(reads_and_writes_have_buckets_of_their_own)
{
	set.limit[THROTTLE_IOPS_WRITE].rate = 10;
	ck_assert_uint_le(passed_until(now + SECOND, &write_4k), 11);
	ck_assert_uint_ge(buckets_wait(&set, &page, &write_4k, now - 1), 1);
	ck_assert_uint_eq(buckets_wait(&set, &page, &read_4k, now - 1), 0);
	setup();
	set.limit[THROTTLE_BYTES_READ].rate = 1 << 20;
	ck_assert_uint_le(passed_until(now + SECOND, &read_4k), 270);
	ck_assert_uint_eq(buckets_wait(&set, &page, &write_4k, now - 1), 0);
}
END_TEST

START_TEST(both_share_a_limit_for_all)
{
	uint64_t nr = 0;

	set.limit[THROTTLE_IOPS].rate = 100;
	passed_until(now + SECOND, &read_4k);
	for (int i = 0; i < 100; i++) {
		nr += passed_until(now + SECOND / 20, &read_4k);
		nr += passed_until(now + SECOND / 20, &write_4k);
	}
	ck_assert_uint_ge(nr, 990);
	ck_assert_uint_le(nr, 1010);
}
END_TEST

START_TEST(the_strictest_limit_counts)
{
	uint64_t nr;

	set.limit[THROTTLE_IOPS].rate = 1000;
	set.limit[THROTTLE_BYTES].rate = 100 * 4096;
	set.limit[THROTTLE_IOPS_READ].rate = 200;
	passed_until(now + SECOND, &read_4k);
	nr = passed_until(now + 10 * SECOND, &read_4k);
	ck_assert_uint_ge(nr, 990);
	ck_assert_uint_le(nr, 1010);
}
END_TEST

START_TEST(a_burst_lasts_as_long_as_it_says)
{
	uint64_t nr;

	set.limit[THROTTLE_IOPS].rate = 100;
	set.limit[THROTTLE_IOPS].burst = 1000;
	set.burst_s = 3;
	nr = passed_until(now + 3 * SECOND, &read_4k);
	ck_assert_uint_ge(nr, 3000);
	ck_assert_uint_le(nr, 3000 + 51);
	nr = passed_until(now + 10 * SECOND, &read_4k);
	ck_assert_uint_ge(nr, 950);
	ck_assert_uint_le(nr, 1051);
	/* Rested for as long as it takes to leak it: all of it again. */
	now += 27 * SECOND;
	nr = passed_until(now + 3 * SECOND, &read_4k);
	ck_assert_uint_ge(nr, 2900);
	ck_assert_uint_le(nr, 3000 + 51);
}
END_TEST

START_TEST(a_burst_below_the_rate_is_none)
{
	set.limit[THROTTLE_IOPS].rate = 100;
	set.limit[THROTTLE_IOPS].burst = 50;
	ck_assert_uint_le(passed_until(now + SECOND, &read_4k), 106);
	ck_assert_uint_ge(passed_until(now + SECOND, &read_4k), 99);
}
END_TEST

START_TEST(large_requests_count_as_several)
{
	const struct bucket_load big = { .bytes = 64 << 10 };
	const struct bucket_load small = { .bytes = 512 };
	uint64_t nr;

	set.limit[THROTTLE_IOPS].rate = 160;
	set.iops_size = 4096;
	passed_until(now + SECOND, &big);
	nr = passed_until(now + 10 * SECOND, &big);
	ck_assert_uint_ge(nr, 99);
	ck_assert_uint_le(nr, 101);
	now += SECOND;
	passed_until(now + SECOND, &small);
	nr = passed_until(now + 10 * SECOND, &small);
	ck_assert_uint_ge(nr, 1590);
	ck_assert_uint_le(nr, 1610);
}
END_TEST

/* What a timer is late by within the slack is not lost. */
START_TEST(a_late_timer_costs_nothing)
{
	uint64_t end, nr = 0;

	set.limit[THROTTLE_IOPS].rate = 50;
	passed_until(now + SECOND, &read_4k);
	end = now + 20 * SECOND;
	while (now < end) {
		uint64_t wait = buckets_wait(&set, &page, &read_4k, now);

		if (wait) {
			now += wait + 15000000;
			continue;
		}
		buckets_add(&set, &page, &read_4k, now);
		nr++;
	}
	ck_assert_uint_ge(nr, 990);
	ck_assert_uint_le(nr, 1010);
}
END_TEST

/* Nor is what it is late by beyond the slack, of those that waited meanwhile. */
START_TEST(a_very_late_timer_costs_those_that_waited_nothing)
{
	uint64_t end, nr = 0;

	set.limit[THROTTLE_IOPS].rate = 50;
	passed_until(now + SECOND, &read_4k);
	end = now + 20 * SECOND;
	while (now < end) {
		/* As many wait as are due within 400 ms. */
		for (int i = 0; i < 20; i++) {
			if (buckets_wait(&set, &page, &read_4k, now))
				break;
			buckets_add(&set, &page, &read_4k,
				    now - SECOND / 2);
			nr++;
		}
		now += 300000000;
	}
	ck_assert_uint_ge(nr, 980);
	ck_assert_uint_le(nr, 1020);
}
END_TEST

/* The page is the group's: a member may write what it likes. */
START_TEST(a_lying_member_does_not_stop_the_others_for_ever)
{
	set.limit[THROTTLE_IOPS].rate = 100;
	set.limit[THROTTLE_IOPS].burst = 200;
	memset(&page, 0xff, sizeof(page));
	ck_assert_uint_le(buckets_wait(&set, &page, &read_4k, now),
			  BUCKET_MAX_DEBT_NS);
	buckets_add(&set, &page, &read_4k, now);
	ck_assert_uint_le(buckets_wait(&set, &page, &read_4k, now),
			  BUCKET_MAX_DEBT_NS);
	now += BUCKET_MAX_DEBT_NS + SECOND;
	ck_assert_uint_eq(buckets_wait(&set, &page, &read_4k, now), 0);
	memset(&page, 0, sizeof(page));
	ck_assert_uint_eq(buckets_wait(&set, &page, &read_4k, now), 0);
}
END_TEST

/* Extremes of what the configuration lets pass: no overflow, no division by 0. */
START_TEST(extremes_are_survived)
{
	const struct bucket_load whole = { .write = true, .bytes = UINT32_MAX };

	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++) {
		bool bytes = i >= THROTTLE_BYTES;

		set.limit[i].rate = bytes ? THROTTLE_MIN_BYTES : 1;
		set.limit[i].burst = bytes ? THROTTLE_MAX_BYTES :
					     THROTTLE_MAX_IOPS;
	}
	set.burst_s = THROTTLE_MAX_BURST_S;
	set.iops_size = THROTTLE_MIN_IOPS_SIZE;
	for (int i = 0; i < 1000; i++) {
		ck_assert_uint_le(buckets_wait(&set, &page, &whole, now),
				  BUCKET_MAX_DEBT_NS);
		buckets_add(&set, &page, &whole, now);
	}
	set.iops_size = THROTTLE_MAX_IOPS_SIZE;
	set.limit[THROTTLE_IOPS].rate = THROTTLE_MAX_IOPS;
	set.limit[THROTTLE_IOPS].burst = 0;
	buckets_add(&set, &page, &whole, now);
	ck_assert_uint_le(buckets_wait(&set, &page, &whole, now),
			  BUCKET_MAX_DEBT_NS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bucket");
	TCase *tcase = tcase_create("bucket");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, without_a_limit_nothing_waits);
	tcase_add_loop_test(tcase, the_rate_is_kept, 0, 6);
	tcase_add_test(tcase, bytes_are_counted_as_bytes);
	tcase_add_test(tcase, one_larger_than_the_bucket_passes_and_is_paid_for);
	tcase_add_test(tcase, reads_and_writes_have_buckets_of_their_own);
	tcase_add_test(tcase, both_share_a_limit_for_all);
	tcase_add_test(tcase, the_strictest_limit_counts);
	tcase_add_test(tcase, a_burst_lasts_as_long_as_it_says);
	tcase_add_test(tcase, a_burst_below_the_rate_is_none);
	tcase_add_test(tcase, large_requests_count_as_several);
	tcase_add_test(tcase, a_late_timer_costs_nothing);
	tcase_add_test(tcase,
		       a_very_late_timer_costs_those_that_waited_nothing);
	tcase_add_test(tcase, a_lying_member_does_not_stop_the_others_for_ever);
	tcase_add_test(tcase, extremes_are_survived);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
