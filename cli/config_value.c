/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsers of single values (C1): text to number, choice, path.
 *
 * Each returns NULL or the reason, as config_priv.h says.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config_priv.h"
#include "cli/throttle_parse.h"

static const char no_memory[] = "out of memory";

/* Digits only: strtoull() alone would take "-1" and " 7". */
static const char *parse_number(const char *text, uint64_t *out,
				const char **end)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return "expected a number";
	errno = 0;
	*out = strtoull(text, &stop, 10);
	if (errno)
		return "the number is too large";
	*end = stop;
	return NULL;
}

/* "512M" in bytes, more than none. */
static const char *parse_bytes(const char *value, uint64_t *bytes)
{
	const char *unit, *why;
	unsigned int shift;
	uint64_t n;

	why = parse_number(value, &n, &unit);
	if (why)
		return "expected a size such as 512M or 2G";
	if (!strcmp(unit, "M"))
		shift = 20;
	else if (!strcmp(unit, "G"))
		shift = 30;
	else
		return "the unit must be M (MiB) or G (GiB), as in 512M or 2G";
	if (n > (UINT64_MAX >> shift))
		return "the size is too large";
	*bytes = n << shift;
	return NULL;
}

const char *config_parse_size(const struct config_value_context *in, void *dest)
{
	uint64_t bytes;
	const char *why = parse_bytes(in->value, &bytes);

	if (why)
		return why;
	if (!bytes || bytes % CONFIG_MEMORY_STEP)
		return "memory must be a multiple of 2M, and not 0";
	*(uint64_t *)dest = bytes;
	return NULL;
}

const char *config_parse_max_size(const struct config_value_context *in,
				  void *dest)
{
	uint64_t bytes;
	const char *why = parse_bytes(in->value, &bytes);

	if (why)
		return why;
	if (!bytes || bytes > INT64_MAX)
		return "expected a size of 1M at least, such as 512M or 2G";
	*(uint64_t *)dest = bytes;
	return NULL;
}

const char *config_parse_ms(const struct config_value_context *in, void *dest)
{
	const char *unit, *why;
	uint64_t n;

	why = parse_number(in->value, &n, &unit);
	if (why)
		return "expected a time such as 30s or 500ms";
	if (!strcmp(unit, "s")) {
		if (n > 86400)
			return "at most 86400s";
		n *= 1000;
	} else if (strcmp(unit, "ms")) {
		return "the unit must be s or ms, as in 30s or 500ms";
	}
	if (n > 86400000)
		return "at most 86400s";
	*(uint32_t *)dest = n;
	return NULL;
}

const char *config_parse_poll(const struct config_value_context *in, void *dest)
{
	static const char range[] = "expected a time from 0us, never, to 1000us";
	const char *unit;
	uint64_t n;

	_Static_assert(LIFE_BLK_MAX_POLL_US == 1000, "range says 1000");
	if (parse_number(in->value, &n, &unit) || strcmp(unit, "us") ||
	    n > LIFE_BLK_MAX_POLL_US)
		return range;
	*(uint32_t *)dest = (uint32_t)n;
	return NULL;
}

const char *config_parse_heartbeat(const struct config_value_context *in,
				   void *dest)
{
	const char *why = config_parse_ms(in, dest);
	uint32_t ms = why ? 0 : *(uint32_t *)dest;

	if (ms && ms < 300)
		return "expected 0s for none, or 300ms at least";
	return why;
}

const char *config_parse_cpus(const struct config_value_context *in, void *dest)
{
	static const char range[] = "expected a whole number from 1 to 32";
	const char *end;
	uint64_t n;

	_Static_assert(LIFE_MAX_VCPUS == 32, "range says 32");
	if (parse_number(in->value, &n, &end) || *end || n < 1 ||
	    n > LIFE_MAX_VCPUS)
		return range;
	*(uint32_t *)dest = n;
	return NULL;
}

const char *config_parse_bool(const struct config_value_context *in, void *dest)
{
	if (!strcmp(in->value, "yes"))
		*(bool *)dest = true;
	else if (!strcmp(in->value, "no"))
		*(bool *)dest = false;
	else
		return "expected yes or no";
	return NULL;
}

static const char *parse_choice(const char *value, const char *const *names,
				int nr_names, const char *why, void *dest)
{
	for (int i = 0; i < nr_names; i++) {
		if (!strcmp(value, names[i])) {
			*(int *)dest = i;
			return NULL;
		}
	}
	return why;
}

const char *config_parse_on_reboot(const struct config_value_context *in,
				   void *dest)
{
	static const char *const names[] = {
		[CONFIG_REBOOT_RESTART] = "restart",
		[CONFIG_REBOOT_STOP] = "stop",
	};

	return parse_choice(in->value, names, 2, "expected restart or stop",
			    dest);
}

const char *config_parse_on_panic(const struct config_value_context *in,
				  void *dest)
{
	static const char *const names[] = {
		[CONFIG_PANIC_REPORT] = "report",
		[CONFIG_PANIC_STOP] = "stop",
	};

	return parse_choice(in->value, names, 2, "expected report or stop",
			    dest);
}

static const char *const on_crash_names[CONFIG_CRASH_INHERIT] = {
	[CONFIG_CRASH_RESTART] = "restart",
	[CONFIG_CRASH_RESET] = "reset-device",
	[CONFIG_CRASH_PAUSE] = "pause",
	[CONFIG_CRASH_STOP] = "stop",
};

const char *config_on_crash_name(int on_crash)
{
	return on_crash_names[on_crash];
}

const char *config_parse_on_crash(const struct config_value_context *in,
				  void *dest)
{
	return parse_choice(in->value, on_crash_names, CONFIG_CRASH_INHERIT,
			    "expected restart, reset-device, pause or stop",
			    dest);
}

const char *config_parse_restarts(const struct config_value_context *in,
				  void *dest)
{
	const char *end;
	uint64_t n;

	if (parse_number(in->value, &n, &end) || *end || n > 1000000)
		return "expected a whole number from 0 to 1000000";
	*(uint32_t *)dest = n;
	return NULL;
}

const char *config_parse_cache(const struct config_value_context *in,
			       void *dest)
{
	return parse_choice(in->value, life_cache_names, LIFE_NR_CACHES,
			    "expected none, writeback, writethrough, directsync or unsafe",
			    dest);
}

const char *config_parse_on_error(const struct config_value_context *in,
				  void *dest)
{
	static const char *const names[] = {
		[LIFE_ERROR_REPORT] = "report",
		[LIFE_ERROR_HOLD] = "hold",
	};

	return parse_choice(in->value, names, 2, "expected report or hold",
			    dest);
}

const char *config_parse_on_errors(const struct config_value_context *in,
				   void *dest)
{
	int *both = dest;
	const char *why = config_parse_on_error(in, &both[0]);

	both[1] = both[0];
	return why;
}

const char *config_parse_throttle(const struct config_value_context *in,
				  void *dest)
{
	static char why[THROTTLE_WHY_MAX];

	return throttle_parse(in->value, dest, why) ? why : NULL;
}

static const char *set_string(char **dest, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return no_memory;
	free(*dest);
	*dest = copy;
	return NULL;
}

const char *config_parse_text(const struct config_value_context *in, void *dest)
{
	if (strlen(in->value) >= LIFE_CMDLINE_MAX)
		return "longer than the 2047 characters a kernel takes";
	return set_string(dest, in->value);
}

bool config_name_ok(const char *name, size_t max_bytes)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len < max_bytes && strspn(name, allowed) == len &&
	       name[0] != '.' && name[0] != '-';
}

const char *config_parse_name(const struct config_value_context *in, void *dest)
{
	if (!config_name_ok(in->value, LIFE_VM_NAME_MAX))
		return "a name has 1 to 31 letters, digits, '.', '_' or '-', and begins with neither '.' nor '-'";
	return set_string(dest, in->value);
}

const char *config_parse_group(const struct config_value_context *in,
			       void *dest)
{
	if (!config_name_ok(in->value, LIFE_DEVICE_NAME_MAX))
		return "a group has a name of 1 to 15 letters, digits, '.', '_' or '-'";
	return set_string(dest, in->value);
}

const char *config_parse_serial(const struct config_value_context *in,
				void *dest)
{
	size_t len = strlen(in->value);

	if (len > CONFIG_BLK_SERIAL_MAX)
		return "a disk's serial has at most 20 characters";
	for (size_t i = 0; i < len; i++)
		if (in->value[i] < ' ' || in->value[i] > '~')
			return "a disk's serial is printable ASCII";
	return set_string(dest, in->value);
}

/* The folder that relative paths start from: file's, or cwd for --set. */
static const char *set_path(const struct config_value_context *in,
			    const char *text, struct config_path *path)
{
	char *joined = NULL;
	char *origin = strdup(in->origin);

	if (text[0] == '/')
		joined = strdup(text);
	else if (asprintf(&joined, "%s/%s", in->dir, text) < 0)
		joined = NULL;
	if (!joined || !origin) {
		free(joined);
		free(origin);
		return no_memory;
	}
	free(path->path);
	free(path->origin);
	path->path = joined;
	path->origin = origin;
	return NULL;
}

const char *config_parse_path(const struct config_value_context *in, void *dest)
{
	if (!in->value[0])
		return "the path is empty";
	return set_path(in, in->value, dest);
}

const char *config_parse_connect(const struct config_value_context *in,
				 void *dest)
{
	static const struct {
		const char *word;
		enum life_chardev kind;
	} kinds[] = {
		{ "null", LIFE_CHARDEV_NULL },
		{ "terminal", LIFE_CHARDEV_TERMINAL },
		{ "pty", LIFE_CHARDEV_PTY },
		{ "file:", LIFE_CHARDEV_FILE },
		{ "socket:", LIFE_CHARDEV_SOCKET },
	};
	struct config_connect *connect = dest;

	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].word);
		bool has_path = kinds[i].word[len - 1] == ':';

		if (strncmp(in->value, kinds[i].word, len) ||
		    has_path != !!in->value[len])
			continue;
		connect->kind = kinds[i].kind;
		if (has_path)
			return set_path(in, in->value + len, &connect->to);
		return set_string(&connect->to.origin, in->origin);
	}
	return "expected terminal, pty, null, file:PATH or socket:PATH";
}
