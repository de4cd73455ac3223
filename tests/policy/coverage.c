/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coverage EXCEPTIONS POLICY... LOG...: which alternatives of the policies were
 * used in the runs that strace saw?  TAP: per policy, none is unused but those
 * that EXCEPTIONS gives a reason for, and nothing outside was called.
 *
 * A log is of `strace -f -q -e raw='!prctl,seccomp'`.  A process is known by the
 * name it gives itself, its calls count from its seccomp() to its end, after
 * which its pid may be another's.  VMs must have run one after another: threads
 * of the core are not told apart by VM.
 *
 * Run by tests/policy/test_coverage.sh, see there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rules.h"
#include "tests/tap.h"

#define MAX_POLICIES	8
#define MAX_PIDS	4194305	/* proc(5), /proc/sys/kernel/pid_max */
#define MAX_EXCEPTIONS	32
#define LINE_BYTES	4096

struct coverage {
	const char *role;	/* "blk", of POLICY's name */
	struct rules rules;
	unsigned long used[RULES_MAX][RULE_MAX_CLAUSES];
	unsigned long calls;
	unsigned long outside;
};

/* What is known of a thread. */
struct thread {
	unsigned char policy;	/* number of its coverage + 1; 0 none */
	bool filtered;
};

static struct {
	char *text;
	bool names_something;
} exceptions[MAX_EXCEPTIONS];
static unsigned int nr_exceptions;

static struct coverage coverages[MAX_POLICIES];
static unsigned int nr_coverages;
static struct thread threads[MAX_PIDS];

/* --- the log ------------------------------------------------------------- */

/* "blk-vda" and "blk" are of role blk; threads "vcpu0" and "chores" are the core's. */
static unsigned char policy_of_name(const char *name)
{
	const char *role = name;
	size_t len;

	if (!strncmp(name, "bulkhead-core", 13) || !strncmp(name, "vcpu", 4) ||
	    !strncmp(name, "chores", 6))
		role = "core";
	len = strcspn(role, "-\"");
	for (unsigned int i = 0; i < nr_coverages; i++)
		if (strlen(coverages[i].role) == len &&
		    !strncmp(coverages[i].role, role, len))
			return (unsigned char)(i + 1);
	return 0;
}

/* SECCOMP_FILTER_FLAG_TSYNC: from now on for all threads of the process. */
static void filter_begins(struct thread *thread)
{
	thread->filtered = true;
	if (!thread->policy || strcmp(coverages[thread->policy - 1].role, "core"))
		return;
	for (size_t i = 0; i < MAX_PIDS; i++)
		if (threads[i].policy == thread->policy)
			threads[i].filtered = true;
}

static int rule_find(const struct coverage *coverage, const char *name,
		     size_t len)
{
	for (unsigned int i = 0; i < coverage->rules.nr_rules; i++) {
		const struct rule *rule = &coverage->rules.rules[i];

		if (strlen(rule->name) == len && !strncmp(rule->name, name, len))
			return (int)i;
	}
	return -1;
}

/* All alternatives that hold are used.  Return: whether there is one. */
static bool clauses_count(struct coverage *coverage, int index,
			  const uint64_t *args)
{
	const struct rule *rule = &coverage->rules.rules[index];
	bool any = !rule->nr_clauses;

	coverage->used[index][0] += any;
	for (unsigned int i = 0; i < rule->nr_clauses; i++) {
		if (!clause_holds(&rule->clauses[i], args))
			continue;
		coverage->used[index][i]++;
		any = true;
	}
	return any;
}

/* "read(0x9, 0x7ffc12345678, 0x8) = 0x8" of a process under a policy */
static void call_count(struct coverage *coverage, unsigned long pid,
		       const char *call)
{
	uint64_t args[RULE_NR_ARGS] = { 0 };
	size_t len = strcspn(call, "(");
	const char *at = call + len + (call[len] == '(');
	int index = rule_find(coverage, call, len);
	char *end;

	for (int i = 0; i < RULE_NR_ARGS; i++) {
		args[i] = strtoull(at, &end, 16);
		if (end == at)
			break;
		at = end + strspn(end, ", ");
	}
	coverage->calls++;
	if (index >= 0 && clauses_count(coverage, index, args))
		return;
	coverage->outside++;
	printf("# %s, pid %lu: %s", coverage->role, pid, call);
}

/*
 * Not "<... read resumed>", not "--- SIGSTOP ---", and not "???( <unfinished",
 * which is a thread that was killed before strace could ask what it wants.
 * But "--- SIGSYS" is the end by a policy, of whatever call.
 */
static bool is_call(const char *line)
{
	return (strchr(line, '(') && !strchr("<-?", line[0])) ||
	       !strncmp(line, "--- SIGSYS", 10);
}

static void line_take(const char *line)
{
	char *at;
	unsigned long pid = strtoul(line, &at, 10);
	struct thread *thread;

	at += strspn(at, " ");
	if (pid >= MAX_PIDS)
		tap_bail_out("no pid in the log: %s", line);
	thread = &threads[pid];
	if (!strncmp(at, "+++", 3))
		*thread = (struct thread){ 0 };
	else if (!strncmp(at, "prctl(PR_SET_NAME, \"", 20))
		*thread = (struct thread){ .policy = policy_of_name(at + 20) };
	else if (!strncmp(at, "seccomp(SECCOMP_SET_MODE_FILTER", 31))
		filter_begins(thread);
	else if (thread->policy && thread->filtered && is_call(at))
		call_count(&coverages[thread->policy - 1], pid, at);
}

static void log_take(const char *path)
{
	static char line[LINE_BYTES];
	FILE *file = fopen(path, "re");

	if (!file)
		tap_bail_out("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file))
		line_take(line);
	fclose(file);
	memset(threads, 0, sizeof(threads));
}

/* --- the verdict --------------------------------------------------------- */

/* The text of alternative number nr, as the policy has it. */
static void clause_text(const struct rule *rule, unsigned int nr, char *text,
			size_t bytes)
{
	const char *at = rule->expression, *end;

	while (nr--)
		at = strstr(at, " || ") + 4;
	end = strstr(at, " || ");
	snprintf(text, bytes, "%.*s", end ? (int)(end - at) : INT_MAX, at);
}

/* Lines "ROLE CALL: ALTERNATIVE  # reason: TEXT". */
static void exceptions_read(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_BYTES];
	char *reason;

	if (!file)
		tap_bail_out("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		reason = strstr(line, "  # reason: ");
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (!reason || nr_exceptions == MAX_EXCEPTIONS)
			tap_bail_out("%s: no reason, or too many: %s", path,
				     line);
		exceptions[nr_exceptions++].text = strndup(line,
							   (size_t)(reason - line));
	}
	fclose(file);
}

/* What is wanted is "ROLE CALL: ALTERNATIVE"; "every" there is every role. */
static bool is_excepted(const char *wanted)
{
	for (unsigned int i = 0; i < nr_exceptions; i++) {
		const char *text = exceptions[i].text;

		if (strcmp(text, wanted) && (strncmp(text, "every ", 6) ||
		    strcmp(text + 6, strchr(wanted, ' ') + 1)))
			continue;
		exceptions[i].names_something = true;
		return true;
	}
	return false;
}

static void exceptions_judge(void)
{
	unsigned int stale = 0;

	for (unsigned int i = 0; i < nr_exceptions; i++) {
		if (exceptions[i].names_something)
			continue;
		printf("# names nothing: %s\n", exceptions[i].text);
		stale++;
	}
	tap_result(!stale, "each of %u exceptions names an alternative",
		   nr_exceptions);
}

static unsigned int rule_judge(const struct coverage *coverage,
			       unsigned int index)
{
	const struct rule *rule = &coverage->rules.rules[index];
	unsigned int nr = rule->nr_clauses ? rule->nr_clauses : 1;
	char text[512], wanted[600];
	unsigned int unused = 0;
	bool excepted;

	for (unsigned int i = 0; i < nr; i++) {
		clause_text(rule, i, text, sizeof(text));
		snprintf(wanted, sizeof(wanted), "%s %s: %s", coverage->role,
			 rule->name, text);
		excepted = is_excepted(wanted);
		if (coverage->used[index][i])
			continue;
		if (excepted) {
			printf("# excepted: %s\n", wanted);
			continue;
		}
		printf("# never used: %s (%s:%u)\n", wanted, rule->file,
		       rule->line);
		unused++;
	}
	return unused;
}

static void judge(const struct coverage *coverage)
{
	unsigned int unused = 0;

	for (unsigned int i = 0; i < coverage->rules.nr_rules; i++)
		unused += rule_judge(coverage, i);
	tap_result(!unused, "%s: each alternative of %u allowed calls was used",
	       coverage->role, coverage->rules.nr_rules);
	tap_result(coverage->calls && !coverage->outside,
	       "%s: %lu calls, none outside of its policy", coverage->role,
	       coverage->calls);
}

static void policy_add(const char *path)
{
	struct coverage *coverage = &coverages[nr_coverages];
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	if (nr_coverages == MAX_POLICIES)
		tap_bail_out("too many policies: %s", path);
	coverage->role = strndup(base, strcspn(base, "."));
	if (!coverage->role || rules_parse(&coverage->rules, path))
		tap_bail_out("cannot parse %s", path);
	nr_coverages++;
}

int main(int argc, char **argv)
{
	int first_log = 2;

	if (argc < 4)
		tap_bail_out("usage: coverage EXCEPTIONS POLICY... LOG...");
	exceptions_read(argv[1]);
	while (first_log < argc && strstr(argv[first_log], ".policy"))
		policy_add(argv[first_log++]);
	for (int i = first_log; i < argc; i++)
		log_take(argv[i]);
	for (unsigned int i = 0; i < nr_coverages; i++)
		judge(&coverages[i]);
	exceptions_judge();
	return tap_end();
}
