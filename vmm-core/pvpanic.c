/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic, ISA form (QEMU, docs/specs/pvpanic): one port; reading it tells
 * which events are known, writing reports one.  vCPU threads of the core.
 */
#include "vmm-core/pvpanic.h"

#include <pthread.h>
#include <stdint.h>

#include "ipc/log.h"
#include "vmm-core/bus.h"
#include "vmm-core/layout.h"
#include "vmm-core/report.h"

#define PVPANIC_PANICKED	(1u << 0)
#define PVPANIC_CRASH_LOADED	(1u << 1)
#define EVENTS_PER_SECOND	4

static pthread_mutex_t pvpanic_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_limit pvpanic_limit;	/* under pvpanic_lock */

static uint64_t pvpanic_read(void *opaque, uint64_t offset, unsigned int size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *opaque, uint64_t offset, unsigned int size,
			  uint64_t value)
{
	int allowed;

	(void)opaque;
	(void)offset;
	(void)size;
	if (!(value & (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)))
		return;
	pthread_mutex_lock(&pvpanic_lock);
	allowed = log_allowed(&pvpanic_limit, EVENTS_PER_SECOND);
	pthread_mutex_unlock(&pvpanic_lock);
	if (allowed)
		report_event(LIFE_EVENT_PANIC, 0, "%s",
			     value & PVPANIC_PANICKED ? "guest panicked" :
			     "guest panicked and starts its crash kernel");
}

int pvpanic_init(void)
{
	static const struct bus_ops ops = { pvpanic_read, pvpanic_write,
					    bus_platform_owner };

	return bus_add(BUS_PIO, PORT_PVPANIC, 1, &ops, NULL);
}
