/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core tells the supervisor on LIFE_FD.
 * Any thread; never blocks for longer than a second; text is cut to fit.
 */
#ifndef VMM_CORE_REPORT_H
#define VMM_CORE_REPORT_H

#include <stdbool.h>
#include <stdnoreturn.h>

#include "ipc/life.h"

/* Something happened to the VM (struct life_core_event). */
void report_event(enum life_core_event_kind kind, unsigned int index,
		  const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * A device's process is no more, or talks nonsense over link number link;
 * in_flight: requests that only a successor with their list can do again.
 */
void report_device_failed(unsigned int index, unsigned int link,
			  bool in_flight, const char *why);

/*
 * The VM cannot start: the one line that says why (LIFE_FAILED), and the end
 * of the process with status 1.  Before LIFE_EVENT_STARTED only.
 */
noreturn void report_failed(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

#endif
