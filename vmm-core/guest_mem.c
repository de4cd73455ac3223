/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM of the core process: the one mapping of RAM_FD, and the only way
 * from a guest-physical address to a host pointer (C2).
 */
#include "vmm-core/guest_mem.h"

#include <errno.h>
#include <sys/mman.h>

#include "ipc/log.h"

static struct guest_region regions_all[2];
static unsigned int nr_regions_all;

static void region_add(gpa_t gpa, uint64_t size_bytes, uint64_t fd_offset,
		       uint8_t *map)
{
	regions_all[nr_regions_all++] = (struct guest_region){
		.gpa = gpa,
		.size_bytes = size_bytes,
		.fd_offset = fd_offset,
		.host = map + fd_offset,
	};
}

int guest_mem_init(int ram_fd, uint64_t ram_bytes)
{
	uint64_t low = ram_bytes < LOW_RAM_END ? ram_bytes : LOW_RAM_END;
	uint8_t *map;

	if (ram_bytes == 0 || ram_bytes > UINT64_MAX - HIGH_RAM_BASE)
		return -EINVAL;
	map = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   ram_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	/* Guest memory has no place in a core dump. */
	if (madvise(map, ram_bytes, MADV_DONTDUMP) != 0)
		log_perr(errno, "guest RAM stays in core dumps");

	region_add(0, low, 0, map);
	if (ram_bytes > low)
		region_add(HIGH_RAM_BASE, ram_bytes - low, low, map);
	return 0;
}

unsigned int guest_mem_regions(const struct guest_region **regions)
{
	*regions = regions_all;
	return nr_regions_all;
}

void *guest_mem_span(gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < nr_regions_all; i++) {
		const struct guest_region *region = &regions_all[i];
		uint64_t offset = gpa - region->gpa;

		if (gpa < region->gpa || offset >= region->size_bytes)
			continue;
		if (len > region->size_bytes - offset)
			return NULL;
		return region->host + offset;
	}
	return NULL;
}
