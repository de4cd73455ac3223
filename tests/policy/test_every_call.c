/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each shipped policy against the kernel, in the direction that kills: every
 * call number of x86-64 that it does not name, every number by the x32 and
 * i386 entries, and every call that it names with each of its conditions broken
 * in turn.  A child for each: it must die of SIGSYS, and say of which call.
 * That each allowed call is needed is test_coverage.sh's to show.
 */
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/policy.h"
#include "policy/rules.h"
#include "tests/tap.h"

#define LAST_NR		512	/* beyond those of Linux 6.18, on each entry */
#define X32_BIT		0x40000000u
#define CHILD_S		10
#define MAX_COMPLAINTS	5
#define FAILED		1	/* exit status: the call was refused */
#define DONE		0	/* exit status: it did something */

enum entry { ENTRY_X86_64, ENTRY_X32, ENTRY_I386 };

struct call {
	enum entry entry;
	uint32_t nr;
	uint64_t args[RULE_NR_ARGS];
};

static struct last_word *word;	/* a page shared with the children */
static unsigned int nr_complaints;

/*
 * A process's own side of a probe that perf or a tracer has set into it.  The
 * kernel keeps both from all filters, as a probed process would die otherwise
 * (Linux 6.14 and 6.18, kernel/seccomp.c), and refuses them from anywhere but
 * its own trampoline.
 */
#define NR_URETPROBE	335u
#define NR_UPROBE	336u

static bool is_no_filters(const struct call *call)
{
	return call->entry == ENTRY_X86_64 &&
	       (call->nr == NR_URETPROBE || call->nr == NR_UPROBE);
}

/* Return: what the call did, if it did anything. */
static long make_call(const struct call *call)
{
	const uint64_t *args = call->args;
	long ret = (long)call->nr;

	if (call->entry == ENTRY_I386)
		__asm__ volatile("int $0x80"
				 : "+a"(ret)
				 : "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
				 : "memory");
	else
		ret = syscall(call->entry == ENTRY_X32 ? ret | X32_BIT : ret,
			      args[0], args[1], args[2], args[3], args[4],
			      args[5]);
	return ret;
}

/* Return: as waitpid(2) has it, -1 if it was not to be. */
static int try_call(const struct policy *policy, const struct call *call)
{
	struct rlimit no_core = { 0, 0 };
	int status = -1;
	pid_t pid;

	memset(word, 0, sizeof(*word));
	pid = fork();
	if (pid == 0) {
		alarm(CHILD_S);
		setrlimit(RLIMIT_CORE, &no_core);
		if (policy && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			       policy_install(policy, 0, word)))
			_exit(2);
		syscall(SYS_exit_group, make_call(call) < 0 ? FAILED : DONE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* Calls of other entries kill at once, without a word. */
static bool dies(const struct policy *policy, const struct call *call)
{
	static const char *const names[] = { "x86-64", "x32", "i386" };
	int status = try_call(policy, call);
	struct last_word_report report;
	bool named = lastword_take(word, &report) == 0;
	bool ok = status != -1 && WIFSIGNALED(status) &&
		  WTERMSIG(status) == SIGSYS;

	if (ok && call->entry == ENTRY_X86_64)
		ok = named && report.nr == call->nr &&
		     report.arch == AUDIT_ARCH_X86_64;
	else if (ok)
		ok = !named;
	if (!ok && nr_complaints++ < MAX_COMPLAINTS)
		printf("# %s: %s call %u (%#llx, %#llx, %#llx): status %#x%s\n",
		       policy->name, names[call->entry], call->nr,
		       (unsigned long long)call->args[0],
		       (unsigned long long)call->args[1],
		       (unsigned long long)call->args[2],
		       (unsigned int)status, named ? ", named" : "");
	return ok;
}

static const struct rule *find_rule(const struct rules *rules, uint32_t nr)
{
	for (unsigned int i = 0; i < rules->nr_rules; i++)
		if (rules->rules[i].nr == (int)nr)
			return &rules->rules[i];
	return NULL;
}

static void test_numbers(const struct policy *policy,
			 const struct rules *rules, enum entry entry,
			 const char *what)
{
	unsigned int nr_tried = 0, nr_dead = 0;

	for (uint32_t nr = 0; nr <= LAST_NR; nr++) {
		const struct call call = { .entry = entry, .nr = nr };

		if (entry == ENTRY_X86_64 && find_rule(rules, nr))
			continue;
		if (is_no_filters(&call))
			continue;
		nr_tried++;
		nr_dead += dies(policy, &call);
	}
	tap_result(nr_dead == nr_tried, "%s: each of %u %s kills",
		   policy->name, nr_tried, what);
}

/* Refused by its return value, or by SIGILL; or by a filter after all. */
static void test_no_filters(const struct policy *policy)
{
	bool ok = true;

	for (uint32_t nr = NR_URETPROBE; nr <= NR_UPROBE; nr++) {
		const struct call call = { .nr = nr };
		int status = try_call(policy, &call);

		ok &= status != -1 &&
		      (WIFSIGNALED(status) || WEXITSTATUS(status) == FAILED);
	}
	tap_result(ok, "%s: uretprobe and uprobe, which no filter sees, do nothing",
		   policy->name);
}

/* --- conditions -------------------------------------------------------------- */

static bool rule_holds(const struct rule *rule, const uint64_t *args)
{
	for (unsigned int i = 0; i < rule->nr_clauses; i++)
		if (clause_holds(&rule->clauses[i], args))
			return true;
	return false;
}

static void meet(const struct clause *clause, uint64_t *args)
{
	memset(args, 0, RULE_NR_ARGS * sizeof(*args));
	for (unsigned int i = 0; i < clause->nr_conds; i++) {
		const struct cond *cond = &clause->conds[i];
		bool above = cond->op == COND_NE || cond->op == COND_GT;

		args[cond->arg] = cond->value + (above ? 1 : 0) -
				  (cond->op == COND_LT ? 1 : 0);
	}
}

/* Values that a condition on value may not let through. */
static uint64_t wrong_value(const struct cond *cond, unsigned int which)
{
	switch (which) {
	case 0:
		return cond->value + 1;
	case 1:
		return cond->value - 1;
	case 2:		/* above 32 bits, which an int would not show */
		return cond->value | 1ull << 32;
	case 3:
		return cond->value ^ 1ull << 63;
	case 4:		/* a bit that the mask looks at */
		return cond->value ^ (cond->mask & -cond->mask);
	default:
		return UINT64_MAX;
	}
}
#define NR_WRONG	6

struct tally {
	unsigned int nr_conds, nr_broken;	/* at least once */
	unsigned int nr_tried, nr_dead;
};

/* Condition number index of the clause is broken, the others hold. */
static void break_condition(const struct policy *policy,
			    const struct rule *rule,
			    const struct clause *clause, unsigned int index,
			    struct tally *tally)
{
	const struct cond *cond = &clause->conds[index];
	unsigned int before = tally->nr_tried;

	for (unsigned int which = 0; which < NR_WRONG; which++) {
		struct call call = { .nr = (uint32_t)rule->nr };

		meet(clause, call.args);
		call.args[cond->arg] = wrong_value(cond, which);
		/* Another alternative may let it through. */
		if (rule_holds(rule, call.args))
			continue;
		tally->nr_tried++;
		tally->nr_dead += dies(policy, &call);
	}
	tally->nr_conds++;
	tally->nr_broken += tally->nr_tried > before;
}

static void test_conditions(const struct policy *policy,
			    const struct rules *rules)
{
	struct tally tally = { 0 };

	for (unsigned int i = 0; i < rules->nr_rules; i++) {
		const struct rule *rule = &rules->rules[i];

		for (unsigned int j = 0; j < rule->nr_clauses; j++)
			for (unsigned int k = 0;
			     k < rule->clauses[j].nr_conds; k++)
				break_condition(policy, rule,
						&rule->clauses[j], k, &tally);
	}
	/* The child of `bulkhead disk` has no fd but those that it may use. */
	if (!tally.nr_conds && !strcmp(policy->name, "disk"))
		return;
	tap_result(tally.nr_conds && tally.nr_dead == tally.nr_tried &&
		   tally.nr_broken == tally.nr_conds,
		   "%s: each of %u conditions, broken in %u ways in all, kills",
		   policy->name, tally.nr_conds, tally.nr_tried);
}

static bool kernel_has_i386(void)
{
	const struct call getpid_i386 = { .entry = ENTRY_I386, .nr = 20 };
	int status = try_call(NULL, &getpid_i386);

	return status != -1 && WIFEXITED(status);
}

static void test_policy(const struct policy *policy)
{
	static struct rules rules;
	char path[64];

	memset(&rules, 0, sizeof(rules));
	snprintf(path, sizeof(path), "policy/%s.policy", policy->name);
	if (rules_parse(&rules, path))
		tap_bail_out("%s cannot be read", path);
	test_numbers(policy, &rules, ENTRY_X86_64, "other calls");
	test_no_filters(policy);
	test_numbers(policy, &rules, ENTRY_X32, "x32 calls");
	if (kernel_has_i386())
		test_numbers(policy, &rules, ENTRY_I386, "i386 calls");
	else
		tap_skip("this kernel has no i386 calls", "%s: i386 calls kill",
			 policy->name);
	test_conditions(policy, &rules);
	rules_free(&rules);
}

int main(void)
{
	static const struct policy *const policies[] = {
		&policy_core, &policy_blk, &policy_console, &policy_disk,
		&policy_rng, &policy_serial,
	};

	word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (word == MAP_FAILED)
		tap_bail_out("mmap: %s", strerror(errno));
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		test_policy(policies[i]);
	return tap_end();
}
