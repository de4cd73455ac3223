/* SPDX-License-Identifier: Apache-2.0 */
/* `bulkhead doctor io-sched`, on made-up disks. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/doctor.h"

static char dir[] = "/tmp/bulkhead-test-XXXXXX";
static char command[128];
static struct doctor_result result;

/* As cmd_doctor.c's, which has all other checks with it. */
void doctor_say(struct doctor_result *r, enum doctor_verdict verdict,
		const char *advice, const char *found, ...)
{
	va_list ap;

	r->verdict = verdict;
	snprintf(r->advice, sizeof(r->advice), "%s", advice);
	va_start(ap, found);
	vsnprintf(r->found, sizeof(r->found), found, ap);
	va_end(ap);
}

static void put(const char *disk, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, disk);
	mkdir(path, 0700);
	strcat(path, "/queue");
	mkdir(path, 0700);
	strcat(path, "/iosched");
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/queue/%s", dir, disk, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void set_up(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	put("vda", "scheduler", "[none] mq-deadline bfq\n");
	put("sda", "scheduler", "none [mq-deadline] kyber bfq\n");
}

static void tear_down(void)
{
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(schedulers_that_wait_for_nobody)
{
	put("dm-0", "nr_requests", "128\n");
	doctor_schedulers_in(&result, dir);
	ck_assert_int_eq(result.verdict, DOCTOR_OK);
	ck_assert_str_eq(result.advice, "");
}

START_TEST(bfq_is_named)
{
	put("sdb", "scheduler", "none mq-deadline [bfq]\n");
	put("sdb", "iosched/slice_idle", "8\n");
	doctor_schedulers_in(&result, dir);
	ck_assert_int_eq(result.verdict, DOCTOR_WARN);
	ck_assert_str_eq(result.found,
			 "the scheduler bfq may hold requests back on sdb");
	ck_assert_ptr_nonnull(strstr(result.advice, "slice_idle"));
}

START_TEST(bfq_that_was_told_not_to_wait)
{
	put("sdb", "scheduler", "none mq-deadline [bfq]\n");
	put("sdb", "iosched/slice_idle", "0\n");
	doctor_schedulers_in(&result, dir);
	ck_assert_int_eq(result.verdict, DOCTOR_OK);
}

START_TEST(more_disks_than_a_line_has_room_for)
{
	char name[16];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "disk%d", i);
		put(name, "scheduler", "[bfq]\n");
	}
	doctor_schedulers_in(&result, dir);
	ck_assert_int_eq(result.verdict, DOCTOR_WARN);
	ck_assert_str_eq(result.found + strlen(result.found) - 5, ", ...");
	ck_assert_ptr_eq(strstr(result.found, "...") + 3,
			 result.found + strlen(result.found));
}

START_TEST(a_host_without_sysfs)
{
	doctor_schedulers_in(&result, "/nonexistent");
	ck_assert_int_eq(result.verdict, DOCTOR_WARN);
	ck_assert_ptr_nonnull(strstr(result.advice, "sysfs"));
}

int main(void)
{
	Suite *suite = suite_create("doctor_disks");
	TCase *tc = tcase_create("doctor_disks");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, schedulers_that_wait_for_nobody);
	tcase_add_test(tc, bfq_is_named);
	tcase_add_test(tc, bfq_that_was_told_not_to_wait);
	tcase_add_test(tc, more_disks_than_a_line_has_room_for);
	tcase_add_test(tc, a_host_without_sysfs);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
