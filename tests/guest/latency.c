/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: reads a sector of its disk again and again, one at a time, and prints
 * how long that took in the mean and at most, in kilo-cycles, per batch.  For
 * ever: it is the neighbour of a VM that misbehaves.
 */
#include "tests/guest/virtio.h"

#define BATCH		128u

static uint64_t cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

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

void guest_main(const char *cmdline)
{
	static struct blk_header header = { .type = T_IN };
	static uint8_t sector[SECTOR], status;

	(void)cmdline;
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
	}
}
