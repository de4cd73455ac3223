/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest "hostile": configuration space by ports and ECAM, BARs over RAM, over
 * each other and over the APICs, ports, and addresses where nothing is.
 */
#include "tests/guest/hostile.h"
#include "vmm-core/layout.h"

#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc
#define VIRTIO_VENDOR	0x1af4
#define COMMAND		0x04
#define BAR0		0x10
#define MEMORY_MASTER	6
#define UART_LCR	(PORT_COM1 + 3)
#define UART_MCR	(PORT_COM1 + 4)

static uint64_t ecam(uint32_t slot, uint32_t reg)
{
	return PCI_ECAM_BASE + ((uint64_t)slot << 15) + reg;
}

void find_functions(void)
{
	for (uint32_t slot = 1; slot < 32; slot++) {
		struct function *fn = &functions[nr_functions];

		if (nr_functions == MAX_FUNCTIONS ||
		    mmio_read16(ecam(slot, 0)) != VIRTIO_VENDOR)
			continue;
		fn->slot = slot;
		fn->bar = mmio_read32(ecam(slot, BAR0)) & ~15u;
		nr_functions++;
	}
}

void restore_bars(void)
{
	/* All off first: one may lie where another belongs. */
	for (uint32_t i = 0; i < nr_functions; i++)
		mmio_write16(ecam(functions[i].slot, COMMAND), 0);
	for (uint32_t i = 0; i < nr_functions; i++) {
		mmio_write32(ecam(functions[i].slot, BAR0),
			     (uint32_t)functions[i].bar);
		mmio_write32(ecam(functions[i].slot, BAR0 + 4), 0);
		mmio_write16(ecam(functions[i].slot, COMMAND), MEMORY_MASTER);
	}
	out8(UART_LCR, 3);
	out8(UART_MCR, 3);
}

static void touch_port(uint16_t port, uint32_t shift, int is_write,
		       uint32_t value)
{
	switch (shift | (is_write ? 4u : 0)) {
	case 0:
		in8(port);
		break;
	case 1:
		in16(port);
		break;
	case 2:
	case 3:
		in32(port);
		break;
	case 4:
		out8(port, (uint8_t)value);
		break;
	case 5:
		out16(port, (uint16_t)value);
		break;
	default:
		out32(port, value);
		break;
	}
}

void attack_config(uint32_t n)
{
	while (n--) {
		uint32_t slot = below(nr_functions + 3);
		uint32_t reg = below(below(4) ? 0x100 : 0x1000);
		uint32_t shift = below(4);
		int is_write = (int)below(2);

		if (below(2)) {
			touch(ecam(slot, reg), shift, is_write, edge());
			continue;
		}
		out32(PCI_ADDRESS, below(8) ?
		      0x80000000u | slot << 11 | (reg & 0xfc) :
		      (uint32_t)edge());
		touch_port((uint16_t)(PCI_DATA + below(4)), shift, is_write,
			   (uint32_t)edge());
	}
}

void attack_bars(uint32_t n)
{
	static const uint64_t places[] = {
		0, 0x1000, 0x60000, 0x100000, 0x3ffc000, 0x4000000,
		0xbfffc000, 0xc0000000, 0xdfffc000, 0xdffff000, 0xe0000000,
		0xe0008000, 0xfec00000, 0xfee00000, 0xfffbc000, 0xffffc000,
		0x100000000, 0xfffffffffffffff0, 0x8000000000000000,
	};
	const uint32_t nr = sizeof(places) / sizeof(places[0]);

	while (n--) {
		const struct function *fn = &functions[below(nr_functions)];
		uint32_t choice = below(nr + 4);
		uint64_t place = choice < nr ? places[choice] :
				 functions[below(nr_functions)].bar +
				 0x1000 * below(5);

		mmio_write32(ecam(fn->slot, BAR0 + 4), (uint32_t)(place >> 32));
		mmio_write32(ecam(fn->slot, BAR0), (uint32_t)place);
		mmio_write16(ecam(fn->slot, COMMAND), (uint16_t)below(8));
		/* What is there now: RAM, a device, or nothing. */
		if (place >= PCI_MMIO_BASE && place < PCI_MMIO_END)
			touch(place + below(BAR_BYTES), below(4),
			      (int)below(2), edge());
	}
}

/* Those that would end this guest by its own will. */
static int is_fatal(uint16_t port)
{
	return (port >= PORT_PM1_CONTROL - 3 && port <= PORT_PM1_CONTROL + 1) ||
	       (port >= PORT_RESET - 3 && port <= PORT_RESET) || port == 0x92 ||
	       port == 0x64;
}

void attack_ports(uint32_t n)
{
	static const uint16_t ports[] = {
		PORT_COM1, PORT_COM1 + 1, PORT_COM1 + 2, PORT_COM1 + 3,
		PORT_COM1 + 4, PORT_COM1 + 5, PORT_COM1 + 6, PORT_COM1 + 7,
		PORT_PVPANIC, PORT_PM1_EVENT, PORT_PM1_EVENT + 2, 0xcf8, 0xcfc,
		0xcff, 0x20, 0x21, 0x40, 0x43, 0x61, 0x70, 0x71, 0xa0, 0xa1,
		0x4d0, 0xfffc, 0xffff,
	};
	const uint32_t nr = sizeof(ports) / sizeof(ports[0]);

	while (n--) {
		uint32_t choice = below(2 * nr);
		uint16_t port = choice < nr ? ports[choice] :
					      (uint16_t)next_random();

		if (!is_fatal(port))
			touch_port(port, below(3), (int)below(2),
				   (uint32_t)edge());
	}
	out8(UART_LCR, 3);
	out8(UART_MCR, 3);
}

void attack_mmio(uint32_t n)
{
	while (n--) {
		uint64_t address;

		switch (below(4)) {
		case 0:		/* where BARs may be */
			address = PCI_MMIO_BASE +
				  below(PCI_MMIO_END - PCI_MMIO_BASE);
			break;
		case 1:		/* ECAM, and what follows it */
			address = PCI_ECAM_BASE + below(4 * PCI_ECAM_BYTES);
			break;
		case 2:		/* behind RAM */
			address = 0x4000000 + below(0x10000000);
			break;
		default:	/* around a function */
			address = functions[below(nr_functions)].bar +
				  BAR_BYTES - 16 + below(32);
			break;
		}
		touch(address, below(4), (int)below(2), edge());
	}
}
