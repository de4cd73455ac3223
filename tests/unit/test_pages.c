/* SPDX-License-Identifier: Apache-2.0 */
/* ipc/pages.h: the buckets of a latency, and what becomes of a page's head. */
#include <check.h>
#include <stdlib.h>

#include "devproc/stats.h"

/* Buckets follow each other without a gap, each counts its own bounds. */
START_TEST(buckets_meet)
{
	for (unsigned int i = 0; i < STATS_BUCKETS; i++) {
		uint64_t low = stats_bucket_ns(i), end = stats_bucket_ns(i + 1);

		ck_assert_uint_eq(stats_bucket(low), i);
		ck_assert_uint_eq(stats_bucket(end - 1), i);
		ck_assert_uint_lt(low, end);
	}
	ck_assert_uint_eq(stats_bucket_ns(0), 0);
	ck_assert_uint_eq(stats_bucket(UINT64_MAX), STATS_BUCKETS - 1);
}
END_TEST

/* The error that pages.h and bulkhead(1) promise. */
START_TEST(the_middle_is_near)
{
	for (uint64_t ns = 1; ns < 1ull << 39; ns += 1 + ns / 1000) {
		unsigned int i = stats_bucket(ns);
		double middle = (double)(stats_bucket_ns(i) +
					 stats_bucket_ns(i + 1)) / 2;
		double off = middle > (double)ns ? middle - (double)ns :
						   (double)ns - middle;

		if (ns < 256)
			ck_assert(off <= 8);
		else
			ck_assert(off / (double)ns <= 1.0 / 32);
	}
}
END_TEST

START_TEST(a_latency_is_counted_once)
{
	static struct stats_queue queue;

	stats_took(&queue, STATS_WRITE, 1000, 1700);
	stats_took(&queue, STATS_WRITE, 5000, 5100);
	/* A clock that goes back is no latency of centuries. */
	stats_took(&queue, STATS_READ, 5000, 4000);
	ck_assert_uint_eq(queue.latency[STATS_WRITE].requests, 2);
	ck_assert_uint_eq(queue.latency[STATS_WRITE].sum_ns, 800);
	ck_assert_uint_eq(queue.latency[STATS_WRITE].max_ns, 700);
	ck_assert_uint_eq(queue.latency[STATS_WRITE].bucket[stats_bucket(700)],
			  1);
	ck_assert_uint_eq(queue.latency[STATS_READ].bucket[0], 1);
	ck_assert_uint_eq(queue.latency[STATS_OTHER].requests, 0);
}
END_TEST

START_TEST(a_successor_goes_on)
{
	static struct stats_page page;

	stats_begin(&page.head, LIFE_ROLE_BLK, sizeof(page));
	stats_born(&page.head);
	page.queue[0].requests = 7;
	stats_begin(&page.head, LIFE_ROLE_BLK, sizeof(page));
	stats_born(&page.head);
	ck_assert_uint_eq(page.head.births, 2);
	ck_assert_uint_eq(page.queue[0].requests, 7);
	ck_assert_uint_eq(page.head.magic, STATS_MAGIC);
	ck_assert_uint_eq(page.head.bytes, sizeof(page));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pages");
	TCase *tcase = tcase_create("pages");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, buckets_meet);
	tcase_add_test(tcase, the_middle_is_near);
	tcase_add_test(tcase, a_latency_is_counted_once);
	tcase_add_test(tcase, a_successor_goes_on);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
