/* SPDX-License-Identifier: Apache-2.0 */
/* cli/fault_parse.c: the language of fault rules, and each error's column. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fault_parse.h"

static struct fault_rule rule;
static char why[FAULT_WHY_MAX];
static char text[FAULT_TEXT_MAX];

static void parse(const char *from, enum life_role role)
{
	int ret = fault_parse(from, 1, role, &rule, why);

	ck_assert_msg(ret == 0, "%s: %s", from, why);
}

START_TEST(an_action_alone_is_for_everything)
{
	parse("eio", LIFE_ROLE_BLK);
	ck_assert_uint_eq(rule.action, FAULT_EIO);
	/* Everything that a disk can be asked for. */
	ck_assert_uint_eq(rule.ops, FAULT_ALL_OPS & ~(1u << FAULT_OP_EXIT));
	ck_assert_uint_eq(rule.first_sector, 0);
	ck_assert_uint_eq(rule.last_sector, UINT64_MAX);
	ck_assert_uint_eq(rule.after + rule.every + rule.count, 0);
	ck_assert_uint_eq(rule.probability, 0);
}

START_TEST(every_key_arrives)
{
	parse(" delay=250\top=read,flush  sector=8-15 after=1 every=2 probability=0.5 count=9 ",
	      LIFE_ROLE_BLK);
	ck_assert_uint_eq(rule.action, FAULT_DELAY);
	ck_assert_uint_eq(rule.value, 250);
	ck_assert_uint_eq(rule.ops, 1u << FAULT_OP_READ | 1u << FAULT_OP_FLUSH);
	ck_assert_uint_eq(rule.first_sector, 8);
	ck_assert_uint_eq(rule.last_sector, 15);
	ck_assert_uint_eq(rule.after, 1);
	ck_assert_uint_eq(rule.every, 2);
	ck_assert_uint_eq(rule.count, 9);
	ck_assert_uint_eq(rule.probability, 1u << 31);
}

START_TEST(values_that_may_be_left_out)
{
	parse("misdirect", LIFE_ROLE_BLK);
	ck_assert_uint_eq(rule.value, 8);
	ck_assert_uint_eq(rule.ops, 1u << FAULT_OP_WRITE);
	parse("misdirect=100", LIFE_ROLE_BLK);
	ck_assert_uint_eq(rule.value, 100);
	parse("crash=used sector=7", LIFE_ROLE_BLK);
	ck_assert_uint_eq(rule.value, FAULT_POINT_USED);
	ck_assert_uint_eq(rule.first_sector, 7);
	ck_assert_uint_eq(rule.last_sector, 7);
	parse("eio probability=1", LIFE_ROLE_BLK);
	ck_assert_uint_eq(rule.probability, 0);
	parse("hang", LIFE_ROLE_RNG);
	ck_assert_uint_eq(rule.ops, 1u << FAULT_OP_READ);
}

/* Words that come back as they were. */
static const struct {
	enum life_role role;
	const char *text;
} same[] = {
	{ LIFE_ROLE_BLK, "eio" },
	{ LIFE_ROLE_BLK, "enospc op=discard" },
	{ LIFE_ROLE_BLK, "delay=3600000 after=1" },
	{ LIFE_ROLE_BLK, "hold op=read,write,flush sector=0-0" },
	{ LIFE_ROLE_BLK, "short every=3" },
	{ LIFE_ROLE_BLK, "torn=0 sector=5-18014398509481983" },
	{ LIFE_ROLE_BLK, "corrupt=4096 probability=0.000000001" },
	{ LIFE_ROLE_BLK, "lose op=flush probability=0.999999999 count=7" },
	{ LIFE_ROLE_BLK, "misdirect=8" },
	{ LIFE_ROLE_BLK, "crash=fetch after=9223372036854775807" },
	{ LIFE_ROLE_CONSOLE, "crash=submit" },
	{ LIFE_ROLE_SERIAL, "crash=complete op=read" },
	{ LIFE_ROLE_RNG, "crash=used" },
	{ LIFE_ROLE_RNG, "hang" },
	{ LIFE_ROLE_RNG, "lose-interrupt" },
	{ LIFE_ROLE_SERIAL, "spurious-interrupt" },
	{ LIFE_ROLE_CONSOLE, "bad-used probability=0.05" },
	{ LIFE_ROLE_CONSOLE, "drop op=write" },
	{ LIFE_ROLE_SERIAL, "garble every=10" },
	{ LIFE_ROLE_SERIAL, "stall" },
	{ LIFE_ROLE_CORE, "vcpu-pause=250 after=3 count=1" },
	{ LIFE_ROLE_CORE, "clock-jump=2592000000" },
	{ LIFE_ROLE_CORE, "clock-jump=-1500 probability=0.5" },
};

START_TEST(a_rule_in_words_is_the_rule)
{
	parse(same[_i].text, same[_i].role);
	fault_format(&rule, same[_i].role, text);
	ck_assert_str_eq(text, same[_i].text);
}

static const struct {
	enum life_role role;
	const char *text;
	const char *why;	/* its beginning */
} bad[] = {
	{ LIFE_ROLE_BLK, "", "column 1: an action is missing; blk has eio, enospc, delay, hold, short, torn, corrupt, lose, misdirect, crash, hang, lose-interrupt, spurious-interrupt, bad-used" },
	{ LIFE_ROLE_BLK, "   ", "column 4: an action is missing" },
	{ LIFE_ROLE_BLK, "eoi", "column 1: blk has no action 'eoi'; it has eio," },
	{ LIFE_ROLE_BLK, "=3", "column 1: an action is missing" },
	{ LIFE_ROLE_BLK, "drop", "column 1: blk has no action 'drop'" },
	{ LIFE_ROLE_SERIAL, "eio", "column 1: serial has no action 'eio'; it has crash, hang, lose-interrupt, spurious-interrupt, drop, garble, stall" },
	{ LIFE_ROLE_SERIAL, "bad-used", "column 1: serial has no action" },
	{ LIFE_ROLE_RNG, "delay=1", "column 1: rng has no action 'delay'; it has crash, hang, lose-interrupt, spurious-interrupt, bad-used" },
	{ LIFE_ROLE_BLK, "eio=5", "column 4: eio takes no value" },
	{ LIFE_ROLE_BLK, "delay", "column 6: delay needs a value, as in delay=8" },
	{ LIFE_ROLE_BLK, "delay=", "column 7: '' is no whole number from 1 to 3600000" },
	{ LIFE_ROLE_BLK, "delay=0", "column 7: '0' is no whole number" },
	{ LIFE_ROLE_BLK, "delay=10s", "column 7: '10s' is no whole number" },
	{ LIFE_ROLE_BLK, "delay=-1", "column 7: '-1' is no" },
	{ LIFE_ROLE_BLK, "delay=99999999999999999999", "column 7: '99999999999999999999' is no" },
	{ LIFE_ROLE_BLK, "corrupt=4097", "column 9: '4097' is no whole number from 1 to 4096" },
	{ LIFE_ROLE_BLK, "crash", "column 6: crash needs a value, as in crash=submit" },
	{ LIFE_ROLE_BLK, "crash=now", "column 7: no point 'now'; there are fetch, submit, complete, used" },
	{ LIFE_ROLE_BLK, "eio secter=4", "column 5: unknown key 'secter'; there are op, sector, after, every, probability, count" },
	{ LIFE_ROLE_BLK, "eio =4", "column 5: unknown key ''" },
	{ LIFE_ROLE_BLK, "eio  op", "column 8: op needs a value, as in op=write" },
	{ LIFE_ROLE_BLK, "eio op=", "column 7: op needs a value" },
	{ LIFE_ROLE_BLK, "eio op=reed", "column 8: 'reed' is no operation for eio; there is read, write, flush, discard" },
	{ LIFE_ROLE_BLK, "eio op=read,", "column 13: '' is no operation" },
	{ LIFE_ROLE_BLK, "torn=1 op=write,read", "column 17: 'read' is no operation for torn; there is write" },
	{ LIFE_ROLE_RNG, "hang op=write", "column 9: 'write' is no operation for hang; there is read" },
	{ LIFE_ROLE_BLK, "eio op=read op=read", "column 13: op is given twice" },
	{ LIFE_ROLE_BLK, "eio sector=x", "column 12: 'x' is no whole number from 0 to" },
	{ LIFE_ROLE_BLK, "eio sector=4-", "column 14: '' is no whole number" },
	{ LIFE_ROLE_BLK, "eio sector=9-4", "column 12: the range ends before it begins" },
	{ LIFE_ROLE_CONSOLE, "drop sector=1", "column 6: console has no sectors" },
	{ LIFE_ROLE_BLK, "eio sector=1 op=flush", "column 12: a flush has no sectors" },
	{ LIFE_ROLE_BLK, "eio after=0", "column 11: '0' is no whole number from 1 to 9223372036854775807" },
	{ LIFE_ROLE_BLK, "eio every=0", "column 11: '0' is no" },
	{ LIFE_ROLE_BLK, "eio count=0", "column 11: '0' is no" },
	{ LIFE_ROLE_BLK, "eio count=1 probability=2", "column 25: '2' is no probability; it is above 0 and at most 1, as in 0.05" },
	{ LIFE_ROLE_BLK, "eio probability=0", "column 17: '0' is no probability" },
	{ LIFE_ROLE_BLK, "eio probability=0.0", "column 17: '0.0' is no probability" },
	{ LIFE_ROLE_BLK, "eio probability=0.5x", "column 17: '0.5x' is no" },
	{ LIFE_ROLE_BLK, "eio probability=5%", "column 17: '5%' is no" },
	{ LIFE_ROLE_BLK, "eio probability=0.1234567891", "column 17: '0.1234567891' is no" },
	{ LIFE_ROLE_CORE, "hang", "column 1: core has no action 'hang'; it has vcpu-pause, clock-jump" },
	{ LIFE_ROLE_BLK, "vcpu-pause=1", "column 1: blk has no action 'vcpu-pause'" },
	{ LIFE_ROLE_CORE, "vcpu-pause=-1", "column 12: '-1' is no whole number from 1 to 3600000" },
	{ LIFE_ROLE_CORE, "clock-jump", "column 11: clock-jump needs a value" },
	{ LIFE_ROLE_CORE, "clock-jump=", "column 12: '' is no whole number" },
	{ LIFE_ROLE_CORE, "clock-jump=-", "column 13: '' is no whole number" },
	{ LIFE_ROLE_CORE, "clock-jump=--5", "column 13: '-5' is no whole number" },
	{ LIFE_ROLE_CORE, "clock-jump=-2592000001", "column 13: '2592000001' is no whole number from 1 to 2592000000" },
	{ LIFE_ROLE_CORE, "clock-jump=5 sector=3", "column 14: core has no sectors" },
	{ LIFE_ROLE_CORE, "vcpu-pause=5 op=read", "column 17: 'read' is no operation for vcpu-pause; there is exit" },
	{ LIFE_ROLE_BLK, "eio op=exit", "column 8: 'exit' is no operation for eio" },
	{ LIFE_ROLE_BLK, "eio extraordinarily-long-word-that-never-ends=1", "column 5: unknown key 'extraordinarily-long-wor';" },
};

START_TEST(a_wrong_rule_is_told_with_its_column)
{
	ck_assert_int_eq(fault_parse(bad[_i].text, 1, bad[_i].role, &rule,
				     why), -EINVAL);
	ck_assert_msg(!strncmp(why, bad[_i].why, strlen(bad[_i].why)),
		      "'%s': %s", bad[_i].text, why);
	ck_assert_ptr_null(strchr(why, '\n'));
}

START_TEST(columns_count_from_where_the_rule_begins)
{
	ck_assert_int_eq(fault_parse("eio secter=4", 5, LIFE_ROLE_BLK, &rule,
				     why), -EINVAL);
	ck_assert_int_eq(strncmp(why, "column 9: unknown key 'secter'", 30), 0);
}

int main(void)
{
	Suite *suite = suite_create("fault_parse");
	TCase *tc = tcase_create("rules");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, an_action_alone_is_for_everything);
	tcase_add_test(tc, every_key_arrives);
	tcase_add_test(tc, values_that_may_be_left_out);
	tcase_add_loop_test(tc, a_rule_in_words_is_the_rule, 0,
			    sizeof(same) / sizeof(same[0]));
	tcase_add_loop_test(tc, a_wrong_rule_is_told_with_its_column, 0,
			    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, columns_count_from_where_the_rule_begins);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
