/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table behind every heavy exit of the core: which handler answers a port
 * or a memory-mapped address.  Filled by the main thread, read by all vCPU
 * threads, changed by a vCPU thread that moves a BAR.
 */
#include "vmm-core/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define BUS_MAX_RANGES	96	/* per space: 31 functions, 2 BARs each, fixed ones */

struct bus_range {
	uint64_t base;
	uint64_t last;		/* inclusive, so that a range may end at 2^64 - 1 */
	const struct bus_ops *ops;
	void *opaque;
};

struct bus_table {
	unsigned int nr_ranges;
	struct bus_range range[BUS_MAX_RANGES];
};

static pthread_rwlock_t bus_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct bus_table bus_tables[2];	/* indexed by enum bus_space */

static bool range_within(const struct bus_range *inner,
			 const struct bus_range *outer)
{
	return inner->base > outer->base && inner->last <= outer->last;
}

/* Ports may nest (0xcf9 lies inside 0xcf8); memory ranges may not touch. */
static bool range_conflicts(enum bus_space space, const struct bus_range *a,
			    const struct bus_range *b)
{
	if (a->last < b->base || b->last < a->base)
		return false;
	if (space == BUS_PIO)
		return !range_within(a, b) && !range_within(b, a);
	return true;
}

static int table_insert(enum bus_space space, const struct bus_range *new)
{
	struct bus_table *table = &bus_tables[space];

	for (unsigned int i = 0; i < table->nr_ranges; i++)
		if (range_conflicts(space, new, &table->range[i]))
			return -EEXIST;
	if (table->nr_ranges == BUS_MAX_RANGES)
		return -ENOSPC;
	table->range[table->nr_ranges++] = *new;
	return 0;
}

unsigned int bus_platform_owner(void *opaque)
{
	(void)opaque;
	return STATS_OWNER_ACPI;
}

int bus_add(enum bus_space space, uint64_t base, uint64_t len,
	    const struct bus_ops *ops, void *opaque)
{
	struct bus_range new = { .base = base, .ops = ops, .opaque = opaque };
	int err;

	if (len == 0 || __builtin_add_overflow(base, len - 1, &new.last))
		return -EINVAL;
	if (space == BUS_PIO && new.last > UINT16_MAX)
		return -EINVAL;

	pthread_rwlock_wrlock(&bus_lock);
	err = table_insert(space, &new);
	pthread_rwlock_unlock(&bus_lock);
	return err;
}

void bus_remove(enum bus_space space, uint64_t base)
{
	struct bus_table *table = &bus_tables[space];

	pthread_rwlock_wrlock(&bus_lock);
	for (unsigned int i = 0; i < table->nr_ranges; i++) {
		if (table->range[i].base != base)
			continue;
		table->range[i] = table->range[--table->nr_ranges];
		break;
	}
	pthread_rwlock_unlock(&bus_lock);
}

/*
 * The narrowest range that holds the whole access: a dword at 0xcf8 is PCI's,
 * a byte at 0xcf9 is the reset register's.
 */
static bool table_find(enum bus_space space, uint64_t addr, unsigned int size,
		       struct bus_range *found)
{
	const struct bus_table *table = &bus_tables[space];
	bool have = false;
	uint64_t last;

	if (__builtin_add_overflow(addr, size - 1, &last))
		return false;

	pthread_rwlock_rdlock(&bus_lock);
	for (unsigned int i = 0; i < table->nr_ranges; i++) {
		const struct bus_range *range = &table->range[i];

		if (addr < range->base || last > range->last)
			continue;
		if (have && !range_within(range, found))
			continue;
		*found = *range;
		have = true;
	}
	pthread_rwlock_unlock(&bus_lock);
	return have;
}

static unsigned int access_whole(enum bus_space space, uint64_t addr,
				 uint8_t *data, unsigned int size,
				 bool is_write)
{
	uint64_t value = UINT64_MAX;
	struct bus_range range = { 0 };
	bool found = table_find(space, addr, size, &range);
	unsigned int owner = STATS_OWNER_NOBODY;

	if (found && range.ops->owner)
		owner = range.ops->owner(range.opaque);
	if (is_write) {
		value = 0;
		memcpy(&value, data, size);
		if (found)
			range.ops->write(range.opaque, addr - range.base, size,
					 value);
		return owner;
	}
	if (found)
		value = range.ops->read(range.opaque, addr - range.base, size);
	memcpy(data, &value, size);
	return owner;
}

unsigned int bus_access(enum bus_space space, uint64_t addr, void *data,
			unsigned int size, int is_write)
{
	unsigned int owner = STATS_OWNER_NOBODY;
	uint8_t *bytes = data;

	if (size == 1 || size == 2 || size == 4 || size == 8) {
		return access_whole(space, addr, bytes, size, is_write);
	}
	/* KVM splits an access at a page's end: 3 bytes here, 1 there. */
	for (unsigned int i = 0; i < size; i++)
		owner = access_whole(space, addr + i, bytes + i, 1, is_write);
	return owner;
}
