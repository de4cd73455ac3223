/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no policy of this project may say, whatever its reason.  Part of
 * policyc (build host), so a bad policy is a failed build.
 */
#include <string.h>
#include <sys/mman.h>

#include "policy/rules.h"

/* Calls whose power lies in one argument: each alternative limits it. */
static const struct {
	const char *name;
	unsigned int arg;
	const char *arg_name;
} must_limit[] = {
	{ "clone", 0, "flags" },
	{ "fcntl", 1, "command" },
	{ "io_uring_register", 1, "operation" },
	{ "ioctl", 1, "request" },
	{ "madvise", 2, "advice" },
	{ "mmap", 2, "protection" },
	{ "mprotect", 2, "protection" },
	{ "prctl", 0, "option" },
	{ "tgkill", 2, "signal" },
};

static const struct {
	const char *name;
	const char *why;
} never[] = {
	{ "clone3", "its flags are in memory, where no filter sees them" },
	{ "execve", "a jailed process starts no program" },
	{ "execveat", "a jailed process starts no program" },
	{ "fork", "a jailed process stays alone" },
	{ "io_uring_setup", "rings are made before the policy" },
	{ "kill", "it reaches every process, use tgkill" },
	{ "open", "a jailed process has all its files" },
	{ "openat", "a jailed process has all its files" },
	{ "openat2", "a jailed process has all its files" },
	{ "pkey_mprotect", "it makes memory executable, use mprotect" },
	{ "process_vm_readv", "it reads other processes" },
	{ "process_vm_writev", "it writes other processes" },
	{ "ptrace", "it takes over other processes" },
	{ "rt_sigaction", "it would replace the SIGSYS handler" },
	{ "rt_sigprocmask", "it would unblock SIGSYS in its handler" },
	{ "rt_sigreturn", "it sets registers and signal mask from memory" },
	{ "seccomp", "the policy is the last one" },
	{ "sigaltstack", "signal stacks are made before the policy" },
	{ "userfaultfd", "it holds up whoever touches a page" },
	{ "vfork", "a jailed process stays alone" },
};

/* Could an argument that meets @cond contain one of @bits? */
static bool admits(const struct cond *cond, uint64_t bits)
{
	switch (cond->op) {
	case COND_EQ:
		return cond->value & bits;
	case COND_MASKED:
		return (cond->value & bits) || (bits & ~cond->mask);
	case COND_IN:
		return bits & ~cond->mask;
	default:
		return true;
	}
}

static const struct cond *find_cond(const struct clause *clause,
				    unsigned int arg)
{
	for (unsigned int i = 0; i < clause->nr_conds; i++)
		if (clause->conds[i].arg == arg)
			return &clause->conds[i];
	return NULL;
}

/* != and the like leave nearly everything open: not a limit. */
static bool is_limit(const struct cond *cond)
{
	return cond && (cond->op == COND_EQ || cond->op == COND_MASKED ||
			cond->op == COND_IN);
}

static int lint_limit(const struct rule *rule, unsigned int arg,
		      const char *arg_name)
{
	if (!rule->nr_clauses)
		return rules_error(rule->file, rule->line,
				   "%s: never bare, limit arg%u (%s)",
				   rule->name, arg, arg_name);
	for (unsigned int i = 0; i < rule->nr_clauses; i++)
		if (!is_limit(find_cond(&rule->clauses[i], arg)))
			return rules_error(rule->file, rule->line,
					   "%s: alternative %u does not limit "
					   "arg%u (%s) by ==, & or in",
					   rule->name, i + 1, arg, arg_name);
	return 0;
}

/* mmap and mprotect: no memory becomes executable after the policy. */
static int lint_exec(const struct rule *rule)
{
	if (strcmp(rule->name, "mmap") && strcmp(rule->name, "mprotect"))
		return 0;
	for (unsigned int i = 0; i < rule->nr_clauses; i++)
		if (admits(find_cond(&rule->clauses[i], 2), PROT_EXEC))
			return rules_error(rule->file, rule->line,
					   "%s: alternative %u admits PROT_EXEC",
					   rule->name, i + 1);
	return 0;
}

/* The same alternative twice is a slip for another. */
static int lint_duplicates(const struct rule *rule)
{
	const struct clause *c = rule->clauses;

	for (unsigned int i = 0; i < rule->nr_clauses; i++)
		for (unsigned int j = 0; j < i; j++)
			if (c[i].nr_conds == c[j].nr_conds &&
			    !memcmp(c[i].conds, c[j].conds,
				    c[i].nr_conds * sizeof(c[i].conds[0])))
				return rules_error(rule->file, rule->line,
						   "%s: alternatives %u and "
						   "%u are the same",
						   rule->name, j + 1, i + 1);
	return 0;
}

int lint_rule(const struct rule *rule)
{
	int err;

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (!strcmp(rule->name, never[i].name))
			return rules_error(rule->file, rule->line,
					   "%s: never allowed: %s", rule->name,
					   never[i].why);
	for (size_t i = 0; i < sizeof(must_limit) / sizeof(must_limit[0]);
	     i++) {
		if (strcmp(rule->name, must_limit[i].name))
			continue;
		err = lint_limit(rule, must_limit[i].arg,
				 must_limit[i].arg_name);
		if (err)
			return err;
	}
	err = lint_exec(rule);
	return err ? err : lint_duplicates(rule);
}
