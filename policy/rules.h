/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as policyc holds it in memory, and the steps of its compilation:
 * parse -> lint -> build -> verify -> write.  Build host only; nothing of
 * this is linked into a process.
 *
 * Every step reports its first error itself, one line on stderr,
 * "FILE:LINE: message", and returns -EINVAL.
 */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RULES_MAX_FILES		8	/* the policy and its includes */
#define RULES_MAX		128	/* system calls in a policy */
#define RULE_MAX_CLAUSES	64	/* alternatives in a rule */
#define RULE_NR_ARGS		6	/* of a system call */

enum cond_op {
	COND_EQ,
	COND_NE,
	COND_LT,
	COND_LE,
	COND_GT,
	COND_GE,
	COND_MASKED,	/* arg & mask == value */
	COND_IN,	/* arg & mask == 0, mask being all but the flags */
};

struct cond {
	unsigned int arg;	/* 0..5 */
	enum cond_op op;
	uint64_t mask;		/* COND_MASKED, COND_IN */
	uint64_t value;		/* 0 for COND_IN */
};

/* Conditions that must all hold; libseccomp takes one per argument. */
struct clause {
	unsigned int nr_conds;
	struct cond conds[RULE_NR_ARGS];
};

/* One system call: allowed if any clause holds.  A bare allow has none. */
struct rule {
	const char *file;	/* where it is written */
	unsigned int line;
	char *name;
	int nr;			/* x86-64 */
	char *expression;	/* as written, blanks evened out */
	char *reason;
	unsigned int nr_clauses;
	struct clause clauses[RULE_MAX_CLAUSES];
};

/* Rules in the order of the files; names are unique. */
struct rules {
	unsigned int nr_files;
	char *files[RULES_MAX_FILES];
	unsigned int nr_rules;
	struct rule rules[RULES_MAX];
};

enum default_action {
	DEFAULT_REPORT,	/* SECCOMP_RET_TRAP, see lastword.h */
	DEFAULT_KILL,	/* SECCOMP_RET_KILL_PROCESS */
};

/* "FILE:LINE: message" on stderr.  Return: -EINVAL. */
int rules_error(const char *file, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Parse @path and what it includes.  @rules is zeroed by the caller. */
int rules_parse(struct rules *rules, const char *path);
void rules_free(struct rules *rules);

/*
 * Parse the right-hand side of a rule into its clauses.  @text is one line
 * without the reason.
 */
int expression_parse(struct rule *rule, const char *text);

/* Whether all conditions hold for the RULE_NR_ARGS arguments of a call. */
bool clause_holds(const struct clause *clause, const uint64_t *args);

/* Refuse what no policy of this project may say. */
int lint_rule(const struct rule *rule);

/* Value of a symbolic constant.  Return: whether there is one. */
bool constant_find(const char *name, uint64_t *value);
/* The table is sorted and free of duplicates: policyc checks it first. */
bool constants_sorted(void);

/* Compile with libseccomp.  @insns is malloc'ed, owned by the caller. */
int build_filter(const struct rules *rules, enum default_action action,
		 struct sock_filter **insns, size_t *nr_insns);

/*
 * Run the filter on system calls at and around every condition, and check
 * that it says what the rules say.
 */
int verify_filter(const struct rules *rules, enum default_action action,
		  const struct sock_filter *insns, size_t nr_insns);

#endif
