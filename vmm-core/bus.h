/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port and memory-mapped I/O dispatch: heavy exits, by vCPU threads.
 *
 * Ranges are added before the first vCPU runs, or moved (a BAR) later under
 * the bus lock; a lookup takes the lock for reading.  A handler runs on the
 * vCPU's thread, without the bus lock, and takes its own device's lock.
 * Nothing there: reads give all ones, writes are dropped.
 *
 * Ports may nest, and the narrowest range that holds the whole access gets it:
 * a dword at 0xcf8 is PCI's, a byte at 0xcf9 the reset register's.  Memory
 * ranges must not touch.
 */
#ifndef VMM_CORE_BUS_H
#define VMM_CORE_BUS_H

#include <stdint.h>

#include "ipc/pages.h"

enum bus_space { BUS_PIO, BUS_MMIO };

/* offset: bytes from the range's base; size: 1, 2, 4 or 8 (MMIO) bytes. */
struct bus_ops {
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned int size);
	void (*write)(void *opaque, uint64_t offset, unsigned int size,
		      uint64_t value);
	/* Who answers, for the statistics: enum stats_owner or a device. */
	unsigned int (*owner)(void *opaque);
};

/* owner() of what belongs to the platform: STATS_OWNER_ACPI. */
unsigned int bus_platform_owner(void *opaque);

/*
 * Return: 0; -EEXIST overlaps another range; -ENOSPC table full;
 * -EINVAL empty or wrapping range.  ops and opaque must live for ever.
 */
int bus_add(enum bus_space space, uint64_t base, uint64_t len,
	    const struct bus_ops *ops, void *opaque);
void bus_remove(enum bus_space space, uint64_t base);

/*
 * Called by vCPU threads.  data: size bytes, little-endian.
 * Return: who answered, enum stats_owner or a device.
 */
unsigned int bus_access(enum bus_space space, uint64_t addr, void *data,
		unsigned int size, int is_write);

#endif
