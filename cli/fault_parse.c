/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault rules, from words to struct and back: see cli/fault_parse.h.  Runs in
 * the supervisor and in `check` (C1, and at a client's request).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fault_parse.h"

#define NUMBER_MAX	INT64_MAX
#define SECTOR_MAX	(INT64_MAX / 512)
#define DELAY_MAX_MS	3600000
#define BITS_MAX	4096	/* as many as the smallest request has */
#define MISDIRECT_SECTORS	8	/* if nothing is said */
#define JUMP_MAX_MS	2592000000	/* 30 days, either way */

#define BLK	(1u << LIFE_ROLE_BLK)
#define CHARS	(1u << LIFE_ROLE_SERIAL | 1u << LIFE_ROLE_CONSOLE)
#define RINGS	(1u << LIFE_ROLE_BLK | 1u << LIFE_ROLE_CONSOLE | \
		 1u << LIFE_ROLE_RNG)
#define EVERY	(RINGS | 1u << LIFE_ROLE_SERIAL)
#define CORE	(1u << LIFE_ROLE_CORE)

#define READ	(1u << FAULT_OP_READ)
#define WRITE	(1u << FAULT_OP_WRITE)
#define FLUSH	(1u << FAULT_OP_FLUSH)
#define DISCARD	(1u << FAULT_OP_DISCARD)
#define EXIT	(1u << FAULT_OP_EXIT)
#define REQUESTS	(READ | WRITE | FLUSH | DISCARD)

enum value_kind {
	VALUE_NONE, VALUE_NUMBER, VALUE_MAYBE, VALUE_POINT, VALUE_SIGNED,
};

static const struct action {
	unsigned int roles;
	unsigned int ops;	/* that it can do anything to */
	enum value_kind value;
	uint64_t min, max;
	uint64_t missing;	/* VALUE_MAYBE: what it is then */
} actions[FAULT_NR_ACTIONS] = {
	[FAULT_EIO] = { BLK, REQUESTS, VALUE_NONE, 0, 0, 0 },
	[FAULT_ENOSPC] = { BLK, WRITE | DISCARD, VALUE_NONE, 0, 0, 0 },
	[FAULT_DELAY] = { BLK, REQUESTS, VALUE_NUMBER, 1, DELAY_MAX_MS,
			  0 },
	[FAULT_HOLD] = { BLK, REQUESTS, VALUE_NONE, 0, 0, 0 },
	[FAULT_SHORT] = { BLK, READ | WRITE, VALUE_NONE, 0, 0, 0 },
	[FAULT_TORN] = { BLK, WRITE, VALUE_NUMBER, 0, SECTOR_MAX, 0 },
	[FAULT_CORRUPT] = { BLK, READ | WRITE, VALUE_NUMBER, 1, BITS_MAX, 0 },
	[FAULT_LOSE] = { BLK, WRITE | FLUSH | DISCARD, VALUE_NONE, 0, 0, 0 },
	[FAULT_MISDIRECT] = { BLK, WRITE, VALUE_MAYBE, 1, SECTOR_MAX,
			      MISDIRECT_SECTORS },
	[FAULT_CRASH] = { EVERY, REQUESTS, VALUE_POINT, 0, 0, 0 },
	[FAULT_HANG] = { EVERY, REQUESTS, VALUE_NONE, 0, 0, 0 },
	[FAULT_LOSE_INTERRUPT] = { EVERY, REQUESTS, VALUE_NONE, 0, 0, 0 },
	[FAULT_SPURIOUS_INTERRUPT] = { EVERY, REQUESTS, VALUE_NONE, 0, 0,
				       0 },
	[FAULT_BAD_USED] = { RINGS, REQUESTS, VALUE_NONE, 0, 0, 0 },
	[FAULT_DROP] = { CHARS, READ | WRITE, VALUE_NONE, 0, 0, 0 },
	[FAULT_GARBLE] = { CHARS, READ | WRITE, VALUE_NONE, 0, 0, 0 },
	[FAULT_STALL] = { CHARS, READ | WRITE, VALUE_NONE, 0, 0, 0 },
	[FAULT_VCPU_PAUSE] = { CORE, EXIT, VALUE_NUMBER, 1, DELAY_MAX_MS, 0 },
	[FAULT_CLOCK_JUMP] = { CORE, EXIT, VALUE_SIGNED, 1, JUMP_MAX_MS, 0 },
};

/* What a process's requests can be. */
static unsigned int role_ops(enum life_role role)
{
	if (role == LIFE_ROLE_BLK)
		return REQUESTS;
	if (role == LIFE_ROLE_CORE)
		return EXIT;
	return role == LIFE_ROLE_RNG ? READ : READ | WRITE;
}

/* --- words --------------------------------------------------------------------- */

struct parser {
	const char *text;
	unsigned int column;	/* of text[0] */
	enum life_role role;
	const struct action *action;
	struct fault_rule *rule;
	unsigned int given;	/* keys[] seen, as bits */
	const char *op_at;	/* values, for errors found at the end */
	const char *sector_at;
	char *why;
};

struct word {
	const char *name;
	size_t len;
	const char *value;	/* NULL: no "=" */
	size_t value_len;
};

static int wrong(const struct parser *p, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(const struct parser *p, const char *at, const char *fmt, ...)
{
	int used = snprintf(p->why, FAULT_WHY_MAX, "column %u: ",
			    p->column + (unsigned int)(at - p->text));
	va_list args;

	va_start(args, fmt);
	vsnprintf(p->why + used, FAULT_WHY_MAX - (size_t)used, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Return: where to go on; word->len 0: the end. */
static const char *next_word(const char *text, struct word *word)
{
	const char *start = text + strspn(text, " \t");
	size_t all = strcspn(start, " \t");
	const char *eq = memchr(start, '=', all);

	word->name = start;
	word->len = eq ? (size_t)(eq - start) : all;
	word->value = eq ? eq + 1 : NULL;
	word->value_len = eq ? all - word->len - 1 : 0;
	return start + all;
}

static bool is(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(text, name, len);
}

/* Append to a list "a, b, c". */
static void list(char *buf, size_t size, const char *name)
{
	size_t used = strlen(buf);

	snprintf(buf + used, size - used, "%s%s", used ? ", " : "", name);
}

/* Cut for an error line. */
static int shown(size_t len)
{
	return len < 24 ? (int)len : 24;
}

static int number(const struct parser *p, const char *at, size_t len,
		  uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	bool good = len > 0;

	for (size_t i = 0; i < len && good; i++)
		good = at[i] >= '0' && at[i] <= '9' &&
		       !__builtin_mul_overflow(n, 10, &n) &&
		       !__builtin_add_overflow(n, (uint64_t)(at[i] - '0'), &n);
	if (!good || n < min || n > max)
		return wrong(p, at,
			     "'%.*s' is no whole number from %llu to %llu",
			     shown(len), at, (unsigned long long)min,
			     (unsigned long long)max);
	*out = n;
	return 0;
}

/* --- the action ------------------------------------------------------------------ */

static int no_such_action(const struct parser *p, const struct word *word)
{
	const char *device = life_role_name(p->role);
	char known[200] = "";

	for (unsigned int i = 0; i < FAULT_NR_ACTIONS; i++)
		if (actions[i].roles >> p->role & 1)
			list(known, sizeof(known), fault_action_name(i));
	if (!word->len)
		return wrong(p, word->name, "an action is missing; %s has %s",
			     device, known);
	return wrong(p, word->name, "%s has no action '%.*s'; it has %s",
		     device, shown(word->len), word->name, known);
}

static int parse_point(const struct parser *p, const struct word *word)
{
	char known[64] = "";

	for (unsigned int i = 0; i < FAULT_NR_POINTS; i++) {
		if (is(word->value, word->value_len, fault_point_name(i))) {
			p->rule->value = i;
			return 0;
		}
		list(known, sizeof(known), fault_point_name(i));
	}
	return wrong(p, word->value, "no point '%.*s'; there are %s",
		     shown(word->value_len), word->value, known);
}

static int parse_negative(const struct parser *p, const struct word *word)
{
	int ret = number(p, word->value + 1, word->value_len - 1,
			 p->action->min, p->action->max, &p->rule->value);

	p->rule->value = -p->rule->value;
	return ret;
}

static int parse_action_value(const struct parser *p, const struct word *word)
{
	const struct action *action = p->action;

	if (action->value == VALUE_NONE && word->value)
		return wrong(p, word->value - 1, "%.*s takes no value",
			     (int)word->len, word->name);
	if (action->value == VALUE_MAYBE && !word->value)
		p->rule->value = action->missing;
	if (action->value == VALUE_NONE ||
	    (action->value == VALUE_MAYBE && !word->value))
		return 0;
	if (!word->value)
		return wrong(p, word->name + word->len,
			     "%.*s needs a value, as in %.*s=%s",
			     (int)word->len, word->name, (int)word->len,
			     word->name,
			     action->value == VALUE_POINT ? "submit" : "8");
	if (action->value == VALUE_POINT)
		return parse_point(p, word);
	if (action->value == VALUE_SIGNED && word->value[0] == '-')
		return parse_negative(p, word);
	return number(p, word->value, word->value_len, action->min,
		      action->max, &p->rule->value);
}

static int parse_action(struct parser *p, const struct word *word)
{
	for (unsigned int i = 0; word->len && i < FAULT_NR_ACTIONS; i++) {
		if (!(actions[i].roles >> p->role & 1) ||
		    !is(word->name, word->len, fault_action_name(i)))
			continue;
		p->action = &actions[i];
		p->rule->action = (uint8_t)i;
		p->rule->ops = (uint8_t)(actions[i].ops & role_ops(p->role));
		return parse_action_value(p, word);
	}
	return no_such_action(p, word);
}

/* --- when ------------------------------------------------------------------------- */

static int one_op(const struct parser *p, const char *at, size_t len,
		  unsigned int *ops)
{
	unsigned int can = p->action->ops & role_ops(p->role);
	char known[64] = "";

	for (unsigned int i = 0; i < FAULT_NR_OPS; i++) {
		if (!(can >> i & 1))
			continue;
		if (is(at, len, fault_op_name(i))) {
			*ops |= 1u << i;
			return 0;
		}
		list(known, sizeof(known), fault_op_name(i));
	}
	return wrong(p, at, "'%.*s' is no operation for %s; there is %s",
		     shown(len), at, fault_action_name(p->rule->action),
		     known);
}

static int parse_op(struct parser *p, const struct word *word)
{
	const char *at = word->value;
	const char *end = at + word->value_len;
	unsigned int ops = 0;

	p->op_at = at;
	for (;;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		int ret = one_op(p, at, (size_t)((comma ? comma : end) - at),
				 &ops);

		if (ret)
			return ret;
		if (!comma)
			break;
		at = comma + 1;
	}
	p->rule->ops = (uint8_t)ops;
	return 0;
}

static int parse_sector(struct parser *p, const struct word *word)
{
	const char *at = word->value;
	size_t len = word->value_len;
	const char *dash = memchr(at, '-', len);
	size_t first_len = dash ? (size_t)(dash - at) : len;
	int ret;

	p->sector_at = at;
	if (p->role != LIFE_ROLE_BLK)
		return wrong(p, word->name, "%s has no sectors",
			     life_role_name(p->role));
	ret = number(p, at, first_len, 0, SECTOR_MAX, &p->rule->first_sector);
	p->rule->last_sector = p->rule->first_sector;
	if (!ret && dash)
		ret = number(p, dash + 1, len - first_len - 1, 0, SECTOR_MAX,
			     &p->rule->last_sector);
	if (!ret && p->rule->last_sector < p->rule->first_sector)
		return wrong(p, at, "the range ends before it begins");
	return ret;
}

static int parse_after(struct parser *p, const struct word *word)
{
	return number(p, word->value, word->value_len, 1, NUMBER_MAX,
		      &p->rule->after);
}

static int parse_every(struct parser *p, const struct word *word)
{
	return number(p, word->value, word->value_len, 1, NUMBER_MAX,
		      &p->rule->every);
}

static int parse_count(struct parser *p, const struct word *word)
{
	return number(p, word->value, word->value_len, 1, NUMBER_MAX,
		      &p->rule->count);
}

/* "0.05", ".5": up to nine digits, so that no rounding is anybody's own. */
static int parse_probability(struct parser *p, const struct word *word)
{
	uint64_t parts = 0, unit = 1000000000;
	size_t i = 0;

	if (word->value_len > 0 && word->value[0] == '0')
		i++;
	if (i < word->value_len && word->value[i] == '.')
		i++;
	else
		i = word->value_len;
	for (uint64_t digit = unit / 10; i < word->value_len; i++) {
		if (word->value[i] < '0' || word->value[i] > '9' || !digit) {
			parts = 0;
			break;
		}
		parts += digit * (uint64_t)(word->value[i] - '0');
		digit /= 10;
	}
	if (is(word->value, word->value_len, "1"))
		return 0;	/* rule->probability 0: always */
	p->rule->probability = (uint32_t)((parts << 32) / unit);
	if (p->rule->probability)
		return 0;
	return wrong(p, word->value,
		     "'%.*s' is no probability; it is above 0 and at most 1, as in 0.05",
		     shown(word->value_len), word->value);
}

static const struct {
	const char *name;
	const char *example;
	int (*parse)(struct parser *p, const struct word *word);
} keys[] = {
	{ "op", "write", parse_op },
	{ "sector", "0-99", parse_sector },
	{ "after", "10", parse_after },
	{ "every", "3", parse_every },
	{ "probability", "0.05", parse_probability },
	{ "count", "1", parse_count },
};

#define NR_KEYS	(sizeof(keys) / sizeof(keys[0]))

static int parse_key(struct parser *p, const struct word *word)
{
	char known[64] = "";

	for (unsigned int i = 0; i < NR_KEYS; i++) {
		list(known, sizeof(known), keys[i].name);
		if (!is(word->name, word->len, keys[i].name))
			continue;
		if (p->given >> i & 1)
			return wrong(p, word->name, "%s is given twice",
				     keys[i].name);
		p->given |= 1u << i;
		if (!word->value_len)
			return wrong(p, word->name + word->len,
				     "%s needs a value, as in %s=%s",
				     keys[i].name, keys[i].name,
				     keys[i].example);
		return keys[i].parse(p, word);
	}
	return wrong(p, word->name, "unknown key '%.*s'; there are %s",
		     shown(word->len), word->name, known);
}

int fault_parse(const char *text, unsigned int column, enum life_role role,
		struct fault_rule *rule, char why[FAULT_WHY_MAX])
{
	struct parser p = {
		.text = text, .column = column, .role = role, .rule = rule,
		.why = why,
	};
	struct word word;
	int ret;

	*rule = (struct fault_rule){ .last_sector = UINT64_MAX };
	text = next_word(text, &word);
	ret = parse_action(&p, &word);
	while (!ret) {
		text = next_word(text, &word);
		if (!word.len && !word.value)
			break;
		ret = parse_key(&p, &word);
	}
	if (!ret && p.sector_at && rule->ops == FLUSH)
		return wrong(&p, p.sector_at, "a flush has no sectors");
	return ret;
}

/* --- back to words ------------------------------------------------------------------ */

static void add(char *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(char *text, const char *fmt, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + used, FAULT_TEXT_MAX - used, fmt, args);
	va_end(args);
}

static void add_number(char *text, const char *key, uint64_t n)
{
	if (n)
		add(text, " %s=%llu", key, (unsigned long long)n);
}

static void add_ops(char *text, unsigned int ops)
{
	const char *before = " op=";

	for (unsigned int i = 0; i < FAULT_NR_OPS; i++) {
		if (!(ops >> i & 1))
			continue;
		add(text, "%s%s", before, fault_op_name(i));
		before = ",";
	}
}

/* Nine digits, without the zeroes at their end. */
static void add_probability(char *text, uint32_t probability)
{
	uint64_t parts = ((uint64_t)probability * 1000000000 +
			  UINT32_MAX) >> 32;
	int digits = 9;

	for (; digits > 1 && parts % 10 == 0; digits--)
		parts /= 10;
	add(text, " probability=0.%0*llu", digits, (unsigned long long)parts);
}

void fault_format(const struct fault_rule *rule, enum life_role role,
		  char text[FAULT_TEXT_MAX])
{
	const struct action *action = &actions[rule->action];

	text[0] = '\0';
	add(text, "%s", fault_action_name(rule->action));
	if (action->value == VALUE_POINT)
		add(text, "=%s", fault_point_name((unsigned int)rule->value));
	else if (action->value == VALUE_SIGNED)
		add(text, "=%lld", (long long)rule->value);
	else if (action->value != VALUE_NONE)
		add(text, "=%llu", (unsigned long long)rule->value);
	if (rule->ops != (action->ops & role_ops(role)))
		add_ops(text, rule->ops);
	if (rule->last_sector != UINT64_MAX)
		add(text, " sector=%llu-%llu",
		    (unsigned long long)rule->first_sector,
		    (unsigned long long)rule->last_sector);
	add_number(text, "after", rule->after);
	add_number(text, "every", rule->every);
	if (rule->probability)
		add_probability(text, rule->probability);
	add_number(text, "count", rule->count);
}
