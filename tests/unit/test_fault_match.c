/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipc/fault_match.c: which rule fires at which request, held against a plain
 * statement of what each condition means.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/fault_match.h"

static struct fault_page page;
static struct stats_page stats;
static struct fault_set set;

static void set_up(void)
{
	memset(&page, 0, sizeof(page));
	memset(&stats, 0, sizeof(stats));
	fault_init(&page, &stats.head);
}

static struct fault_rule rule_for(uint32_t id, enum fault_action action)
{
	return (struct fault_rule) {
		.id = id, .action = (uint8_t)action, .ops = FAULT_ALL_OPS,
		.last_sector = UINT64_MAX, .seed = 1234,
	};
}

static void install(struct fault_rule rule)
{
	fault_page_write(&page, &rule, 1);
}

static bool ask(enum fault_op op, uint64_t sector, uint64_t nr)
{
	const struct fault_request request = {
		.op = op, .sector = sector, .nr_sectors = nr,
	};

	return fault_match(FAULT_REQUEST_ACTIONS, &request, &set);
}

/* Which of the next n requests it fires at, as bits. */
static uint64_t pattern(unsigned int n)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < n; i++)
		bits |= (uint64_t)ask(FAULT_OP_READ, i, 1) << i;
	return bits;
}

START_TEST(without_rules_nothing_is_armed)
{
	ck_assert(!fault_armed());
	install(rule_for(1, FAULT_EIO));
	ck_assert(fault_armed());
	ck_assert(ask(FAULT_OP_READ, 0, 1));
	/* As long as there are rules, each request is asked about. */
	ck_assert(fault_armed());
	fault_page_write(&page, NULL, 0);
	ck_assert(fault_armed());
	ck_assert(!ask(FAULT_OP_READ, 0, 1));
	ck_assert(!fault_armed());
	fault_init(NULL, &stats.head);
	ck_assert(!fault_armed());
}

START_TEST(while_the_page_is_written_the_old_rules_hold)
{
	install(rule_for(1, FAULT_EIO));
	ck_assert(ask(FAULT_OP_READ, 0, 1));
	page.generation++;
	page.nr_rules = 0;
	ck_assert(fault_armed());
	ck_assert(ask(FAULT_OP_READ, 0, 1));
	page.generation++;
	ck_assert(!ask(FAULT_OP_READ, 0, 1));
}

START_TEST(operations)
{
	struct fault_rule rule = rule_for(1, FAULT_EIO);

	for (unsigned int ops = 1; ops <= FAULT_ALL_OPS; ops++) {
		rule.ops = (uint8_t)ops;
		install(rule);
		for (unsigned int op = 0; op < FAULT_NR_OPS; op++)
			ck_assert(ask((enum fault_op)op, 5, 1) ==
				  (ops >> op & 1));
	}
}

/* Two ranges meet if there is a sector in both. */
START_TEST(sectors)
{
	struct fault_rule rule = rule_for(1, FAULT_EIO);

	rule.first_sector = 4;
	rule.last_sector = 6;
	install(rule);
	for (uint64_t first = 0; first < 10; first++)
		for (uint64_t nr = 1; nr < 10; nr++) {
			bool meet = false;

			for (uint64_t s = first; s < first + nr; s++)
				meet |= s >= 4 && s <= 6;
			ck_assert(ask(FAULT_OP_WRITE, first, nr) == meet);
		}
	/* A flush has no place. */
	ck_assert(!ask(FAULT_OP_FLUSH, 0, 0));
}

static const struct {
	uint64_t after, every, count, expected;	/* of 12 requests */
} conditions[] = {
	{ 0, 0, 0, 0xfff },
	{ 0, 1, 0, 0xfff },
	{ 3, 0, 0, 0xff8 },
	{ 0, 3, 0, 0x924 },
	{ 0, 0, 2, 0x003 },
	{ 1, 2, 0, 0x554 },
	{ 2, 3, 2, 0x090 },
	{ 20, 0, 0, 0 },
};

START_TEST(after_every_and_count)
{
	struct fault_rule rule = rule_for(1, FAULT_EIO);

	rule.after = conditions[_i].after;
	rule.every = conditions[_i].every;
	rule.count = conditions[_i].count;
	install(rule);
	ck_assert_uint_eq(pattern(12), conditions[_i].expected);
	ck_assert_uint_eq(stats.head.fault[0].seen, 12);
	ck_assert_uint_eq(stats.head.fault[0].fired,
			  (uint64_t)__builtin_popcountll(
				  conditions[_i].expected));
}

START_TEST(a_probability_is_a_share)
{
	struct fault_rule rule = rule_for(1, FAULT_EIO);
	unsigned int nr = 0;

	rule.probability = UINT32_MAX / 10;
	install(rule);
	for (int i = 0; i < 10000; i++)
		nr += ask(FAULT_OP_READ, 0, 1);
	ck_assert_uint_gt(nr, 900);
	ck_assert_uint_lt(nr, 1100);
}

START_TEST(a_seed_is_a_sequence)
{
	struct fault_rule rule = rule_for(1, FAULT_EIO);
	uint64_t first, second, other;

	rule.probability = 1u << 31;
	install(rule);
	first = pattern(64);
	rule.id = 2;
	install(rule);
	second = pattern(64);
	rule.id = 3;
	rule.seed++;
	install(rule);
	other = pattern(64);
	ck_assert_uint_eq(first, second);
	ck_assert_uint_ne(first, other);
}

/* Requests that a rule has nothing to do with do not move it on. */
START_TEST(only_matching_requests_count)
{
	struct fault_rule rule = rule_for(1, FAULT_EIO);
	uint64_t alone, among = 0;

	rule.probability = 1u << 31;
	rule.ops = 1u << FAULT_OP_READ;
	install(rule);
	alone = pattern(64);
	rule.id = 2;
	install(rule);
	for (unsigned int i = 0; i < 64; i++) {
		ck_assert(!ask(FAULT_OP_WRITE, i, 1));
		among |= (uint64_t)ask(FAULT_OP_READ, i, 1) << i;
	}
	ck_assert_uint_eq(alone, among);
}

START_TEST(several_rules_act_together)
{
	struct fault_rule rules[3] = {
		rule_for(1, FAULT_DELAY), rule_for(2, FAULT_CRASH),
		rule_for(3, FAULT_CRASH),
	};

	rules[0].value = 7;
	rules[1].value = FAULT_POINT_SUBMIT;
	rules[2].value = FAULT_POINT_USED;
	fault_page_write(&page, rules, 3);
	ck_assert(ask(FAULT_OP_READ, 0, 1));
	ck_assert(fault_has(&set, FAULT_DELAY) && fault_has(&set, FAULT_CRASH));
	ck_assert(!fault_has(&set, FAULT_EIO));
	ck_assert_uint_eq(set.value[FAULT_DELAY], 7);
	ck_assert_uint_eq(set.value[FAULT_CRASH],
			  1u << FAULT_POINT_SUBMIT | 1u << FAULT_POINT_USED);
	ck_assert(fault_rule_stands(FAULT_DELAY));
	ck_assert(!fault_rule_stands(FAULT_HOLD));
}

START_TEST(characters_and_requests_are_counted_apart)
{
	struct fault_rule rules[2] = {
		rule_for(1, FAULT_DROP), rule_for(2, FAULT_HANG),
	};
	const struct fault_request character = {
		.op = FAULT_OP_WRITE,
	};

	fault_page_write(&page, rules, 2);
	ck_assert(fault_match(FAULT_CHARACTER_ACTIONS, &character, &set));
	ck_assert_uint_eq(set.actions, 1u << FAULT_DROP);
	ck_assert_uint_eq(stats.head.fault[1].seen, 0);
}

/* The next process has the same pages. */
START_TEST(counts_outlive_the_process)
{
	struct fault_rule rule = rule_for(1, FAULT_EIO);

	rule.after = 2;
	rule.count = 2;
	install(rule);
	ck_assert_uint_eq(pattern(3), 4);
	fault_init(&page, &stats.head);
	ck_assert(fault_armed());
	ck_assert_uint_eq(pattern(3), 1);
	/* Another rule in its place starts anew. */
	rule.id = 2;
	install(rule);
	ck_assert_uint_eq(pattern(3), 4);
	ck_assert_uint_eq(stats.head.fault[0].id, 2);
	ck_assert_uint_eq(stats.head.fault[0].fired, 1);
}

int main(void)
{
	Suite *suite = suite_create("fault");
	TCase *tc = tcase_create("match");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, without_rules_nothing_is_armed);
	tcase_add_test(tc, while_the_page_is_written_the_old_rules_hold);
	tcase_add_test(tc, operations);
	tcase_add_test(tc, sectors);
	tcase_add_loop_test(tc, after_every_and_count, 0,
			    sizeof(conditions) / sizeof(conditions[0]));
	tcase_add_test(tc, a_probability_is_a_share);
	tcase_add_test(tc, a_seed_is_a_sequence);
	tcase_add_test(tc, only_matching_requests_count);
	tcase_add_test(tc, several_rules_act_together);
	tcase_add_test(tc, characters_and_requests_are_counted_apart);
	tcase_add_test(tc, counts_outlive_the_process);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
