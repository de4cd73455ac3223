/* SPDX-License-Identifier: Apache-2.0 */
/* Throttling as it is written down, see cli/throttle_parse.h. */
#include "cli/throttle_parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/bytes.h"

#define BURST_SUFFIX	"_burst"
#define WORD_MAX	64

static const char *const kind_name[THROTTLE_NR_KINDS] = {
	[THROTTLE_IOPS] = "iops",
	[THROTTLE_IOPS_READ] = "iops_read",
	[THROTTLE_IOPS_WRITE] = "iops_write",
	[THROTTLE_BYTES] = "bytes",
	[THROTTLE_BYTES_READ] = "bytes_read",
	[THROTTLE_BYTES_WRITE] = "bytes_write",
};

static bool counts_bytes(unsigned int kind)
{
	return kind >= THROTTLE_BYTES;
}

void throttle_none(struct throttle_settings *settings)
{
	*settings = (struct throttle_settings){ .burst_s = 1 };
}

static int wrong(char *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, THROTTLE_WHY_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* "500"; with bytes also "64K", "20M", "1G". */
static int parse_number(const char *text, bool bytes, uint64_t *out)
{
	if (!bytes && text[strspn(text, "0123456789")])
		return -EINVAL;
	return bytes_parse(text, out);
}

/* A rate or a burst; 0 takes it away. */
static int take_rate(const char *word, const char *value, unsigned int kind,
		     uint64_t *dest, char *why)
{
	bool bytes = counts_bytes(kind);
	uint64_t min = bytes ? THROTTLE_MIN_BYTES : 1;
	uint64_t max = bytes ? THROTTLE_MAX_BYTES : THROTTLE_MAX_IOPS;
	uint64_t n;

	if (parse_number(value, bytes, &n) || (n && (n < min || n > max)))
		return wrong(why, bytes ?
			     "%s: expected bytes a second, 64K to 1024G, or 0 for no limit" :
			     "%s: expected requests a second, 1 to 1000000000, or 0 for no limit",
			     word);
	*dest = n;
	return 0;
}

static int take_limit(const char *word, size_t key_len, const char *value,
		      struct throttle_settings *settings, char *why)
{
	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++) {
		size_t len = strlen(kind_name[i]);

		if (strncmp(word, kind_name[i], len))
			continue;
		if (key_len == len)
			return take_rate(word, value, i,
					 &settings->limit[i].rate, why);
		if (key_len == len + strlen(BURST_SUFFIX) &&
		    !strncmp(word + len, BURST_SUFFIX, strlen(BURST_SUFFIX)))
			return take_rate(word, value, i,
					 &settings->limit[i].burst, why);
	}
	return wrong(why,
		     "%s: there are iops, iops_read, iops_write, bytes, bytes_read, bytes_write, each also with _burst, and burst_length, iops_size",
		     word);
}

static int take_word(const char *word, struct throttle_settings *settings,
		     char *why)
{
	size_t len = strcspn(word, "=");
	const char *value = word + len + 1;
	uint64_t n;

	if (!strcmp(word, "off")) {
		throttle_none(settings);
		return 0;
	}
	if (!word[len])
		return wrong(why, "%s: expected KEY=VALUE, or off", word);
	if (!strncmp(word, "burst_length=", len + 1)) {
		if (parse_number(value, false, &n) || n < 1 ||
		    n > THROTTLE_MAX_BURST_S)
			return wrong(why, "%s: expected seconds, 1 to %u",
				     word, THROTTLE_MAX_BURST_S);
		settings->burst_s = (uint32_t)n;
		return 0;
	}
	if (!strncmp(word, "iops_size=", len + 1)) {
		if (parse_number(value, true, &n) ||
		    (n && (n < THROTTLE_MIN_IOPS_SIZE ||
			   n > THROTTLE_MAX_IOPS_SIZE)))
			return wrong(why,
				     "%s: expected bytes, 512 to 1G, or 0 for requests of any size",
				     word);
		settings->iops_size = (uint32_t)n;
		return 0;
	}
	return take_limit(word, len, value, settings, why);
}

/* A rate that was taken away takes its burst along. */
static void drop_bursts(const struct throttle_settings *before,
			struct throttle_settings *next)
{
	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++)
		if (before->limit[i].rate && !next->limit[i].rate &&
		    before->limit[i].burst == next->limit[i].burst)
			next->limit[i].burst = 0;
}

static int check_bursts(const struct throttle_settings *settings, char *why)
{
	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++) {
		const struct throttle_limit *limit = &settings->limit[i];

		if (limit->burst && !limit->rate)
			return wrong(why, "%s_burst is without %s",
				     kind_name[i], kind_name[i]);
		if (limit->burst && limit->burst < limit->rate)
			return wrong(why, "%s_burst is less than %s",
				     kind_name[i], kind_name[i]);
	}
	return 0;
}

int throttle_parse(const char *text, struct throttle_settings *settings,
		   char why[THROTTLE_WHY_MAX])
{
	struct throttle_settings next = *settings;
	char word[WORD_MAX];
	int ret;

	for (text += strspn(text, " \t"); *text; text += strspn(text, " \t")) {
		size_t len = strcspn(text, " \t");

		if (len >= sizeof(word))
			return wrong(why, "%.40s...: too long", text);
		memcpy(word, text, len);
		word[len] = '\0';
		ret = take_word(word, &next, why);
		if (ret)
			return ret;
		text += len;
	}
	drop_bursts(settings, &next);
	ret = check_bursts(&next, why);
	if (!ret)
		*settings = next;
	return ret;
}

static int format_one(char *text, size_t used, const char *name,
		      const char *suffix, uint64_t n)
{
	return snprintf(text + used, THROTTLE_TEXT_MAX - used,
			"%s%s%s=%" PRIu64, used ? " " : "", name, suffix, n);
}

void throttle_format(const struct throttle_settings *settings,
		     char text[THROTTLE_TEXT_MAX])
{
	size_t used = 0;
	bool bursts = false;

	text[0] = '\0';
	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++) {
		const struct throttle_limit *limit = &settings->limit[i];

		if (!limit->rate)
			continue;
		used += format_one(text, used, kind_name[i], "", limit->rate);
		if (!limit->burst)
			continue;
		used += format_one(text, used, kind_name[i], BURST_SUFFIX,
				   limit->burst);
		bursts = true;
	}
	if (!used) {
		snprintf(text, THROTTLE_TEXT_MAX, "off");
		return;
	}
	if (bursts)
		used += format_one(text, used, "burst_length", "",
				   settings->burst_s);
	if (settings->iops_size)
		format_one(text, used, "iops_size", "", settings->iops_size);
}
