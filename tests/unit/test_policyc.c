/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policyc's modules from inside: expressions, constants, and whether the
 * verifier would notice a filter that does not say what the rules say.
 *
 * Build: policy/parse.c expression.c lint.c constants.c build.c verify.c,
 *        -lseccomp -lcheck.  Run in the top folder (reads policy/).
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "policy/rules.h"

/* libseccomp 2.5 forgets some memory of rules that overlap. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp";
}

static struct rules rules;
static struct sock_filter *insns;
static size_t nr_insns;

static void setup(void)
{
	memset(&rules, 0, sizeof(rules));
	insns = NULL;
	nr_insns = 0;
}

static void teardown(void)
{
	free(insns);
	rules_free(&rules);
}

/* The tests below make errors by the thousand; nobody wants to read them. */
static void mute_stderr(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	close(fd);
}

static void load(const char *path)
{
	ck_assert_int_eq(rules_parse(&rules, path), 0);
	ck_assert_int_eq(build_filter(&rules, DEFAULT_REPORT, &insns,
				      &nr_insns), 0);
	ck_assert_int_eq(verify_filter(&rules, DEFAULT_REPORT, insns,
				       nr_insns), 0);
}

static struct rule parsed(const char *expression)
{
	static char name[] = "call";
	struct rule rule = { .file = "test", .line = 1, .name = name };

	ck_assert_int_eq(expression_parse(&rule, expression), 0);
	return rule;
}

START_TEST(constants_have_the_headers_values)
{
	static const struct {
		const char *name;
		uint64_t value;
	} samples[] = {
		{ "AF_INET", 2 }, { "KVM_RUN", KVM_RUN },
		{ "KVM_GET_REGS", 0x8090ae81 }, { "LIFE_FD", LIFE_FD },
		{ "VM_FD", VM_FD }, { "VCPU_FD_BASE", 64 },
		{ "PROT_READ", PROT_READ }, { "TUN_NOT_THERE", 0 },
	};
	uint64_t value = 0;

	ck_assert(constants_sorted());
	for (size_t i = 0; i + 1 < sizeof(samples) / sizeof(samples[0]); i++) {
		ck_assert_msg(constant_find(samples[i].name, &value), "%s",
			      samples[i].name);
		ck_assert_uint_eq(value, samples[i].value);
	}
	ck_assert(!constant_find("TUN_NOT_THERE", &value));
	ck_assert(!constant_find("", &value));
}
END_TEST

START_TEST(or_binds_weaker_than_and)
{
	struct rule rule = parsed("arg1 == 1 && arg2 != 2 || fd >= 3");

	ck_assert_uint_eq(rule.nr_clauses, 2);
	ck_assert_uint_eq(rule.clauses[0].nr_conds, 2);
	ck_assert_uint_eq(rule.clauses[1].nr_conds, 1);
	ck_assert_uint_eq(rule.clauses[0].conds[1].arg, 2);
	ck_assert_int_eq(rule.clauses[0].conds[1].op, COND_NE);
	ck_assert_uint_eq(rule.clauses[1].conds[0].arg, 0);
	ck_assert_int_eq(rule.clauses[1].conds[0].op, COND_GE);
}
END_TEST

START_TEST(flags_become_a_mask)
{
	struct rule rule = parsed("arg2 in PROT_READ|PROT_WRITE");
	const struct cond *cond = &rule.clauses[0].conds[0];

	ck_assert_int_eq(cond->op, COND_IN);
	ck_assert_uint_eq(cond->mask, ~(uint64_t)(PROT_READ | PROT_WRITE));
	ck_assert_uint_eq(cond->value, 0);
	rule = parsed("fd & ~31 == VCPU_FD_BASE");
	ck_assert_int_eq(rule.clauses[0].conds[0].op, COND_MASKED);
	ck_assert_uint_eq(rule.clauses[0].conds[0].mask, ~31ULL);
	ck_assert_uint_eq(rule.clauses[0].conds[0].value, VCPU_FD_BASE);
}
END_TEST

START_TEST(numbers_are_decimal_or_hex)
{
	struct rule rule = parsed("arg3 == 0xffffffffffffffff || arg3 < 10");

	ck_assert_uint_eq(rule.clauses[0].conds[0].value, UINT64_MAX);
	ck_assert_uint_eq(rule.clauses[1].conds[0].value, 10);
}
END_TEST

static bool notices(void)
{
	return verify_filter(&rules, DEFAULT_REPORT, insns, nr_insns) != 0;
}

/* Each changed constant, and each pair of swapped branches, is noticed. */
START_TEST(verifier_notices_every_changed_instruction)
{
	static const char *const policies[] = {
		"policy/blk.policy", "policy/console.policy",
		"policy/core.policy", "policy/rng.policy",
		"policy/serial.policy", "tests/policy/good.policy",
	};

	load(policies[_i]);
	mute_stderr();
	for (size_t i = 0; i < nr_insns; i++) {
		struct sock_filter kept = insns[i];

		insns[i].k ^= 1;
		ck_assert_msg(kept.code == (BPF_JMP | BPF_JA) || notices(),
			      "%s: instruction %zu, k", policies[_i], i);
		insns[i] = kept;
		if (BPF_CLASS(kept.code) != BPF_JMP || kept.jt == kept.jf)
			continue;
		insns[i].jt = kept.jf;
		insns[i].jf = kept.jt;
		ck_assert_msg(notices(), "%s: instruction %zu, branches",
			      policies[_i], i);
		insns[i] = kept;
	}
	ck_assert(!notices());
}
END_TEST

START_TEST(verifier_notices_a_dropped_rule)
{
	load("tests/policy/good.policy");
	mute_stderr();
	for (unsigned int i = 0; i < rules.nr_rules; i++) {
		int nr = rules.rules[i].nr;

		/* The filter still allows what the rules no longer have. */
		rules.rules[i].nr = 1023;
		ck_assert_msg(notices(), "%s", rules.rules[i].name);
		rules.rules[i].nr = nr;
	}
}
END_TEST

START_TEST(default_actions_differ)
{
	load("tests/policy/good.policy");
	mute_stderr();
	ck_assert_int_ne(verify_filter(&rules, DEFAULT_KILL, insns, nr_insns),
			 0);
	free(insns);
	insns = NULL;
	ck_assert_int_eq(build_filter(&rules, DEFAULT_KILL, &insns, &nr_insns),
			 0);
	ck_assert_int_eq(verify_filter(&rules, DEFAULT_KILL, insns, nr_insns),
			 0);
}
END_TEST

/*
 * Any operator if there is one alternative; of several, those that libseccomp
 * mixes without fault.
 */
static enum cond_op random_op(const struct rule *rule)
{
	static const enum cond_op mixable[] = {
		COND_EQ, COND_MASKED, COND_IN,
	};

	if (rule->nr_clauses == 1)
		return (enum cond_op)(random() % (COND_IN + 1));
	return mixable[random() % 3];
}

static struct cond random_cond(const struct rule *rule, unsigned int arg)
{
	struct cond cond = {
		.arg = arg,
		.op = random_op(rule),
		.value = (uint64_t)random() % 4 << (random() % 2 * 32),
	};

	if (cond.op == COND_MASKED)
		cond.mask = cond.value | (uint64_t)random() % 8;
	if (cond.op == COND_IN) {
		cond.mask = ~cond.value;
		cond.value = 0;
	}
	return cond;
}

static void random_rule(struct rule *rule)
{
	rule->nr_clauses = 1 + (unsigned int)random() % 4;
	for (unsigned int i = 0; i < rule->nr_clauses; i++) {
		struct clause *clause = &rule->clauses[i];

		clause->nr_conds = 0;
		for (unsigned int arg = 0; arg < 3; arg++)
			if (random() % 2)
				clause->conds[clause->nr_conds++] =
					random_cond(rule, arg);
		if (!clause->nr_conds)
			clause->conds[clause->nr_conds++] = random_cond(rule, 0);
	}
}

START_TEST(random_rules_compile_and_verify)
{
	mute_stderr();
	srandom(20221);
	load("tests/policy/good.policy");
	for (unsigned int i = 0; i < 300; i++) {
		random_rule(&rules.rules[0]);
		free(insns);
		insns = NULL;
		ck_assert_int_eq(build_filter(&rules, DEFAULT_REPORT, &insns,
					      &nr_insns), 0);
		ck_assert_msg(!notices(), "round %u", i);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policyc");
	TCase *tc = tcase_create("policyc");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, constants_have_the_headers_values);
	tcase_add_test(tc, or_binds_weaker_than_and);
	tcase_add_test(tc, flags_become_a_mask);
	tcase_add_test(tc, numbers_are_decimal_or_hex);
	tcase_add_loop_test(tc, verifier_notices_every_changed_instruction, 0,
			    6);
	tcase_add_test(tc, verifier_notices_a_dropped_rule);
	tcase_add_test(tc, default_actions_differ);
	tcase_add_test(tc, random_rules_compile_and_verify);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
