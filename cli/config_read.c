/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INI text to sections and entries with their line numbers; --set
 * assignments to entries.  Runs in the supervisor and in `check` (C1).
 *
 * libinih does the syntax.  It tells its handler neither line numbers nor
 * empty sections, so the reader that hands it the lines notes both.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_priv.h"

/* libinih cuts what is longer: section and key names, and lines. */
#define NAME_MAX_BYTES	49
#define LINE_MAX_BYTES	(INI_MAX_LINE - 1)

struct reader {
	struct config_source *src;
	FILE *stream;
	unsigned int line;		/* the one libinih works on, from 1 */
	unsigned int first_entry;	/* of the current section */
	bool indented;			/* the line begins with a blank */
	bool failed;
};

int config_error(char *err, const char *fmt, ...)
{
	va_list ap;

	if (err[0])
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(err, CONFIG_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static char *line_origin(const struct reader *r)
{
	char *origin;

	return asprintf(&origin, "%s:%u", r->src->file, r->line) < 0 ? NULL :
								       origin;
}

static const struct config_section *find_section(const struct config_source *src,
						 const char *title, size_t len)
{
	for (unsigned int i = 0; i < src->nr_sections; i++)
		if (!strncmp(src->section[i].title, title, len) &&
		    !src->section[i].title[len])
			return &src->section[i];
	return NULL;
}

/* Whether a section may begin here; else the error is written. */
static bool section_allowed(const struct reader *r, const char *title,
			    size_t len)
{
	const struct config_section *twin = find_section(r->src, title, len);
	char *err = r->src->err;

	if (len > NAME_MAX_BYTES)
		config_error(err,
			     "%s:%u: section name longer than %d characters",
			     r->src->file, r->line, NAME_MAX_BYTES);
	else if (r->src->nr_sections == CONFIG_MAX_SECTIONS)
		config_error(err, "%s:%u: more than %d sections",
			     r->src->file, r->line, CONFIG_MAX_SECTIONS);
	else if (twin)
		config_error(err, "%s:%u: [%s] is given twice; first at %s",
			     r->src->file, r->line, twin->title, twin->origin);
	return !err[0];
}

static void note_section(struct reader *r, const char *text)
{
	struct config_source *src = r->src;
	size_t len = strcspn(text, "]");
	struct config_section *s = &src->section[src->nr_sections];

	r->first_entry = src->nr_entries;
	if (text[len] != ']')
		return;		/* libinih will complain */
	if (!section_allowed(r, text, len)) {
		r->failed = true;
		return;
	}
	s->title = strndup(text, len);
	s->origin = line_origin(r);
	src->nr_sections++;
}

/* ini_reader: fgets() that watches. */
static char *read_line(char *buf, int size, void *opaque)
{
	struct reader *r = opaque;
	size_t len;
	const char *text;

	if (r->failed || !fgets(buf, size, r->stream))
		return NULL;
	r->line++;
	len = strlen(buf);
	if (len >= LINE_MAX_BYTES && buf[len - 1] != '\n' &&
	    !feof(r->stream)) {
		config_error(r->src->err,
			     "%s:%u: line longer than %d characters; a long cmdline may go on in lines that begin with a blank",
			     r->src->file, r->line, LINE_MAX_BYTES - 1);
		r->failed = true;
		return NULL;
	}
	text = buf;
	/* libinih skips a byte order mark, INI_ALLOW_BOM. */
	if (r->line == 1 && !strncmp(text, "\xEF\xBB\xBF", 3))
		text += 3;
	r->indented = *text == ' ' || *text == '\t';
	text += strspn(text, " \t");
	if (*text == '[' &&
	    !(r->indented && r->src->nr_entries > r->first_entry))
		note_section(r, text + 1);
	return buf;
}

/* A further line of the entry before: only a command line is that long. */
static int continue_entry(struct reader *r, const char *value)
{
	struct config_entry *e = &r->src->entry[r->src->nr_entries - 1];
	char *joined;

	if (strcmp(e->key, "cmdline")) {
		config_error(r->src->err,
			     "%s:%u: the line begins with a blank, which continues the value before it; only cmdline may be continued",
			     r->src->file, r->line);
		return 0;
	}
	if (asprintf(&joined, "%s %s", e->value, value) < 0)
		return 0;
	free(e->value);
	e->value = joined;
	return 1;
}

static int add_entry(struct config_source *src, const char *section,
		     const char *key, const char *value, char *origin)
{
	struct config_entry *e = &src->entry[src->nr_entries];

	if (src->nr_entries == CONFIG_MAX_ENTRIES) {
		config_error(src->err, "%s: more than %d settings", origin,
			     CONFIG_MAX_ENTRIES);
		free(origin);
		return -EINVAL;
	}
	e->section = strdup(section);
	e->key = strdup(key);
	e->value = strdup(value);
	e->origin = origin;
	e->from_set = false;
	src->nr_entries++;
	return e->section && e->key && e->value && origin ? 0 : -ENOMEM;
}

static const struct config_entry *find_entry(const struct config_source *src,
					     const char *section,
					     const char *key)
{
	for (unsigned int i = 0; i < src->nr_entries; i++)
		if (!strcmp(src->entry[i].section, section) &&
		    !strcmp(src->entry[i].key, key))
			return &src->entry[i];
	return NULL;
}

/* A device may have any number of faults. */
static bool may_repeat(const char *section, const char *key)
{
	return !strcmp(section, "fault") && strcmp(key, "seed");
}

/* ini_handler: 1 fine, 0 error. */
static int take_entry(void *opaque, const char *section, const char *key,
		      const char *value)
{
	struct reader *r = opaque;
	struct config_source *src = r->src;
	const struct config_entry *twin;

	if (src->err[0])
		return 0;
	if (r->indented && src->nr_entries > r->first_entry)
		return continue_entry(r, value);
	if (!section[0]) {
		config_error(src->err,
			     "%s:%u: '%s' stands before the first section; begin with [vm]",
			     src->file, r->line, key);
		return 0;
	}
	if (strlen(key) >= NAME_MAX_BYTES) {
		config_error(src->err, "%s:%u: unknown key '%s...'",
			     src->file, r->line, key);
		return 0;
	}
	twin = find_entry(src, section, key);
	if (twin && !may_repeat(section, key)) {
		config_error(src->err,
			     "%s:%u: '%s' is given twice in [%s]; first at %s",
			     src->file, r->line, key, section, twin->origin);
		return 0;
	}
	return add_entry(src, section, key, value, line_origin(r)) == 0;
}

int config_read(struct config_source *src)
{
	struct reader r = { .src = src };
	int line;

	r.stream = fopen(src->file, "re");
	if (!r.stream) {
		int ret = -errno;

		config_error(src->err, "%s: cannot read the configuration: %s",
			     src->file, strerror(-ret));
		return ret;
	}
	line = ini_parse_stream(read_line, &r, take_entry, &r);
	if (ferror(r.stream))
		config_error(src->err, "%s: cannot read the configuration",
			     src->file);
	fclose(r.stream);
	if (line > 0)
		config_error(src->err,
			     "%s:%d: neither '[section]' nor 'key = value'",
			     src->file, line);
	return src->err[0] || line ? -EINVAL : 0;
}

/* A section that only --set names exists from then on. */
static int ensure_section(struct config_source *src, const char *title,
			  const char *assignment)
{
	struct config_section *s = &src->section[src->nr_sections];

	if (find_section(src, title, strlen(title)))
		return 0;
	if (src->nr_sections == CONFIG_MAX_SECTIONS)
		return config_error(src->err, "--set %s: too many sections",
				    assignment);
	s->title = strdup(title);
	if (asprintf(&s->origin, "--set %s", title) < 0)
		s->origin = NULL;
	src->nr_sections++;
	return s->title && s->origin ? 0 : -ENOMEM;
}

static void drop_entry(struct config_source *src, const char *section,
		       const char *key)
{
	for (unsigned int i = 0; i < src->nr_entries; i++) {
		struct config_entry *e = &src->entry[i];

		if (strcmp(e->section, section) || strcmp(e->key, key))
			continue;
		free(e->section);
		free(e->key);
		free(e->value);
		free(e->origin);
		memmove(e, e + 1, (src->nr_entries - i - 1) * sizeof(*e));
		src->nr_entries--;
		return;
	}
}

/* The dot before the key: of [blk] a name may have dots, of [fault] a key. */
static const char *find_dot(const char *assignment, const char *eq)
{
	size_t len = eq ? (size_t)(eq - assignment) : 0;

	return strncmp(assignment, "fault.", 6) ?
		memrchr(assignment, '.', len) : memchr(assignment, '.', len);
}

int config_read_set(struct config_source *src, const char *assignment)
{
	const char *eq = strchr(assignment, '=');
	const char *dot = find_dot(assignment, eq);
	char *section = NULL, *key = NULL, *origin = NULL;
	int ret = -ENOMEM;

	if (!dot || dot == assignment || dot + 1 == eq)
		return config_error(src->err,
				    "--set %s: write section.key=value, such as vm.memory=1G or 'blk vda.path=disk.img'",
				    assignment);
	section = strndup(assignment, dot - assignment);
	key = strndup(dot + 1, eq - dot - 1);
	if (!section || !key ||
	    asprintf(&origin, "--set %s.%s", section, key) < 0)
		goto out;
	ret = ensure_section(src, section, assignment);
	if (ret)
		goto out;
	if (!may_repeat(section, key))
		drop_entry(src, section, key);
	ret = add_entry(src, section, key, eq + 1, origin);
	origin = NULL;
	if (!ret)
		src->entry[src->nr_entries - 1].from_set = true;
out:
	free(section);
	free(key);
	free(origin);
	return ret;
}

void config_source_free(struct config_source *src)
{
	for (unsigned int i = 0; i < src->nr_sections; i++) {
		free(src->section[i].title);
		free(src->section[i].origin);
	}
	for (unsigned int i = 0; i < src->nr_entries; i++) {
		free(src->entry[i].section);
		free(src->entry[i].key);
		free(src->entry[i].value);
		free(src->entry[i].origin);
	}
}
