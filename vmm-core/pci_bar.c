/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a function's BAR decodes (core process, vCPU threads).  The guest may
 * move it at any time, to anywhere: outside the window for BARs, or where
 * another range decodes already, the BAR answers to nothing and all goes on.
 */
#include <linux/pci_regs.h>

#include "ipc/log.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/pci_priv.h"

#define BAR_LOW		PCI_BASE_ADDRESS_0
#define BAR_HIGH	PCI_BASE_ADDRESS_1

/*
 * The bus allows 8 bytes; a function sees two accesses of 4, as it would
 * behind a real bridge with 32 data lines.
 */
static uint64_t bar_read(void *opaque, uint64_t offset, unsigned int size)
{
	struct pci_function *fn = opaque;
	uint64_t value;

	if (offset & (size - 1))
		return UINT64_MAX;
	pci_lock(fn);
	value = fn->ops->bar_read(fn, offset, size > 4 ? 4 : size);
	if (size == 8)
		value |= (uint64_t)fn->ops->bar_read(fn, offset + 4, 4) << 32;
	pci_unlock(fn);
	return value;
}

static void bar_write(void *opaque, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct pci_function *fn = opaque;

	if (offset & (size - 1))
		return;
	pci_lock(fn);
	fn->ops->bar_write(fn, offset, size > 4 ? 4 : size, (uint32_t)value);
	if (size == 8)
		fn->ops->bar_write(fn, offset + 4, 4, (uint32_t)(value >> 32));
	pci_unlock(fn);
}

static unsigned int bar_owner(void *opaque)
{
	const struct pci_function *fn = opaque;

	return fn->slot - 1;
}

static const struct bus_ops bar_ops = {
	.read = bar_read,
	.write = bar_write,
	.owner = bar_owner,
};

void pci_bar_init(struct pci_function *fn, uint64_t address, uint32_t bytes)
{
	fn->bar_bytes = bytes;
	pci_put32(fn->config + BAR_LOW,
		  (uint32_t)address | PCI_BASE_ADDRESS_MEM_TYPE_64);
	pci_put32(fn->config + BAR_HIGH, (uint32_t)(address >> 32));
	/* PCI 3.0, 6.2.5.1: bits below the size stay 0, which tells the size */
	pci_put32(fn->writable + BAR_LOW, ~(bytes - 1));
	pci_put32(fn->writable + BAR_HIGH, UINT32_MAX);
}

static uint64_t bar_address(const struct pci_function *fn)
{
	uint32_t low = pci_get32(fn->config + BAR_LOW);
	uint32_t high = pci_get32(fn->config + BAR_HIGH);

	return (uint64_t)high << 32 |
	       (low & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK);
}

static bool in_window(const struct pci_function *fn, uint64_t address)
{
	return address >= PCI_MMIO_BASE && address < PCI_MMIO_END &&
	       fn->bar_bytes <= PCI_MMIO_END - address;
}

static void complain(struct pci_function *fn, uint64_t address)
{
	if (fn->bar_complained)
		return;
	fn->bar_complained = true;
	log_warn("%s: guest put the BAR at %#llx, where it cannot decode; "
		 "it answers to nothing until moved", fn->name,
		 (unsigned long long)address);
}

void pci_bar_update(struct pci_function *fn)
{
	uint64_t want = 0;

	if (!fn->bar_bytes)
		return;
	if (pci_get16(fn->config + PCI_COMMAND) & PCI_COMMAND_MEMORY)
		want = bar_address(fn);
	if (want == fn->bar_base)
		return;
	if (fn->bar_base) {
		bus_remove(BUS_MMIO, fn->bar_base);
		fn->bar_base = 0;
		fn->ops->bar_moved(fn, 0);
	}
	if (!want)
		return;
	if (!in_window(fn, want) ||
	    bus_add(BUS_MMIO, want, fn->bar_bytes, &bar_ops, fn) != 0) {
		complain(fn, want);
		return;
	}
	fn->bar_base = want;
	fn->ops->bar_moved(fn, want);
}
