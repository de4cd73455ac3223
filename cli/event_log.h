/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened to a VM, for `bulkhead events`: the last EVENTS_KEPT of its
 * life, and live to those who follow.  In the supervisor, C7; no file.
 */
#ifndef CLI_EVENT_LOG_H
#define CLI_EVENT_LOG_H

#include <jansson.h>
#include <stdint.h>
#include <time.h>

#define EVENTS_KEPT	256

struct vm;

/* Put into words when somebody asks. */
struct event {
	const char *kind;	/* static */
	const char *process;	/* of the configuration, or NULL */
	char *text;		/* owned; NULL: there is none */
	struct timespec when;	/* CLOCK_REALTIME */
	long long uptime_ms;	/* of the supervisor */
	int pid;		/* 0: none has to do with it */
};

struct event_log {
	struct event event[EVENTS_KEPT];	/* number n is at n % EVENTS_KEPT */
	uint64_t next;		/* number of the next; the first is 0 */
};

/*
 * Note one.  kind: "died", "running", ..., a literal; ipc/README.md lists them.
 * process: "vda", "core", kept as long as the VM is; NULL: the VM's own.  pid: 0 if none has to do with
 * it.  fmt: a line about it, or "".
 */
void event_note(struct vm *vm, const char *kind, const char *process,
		int pid, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Those from number first on that are kept: a new array. */
json_t *event_list(const struct event_log *log, uint64_t first);

void event_log_drop(struct event_log *log);

#endif
