/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a process (C1): values to what cgroup2 is told.  Control files and
 * their ranges: the kernel's cgroup-v2.rst, "CPU", "Memory", "IO".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bytes.h"
#include "cli/config_priv.h"

#define CPU_PERIOD_US	100000u	/* cgroup-v2.rst: cpu.max, its default */
#define CPU_MAX_PERCENT	100000u	/* 1000 processors */
#define WEIGHT_MAX	10000u
#define MEMORY_MIN_BYTES	(1u << 20)

static const char no_memory[] = "out of memory";

static const struct {
	const char *key;
	const char *controller;
	const char *file;
} names[CONFIG_NR_LIMITS] = {
	[CONFIG_LIMIT_CPU_WEIGHT] = { "cpu_weight", "cpu", "cpu.weight" },
	[CONFIG_LIMIT_CPU_MAX] = { "cpu_max", "cpu", "cpu.max" },
	[CONFIG_LIMIT_MEMORY_MAX] = { "memory_max", "memory", "memory.max" },
	[CONFIG_LIMIT_IO_WEIGHT] = { "io_weight", "io", "io.weight" },
	[CONFIG_LIMIT_IO_MAX] = { "io_max", "io", "io.max" },
};

const char *config_limit_key(enum config_limit_kind kind)
{
	return names[kind].key;
}

const char *config_limit_controller(enum config_limit_kind kind)
{
	return names[kind].controller;
}

const char *config_limit_file(enum config_limit_kind kind)
{
	return names[kind].file;
}

/* A number and, after it, unit or nothing.  Return: false if it is neither. */
static bool take_number(const char *text, uint64_t *number, const char **unit)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &stop, 10);
	*unit = stop;
	return errno == 0;
}

static const char *limit_set(const struct config_value_context *in,
			     struct config_limit *limit, const char *text)
{
	free(limit->origin);
	limit->origin = strdup(in->origin);
	snprintf(limit->text, sizeof(limit->text), "%s", text);
	return limit->origin ? NULL : no_memory;
}

const char *config_parse_weight(const struct config_value_context *in,
				void *dest)
{
	const char *end;
	uint64_t n;

	if (!take_number(in->value, &n, &end) || *end || n < 1 ||
	    n > WEIGHT_MAX)
		return "expected a whole number from 1 to 10000; 100 is what everybody has";
	return limit_set(in, dest, in->value);
}

const char *config_parse_cpu_max(const struct config_value_context *in,
				 void *dest)
{
	char text[CONFIG_LIMIT_MAX];
	const char *end;
	uint64_t n;

	if (!take_number(in->value, &n, &end) || strcmp(end, "%") || n < 1 ||
	    n > CPU_MAX_PERCENT)
		return "expected a share of one processor such as 50% or 150%";
	snprintf(text, sizeof(text), "%" PRIu64 " %u",
		 n * CPU_PERIOD_US / 100, CPU_PERIOD_US);
	return limit_set(in, dest, text);
}

const char *config_parse_memory_max(const struct config_value_context *in,
				    void *dest)
{
	char text[CONFIG_LIMIT_MAX];
	uint64_t bytes;

	if (bytes_parse(in->value, &bytes) || bytes < MEMORY_MIN_BYTES)
		return "expected a size such as 64M or 1G, 1M at least";
	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	return limit_set(in, dest, text);
}

/* One word of io_max; appends to text what the kernel wants to hear. */
static bool take_io_word(const char *word, char *text, size_t len)
{
	static const char *const rates[] = { "rbps", "wbps", "riops", "wiops" };
	size_t used = strlen(text);
	const char *value = strchr(word, '=');
	const char *end;
	uint64_t n;

	for (unsigned int i = 0; value && i < 4; i++) {
		size_t key_len = strlen(rates[i]);

		if ((size_t)(value - word) != key_len ||
		    strncmp(word, rates[i], key_len))
			continue;
		if (i < 2 ? bytes_parse(value + 1, &n) :
			    !take_number(value + 1, &n, &end) || *end)
			return false;
		snprintf(text + used, len - used, "%s%s=%" PRIu64,
			 used ? " " : "", rates[i], n);
		return n != 0 && strlen(text) < len - 1;
	}
	return false;
}

const char *config_parse_io_max(const struct config_value_context *in,
				void *dest)
{
	char text[CONFIG_LIMIT_MAX] = "", words[128];
	char *rest, *word;

	snprintf(words, sizeof(words), "%s", in->value);
	word = strtok_r(words, " \t", &rest);
	if (!word || strlen(in->value) >= sizeof(words))
		return "expected rates such as rbps=20M wbps=10M riops=2000 wiops=1000";
	for (; word; word = strtok_r(NULL, " \t", &rest))
		if (!take_io_word(word, text, sizeof(text)))
			return "expected some of rbps=SIZE wbps=SIZE riops=N wiops=N, as in rbps=20M wiops=1000";
	return limit_set(in, dest, text);
}

/* "auto", or an absolute path; empty is none. */
const char *config_parse_cgroup(const struct config_value_context *in,
				void *dest)
{
	struct config_path *path = dest;

	if (strcmp(in->value, "auto") && in->value[0] != '/')
		return "expected auto, or the absolute path of a folder of cgroup2";
	free(path->path);
	free(path->origin);
	path->path = strdup(in->value);
	path->origin = strdup(in->origin);
	return path->path && path->origin ? NULL : no_memory;
}

bool config_has_limits(const struct config_limit limits[CONFIG_NR_LIMITS])
{
	for (int i = 0; i < CONFIG_NR_LIMITS; i++)
		if (limits[i].origin)
			return true;
	return false;
}
