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

/*
 * Ports from CPL 3 (AMD64 manual 2, 12.2.4 and 12.2.5): by a bitmap, as some
 * KVM forgets IOPL.
 */
static struct __attribute__((packed)) task_state {
	uint8_t unused[102];
	uint16_t bitmap_offset;
	uint8_t denied[0x800 / 8];	/* none of the ports below 0x800 */
	uint8_t last;
} task_state = { .bitmap_offset = 104, .last = 0xff };
_Static_assert(offsetof(struct task_state, denied) == 104, "the bitmap");

extern uint64_t gdt[];

static void load_task_state(void)
{
	uint64_t base = (uint64_t)&task_state;

	/* A 64-bit TSS, present, with a byte limit; below 4 GiB. */
	gdt[3] = (sizeof(task_state) - 1) | (base & 0xffffff) << 16 |
		 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[4] = 0;
	__asm__ volatile("ltr %w0" :: "r"(0x18) : "memory");
}

/* Instructions take a microsecond there, not a fraction of a nanosecond. */
static int is_emulated(void)
{
	uint64_t begin = cycles();

	for (volatile uint32_t i = 0; i < 100; i++)
		;
	return cycles() - begin > 100 * 400;
}

/*
 * The emulator knows sysexit and no iretq; an AMD processor does not know
 * sysexit in long mode.  Either takes the segments that start.S has at 0x28.
 */
void user_enter(void)
{
	load_task_state();
	if (is_emulated())
		__asm__ volatile(
			"movl $0x174, %%ecx\n"	/* IA32_SYSENTER_CS */
			"movl $0x08, %%eax\n"	/* CS is 32 more, SS 40 */
			"xorl %%edx, %%edx\n"
			"wrmsr\n"
			"movq %%rsp, %%rcx\n"
			"movq $1f, %%rdx\n"
			"sysexitq\n"
			"1:"
			::: "rax", "rcx", "rdx", "memory", "cc");
	else
		__asm__ volatile(
			"movq %%rsp, %%rcx\n"
			"pushq $0x33\n"
			"pushq %%rcx\n"
			"pushq $2\n"		/* flags: none */
			"pushq $0x2b\n"
			"pushq $1f\n"
			"iretq\n"
			"1:"
			::: "rcx", "memory", "cc");
}
