/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio-pci function: a guest that reads and writes any register of it in
 * any state and moves it about, in front of two back-ends that fail, come back
 * and answer with anything.
 */
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/log.h"
#include "tests/fuzz/inline_backend.h"
#include "tests/unit/fake_kvm.h"
#include "vmm-core/bus.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/pci.h"

#define RAM_BYTES	(2u << 20)
#define BAR		(PCI_MMIO_BASE + 0x100000u)
#define MAX_STEPS	96
#define MAX_WATCHED	64
#define MSIX_CAP_ID	0x11
#define STATUS_REG	20u
#define ISR_REG		0x200u

static int watched[MAX_WATCHED];
static unsigned int nr_watched;
static uint64_t msix_control;	/* where it is in ECAM */
static uint64_t window;		/* VIRTIO_PCI_CAP_PCI_CFG, likewise */

static uint64_t load(uint64_t at, unsigned int size)
{
	uint64_t value = 0;

	bus_access(BUS_MMIO, at, &value, size, 0);
	return value;
}

static void store(uint64_t at, unsigned int size, uint64_t value)
{
	bus_access(BUS_MMIO, at, &value, size, 1);
}

static uint64_t config(unsigned int reg)
{
	return PCI_ECAM_BASE + (1u << 15) + reg;
}

static void watch(int fd, uint32_t events, const char *what)
{
	(void)events;
	(void)what;
	if (nr_watched < MAX_WATCHED)
		watched[nr_watched++] = fd;
}

static void find_capabilities(void)
{
	unsigned int cap = (unsigned int)load(config(PCI_CAPABILITY_LIST), 1);

	while (cap) {
		if (load(config(cap), 1) == MSIX_CAP_ID)
			msix_control = config(cap + PCI_MSIX_FLAGS);
		else if (load(config(cap + 3), 1) == 5)
			window = config(cap);
		cap = (unsigned int)load(config(cap + 1), 1);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct life_core_device life = {
		.role = LIFE_ROLE_BLK, .nr_queues = 2, .nr_processes = 2,
		.name = "fuzz",
	}, second = {
		.index = 1, .role = LIFE_ROLE_BLK, .nr_queues = 2, .process = 1,
		.nr_processes = 2, .name = "fuzz.1",
	};

	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	fuzz_reserve_fds();
	fake_kvm_reset();
	if (guest_mem_init(fuzz_memfd(NULL, 0, RAM_BYTES), RAM_BYTES) ||
	    dup2(fuzz_memfd(NULL, 0, RAM_BYTES), RAM_FD) < 0 || pci_init() ||
	    virtio_pci_prepare(1, 4) ||
	    virtio_pci_add(&life, inline_backend_link(0), -1) ||
	    virtio_pci_add_process(&second, inline_backend_link(0), -1))
		abort();
	virtio_pci_watch(watch);
	find_capabilities();
	fuzz_check(msix_control && window);
	return 0;
}

/* index: of the back-end. */
static void relink(unsigned int index, unsigned int link, int hung_up,
		   bool needs_reset)
{
	const struct relink new_link = {
		.fd = inline_backend_link(hung_up), .link = link,
		.needs_reset = needs_reset,
	};

	virtio_pci_relink(index, &new_link);
}

static void put_bar(uint64_t at)
{
	store(config(PCI_COMMAND), 2, 0);
	store(config(PCI_BASE_ADDRESS_0), 4, (uint32_t)at);
	store(config(PCI_BASE_ADDRESS_1), 4, at >> 32);
	store(config(PCI_COMMAND), 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* As after power-on, with a back-end that is there. */
static void begin(void)
{
	inline_backend_use(NULL);
	put_bar(BAR);
	store(BAR + STATUS_REG, 1, 0);
	relink(0, 0, 0, true);
	relink(1, 0, 0, true);
	store(BAR + STATUS_REG, 1, 0);
	load(BAR + ISR_REG, 1);
	store(msix_control, 2, 0);
	for (unsigned int i = 0; i < 16 * 3; i += 4)
		store(BAR + 0x2000 + i, 4, (i & 15) == 12);
	for (unsigned int i = 4; i < 16; i += 4)
		store(window + i, 4, 0);
	fuzz_check(load(BAR + STATUS_REG, 1) == 0);
}

/* A driver's way to DRIVER_OK, which random writes would seldom find. */
static void set_up(uint8_t how)
{
	const uint64_t ring = 0x1000ull * (how & 15);

	store(BAR + STATUS_REG, 1, 1);
	store(BAR + STATUS_REG, 1, 3);
	store(BAR + 8, 4, 1);
	store(BAR + 12, 4, 1);
	store(BAR + STATUS_REG, 1, 11);
	for (unsigned int i = 0; i < 2; i++) {
		store(BAR + 22, 2, i);
		store(BAR + 26, 2, i);
		store(BAR + 32, 8, ring);
		store(BAR + 40, 8, ring + 0x1000);
		store(BAR + 48, 8, ring + 0x2000);
		store(BAR + 28, 2, 1);
	}
	if (how & 16)
		store(msix_control, 2, PCI_MSIX_FLAGS_ENABLE);
	store(BAR + STATUS_REG, 1, 15);
}

static void access_once(struct fuzz_input *in, uint64_t at, uint8_t how)
{
	unsigned int size = 1u << (how & 3);

	if (!(how & 4))
		load(at, size);
	else if (!fake_kvm_ring(at))
		store(at, size, fuzz_take(in, size));
}

static void step(struct fuzz_input *in)
{
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	uint8_t how = (uint8_t)fuzz_take(in, 1);

	switch (what & 15) {
	case 0:
		set_up(how);
		break;
	case 1:
		access_once(in, window + (how >> 3 & 0x1c), how);
		break;
	case 2:
		access_once(in, config(what >> 4 | (how & 0xf0)), how);
		break;
	case 3:
		access_once(in, msix_control, 4 | 1);
		break;
	case 4:
		access_once(in, BAR + 0x2000 + fuzz_take(in, 1), how);
		break;
	case 5:
		access_once(in, BAR + 0x1000 + (how & 0xf8) / 2, 4 | 1);
		break;
	case 6:
		access_once(in, BAR + 0x400 + (how >> 2), how);
		break;
	case 7:
		if (nr_watched)
			virtio_pci_dispatch(watched[how % nr_watched]);
		break;
	case 8:
		relink(how >> 2 & 1, how, how & 1, how & 2);
		break;
	case 9:
		fake_kvm_refuse(how & 1 ? -28 : 0);
		break;
	case 10:
		put_bar(fuzz_take(in, 8));
		put_bar(BAR);
		break;
	case 11:
		access_once(in, BAR + fuzz_take(in, 2), how);
		break;
	default:
		access_once(in, BAR + (what >> 4 | (how & 0x30)), how);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	begin();
	inline_backend_use(&in);
	for (int i = 0; i < MAX_STEPS && in.left > 0; i++)
		step(&in);
	inline_backend_use(NULL);
	fake_kvm_refuse(0);
	return 0;
}
