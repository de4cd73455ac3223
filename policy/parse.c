/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a .policy file and the files it includes into struct rules: lines,
 * comments, includes, and the frame "name: expression  # reason: text".
 * Part of policyc (build host).  README.md describes the language.
 */
#include <ctype.h>
#include <errno.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "policy/rules.h"

/* A file being read; a logical line may span several with a final '\'. */
struct source {
	struct rules *rules;
	const char *file;
	FILE *stream;
	unsigned int line;	/* first physical line of the logical one */
	unsigned int next_line;
	bool included;
	bool has_rules;		/* includes come before */
	const char *last_name;	/* of this file, for the order */
};

int rules_error(const char *file, unsigned int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%u: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

/* Cut blanks at both ends; runs of blanks inside become one space. */
static char *even_blanks(char *text)
{
	char *to = text;

	for (char *from = text; *from; from++) {
		if (!isspace((unsigned char)*from))
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
	return text;
}

static char *copy(const char *text)
{
	char *dup = strdup(text);

	if (!dup) {
		fputs("policyc: out of memory\n", stderr);
		exit(1);
	}
	return dup;
}

static int check_name(struct source *src, const char *name, int *nr)
{
	const struct rules *rules = src->rules;

	*nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name);
	/* Negative: unknown, or one that x86-64 does not have. */
	if (*nr < 0)
		return rules_error(src->file, src->line,
				   "unknown system call '%s'", name);
	for (unsigned int i = 0; i < rules->nr_rules; i++)
		if (!strcmp(rules->rules[i].name, name))
			return rules_error(src->file, src->line,
					   "%s: duplicate, first at %s:%u",
					   name, rules->rules[i].file,
					   rules->rules[i].line);
	if (src->last_name && strcmp(name, src->last_name) < 0)
		return rules_error(src->file, src->line,
				   "%s: not sorted, belongs before %s", name,
				   src->last_name);
	return 0;
}

/* Cut the reason off @line.  Return: it, or NULL after an error. */
static char *split_reason(const struct source *src, char *line)
{
	char *hash = strchr(line, '#');

	if (!hash)
		goto missing;
	*hash++ = '\0';
	hash = even_blanks(hash);
	if (strncmp(hash, "reason:", 7))
		goto missing;
	hash = even_blanks(hash + 7);
	if (*hash)
		return hash;
	rules_error(src->file, src->line, "empty reason");
	return NULL;
missing:
	rules_error(src->file, src->line, "missing '# reason: ...'");
	return NULL;
}

static int parse_rule(struct source *src, char *line)
{
	struct rules *rules = src->rules;
	struct rule *rule = &rules->rules[rules->nr_rules];
	char *colon, *reason;
	int err;

	reason = split_reason(src, line);
	if (!reason)
		return -EINVAL;
	colon = strchr(line, ':');
	if (!colon)
		return rules_error(src->file, src->line,
				   "expected 'name: expression  # reason: ...'");
	*colon = '\0';
	even_blanks(line);
	even_blanks(colon + 1);
	if (rules->nr_rules == RULES_MAX)
		return rules_error(src->file, src->line, "too many rules");
	err = check_name(src, line, &rule->nr);
	if (err)
		return err;

	rule->file = src->file;
	rule->line = src->line;
	rule->name = copy(line);
	rule->expression = copy(colon + 1);
	rule->reason = copy(reason);
	rules->nr_rules++;
	src->last_name = rule->name;
	src->has_rules = true;
	err = expression_parse(rule, rule->expression);
	return err ? err : lint_rule(rule);
}

static int parse_file(struct rules *rules, const char *path, bool included);

/* The file next to @file that @name names; malloc'ed. */
static char *sibling(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	int dir_len = slash ? (int)(slash + 1 - file) : 0;
	char *path;

	if (asprintf(&path, "%.*s%s", dir_len, file, name) < 0) {
		fputs("policyc: out of memory\n", stderr);
		exit(1);
	}
	return path;
}

static int parse_include(struct source *src, char *name)
{
	struct rules *rules = src->rules;
	unsigned int nr_before = rules->nr_rules;
	char *path;
	FILE *probe;
	int err = 0;

	even_blanks(name);
	if (src->included)
		return rules_error(src->file, src->line, "nested include: an "
				   "included file must not include");
	if (src->has_rules)
		return rules_error(src->file, src->line,
				   "include after a rule");
	if (!*name || strpbrk(name, "/ "))
		return rules_error(src->file, src->line,
				   "expected '@include NAME.policy' of the "
				   "same folder");
	path = sibling(src->file, name);
	for (unsigned int i = 0; i < rules->nr_files; i++)
		if (!strcmp(rules->files[i], path))
			err = rules_error(src->file, src->line,
					  "%s is included already", name);
	probe = err ? NULL : fopen(path, "re");
	if (!err && !probe)
		err = rules_error(src->file, src->line, "cannot include %s: %s",
				  name, strerror(errno));
	if (probe)
		fclose(probe);
	if (!err)
		err = parse_file(rules, path, true);
	if (!err && rules->nr_rules == nr_before)
		err = rules_error(src->file, src->line,
				  "unused include: %s has no rules", name);
	free(path);
	return err;
}

static int parse_line(struct source *src, char *line)
{
	while (isspace((unsigned char)*line))
		line++;
	if (!*line || *line == '#')
		return 0;
	if (!strncmp(line, "@include ", 9))
		return parse_include(src, line + 9);
	if (*line == '@')
		return rules_error(src->file, src->line,
				   "unknown directive, only '@include "
				   "NAME.policy' is known");
	return parse_rule(src, line);
}

/*
 * Read a logical line: physical lines joined where they end in '\'.  Leaves
 * comments alone, so that nobody comments out more than he sees.
 * Return: 1, 0 at the end of the file, -EINVAL.
 */
static int read_line(struct source *src, char **line, size_t *size)
{
	char *more = NULL, *joined;
	size_t more_size = 0;
	ssize_t len = getline(line, size, src->stream);
	int err = 1;

	if (len < 0)
		return 0;
	src->line = src->next_line++;
	for (;;) {
		while (len > 0 && isspace((unsigned char)(*line)[len - 1]))
			(*line)[--len] = '\0';
		if (!len || (*line)[len - 1] != '\\')
			break;
		(*line)[len - 1] = '\0';
		if (getline(&more, &more_size, src->stream) < 0 ||
		    strchr(*line, '#')) {
			err = rules_error(src->file, src->line,
					  "'\\' at the end of a comment or of "
					  "the file");
			break;
		}
		src->next_line++;
		len = asprintf(&joined, "%s%s", *line, more);
		if (len < 0) {
			err = rules_error(src->file, src->line,
					  "out of memory");
			break;
		}
		free(*line);
		*line = joined;
		*size = (size_t)len + 1;
	}
	free(more);
	return err;
}

static int parse_file(struct rules *rules, const char *path, bool included)
{
	struct source src = {
		.rules = rules,
		.included = included,
		.next_line = 1,
	};
	char *line = NULL;
	size_t size = 0;
	int ret;

	if (rules->nr_files == RULES_MAX_FILES)
		return rules_error(path, 1, "too many includes");
	rules->files[rules->nr_files] = copy(path);
	src.file = rules->files[rules->nr_files++];
	src.stream = fopen(path, "re");
	if (!src.stream)
		return rules_error(path, 1, "cannot read: %s", strerror(errno));
	do {
		ret = read_line(&src, &line, &size);
		if (ret > 0 && parse_line(&src, line) < 0)
			ret = -EINVAL;
	} while (ret > 0);
	if (!ret && ferror(src.stream))
		ret = rules_error(path, src.line, "read error");
	free(line);
	fclose(src.stream);
	return ret;
}

int rules_parse(struct rules *rules, const char *path)
{
	int err = parse_file(rules, path, false);

	if (!err && !rules->nr_rules)
		err = rules_error(path, 1, "no rules");
	return err;
}

void rules_free(struct rules *rules)
{
	for (unsigned int i = 0; i < rules->nr_rules; i++) {
		free(rules->rules[i].name);
		free(rules->rules[i].expression);
		free(rules->rules[i].reason);
	}
	for (unsigned int i = 0; i < rules->nr_files; i++)
		free(rules->files[i]);
}
