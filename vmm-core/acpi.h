/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables, made in guest RAM before the guest runs (C2). */
#ifndef VMM_CORE_ACPI_H
#define VMM_CORE_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/guest_mem.h"

struct acpi_machine {
	unsigned int nr_vcpus;
	bool has_serial;	/* COM1 is there */
};

/*
 * Write all tables into area, area_bytes long, which the guest sees at
 * area_gpa (16-byte aligned).  The RSDP comes first.
 * Return: bytes used, or -ENOSPC.
 */
int acpi_write(const struct acpi_machine *machine, uint8_t *area,
	       uint32_t area_bytes, gpa_t area_gpa);

#endif
