/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault rules: what is taken can be said again in words, and those words mean
 * the same rule.
 */
#include <string.h>

#include "cli/fault_parse.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void check_round_trip(const struct fault_rule *rule,
			     enum life_role role)
{
	struct fault_rule again;
	char why[FAULT_WHY_MAX] = "";
	char words[FAULT_TEXT_MAX] = "";

	memset(&again, 0, sizeof(again));
	fault_format(rule, role, words);
	fuzz_check(memchr(words, '\0', sizeof(words)));
	fuzz_check(fault_parse(words, 1, role, &again, why) == 0);
	fuzz_check(memcmp(&again, rule, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	enum life_role role = LIFE_ROLE_BLK + fuzz_take(&in, 1) % 4;
	struct fault_rule rule;
	char why[FAULT_WHY_MAX] = "";
	char text[512];

	memset(&rule, 0, sizeof(rule));
	fuzz_take_bytes(&in, text, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (fault_parse(text, 1, role, &rule, why))
		fuzz_check(!strncmp(why, "column ", 7) &&
			   memchr(why, '\0', sizeof(why)));
	else
		check_round_trip(&rule, role);
	return 0;
}
