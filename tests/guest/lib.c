/* SPDX-License-Identifier: Apache-2.0 */
/* Runtime of the bare-metal guests, in C. */
#include "tests/guest/lib.h"

#include "vmm-core/layout.h"

#define LAPIC_SPURIOUS	0xf0
#define LAPIC_IRR	0x200	/* eight words, 0x10 apart */

void put(const char *text)
{
	for (; *text; text++)
		out8(PORT_COM1, (uint8_t)*text);
}

void put_hex(uint64_t value)
{
	int shift = 60;

	while (shift > 0 && !(value >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		out8(PORT_COM1, (uint8_t)"0123456789abcdef"[value >> shift & 15]);
}

void put_value(const char *name, uint64_t value)
{
	put(name);
	put("=");
	put_hex(value);
	put("\n");
}

int text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void power_off(void)
{
	out16(PORT_PM1_CONTROL, SLEEP_TYPE_S5 << 10 | 1 << 13);
	halt();
}

void lapic_enable(void)
{
	mmio_write32(LAPIC_BASE + LAPIC_SPURIOUS, 0x1ff);
}

int irq_wait(uint8_t vector, uint32_t looks)
{
	uint64_t word = LAPIC_BASE + LAPIC_IRR + vector / 32 * 0x10u;

	while (looks--)
		if (mmio_read32(word) >> vector % 32 & 1)
			return 1;
	return 0;
}
