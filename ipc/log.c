/* SPDX-License-Identifier: Apache-2.0 */
/* One line, one write: every process's log.  See ipc/log.h. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ipc/log.h"

#define LOG_OUT_FD	2
#define STUCK_MS	200

static const char *log_prefix;
static enum log_level log_max_level = LOG_LEVEL_INFO;
static int log_raw;

static const char *const level_text[] = {
	[LOG_LEVEL_ERR] = "",
	[LOG_LEVEL_WARN] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};

void log_init(const char *prefix, enum log_level level)
{
	log_prefix = prefix;
	log_max_level = level;
}

void log_set_raw(int raw)
{
	log_raw = raw;
}

/*
 * Could move the cursor, colour, or forge a line: names of files and titles
 * of processes may have any byte.
 */
static bool is_control(const char *text, size_t at)
{
	unsigned char byte = (unsigned char)text[at];

	/* U+0080 to U+009F in UTF-8; after any other byte part of a letter */
	if (byte >= 0x80 && byte <= 0x9f)
		return at > 0 && (unsigned char)text[at - 1] == 0xc2;
	return byte < ' ' || byte == 0x7f;
}

/* Append to line; what does not fit is cut, room for CR LF is kept. */
static size_t append(char *line, size_t used, const char *text)
{
	size_t room = LOG_LINE_MAX - 2 - used;
	size_t len = 0;

	for (; len < room && text[len]; len++)
		line[used + len] = is_control(text, len) ? '?' : text[len];
	return used + len;
}

/*
 * Whether LOG_OUT_FD takes a line: a pipe that is writable has room for
 * PIPE_BUF bytes.  A supervisor waits once for who stops reading, and then
 * not until he has read on; a device never waits.
 */
static bool may_write(void)
{
	static _Atomic bool stuck;
	const struct timespec patience = {
		.tv_nsec = stuck || !log_prefix ? 0 : STUCK_MS * 1000000,
	};
	struct pollfd pfd = { .fd = LOG_OUT_FD, .events = POLLOUT };

	/* ppoll(), as policies have no poll(); an error is the write's to tell */
	stuck = ppoll(&pfd, 1, &patience, NULL) == 0;
	return !stuck;
}

/* line has room for two more bytes. */
static void put_line(char *line, size_t used)
{
	ssize_t written;

	if (log_raw)
		line[used++] = '\r';
	line[used++] = '\n';
	/* A log that nobody reads, or that is full, must not stop a VM. */
	if (!may_write())
		return;
	written = write(LOG_OUT_FD, line, used);
	(void)written;
}

static void __attribute__((format(printf, 3, 0)))
emit(enum log_level level, int errno_value, const char *fmt, va_list args)
{
	char line[LOG_LINE_MAX];
	char text[LOG_LINE_MAX];
	size_t used = 0;

	if (level > log_max_level)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	if (log_prefix) {
		used = append(line, used, log_prefix);
		used = append(line, used, ": ");
	}
	used = append(line, used, level_text[level]);
	used = append(line, used, text);
	if (errno_value) {
		used = append(line, used, ": ");
		used = append(line, used, strerror(errno_value));
	}
	put_line(line, used);
}

#define LOG_FUNCTION(name, level)				\
	void name(const char *fmt, ...)				\
	{							\
		int saved_errno = errno;			\
		va_list args;					\
								\
		va_start(args, fmt);				\
		emit(level, 0, fmt, args);			\
		va_end(args);					\
		errno = saved_errno;				\
	}

LOG_FUNCTION(log_err, LOG_LEVEL_ERR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void log_perr(int errno_value, const char *fmt, ...)
{
	int saved_errno = errno;
	va_list args;

	va_start(args, fmt);
	emit(LOG_LEVEL_ERR, errno_value, fmt, args);
	va_end(args);
	errno = saved_errno;
}

noreturn void die(int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	emit(LOG_LEVEL_ERR, 0, fmt, args);
	va_end(args);
	exit(status);
}

int log_allowed(struct log_limit *limit, uint32_t burst)
{
	struct timespec now;
	int64_t now_ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
	if (now_ms - limit->window_ms >= 1000) {
		/* After a burst, a stream of causes gets one line a second. */
		limit->count = limit->count > burst ? burst : 0;
		limit->window_ms = now_ms;
	}
	if (limit->count > burst)
		return 0;
	limit->count++;
	return 1;
}

void log_relay(const char *from, const char *text)
{
	char line[LOG_LINE_MAX];
	size_t used = append(line, 0, from);

	used = append(line, used, ": ");
	used = append(line, used, text);
	put_line(line, used);
}
