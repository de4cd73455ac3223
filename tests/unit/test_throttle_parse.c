/* SPDX-License-Identifier: Apache-2.0 */
/* cli/throttle_parse.c: what is right goes in and comes out again. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/throttle_parse.h"

static struct throttle_settings set;
static char why[THROTTLE_WHY_MAX];
static char text[THROTTLE_TEXT_MAX];

static void setup(void)
{
	throttle_none(&set);
}

static const char *parse_and_format(const char *in)
{
	ck_assert_msg(!throttle_parse(in, &set, why), "%s: %s", in, why);
	throttle_format(&set, text);
	return text;
}

START_TEST(nothing_is_off)
{
	ck_assert_str_eq(parse_and_format(""), "off");
	ck_assert_str_eq(parse_and_format("  off "), "off");
	ck_assert_str_eq(parse_and_format("iops=0 burst_length=9"), "off");
}
END_TEST

START_TEST(each_key_goes_to_its_place)
{
	parse_and_format("iops=1 iops_read=2 iops_write=3 bytes=64K bytes_read=2M bytes_write=3G");
	ck_assert_uint_eq(set.limit[THROTTLE_IOPS].rate, 1);
	ck_assert_uint_eq(set.limit[THROTTLE_IOPS_READ].rate, 2);
	ck_assert_uint_eq(set.limit[THROTTLE_IOPS_WRITE].rate, 3);
	ck_assert_uint_eq(set.limit[THROTTLE_BYTES].rate, 64 << 10);
	ck_assert_uint_eq(set.limit[THROTTLE_BYTES_READ].rate, 2 << 20);
	ck_assert_uint_eq(set.limit[THROTTLE_BYTES_WRITE].rate, 3ull << 30);
	parse_and_format("iops_write_burst=30 bytes_burst=1M\tburst_length=60 iops_size=4K");
	ck_assert_uint_eq(set.limit[THROTTLE_IOPS_WRITE].burst, 30);
	ck_assert_uint_eq(set.limit[THROTTLE_BYTES].burst, 1 << 20);
	ck_assert_uint_eq(set.burst_s, 60);
	ck_assert_uint_eq(set.iops_size, 4096);
	ck_assert_str_eq(parse_and_format(""),
			 "iops=1 iops_read=2 iops_write=3 iops_write_burst=30 bytes=65536 bytes_burst=1048576 bytes_read=2097152 bytes_write=3221225472 burst_length=60 iops_size=4096");
}
END_TEST

START_TEST(what_comes_out_goes_in)
{
	struct throttle_settings first;
	char copy[THROTTLE_TEXT_MAX];

	/* The longest there is. */
	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++)
		set.limit[i] = (struct throttle_limit){
			THROTTLE_MIN_BYTES, i < THROTTLE_BYTES ?
			THROTTLE_MAX_IOPS : THROTTLE_MAX_BYTES
		};
	set.burst_s = THROTTLE_MAX_BURST_S;
	set.iops_size = THROTTLE_MAX_IOPS_SIZE;
	first = set;
	throttle_format(&set, copy);
	throttle_none(&set);
	ck_assert_str_eq(parse_and_format(copy), copy);
	ck_assert_mem_eq(&set, &first, sizeof(set));
}
END_TEST

START_TEST(what_is_not_named_stays)
{
	parse_and_format("iops=100 iops_burst=500 bytes=1M");
	ck_assert_str_eq(parse_and_format("bytes=0"),
			 "iops=100 iops_burst=500 burst_length=1");
	/* A burst goes with its rate. */
	ck_assert_str_eq(parse_and_format("iops=0"), "off");
	ck_assert_uint_eq(set.limit[THROTTLE_IOPS].burst, 0);
}
END_TEST

static const struct {
	const char *in, *why;
} wrong[] = {
	{ "iops", "expected KEY=VALUE" },
	{ "=5", "there are iops" },
	{ "iop=5", "there are iops" },
	{ "iops_=5", "there are iops" },
	{ "iops_burst_burst=5", "there are iops" },
	{ "iopsx=5", "there are iops" },
	{ "iops=", "requests a second" },
	{ "iops=-1", "requests a second" },
	{ "iops=5K", "requests a second" },
	{ "iops=1000000001", "requests a second" },
	{ "iops=99999999999999999999", "requests a second" },
	{ "bytes=65535", "bytes a second" },
	{ "bytes=1025G", "bytes a second" },
	{ "bytes=1MB", "bytes a second" },
	{ "bytes=99999999999999999G", "bytes a second" },
	{ "iops_burst=5", "is without iops" },
	{ "bytes_read=1M bytes_read_burst=512K", "less than bytes_read" },
	{ "burst_length=0", "1 to 3600" },
	{ "burst_length=3601", "1 to 3600" },
	{ "burst_length=5s", "1 to 3600" },
	{ "iops_size=511", "512 to 1G" },
	{ "iops_size=2G", "512 to 1G" },
	{ "iops=5 nonsense", "expected KEY=VALUE" },
	{ "iops=555555555555555555555555555555555555555555555555555555555555555",
	  "too long" },
};

START_TEST(what_is_wrong_is_said_and_changes_nothing)
{
	struct throttle_settings before;

	parse_and_format("iops_read=7");
	before = set;
	ck_assert(throttle_parse(wrong[_i].in, &set, why) < 0);
	ck_assert_msg(strstr(why, wrong[_i].why) != NULL, "%s: %s",
		      wrong[_i].in, why);
	ck_assert_mem_eq(&set, &before, sizeof(set));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("throttle_parse");
	TCase *tcase = tcase_create("throttle_parse");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, nothing_is_off);
	tcase_add_test(tcase, each_key_goes_to_its_place);
	tcase_add_test(tcase, what_comes_out_goes_in);
	tcase_add_test(tcase, what_is_not_named_stays);
	tcase_add_loop_test(tcase, what_is_wrong_is_said_and_changes_nothing, 0,
			    (int)(sizeof(wrong) / sizeof(*wrong)));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
