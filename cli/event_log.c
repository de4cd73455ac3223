/* SPDX-License-Identifier: Apache-2.0 */
/* See event_log.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control.h"
#include "cli/event_log.h"
#include "ipc/fdmsg.h"
#include "ipc/probe.h"

/* RFC 3339, UTC, milliseconds. */
static void format_time(const struct timespec *when, char *text, size_t len)
{
	struct tm tm;
	size_t used;

	gmtime_r(&when->tv_sec, &tm);
	used = strftime(text, len, "%FT%T", &tm);
	snprintf(text + used, len - used, ".%03ldZ", when->tv_nsec / 1000000);
}

/* NULL: no memory. */
static json_t *event_object(const struct event *event, uint64_t number)
{
	char time[32];
	json_t *object;

	format_time(&event->when, time, sizeof(time));
	object = json_pack("{s:i, s:b, s:I, s:s, s:I, s:s}", "version",
			   CONTROL_VERSION, "ok", 1, "number",
			   (json_int_t)number, "time", time, "uptime_ms",
			   (json_int_t)event->uptime_ms, "event", event->kind);
	if (!object)
		return NULL;
	if (event->process)
		json_object_set_new(object, "process",
				    json_string(event->process));
	if (event->pid)
		json_object_set_new(object, "pid", json_integer(event->pid));
	if (event->text)
		json_object_set_new(object, "text", json_string(event->text));
	return object;
}

static void tell(struct vm *vm, const struct event *event, uint64_t number)
{
	json_t *object;

	if (!control_is_followed(vm))
		return;
	object = event_object(event, number);
	if (object)
		control_tell(vm, object);
	json_decref(object);
}

void event_note(struct vm *vm, const char *kind, const char *process,
		int pid, const char *fmt, ...)
{
	uint64_t number = vm->events.next++;
	struct event *event = &vm->events.event[number % EVENTS_KEPT];
	char text[LIFE_TEXT_MAX];
	va_list ap;

	PROBE2(event, kind, pid);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	free(event->text);
	*event = (struct event){
		.kind = kind, .process = process, .pid = pid,
		.uptime_ms = fdmsg_now_ms() - vm->started_ms,
		/* Without memory there is no text, and no other harm. */
		.text = text[0] ? strdup(text) : NULL,
	};
	clock_gettime(CLOCK_REALTIME, &event->when);
	tell(vm, event, number);
}

json_t *event_list(const struct event_log *log, uint64_t first)
{
	json_t *list = json_array();

	if (log->next > EVENTS_KEPT && first < log->next - EVENTS_KEPT)
		first = log->next - EVENTS_KEPT;
	for (; first < log->next; first++)
		json_array_append_new(list,
				      event_object(&log->event[first % EVENTS_KEPT],
						   first));
	return list;
}

void event_log_drop(struct event_log *log)
{
	for (unsigned int i = 0; i < EVENTS_KEPT; i++) {
		free(log->event[i].text);
		log->event[i].text = NULL;
	}
}
