/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks the compiled filter against the rules, before anybody relies on it:
 * an interpreter of the classic BPF that seccomp uses is fed system calls at
 * and around each constant of each rule, and every other system call number,
 * and the answers are compared with what the rules say.  A mistake of
 * libseccomp, or of build.c, is a failed build.  Part of policyc (build host).
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#include "policy/rules.h"

#define X32_BIT		0x40000000u
#define LAST_NR		1024u	/* beyond the last x86-64 system call */
#define MAX_VALUES	4096	/* tried per argument */

struct verifier {
	const struct rules *rules;
	const struct sock_filter *insns;
	size_t nr_insns;
	uint32_t default_ret;
};

/* The values an argument is tried with. */
struct values {
	size_t nr;
	uint64_t v[MAX_VALUES];
};

/* The kernel takes no other offsets. */
static bool can_load(uint32_t offset)
{
	return offset % 4 == 0 && offset < sizeof(struct seccomp_data);
}

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t word;

	memcpy(&word, (const char *)data + offset, sizeof(word));
	return word;
}

static bool jump_taken(uint16_t code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == k;
	case BPF_JGT:
		return a > k;
	case BPF_JGE:
		return a >= k;
	default:
		return a & k;	/* BPF_JSET */
	}
}

/* Jumps only go forward, so this ends.  Return: SECCOMP_RET_*. */
static int64_t run(const struct verifier *v, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < v->nr_insns; pc++) {
		const struct sock_filter *insn = &v->insns[pc];

		switch (insn->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (!can_load(insn->k))
				return -EINVAL;
			a = load(data, insn->k);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= insn->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += insn->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += jump_taken(insn->code, a, insn->k) ? insn->jt :
								   insn->jf;
			break;
		case BPF_RET | BPF_K:
			return insn->k;
		default:
			return -EINVAL;
		}
	}
	return -EINVAL;
}

static bool holds(const struct cond *cond, uint64_t arg)
{
	switch (cond->op) {
	case COND_EQ:
		return arg == cond->value;
	case COND_NE:
		return arg != cond->value;
	case COND_LT:
		return arg < cond->value;
	case COND_LE:
		return arg <= cond->value;
	case COND_GT:
		return arg > cond->value;
	case COND_GE:
		return arg >= cond->value;
	default:
		return (arg & cond->mask) == cond->value;
	}
}

bool clause_holds(const struct clause *clause, const uint64_t *args)
{
	unsigned int met = 0;

	for (unsigned int i = 0; i < clause->nr_conds; i++)
		met += holds(&clause->conds[i], args[clause->conds[i].arg]);
	return met == clause->nr_conds;
}

/* What the rule says of these arguments, by its words. */
static bool rule_allows(const struct rule *rule, const uint64_t *args)
{
	if (!rule->nr_clauses)
		return true;
	for (unsigned int i = 0; i < rule->nr_clauses; i++)
		if (clause_holds(&rule->clauses[i], args))
			return true;
	return false;
}

static int check(const struct verifier *v, const char *file,
		 unsigned int line, const struct seccomp_data *data,
		 uint32_t want)
{
	int64_t got = run(v, data);

	if (got == want)
		return 0;
	return rules_error(file, line, "the compiled filter answers %#llx "
			   "instead of %#x to call %d of arch %#x "
			   "(%#llx, %#llx, %#llx, %#llx, %#llx, %#llx): "
			   "libseccomp cannot express this, say it otherwise",
			   (long long)got, want, data->nr, data->arch,
			   (unsigned long long)data->args[0],
			   (unsigned long long)data->args[1],
			   (unsigned long long)data->args[2],
			   (unsigned long long)data->args[3],
			   (unsigned long long)data->args[4],
			   (unsigned long long)data->args[5]);
}

static int check_rule_at(const struct verifier *v, const struct rule *rule,
			 const struct seccomp_data *data)
{
	uint64_t args[RULE_NR_ARGS];

	memcpy(args, data->args, sizeof(args));
	return check(v, rule->file, rule->line, data,
		     rule_allows(rule, args) ? SECCOMP_RET_ALLOW :
					       v->default_ret);
}

static void add_value(struct values *values, uint64_t value)
{
	for (size_t i = 0; i < values->nr; i++)
		if (values->v[i] == value)
			return;
	if (values->nr < MAX_VALUES)
		values->v[values->nr++] = value;
}

/* Values at and around every constant that @rule compares @arg with. */
static void collect_values(const struct rule *rule, unsigned int arg,
			   struct values *values)
{
	values->nr = 0;
	for (unsigned int i = 0; i < rule->nr_clauses; i++) {
		for (unsigned int j = 0; j < rule->clauses[i].nr_conds; j++) {
			const struct cond *cond = &rule->clauses[i].conds[j];
			uint64_t value = cond->value;

			if (cond->arg != arg)
				continue;
			add_value(values, value);
			add_value(values, value - 1);
			add_value(values, value + 1);
			add_value(values, value | ~cond->mask);
			add_value(values, value ^ (1ULL << 32));
			for (int bit = 0; bit < 64 && cond->mask; bit += 3)
				add_value(values, value ^ (1ULL << bit));
		}
	}
	add_value(values, 0);
	add_value(values, ~0ULL);
}

/* Arguments that meet @clause, where each condition alone can be met. */
static void meet(const struct clause *clause, struct seccomp_data *data)
{
	for (unsigned int i = 0; i < clause->nr_conds; i++) {
		const struct cond *cond = &clause->conds[i];
		uint64_t value = cond->value;

		if (cond->op == COND_NE || cond->op == COND_GT)
			value++;
		else if (cond->op == COND_LT)
			value--;
		data->args[cond->arg] = value;
	}
}

/* From arguments that meet a clause, vary each pair of arguments. */
static int vary_pairs(const struct verifier *v, const struct rule *rule,
		      const struct seccomp_data *met,
		      const struct values *values)
{
	struct seccomp_data data;

	for (int a = 0; a < RULE_NR_ARGS; a++)
		for (int b = a + 1; b < RULE_NR_ARGS; b++)
			for (size_t i = 0; i < values[a].nr; i++)
				for (size_t j = 0; j < values[b].nr; j++) {
					data = *met;
					data.args[a] = values[a].v[i];
					data.args[b] = values[b].v[j];
					if (check_rule_at(v, rule, &data))
						return -EINVAL;
				}
	return 0;
}

static int verify_rule(const struct verifier *v, const struct rule *rule)
{
	static struct values values[RULE_NR_ARGS];
	struct seccomp_data data = {
		.nr = rule->nr,
		.arch = AUDIT_ARCH_X86_64,
	};
	int err = 0;

	for (unsigned int arg = 0; arg < RULE_NR_ARGS; arg++)
		collect_values(rule, arg, &values[arg]);
	err = vary_pairs(v, rule, &data, values);
	for (unsigned int i = 0; !err && i < rule->nr_clauses; i++) {
		memset(data.args, 0, sizeof(data.args));
		meet(&rule->clauses[i], &data);
		err = check_rule_at(v, rule, &data);
		if (!err)
			err = vary_pairs(v, rule, &data, values);
	}
	return err;
}

static const struct rule *rule_of(const struct rules *rules, int nr)
{
	for (unsigned int i = 0; i < rules->nr_rules; i++)
		if (rules->rules[i].nr == nr)
			return &rules->rules[i];
	return NULL;
}

/* One number: i386 and x32 are killed, x86-64 as the rules have it. */
static int verify_number(const struct verifier *v, int nr)
{
	const char *file = v->rules->files[0];
	struct seccomp_data data = { .nr = nr, .arch = AUDIT_ARCH_I386 };
	int err = check(v, file, 1, &data, SECCOMP_RET_KILL_PROCESS);

	data.arch = AUDIT_ARCH_X86_64;
	data.nr = (int)((uint32_t)nr | X32_BIT);
	if (!err)
		err = check(v, file, 1, &data, SECCOMP_RET_KILL_PROCESS);
	data.nr = nr;
	if (!err && !rule_of(v->rules, nr))
		err = check(v, file, 1, &data, v->default_ret);
	return err;
}

/* The edges of x32, and -1, which a tracer uses to skip a call. */
static int verify_edges(const struct verifier *v)
{
	static const struct {
		uint32_t nr;
		bool x32;
	} edges[] = {
		{ X32_BIT - 1, false }, { X32_BIT, true }, { X32_BIT + 1, true },
		{ UINT32_MAX - 1, true }, { UINT32_MAX, false },
	};
	struct seccomp_data data = { .arch = AUDIT_ARCH_X86_64 };
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(edges) / sizeof(edges[0]); i++) {
		data.nr = (int)edges[i].nr;
		err = check(v, v->rules->files[0], 1, &data,
			    edges[i].x32 ? SECCOMP_RET_KILL_PROCESS :
					   v->default_ret);
	}
	return err;
}

int verify_filter(const struct rules *rules, enum default_action action,
		  const struct sock_filter *insns, size_t nr_insns)
{
	struct verifier v = {
		.rules = rules,
		.insns = insns,
		.nr_insns = nr_insns,
		.default_ret = action == DEFAULT_REPORT ?
			       SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS,
	};
	int err = verify_edges(&v);

	for (unsigned int nr = 0; !err && nr < LAST_NR; nr++)
		err = verify_number(&v, (int)nr);
	for (unsigned int i = 0; !err && i < rules->nr_rules; i++)
		err = verify_rule(&v, &rules->rules[i]);
	return err;
}
