/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy compiler: a text that it takes becomes a filter that says what
 * the rules say; verify_filter() is the judge of that.  libseccomp makes wrong
 * ones of some alternatives with an order or !=, which verify_filter() is there
 * to refuse; of all other rules it makes right ones (policy/README.md).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/rules.h"
#include "tests/fuzz/fuzz.h"

/* libseccomp 2.5 forgets some memory of rules that overlap. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static bool has_order(const struct clause *clause)
{
	for (unsigned int i = 0; i < clause->nr_conds; i++) {
		enum cond_op op = clause->conds[i].op;

		if (op != COND_EQ && op != COND_MASKED && op != COND_IN)
			return true;
	}
	return false;
}

/* Whether it has alternatives, and in one of them an order or !=. */
static bool mixes_orders(const struct rule *rule)
{
	for (unsigned int i = 0; i < rule->nr_clauses; i++)
		if (rule->nr_clauses > 1 && has_order(&rule->clauses[i]))
			return true;
	return false;
}

/* Those that mix orders go to the end.  Return: how many others there are. */
static unsigned int sort_out(struct rules *rules)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < rules->nr_rules; i++) {
		struct rule rule = rules->rules[i];

		if (mixes_orders(&rule))
			continue;
		rules->rules[i] = rules->rules[nr];
		rules->rules[nr++] = rule;
	}
	return nr;
}

/* Return: false, a filter was made, and does not say what the rules say. */
static bool holds(const struct rules *rules)
{
	struct sock_filter *insns = NULL;
	size_t nr_insns = 0;
	bool right = build_filter(rules, DEFAULT_REPORT, &insns, &nr_insns) ||
		     !verify_filter(rules, DEFAULT_REPORT, insns, nr_insns);

	free(insns);
	return right;
}

/* All rules; or where that is refused, and may be, those that mix nothing. */
static void check(struct rules *rules)
{
	unsigned int nr_rules = rules->nr_rules;

	if (holds(rules))
		return;
	rules->nr_rules = sort_out(rules);
	fuzz_check(rules->nr_rules < nr_rules && holds(rules));
	rules->nr_rules = nr_rules;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rules *rules = calloc(1, sizeof(*rules));
	char path[64];
	int fd = fuzz_memfd(data, size, size);

	if (!rules)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!rules_parse(rules, path))
		check(rules);
	rules_free(rules);
	free(rules);
	close(fd);
	return 0;
}
