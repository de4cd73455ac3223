/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus and configuration space: ports CF8 and CFC, ECAM, and a BAR that
 * the guest puts anywhere, with functions whose registers are memory.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/log.h"
#include "tests/fuzz/fuzz.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/pci.h"
#include "vmm-core/pci_priv.h"

#define NR_FUNCTIONS	3
#define BAR_BYTES	0x4000u
#define RAM_BYTES	(4u << 20)
#define MAX_ACCESSES	128

static struct pci_function fn[NR_FUNCTIONS];

static uint32_t bar_read(struct pci_function *of, uint64_t offset,
			 unsigned int size)
{
	fuzz_check(of->bar_base);
	fuzz_check(size == 1 || size == 2 || size == 4);
	fuzz_check(offset % size == 0 && offset + size <= BAR_BYTES);
	return 0;
}

static void bar_write(struct pci_function *of, uint64_t offset,
		      unsigned int size, uint32_t value)
{
	(void)value;
	bar_read(of, offset, size);
}

static void bar_moved(struct pci_function *of, uint64_t base)
{
	(void)of;
	/* Never over RAM, the APICs, ECAM or the edge of addresses. */
	fuzz_check(base == 0 || (base >= PCI_MMIO_BASE &&
				 base <= PCI_MMIO_END - BAR_BYTES));
}

static void written(struct pci_function *of, unsigned int offset,
		    unsigned int size)
{
	(void)of;
	fuzz_check(offset + size <= PCI_CONFIG_BYTES);
}

static const struct pci_function_ops ops = {
	.config_reading = written,
	.config_written = written,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_moved = bar_moved,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	if (guest_mem_init(fuzz_memfd(NULL, 0, RAM_BYTES), RAM_BYTES) ||
	    pci_init())
		abort();
	for (unsigned int i = 0; i < NR_FUNCTIONS; i++) {
		pci_function_init(&fn[i], "fuzz", 0x1af4, 0x1042, 0x018000, 1);
		fn[i].ops = &ops;
		if (pci_attach_function(i + 1, &fn[i]))
			abort();
	}
	return 0;
}

/* Everything as after power-on. */
static void begin(void)
{
	uint32_t address = 0;

	bus_access(BUS_PIO, 0xcf8, &address, sizeof(address), 1);
	for (unsigned int i = 0; i < NR_FUNCTIONS; i++) {
		pci_put16(fn[i].config + PCI_COMMAND, 0);
		pci_bar_update(&fn[i]);
	}
	for (unsigned int i = 0; i < NR_FUNCTIONS; i++)
		pci_bar_init(&fn[i], PCI_MMIO_BASE + i * BAR_BYTES, BAR_BYTES);

}

/* Addresses at which something is, or just is not. */
static uint64_t address(struct fuzz_input *in, uint8_t how)
{
	switch (how >> 5) {
	case 0:
	case 1:
	case 2:
		return PCI_ECAM_BASE + fuzz_take(in, 2) % 0x20000;
	case 3:
		return PCI_MMIO_BASE + fuzz_take(in, 2);
	case 4:
		return fn[how % NR_FUNCTIONS].bar_base + fuzz_take(in, 2);
	case 5:
		return fuzz_take(in, 8);
	default:
		return PCI_ECAM_BASE + fuzz_take(in, 1) % NR_FUNCTIONS *
		       0x8000 + PCI_BASE_ADDRESS_0 + 8 * (how & 1);
	}
}

static void access_once(struct fuzz_input *in)
{
	uint8_t how = (uint8_t)fuzz_take(in, 1);
	unsigned int size = 1u << (how & 3);
	bool is_write = how & 4;
	uint64_t value;
	uint64_t at;

	if (how & 8) {
		at = fuzz_take(in, 1) & 1 ? 0xcf8 : 0xcfc;
		at += how >> 6;
		value = fuzz_take(in, 4);
		bus_access(BUS_PIO, at, &value, size > 4 ? 4 : size, is_write);
		return;
	}
	at = address(in, how);
	value = is_write ? fuzz_take(in, size) : 0;
	bus_access(BUS_MMIO, at, &value, size, is_write);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	begin();
	for (int i = 0; i < MAX_ACCESSES && in.left > 0; i++)
		access_once(&in);
	begin();
	return 0;
}
