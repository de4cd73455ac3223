/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest "hostile": one file per kind of attack; hostile.c chooses.  All of it
 * follows from one seed.
 */
#ifndef TESTS_GUEST_HOSTILE_H
#define TESTS_GUEST_HOSTILE_H

#include "tests/guest/lib.h"

#define MAX_FUNCTIONS	8

/* A virtio function, as it was when the guest began. */
struct function {
	uint32_t slot;		/* device number on bus 0 */
	uint64_t bar;
};

extern struct function functions[MAX_FUNCTIONS];
extern uint32_t nr_functions;

/* Structures in a function's BAR (vmm-core/virtio_pci.h). */
#define BAR_BYTES	0x4000u
#define BAR_NOTIFY	0x1000u
#define BAR_TABLE	0x2000u

uint64_t next_random(void);
/* 0 .. limit - 1 */
uint32_t below(uint32_t limit);
/* A number that is 0, all ones, at an edge of RAM, or just any. */
uint64_t edge(void);
/* A store or a load of 1 << shift bytes. */
void touch(uint64_t address, uint32_t shift, int is_write, uint64_t value);

/* hostile_bus.c: n times each. */
void find_functions(void);
void restore_bars(void);
void attack_config(uint32_t n);
void attack_bars(uint32_t n);
void attack_ports(uint32_t n);
void attack_mmio(uint32_t n);

/* hostile_virtio.c */
void attack_registers(uint32_t n);
/* harmless: only interrupts that this guest survives. */
void attack_msix(uint32_t n, int harmless);
void attack_rings(uint32_t n);

/* Where rings are put: 64 KiB that the other vCPU scribbles over. */
#define RING_BASE	0x60000u
#define RING_BYTES	0x10000u

#endif
