/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM, as the core sees it.
 *
 * One sealed memfd (RAM_FD) mapped once.  Guest-physical layout: RAM from 0 up
 * to at most LOW_RAM_END, the hole for devices up to 4 GiB, the rest of RAM
 * from 4 GiB on.  The memfd has no hole: what lies above 4 GiB follows what
 * lies below LOW_RAM_END.
 */
#ifndef VMM_CORE_GUEST_MEM_H
#define VMM_CORE_GUEST_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "vmm-core/layout.h"

/* A guest-physical address: an integer, never a pointer. */
typedef uint64_t gpa_t;

#define HIGH_RAM_BASE	0x100000000ull

struct guest_region {
	gpa_t gpa;
	uint64_t size_bytes;
	uint64_t fd_offset;	/* in RAM_FD */
	uint8_t *host;
};

/* Map ram_fd (ram_bytes long).  Return: 0 or -errno. */
int guest_mem_init(int ram_fd, uint64_t ram_bytes);

/* The regions, one or two.  Valid after guest_mem_init(), never changes. */
unsigned int guest_mem_regions(const struct guest_region **regions);

/*
 * [gpa, gpa + len) as host memory, or NULL if any byte of it is not RAM or
 * the range crosses from one region to another.
 */
void *guest_mem_span(gpa_t gpa, uint64_t len);

#endif
