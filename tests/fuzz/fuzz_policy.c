/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy compiler: a text that it takes becomes a filter that says what
 * the rules say; verify_filter() is the judge of that.  libseccomp makes wrong
 * ones of some alternatives with an order or !=, which verify_filter() is there
 * to refuse; of all else it makes right ones (policy/README.md).
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

/* Whether some rule has alternatives, and in one of them an order or !=. */
static bool mixes_orders(const struct rules *rules)
{
	for (unsigned int i = 0; i < rules->nr_rules; i++) {
		const struct rule *rule = &rules->rules[i];

		for (unsigned int j = 0; j < rule->nr_clauses; j++)
			if (rule->nr_clauses > 1 &&
			    has_order(&rule->clauses[j]))
				return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rules *rules = calloc(1, sizeof(*rules));
	struct sock_filter *insns = NULL;
	size_t nr_insns = 0;
	char path[64];
	int fd = fuzz_memfd(data, size, size);

	if (!rules)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!rules_parse(rules, path) &&
	    !build_filter(rules, DEFAULT_REPORT, &insns, &nr_insns))
		fuzz_check(!verify_filter(rules, DEFAULT_REPORT, insns,
					  nr_insns) || mixes_orders(rules));
	free(insns);
	rules_free(rules);
	free(rules);
	close(fd);
	return 0;
}
