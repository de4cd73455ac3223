/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-pci transport as a guest's driver drives it: found through
 * configuration space, set up through the BAR, against a back-end in a thread
 * of this process.  For test_virtio_pci*.c; one machine at a time.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include <check.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/life.h"
#include "tests/wire/fake_backend.h"

#define RAM_BYTES	(2u << 20)
#define NR_QUEUES	2
#define MSG_ADDRESS	0xfee01000ull
#define MSG_DATA	0x40u		/* plus the vector */
#define CONFIG_VECTOR	NR_QUEUES
#define VERSION_1	(1ull << VIRTIO_F_VERSION_1)
#define F_MASK		(VERSION_1 | 1ull << 28 | 1ull << 29 | 0xffffff)
#define NUM_QUEUES_AT	34		/* in virtio-blk's config space */
#define RUNNING \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define NEEDS_RESET	VIRTIO_CONFIG_S_NEEDS_RESET

extern struct fake_backend fake;

/* The fds of the core's loop. */
extern int machine_watched[3 * LIFE_MAX_DEVICES];
extern unsigned int machine_nr_watched;

/* Where the driver found things; offsets in the BAR. */
extern struct driver {
	unsigned int slot;
	uint64_t bar;
	uint32_t common, isr, device, notify, notify_step;
	uint32_t device_bytes;
	uint32_t msix_table, msix_pba;
	unsigned int msix_cap, window_cap;
} driver;

/* --- the machine: a disk in slot 1, its back-end, the core's loop ------------- */

/* All of it; a machine without devices; the end. */
void machine_set_up(void);
void machine_make(void);
void machine_tear_down(void);
int machine_add(uint32_t index, enum life_role role, uint32_t nr_queues);
/* One that may have packed rings, of a machine without devices; probed. */
void machine_add_packed_disk(void);

void machine_watch(int fd, uint32_t events, const char *what);
/* As if each fd was ready. */
void machine_main_loop(void);

/* Interrupts of a vector so far; whether an eventfd had been signalled. */
unsigned int machine_interrupts(unsigned int vector);
bool machine_take_signal(int fd);
void machine_signal_fd(int fd);

/* A test case on such a machine; the tests.  Return: exit status. */
TCase *machine_new_case(Suite *all, const char *name);
int machine_run(Suite *all);

/* --- a guest's accesses -------------------------------------------------------- */

uint64_t driver_load(uint64_t addr, unsigned int size);
void driver_store(uint64_t addr, unsigned int size, uint64_t value);
/* Address of a register in configuration space. */
uint64_t driver_config_at(unsigned int reg);
/* Fields of the common configuration. */
uint32_t driver_get(unsigned int field, unsigned int size);
void driver_set(unsigned int field, unsigned int size, uint32_t value);
uint8_t driver_status(void);

/* --- its steps ------------------------------------------------------------------ */

/* Walk the capability list of device number slot, switch the BAR on. */
void driver_probe(unsigned int slot);
void driver_set_up_msix(void);
void driver_set_address(unsigned int field, uint64_t address);
void driver_set_up_queue(unsigned int index, uint32_t size, uint64_t desc);
void driver_accept_features(uint64_t features);
/* virtio 1.2, 3.1.1: up to FEATURES_OK, and to DRIVER_OK. */
void driver_begin(void);
void driver_begin_with(uint64_t features);
void driver_run(void);

#endif
