/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The right-hand side of a policy rule: "arg1 == A && arg2 in B|C || ...".
 * A scanner and a recursive descent of one function per grammar rule:
 *
 *   expression = "allow" | clause { "||" clause }
 *   clause     = condition { "&&" condition }
 *   condition  = argument ( compare value | "&" value "==" value
 *                         | "in" value )
 *   argument   = "arg0" .. "arg5" | "fd"
 *   value      = atom { "|" atom }
 *   atom       = [ "~" ] ( number | NAME )
 *
 * Part of policyc (build host).
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rules.h"

#define TOKEN_MAX 64

struct scanner {
	struct rule *rule;
	const char *next;
	char token[TOKEN_MAX];	/* empty at the end of the text */
};

static const char *const two_char_tokens[] = {
	"==", "!=", "<=", ">=", "&&", "||",
};

static int fail(const struct scanner *s, const char *what, const char *detail)
{
	return rules_error(s->rule->file, s->rule->line, "%s: %s%s%s%s",
			   s->rule->name, what, detail ? " '" : "",
			   detail ? detail : "", detail ? "'" : "");
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static size_t token_length(const char *text)
{
	size_t len = 0;

	while (is_word(text[len]))
		len++;
	if (len)
		return len;
	for (size_t i = 0; i < sizeof(two_char_tokens) /
			   sizeof(two_char_tokens[0]); i++)
		if (!strncmp(text, two_char_tokens[i], 2))
			return 2;
	return *text ? 1 : 0;
}

static int advance(struct scanner *s)
{
	size_t len;

	while (isspace((unsigned char)*s->next))
		s->next++;
	len = token_length(s->next);
	if (len >= TOKEN_MAX)
		return fail(s, "word too long", NULL);
	memcpy(s->token, s->next, len);
	s->token[len] = '\0';
	s->next += len;
	return 0;
}

static bool at(const struct scanner *s, const char *token)
{
	return !strcmp(s->token, token);
}

static int expected(const struct scanner *s, const char *what)
{
	char text[TOKEN_MAX + 16];

	snprintf(text, sizeof(text), "expected %s, found", what);
	if (at(s, ""))
		return fail(s, text, "end of line");
	return fail(s, text, s->token);
}

static int parse_atom(struct scanner *s, uint64_t *value)
{
	bool invert = at(s, "~");
	char *end;
	int err;

	if (invert) {
		err = advance(s);
		if (err)
			return err;
	}
	if (!is_word(s->token[0]))
		return expected(s, "a constant");
	if (isdigit((unsigned char)s->token[0])) {
		errno = 0;
		*value = strtoull(s->token, &end, 0);
		/* 010 would be octal: nobody means that. */
		if (*end || errno ||
		    (s->token[0] == '0' && isdigit((unsigned char)s->token[1])))
			return fail(s, "bad number", s->token);
	} else if (!constant_find(s->token, value)) {
		return fail(s, "unknown constant", s->token);
	}
	if (invert)
		*value = ~*value;
	return advance(s);
}

static int parse_value(struct scanner *s, uint64_t *value)
{
	uint64_t atom;
	int err = parse_atom(s, value);

	while (!err && at(s, "|")) {
		err = advance(s);
		if (err)
			return err;
		err = parse_atom(s, &atom);
		if (!err)
			*value |= atom;
	}
	return err;
}

static int parse_argument(struct scanner *s, unsigned int *arg)
{
	if (at(s, "fd"))
		*arg = 0;
	else if (!strncmp(s->token, "arg", 3) && s->token[3] >= '0' &&
		 s->token[3] < '0' + RULE_NR_ARGS && !s->token[4])
		*arg = (unsigned int)(s->token[3] - '0');
	else
		return expected(s, "fd or arg0..arg5");
	return advance(s);
}

static int parse_masked(struct scanner *s, struct cond *cond)
{
	int err = parse_value(s, &cond->mask);

	if (err)
		return err;
	if (!at(s, "=="))
		return expected(s, "== after the mask");
	err = advance(s);
	if (err)
		return err;
	err = parse_value(s, &cond->value);
	if (err)
		return err;
	if (!cond->mask)
		return fail(s, "empty mask, always true", NULL);
	if (cond->value & ~cond->mask)
		return fail(s, "value has bits outside its mask, never true",
			    NULL);
	return 0;
}

static int parse_condition(struct scanner *s, struct cond *cond)
{
	static const struct {
		const char *token;
		enum cond_op op;
	} ops[] = {
		{ "==", COND_EQ }, { "!=", COND_NE }, { "<", COND_LT },
		{ "<=", COND_LE }, { ">", COND_GT }, { ">=", COND_GE },
		{ "&", COND_MASKED }, { "in", COND_IN },
	};
	size_t i;
	int err;

	err = parse_argument(s, &cond->arg);
	if (err)
		return err;
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (at(s, ops[i].token))
			break;
	if (i == sizeof(ops) / sizeof(ops[0]))
		return expected(s, "an operator");
	cond->op = ops[i].op;
	err = advance(s);
	if (err)
		return err;
	if (cond->op == COND_MASKED)
		return parse_masked(s, cond);
	err = parse_value(s, &cond->value);
	if (!err && cond->op == COND_IN) {
		cond->mask = ~cond->value;
		if (!cond->mask)
			return fail(s, "all flags, always true", NULL);
		cond->value = 0;
	}
	return err;
}

static int parse_clause(struct scanner *s, struct clause *clause)
{
	struct cond cond;
	int err;

	for (;;) {
		memset(&cond, 0, sizeof(cond));
		err = parse_condition(s, &cond);
		if (err)
			return err;
		/* libseccomp's own limit, and a sign of a muddled rule. */
		for (unsigned int i = 0; i < clause->nr_conds; i++)
			if (clause->conds[i].arg == cond.arg)
				return fail(s, "two conditions on one argument "
					    "joined by && (use in, a mask, or "
					    "||)", NULL);
		clause->conds[clause->nr_conds++] = cond;
		if (!at(s, "&&"))
			return 0;
		err = advance(s);
		if (err)
			return err;
	}
}

int expression_parse(struct rule *rule, const char *text)
{
	struct scanner s = { .rule = rule, .next = text };
	int err = advance(&s);

	if (err)
		return err;
	if (at(&s, "allow")) {
		err = advance(&s);
		if (err)
			return err;
		return at(&s, "") ? 0 : expected(&s, "nothing after allow");
	}
	for (;;) {
		if (rule->nr_clauses == RULE_MAX_CLAUSES)
			return fail(&s, "too many alternatives", NULL);
		err = parse_clause(&s, &rule->clauses[rule->nr_clauses]);
		if (err)
			return err;
		rule->nr_clauses++;
		if (at(&s, ""))
			return 0;
		if (!at(&s, "||"))
			return expected(&s, "&& or ||");
		err = advance(&s);
		if (err)
			return err;
	}
}
