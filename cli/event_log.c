/* SPDX-License-Identifier: Apache-2.0 */
/* See event_log.h. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "cli/control.h"
#include "cli/event_log.h"
#include "ipc/fdmsg.h"
#include "ipc/probe.h"

/* RFC 3339, UTC, milliseconds. */
static void format_now(char *text, size_t len)
{
	struct timespec now;
	struct tm tm;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	used = strftime(text, len, "%FT%T", &tm);
	snprintf(text + used, len - used, ".%03ldZ", now.tv_nsec / 1000000);
}

static void keep(struct event_log *log, json_t *event)
{
	json_t **place = &log->event[log->next++ % EVENTS_KEPT];

	json_decref(*place);
	*place = event;
}

void event_note(struct vm *vm, const char *kind, const char *process,
		int pid, const char *fmt, ...)
{
	char time[32], text[LIFE_TEXT_MAX];
	json_t *event;
	va_list ap;

	PROBE2(event, kind, pid);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	format_now(time, sizeof(time));
	event = json_pack("{s:i, s:b, s:I, s:s, s:I, s:s}", "version",
			  CONTROL_VERSION, "ok", 1, "number",
			  (json_int_t)vm->events.next, "time", time,
			  "uptime_ms",
			  (json_int_t)(fdmsg_now_ms() - vm->started_ms),
			  "event", kind);
	/* Without memory there is no log of it, and no other harm. */
	if (!event)
		return;
	if (process)
		json_object_set_new(event, "process", json_string(process));
	if (pid)
		json_object_set_new(event, "pid", json_integer(pid));
	if (text[0])
		json_object_set_new(event, "text", json_string(text));
	keep(&vm->events, event);
	control_tell(vm, event);
}

json_t *event_list(const struct event_log *log, uint64_t first)
{
	json_t *list = json_array();

	if (log->next > EVENTS_KEPT && first < log->next - EVENTS_KEPT)
		first = log->next - EVENTS_KEPT;
	for (; first < log->next; first++)
		json_array_append(list, log->event[first % EVENTS_KEPT]);
	return list;
}

void event_log_drop(struct event_log *log)
{
	for (unsigned int i = 0; i < EVENTS_KEPT; i++) {
		json_decref(log->event[i]);
		log->event[i] = NULL;
	}
}
