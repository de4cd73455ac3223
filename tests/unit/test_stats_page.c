/* SPDX-License-Identifier: Apache-2.0 */
/* cli/stats_page.h: pages as they are, torn, and written by an enemy. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/stats_page.h"
#include "ipc/fault.h"

static int fd;
static struct stats_page *page;	/* the writer's mapping */
static struct stats_map map;
static struct stats_device_copy device;
static struct stats_core_copy core;

static int make(off_t bytes, int seals)
{
	int made = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(made, 0);
	ck_assert_int_eq(ftruncate(made, bytes), 0);
	ck_assert_int_eq(fcntl(made, F_ADD_SEALS, seals), 0);
	return made;
}

static void setup(void)
{
	fd = make(STATS_PAGE_BYTES, F_SEAL_SHRINK | F_SEAL_GROW);
	page = mmap(NULL, STATS_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    fd, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	ck_assert_int_eq(stats_map_open(&map, fd), 0);
}

static void teardown(void)
{
	stats_map_close(&map);
	munmap(page, STATS_PAGE_BYTES);
	close(fd);
}

START_TEST(a_page_that_can_shrink_is_refused)
{
	struct stats_map other;
	int loose = make(STATS_PAGE_BYTES, F_SEAL_GROW);
	int small = make(4096, F_SEAL_SHRINK | F_SEAL_GROW);

	ck_assert_int_eq(stats_map_open(&other, loose), -EPROTO);
	ck_assert_int_eq(stats_map_open(&other, small), -EPROTO);
	ck_assert_int_lt(stats_map_open(&other, -1), 0);
	close(loose);
	close(small);
}
END_TEST

START_TEST(nobody_has_written_yet)
{
	struct stats_walk walk;

	ck_assert(!stats_read_device(&map, &device));
	ck_assert(!stats_read_core(&map, &core));
	ck_assert(!stats_next_walk(&map, 0, &walk));
}
END_TEST

START_TEST(counters_arrive)
{
	stats_begin(&page->head, LIFE_ROLE_BLK, sizeof(*page));
	stats_born(&page->head);
	page->nr_queues = 2;
	page->queue[1].requests = 5;
	page->queue[1].latency[STATS_WRITE].requests = 1;
	page->queue[1].latency[STATS_WRITE].bucket[100] = 1;
	ck_assert(stats_read_device(&map, &device));
	ck_assert(!stats_read_core(&map, &core));
	ck_assert_uint_eq(device.births, 1);
	ck_assert_uint_eq(device.nr_queues, 2);
	ck_assert_uint_eq(device.queue[1].requests, 5);
	ck_assert_uint_eq(device.queue[1].latency[STATS_WRITE].bucket[100], 1);
	ck_assert_uint_eq(device.queue[0].requests, 0);
}
END_TEST

START_TEST(another_version_is_not_read)
{
	stats_begin(&page->head, LIFE_ROLE_BLK, sizeof(*page));
	page->head.version++;
	ck_assert(!stats_read_device(&map, &device));
	page->head.version--;
	page->head.bytes--;
	ck_assert(!stats_read_device(&map, &device));
	page->head.bytes++;
	page->head.magic ^= 1;
	ck_assert(!stats_read_device(&map, &device));
}
END_TEST

/* Whatever it says, copies stay within bounds and sums come to an end. */
START_TEST(an_enemy_writes)
{
	struct stats_core *hers = (void *)page;
	struct stats_latency diff;
	struct stats_times times;
	struct stats_walk walk;

	memset(page, 0xff, STATS_PAGE_BYTES);
	stats_begin(&page->head, LIFE_ROLE_BLK, sizeof(*page));
	ck_assert(stats_read_device(&map, &device));
	ck_assert_uint_eq(device.nr_queues, STATS_MAX_QUEUES);
	stats_times(&device.queue[31].latency[STATS_OTHER], &times);
	memset(&diff, 0, sizeof(diff));
	stats_latency_since(&diff, &device.queue[0].latency[0], &diff);
	ck_assert_uint_eq(diff.bucket[0], 0);
	ck_assert(stats_next_walk(&map, 7, &walk));
	ck_assert_uint_lt(walk.queue, STATS_MAX_QUEUES);
	ck_assert_uint_lt(walk.kind, STATS_NR_KINDS);

	memset(page, 0xff, STATS_PAGE_BYTES);
	stats_begin(&hers->head, LIFE_ROLE_CORE, sizeof(*hers));
	memcpy(hers->kvm_name[3], "\033[2J\"\nexits", 12);
	ck_assert(stats_read_core(&map, &core));
	ck_assert_uint_eq(core.nr_vcpus, LIFE_MAX_VCPUS);
	ck_assert_uint_eq(core.nr_kvm, STATS_MAX_KVM);
	ck_assert_str_eq(core.kvm_name[3], "__2___exits");
	ck_assert_uint_eq(strlen(core.kvm_name[0]), STATS_KVM_NAME - 1);
}
END_TEST

START_TEST(percentiles)
{
	static struct stats_latency latency;
	struct stats_times times;

	latency.requests = 1000;
	latency.sum_ns = 1000 * 5000;
	latency.max_ns = 2000000;
	latency.bucket[stats_bucket(5000)] = 989;
	latency.bucket[stats_bucket(100000)] = 10;
	latency.bucket[stats_bucket(2000000)] = 1;
	stats_times(&latency, &times);
	ck_assert_uint_eq(times.mean_ns, 5000);
	ck_assert_uint_eq(stats_bucket(times.p50_ns), stats_bucket(5000));
	ck_assert_uint_eq(stats_bucket(times.p90_ns), stats_bucket(5000));
	ck_assert_uint_eq(stats_bucket(times.p99_ns), stats_bucket(100000));
	ck_assert_uint_eq(stats_bucket(times.p999_ns), stats_bucket(100000));
	memset(&latency, 0, sizeof(latency));
	stats_times(&latency, &times);
	ck_assert_uint_eq(times.p99_ns, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stats_page");
	TCase *tcase = tcase_create("stats_page");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_page_that_can_shrink_is_refused);
	tcase_add_test(tcase, nobody_has_written_yet);
	tcase_add_test(tcase, counters_arrive);
	tcase_add_test(tcase, another_version_is_not_read);
	tcase_add_test(tcase, an_enemy_writes);
	tcase_add_test(tcase, percentiles);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
