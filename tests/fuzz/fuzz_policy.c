/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy compiler: a text that it takes becomes a filter that says what
 * the rules say; verify_filter() is the judge of that.
 */
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
					  nr_insns));
	free(insns);
	rules_free(rules);
	free(rules);
	close(fd);
	return 0;
}
