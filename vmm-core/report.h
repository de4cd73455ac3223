/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core tells the supervisor (struct life_core_event on LIFE_FD).
 * Any thread; never blocks for longer than a second; text is cut to fit.
 */
#ifndef VMM_CORE_REPORT_H
#define VMM_CORE_REPORT_H

#include "ipc/life.h"

void report_event(enum life_core_event_kind kind, unsigned int index,
		  const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
