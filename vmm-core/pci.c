/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI root of the core process: configuration space of the host bridge
 * and of up to 31 functions, reached through ports CF8/CFC and through ECAM
 * by vCPU threads.  What lies behind a function is its own file's business
 * (virtio_pci.c); where its BAR decodes is pci_bar.c's.
 *
 * Functions are conventional PCI ones with 256 bytes of configuration space:
 * above that ECAM reads as all ones, which tells the guest so.
 */
#include "vmm-core/pci.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "ipc/log.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/pci_priv.h"

/*
 * A host bridge that no driver and no quirk of a guest knows: Red Hat's
 * generic one.  The guest needs it to believe in CF8/CFC (Linux looks for a
 * bridge's class code before it trusts the ports).
 */
#define HOST_BRIDGE_VENDOR	0x1b36
#define HOST_BRIDGE_DEVICE	0x0008
#define HOST_BRIDGE_CLASS	0x060000

#define PORT_BASE		0xcf8
#define PORT_BYTES		8
#define PORT_DATA		4	/* CFC, from PORT_BASE */
#define ADDRESS_ENABLE		0x80000000u
#define ADDRESS_MASK		0x80fffffcu	/* the other bits read as 0 */

#define ECAM_FUNCTION_SHIFT	12

static struct pci_function host_bridge;
static struct pci_function *functions[PCI_MAX_DEVICES];
static _Atomic uint32_t config_address;	/* CF8 */

void pci_function_init(struct pci_function *fn, const char *name,
		       uint16_t vendor, uint16_t device, uint32_t class_code,
		       uint8_t revision)
{
	fn->name = name;
	pthread_mutex_init(&fn->lock, NULL);
	fn->caps_end = PCI_FIRST_CAP;
	pci_put16(fn->config + PCI_VENDOR_ID, vendor);
	pci_put16(fn->config + PCI_DEVICE_ID, device);
	pci_put32(fn->config + PCI_CLASS_REVISION, class_code << 8 | revision);
	/* PCI 3.0, 6.2.4: scratch for system software; no pin, no INTx */
	fn->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	fn->writable[PCI_INTERRUPT_LINE] = 0xff;
	pci_put16(fn->writable + PCI_COMMAND,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		  PCI_COMMAND_INTX_DISABLE);
}

uint8_t pci_add_capability(struct pci_function *fn, uint8_t id, uint8_t len)
{
	uint8_t offset = fn->caps_end;
	uint8_t *link = fn->config + PCI_CAPABILITY_LIST;

	/* PCI 3.0, 6.7: capabilities start on a dword */
	if (offset + ((len + 3u) & ~3u) >= PCI_CONFIG_BYTES)
		return 0;
	while (*link)
		link = fn->config + *link + PCI_CAP_LIST_NEXT;
	*link = offset;
	fn->config[offset + PCI_CAP_LIST_ID] = id;
	fn->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	fn->caps_end = (uint8_t)(offset + ((len + 3u) & ~3u));
	return offset;
}

int pci_attach_function(unsigned int slot, struct pci_function *fn)
{
	if (slot >= PCI_MAX_DEVICES || functions[slot])
		return -EBUSY;
	fn->slot = slot;
	functions[slot] = fn;
	return 0;
}

static uint32_t config_read(struct pci_function *fn, unsigned int offset,
			    unsigned int size)
{
	uint32_t value = 0;

	pci_lock(fn);
	if (fn->ops)
		fn->ops->config_reading(fn, offset, size);
	memcpy(&value, fn->config + offset, size);
	pci_unlock(fn);
	return value;
}

static void config_write(struct pci_function *fn, unsigned int offset,
			 unsigned int size, uint32_t value)
{
	pci_lock(fn);
	for (unsigned int i = 0; i < size; i++) {
		uint8_t mask = fn->writable[offset + i];
		uint8_t *byte = &fn->config[offset + i];

		*byte = (uint8_t)((*byte & ~mask) | (value >> 8 * i & mask));
	}
	pci_bar_update(fn);
	if (fn->ops)
		fn->ops->config_written(fn, offset, size);
	pci_unlock(fn);
}

/*
 * The function and register that an access means, or NULL: nothing there, or
 * an access that crosses its size's boundary.
 */
static struct pci_function *find_function(unsigned int devfn,
					  unsigned int offset,
					  unsigned int size)
{
	/* All functions are number 0 of their device. */
	if (devfn & 7 || size > 4 || offset & (size - 1) ||
	    offset >= PCI_CONFIG_BYTES)
		return NULL;
	return functions[devfn >> 3];
}

static uint64_t ecam_read(void *opaque, uint64_t offset, unsigned int size)
{
	unsigned int reg = offset & ((1u << ECAM_FUNCTION_SHIFT) - 1);
	struct pci_function *fn;

	(void)opaque;
	fn = find_function((unsigned int)(offset >> ECAM_FUNCTION_SHIFT), reg,
			   size);
	return fn ? config_read(fn, reg, size) : UINT64_MAX;
}

static void ecam_write(void *opaque, uint64_t offset, unsigned int size,
		       uint64_t value)
{
	unsigned int reg = offset & ((1u << ECAM_FUNCTION_SHIFT) - 1);
	struct pci_function *fn;

	(void)opaque;
	fn = find_function((unsigned int)(offset >> ECAM_FUNCTION_SHIFT), reg,
			   size);
	if (fn)
		config_write(fn, reg, size, (uint32_t)value);
}

/* What CFC..CFF mean now; bus numbers other than 0 do not exist. */
static struct pci_function *port_target(uint64_t port_offset,
					unsigned int size, unsigned int *reg)
{
	uint32_t address = atomic_load(&config_address);
	unsigned int byte = (unsigned int)(port_offset - PORT_DATA);

	if (port_offset < PORT_DATA || !(address & ADDRESS_ENABLE) ||
	    address >> 16 & 0xff)
		return NULL;
	*reg = (address & 0xfc) + byte;
	return find_function(address >> 8 & 0xff, *reg, size);
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned int size)
{
	struct pci_function *fn;
	unsigned int reg;

	(void)opaque;
	if (offset == 0 && size == 4)
		return atomic_load(&config_address);
	fn = port_target(offset, size, &reg);
	return fn ? config_read(fn, reg, size) : UINT64_MAX;
}

static void port_write(void *opaque, uint64_t offset, unsigned int size,
		       uint64_t value)
{
	struct pci_function *fn;
	unsigned int reg;

	(void)opaque;
	/* PCI 3.0, 3.2.2.3.2: only a dword reaches the address register */
	if (offset == 0 && size == 4) {
		atomic_store(&config_address, (uint32_t)value & ADDRESS_MASK);
		return;
	}
	fn = port_target(offset, size, &reg);
	if (fn)
		config_write(fn, reg, size, (uint32_t)value);
}

static unsigned int config_owner(void *opaque)
{
	(void)opaque;
	return STATS_OWNER_PCI;
}

static const struct bus_ops ecam_ops = {
	.read = ecam_read,
	.write = ecam_write,
	.owner = config_owner,
};

static const struct bus_ops port_ops = {
	.read = port_read,
	.write = port_write,
	.owner = config_owner,
};

int pci_init(void)
{
	int err;

	pci_function_init(&host_bridge, "host bridge", HOST_BRIDGE_VENDOR,
			  HOST_BRIDGE_DEVICE, HOST_BRIDGE_CLASS, 0);
	functions[0] = &host_bridge;

	err = bus_add(BUS_PIO, PORT_BASE, PORT_BYTES, &port_ops, NULL);
	if (!err)
		err = bus_add(BUS_MMIO, PCI_ECAM_BASE, PCI_ECAM_BYTES,
			      &ecam_ops, NULL);
	if (err)
		log_perr(-err, "PCI root cannot take its ports and ECAM range");
	return err;
}
