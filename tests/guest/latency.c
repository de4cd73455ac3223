/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: reads a sector of its disk again and again, one at a time, and prints
 * how long that took in the mean and at most, in kilo-cycles, per batch.  For
 * ever: it is the neighbour of a VM that misbehaves.
 *
 * Command line "other": after each batch it also sets up a second disk anew,
 * which is not waited for, and prints how long that took.
 */
#include "tests/guest/virtio.h"
#include "vmm-core/layout.h"

#define BATCH		128u
#define OTHER_RING	0x60000u

/* One request; completions are looked for in the used ring. */
static void read_sector(struct blk_header *header, uint8_t *sector,
			uint8_t *status)
{
	uint16_t done = *(volatile uint16_t *)&device.idx;

	desc[0] = (struct desc){ (uint64_t)header, 16, DESC_NEXT, 1 };
	desc[1] = (struct desc){ (uint64_t)sector, SECTOR,
				 DESC_NEXT | DESC_WRITE, 2 };
	desc[2] = (struct desc){ (uint64_t)status, 1, DESC_WRITE, 0 };
	driver.ring[driver.idx % MAX_SIZE] = 0;
	barrier();
	driver.idx++;
	barrier();
	mmio_write16(notify, 0);
	while (*(volatile uint16_t *)&device.idx == done)
		;
}

/* The BAR of the last disk of the bus, by ECAM. */
static uint64_t find_other(void)
{
	uint64_t other = 0;

	for (uint64_t slot = 1; slot < 32; slot++) {
		uint64_t config = PCI_ECAM_BASE + (slot << 15);

		if (mmio_read32(config) != 0x10421af4)
			continue;
		other = mmio_read32(config + 0x10) & ~15u;
		mmio_write16(config + 4, 6);
	}
	return other;
}

/* virtio 1.2, 3.1.1, with structures where vmm-core/virtio_pci.h has them. */
static void start_other(uint64_t other)
{
	static const uint8_t states[] = { 0, 1, 3 };
	uint64_t begin = cycles();

	for (uint32_t i = 0; i < sizeof(states); i++)
		mmio_write8(other + STATUS, states[i]);
	mmio_write32(other + FEATURE_SELECT, 1);
	mmio_write32(other + FEATURES, 1);
	mmio_write8(other + STATUS, 11);
	mmio_write16(other + QUEUE_SELECT, 0);
	mmio_write16(other + QUEUE_SIZE, 16);
	mmio_write32(other + QUEUE_DESC, OTHER_RING);
	mmio_write32(other + QUEUE_DRIVER, OTHER_RING + 0x1000);
	mmio_write32(other + QUEUE_DEVICE, OTHER_RING + 0x2000);
	mmio_write16(other + QUEUE_ENABLE, 1);
	mmio_write8(other + STATUS, 15);
	mmio_read32(other + 0x400);
	put_value("poke", (cycles() - begin) >> 10);
}

void guest_main(const char *cmdline)
{
	static struct blk_header header = { .type = T_IN };
	static uint8_t sector[SECTOR], status;

	uint64_t other = text_equal(cmdline, "other") ? find_other() : 0;

	lapic_enable();
	if (!find_disk())
		power_off();
	find_caps();
	set_vector(0x50);
	driver_start(MAX_SIZE);
	for (;;) {
		uint64_t sum = 0, most = 0;

		for (uint32_t i = 0; i < BATCH; i++) {
			uint64_t begin = cycles();
			uint64_t took;

			read_sector(&header, sector, &status);
			took = cycles() - begin;
			sum += took;
			if (took > most)
				most = took;
		}
		put("mean=");
		put_hex(sum / BATCH >> 10);
		put_value(" most", most >> 10);
		if (other)
			start_other(other);
	}
}
