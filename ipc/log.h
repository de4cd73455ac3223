/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event, one write(2) per line, to fd 2: the supervisor's
 * standard error, or the pipe that it reads for its children; lines that nobody
 * takes are lost.  No allocation.  Lines longer than LOG_LINE_MAX are cut,
 * control characters become '?'.
 */
#ifndef IPC_LOG_H
#define IPC_LOG_H

#include <stdint.h>
#include <stdnoreturn.h>

#define LOG_LINE_MAX	512	/* bytes, newline included; below PIPE_BUF */

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * prefix: "debian/vda" or "bulkhead"; kept, not copied.  A child of the
 * supervisor sets NULL: the supervisor adds name and pid itself, as it must
 * not take a name from a process it does not trust.
 */
void log_init(const char *prefix, enum log_level level);

/*
 * true while fd 2 may be a terminal in raw mode, where a newline alone does not
 * return to the first column: lines end in CR LF then.
 */
void log_set_raw(int raw);

/* The supervisor passes on a line of a child: "from: text", no level. */
void log_relay(const char *from, const char *text);

void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* As log_err(), with ": " and the text of errno_value. */
void log_perr(int errno_value, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* log_err() and exit(status).  Only before the loop starts, and in jail/. */
noreturn void die(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define EXIT_USAGE	2	/* wrong command line or configuration */

/*
 * For what a guest or a peer can trigger at will: true at most burst times
 * per second, and at most once per second after that.
 */
struct log_limit {
	int64_t window_ms;	/* start of the current second */
	uint32_t count;
};
int log_allowed(struct log_limit *limit, uint32_t burst);

#endif
