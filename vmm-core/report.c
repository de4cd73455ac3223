/* SPDX-License-Identifier: Apache-2.0 */
/* The core process's voice: events and last words on the life channel (C7). */
#include "vmm-core/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/log.h"

#define REPORT_TIMEOUT_MS	1000

static void send_event(const struct life_core_event *event)
{
	int err = life_send(LIFE_FD, LIFE_CORE_EVENT, event, NULL, 0,
			    REPORT_TIMEOUT_MS);

	if (err)
		log_perr(-err, "event %u not reported: %s", event->kind,
			 event->text);
}

void report_event(enum life_core_event_kind kind, unsigned int index,
		  const char *fmt, ...)
{
	struct life_core_event event = { .kind = kind, .index = index };
	va_list args;

	va_start(args, fmt);
	vsnprintf(event.text, sizeof(event.text), fmt, args);
	va_end(args);
	send_event(&event);
}

void report_device_failed(unsigned int index, unsigned int link,
			  bool in_flight, const char *why)
{
	struct life_core_event event = {
		.kind = LIFE_EVENT_DEVICE_FAILED,
		.index = index,
		.link = link,
		.in_flight = in_flight,
	};

	snprintf(event.text, sizeof(event.text), "%s", why);
	send_event(&event);
}

void report_failed(const char *fmt, ...)
{
	struct life_text last = { 0 };
	va_list args;

	va_start(args, fmt);
	vsnprintf(last.text, sizeof(last.text), fmt, args);
	va_end(args);
	if (life_send(LIFE_FD, LIFE_FAILED, &last, NULL, 0,
		      REPORT_TIMEOUT_MS) != 0)
		log_err("%s", last.text);
	_exit(EXIT_FAILURE);
}
