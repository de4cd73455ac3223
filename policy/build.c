/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct rules -> BPF, by libseccomp.  Part of policyc (build host).
 *
 * Arguments are compared in all 64 bits, also where the kernel takes an int
 * and looks at 32: an int with junk above it is refused, never let through.
 */
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/rules.h"

/*
 * libseccomp 2.5 runs for ever on some mixtures of alternatives with != or
 * an order.  A build must end, and say where.
 */
#define TIME_LIMIT_S 10

static char stuck_text[512];

static void on_alarm(int sig)
{
	ssize_t ret = write(STDERR_FILENO, stuck_text, strlen(stuck_text));

	(void)sig;
	(void)ret;
	_exit(1);
}

static void set_time_limit(const struct rule *rule)
{
	snprintf(stuck_text, sizeof(stuck_text),
		 "%s:%u: %s: libseccomp cannot express this in %d s, say it "
		 "otherwise\n", rule->file, rule->line, rule->name,
		 TIME_LIMIT_S);
	signal(SIGALRM, on_alarm);
	alarm(TIME_LIMIT_S);
}

static int fail(const struct rules *rules, const char *what, int err)
{
	return rules_error(rules->files[0], 1, "libseccomp: %s: %s", what,
			   strerror(-err));
}

static struct scmp_arg_cmp compare_arg(const struct cond *cond)
{
	static const enum scmp_compare ops[] = {
		[COND_EQ] = SCMP_CMP_EQ,
		[COND_NE] = SCMP_CMP_NE,
		[COND_LT] = SCMP_CMP_LT,
		[COND_LE] = SCMP_CMP_LE,
		[COND_GT] = SCMP_CMP_GT,
		[COND_GE] = SCMP_CMP_GE,
		[COND_MASKED] = SCMP_CMP_MASKED_EQ,
		[COND_IN] = SCMP_CMP_MASKED_EQ,
	};
	struct scmp_arg_cmp cmp = {
		.arg = cond->arg,
		.op = ops[cond->op],
		.datum_a = cond->value,
	};

	/* SCMP_CMP_MASKED_EQ takes the mask first, then the value. */
	if (cmp.op == SCMP_CMP_MASKED_EQ) {
		cmp.datum_a = cond->mask;
		cmp.datum_b = cond->value;
	}
	return cmp;
}

static int add_clause(scmp_filter_ctx ctx, const struct rule *rule,
		      const struct clause *clause)
{
	struct scmp_arg_cmp cmps[RULE_NR_ARGS];

	for (unsigned int i = 0; i < clause->nr_conds; i++)
		cmps[i] = compare_arg(&clause->conds[i]);
	return seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW, rule->nr,
					    clause->nr_conds, cmps);
}

static int add_rule(scmp_filter_ctx ctx, const struct rule *rule)
{
	int err = 0;

	set_time_limit(rule);
	if (!rule->nr_clauses)
		err = seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW,
						   rule->nr, 0, NULL);
	for (unsigned int i = 0; !err && i < rule->nr_clauses; i++)
		err = add_clause(ctx, rule, &rule->clauses[i]);
	alarm(0);
	signal(SIGALRM, SIG_DFL);
	if (err)
		return rules_error(rule->file, rule->line,
				   "%s: libseccomp cannot express this: %s",
				   rule->name, strerror(-err));
	return 0;
}

/* The program, by way of a memory file: libseccomp only writes to an fd. */
static int export_filter(const struct rules *rules, scmp_filter_ctx ctx,
			 struct sock_filter **insns, size_t *nr_insns)
{
	int fd = memfd_create("policyc", MFD_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0)
		return fail(rules, "memfd_create", -errno);
	err = seccomp_export_bpf(ctx, fd);
	if (!err && fstat(fd, &st) < 0)
		err = -errno;
	if (err) {
		err = fail(rules, "export", err);
		goto out;
	}
	*nr_insns = (size_t)st.st_size / sizeof(**insns);
	*insns = malloc((size_t)st.st_size);
	if (!*insns || pread(fd, *insns, (size_t)st.st_size, 0) != st.st_size)
		err = fail(rules, "read back", -EIO);
	else if (*nr_insns > BPF_MAXINSNS)
		err = rules_error(rules->files[0], 1,
				  "the filter has %zu instructions, the kernel "
				  "takes %d", *nr_insns, BPF_MAXINSNS);
out:
	close(fd);
	return err;
}

int build_filter(const struct rules *rules, enum default_action action,
		 struct sock_filter **insns, size_t *nr_insns)
{
	scmp_filter_ctx ctx = seccomp_init(action == DEFAULT_REPORT ?
					   SCMP_ACT_TRAP :
					   SCMP_ACT_KILL_PROCESS);
	int err;

	if (!ctx)
		return fail(rules, "init", -ENOMEM);
	/* The build host need not be the target. */
	if (seccomp_arch_native() != SCMP_ARCH_X86_64)
		err = -EDOM;
	else
		/* i386 and x32 calls: always at once, never a word. */
		err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
				       SCMP_ACT_KILL_PROCESS);
	if (err)
		err = fail(rules, "set up for x86-64", err);
	for (unsigned int i = 0; !err && i < rules->nr_rules; i++)
		err = add_rule(ctx, &rules->rules[i]);
	if (!err)
		err = export_filter(rules, ctx, insns, nr_insns);
	seccomp_release(ctx);
	return err;
}
