/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI function of bus 0, as its device sees it.  Shared by pci.c (config
 * space), pci_bar.c (where the BAR decodes) and the functions themselves.
 *
 * Every callback runs under the function's lock, on a vCPU's thread.
 */
#ifndef VMM_CORE_PCI_PRIV_H
#define VMM_CORE_PCI_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vmm-core/bus.h"

#define PCI_MAX_DEVICES		32	/* device numbers of one bus */
#define PCI_CONFIG_BYTES	256	/* conventional: no extended space */
#define PCI_FIRST_CAP		0x40

struct pci_function;

struct pci_function_ops {
	/* Bring config[offset, offset + size) up to date before it is read. */
	void (*config_reading)(struct pci_function *fn, unsigned int offset,
			       unsigned int size);
	/* config[offset, offset + size) was written (BARs are done with). */
	void (*config_written)(struct pci_function *fn, unsigned int offset,
			       unsigned int size);
	/* An access inside the BAR, naturally aligned; size 1, 2 or 4 bytes. */
	uint32_t (*bar_read)(struct pci_function *fn, uint64_t offset,
			     unsigned int size);
	void (*bar_write)(struct pci_function *fn, uint64_t offset,
			  unsigned int size, uint32_t value);
	/* The BAR decodes at base from now on (0: nowhere). */
	void (*bar_moved)(struct pci_function *fn, uint64_t base);
	/* Called by pci_unlock(), unlocked, when fn->events is not 0. */
	void (*run_events)(struct pci_function *fn);
};

struct pci_function {
	const char *name;
	const struct pci_function_ops *ops;	/* NULL: host bridge */
	unsigned int slot;	/* device number; the devices' begin at 1 */
	pthread_mutex_t lock;
	_Atomic unsigned int events;	/* left by who found the lock taken */

	/* Under lock: */
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES];	/* bits that the guest may set */
	uint8_t caps_end;		/* first free byte after the capabilities */
	uint32_t bar_bytes;		/* BAR 0/1, a power of two; 0: no BAR */
	uint64_t bar_base;		/* where it decodes now; 0: nowhere */
	bool bar_complained;
};

static inline uint16_t pci_get16(const uint8_t *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint32_t pci_get32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline void pci_put16(uint8_t *bytes, uint16_t value)
{
	memcpy(bytes, &value, sizeof(value));
}

static inline void pci_put32(uint8_t *bytes, uint32_t value)
{
	memcpy(bytes, &value, sizeof(value));
}

static inline void pci_lock(struct pci_function *fn)
{
	pthread_mutex_lock(&fn->lock);
}

static inline void pci_unlock(struct pci_function *fn)
{
	pthread_mutex_unlock(&fn->lock);
	if (atomic_load(&fn->events))
		fn->ops->run_events(fn);
}

/* Identity and header; fn must be zeroed and live for ever. */
void pci_function_init(struct pci_function *fn, const char *name,
		       uint16_t vendor, uint16_t device, uint32_t class_code,
		       uint8_t revision);

/*
 * Append a capability of len bytes (PCI Local Bus 3.0, 6.7): id and next
 * pointer are filled in, the rest is zero and read-only.
 * Return: its offset; 0 if config space is full.
 */
uint8_t pci_add_capability(struct pci_function *fn, uint8_t id, uint8_t len);

/*
 * Give fn a 64-bit memory BAR (0/1) of bytes, a power of two, and put address
 * into it; it decodes once the guest sets Memory Space Enable.
 */
void pci_bar_init(struct pci_function *fn, uint64_t address, uint32_t bytes);

/* The command register or the BAR may have changed: decode accordingly. */
void pci_bar_update(struct pci_function *fn);

/* Make fn device number slot (1..31).  Before the vCPUs run.  0 or -EBUSY. */
int pci_attach_function(unsigned int slot, struct pci_function *fn);

#endif
