/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel finds when it starts: boot data in the first MiB of RAM, and
 * vCPU 0's registers.  Core process, between loading and vcpus_run() (C5).
 *
 *	0x06000  GDT                      0x10000  PVH start_info and its lists
 *	0x07000  zero page                0x20000  command line
 *	0x09000  page tables, 6 pages     0xe0000  ACPI tables (acpi.h)
 */
#ifndef VMM_CORE_BOOT_H
#define VMM_CORE_BOOT_H

#include "vmm-core/guest_mem.h"
#include "vmm-core/load.h"

#define BOOT_GDT	0x06000u
#define BOOT_ZERO_PAGE	0x07000u
#define BOOT_PAGE_TABLES	0x09000u	/* PML4, PDPT, 4 page directories */
#define BOOT_START_INFO	0x10000u
#define BOOT_CMDLINE	0x20000u
#define BOOT_LOW_END	0x9fc00u	/* RAM as PCs have it, EBDA after it */
#define BOOT_ACPI	0xe0000u	/* searched for the RSDP by BIOS rules */
#define BOOT_ACPI_BYTES	0x20000u

#define BOOT_MAX_RANGES	8

/* E820 types; PVH uses the same numbers. */
enum boot_range_type { BOOT_RANGE_RAM = 1, BOOT_RANGE_RESERVED = 2 };

struct boot_range {
	gpa_t gpa;
	uint64_t size_bytes;
	enum boot_range_type type;
};

struct boot_info {
	const struct loaded_kernel *kernel;
	const char *cmdline;	/* NUL-terminated */
	gpa_t initrd;
	uint64_t initrd_bytes;	/* 0: none */
	gpa_t rsdp;
};

/* The guest's memory map, ascending.  Return: number of ranges. */
unsigned int boot_memory_map(struct boot_range ranges[BOOT_MAX_RANGES]);

/*
 * Write all boot data.
 * Return: 0, or -ENOEXEC with error filled (a command line that is too long
 * for this kernel).
 */
int boot_write(const struct boot_info *info, struct load_error *error);

/* Set vCPU 0's registers to the kernel's entry point.  Return: 0 or -errno. */
int boot_set_registers(int vcpu_fd, const struct loaded_kernel *kernel);

#endif
