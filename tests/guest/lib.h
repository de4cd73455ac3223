/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bare-metal guests share.  They run at CPL 0 and must do on a KVM that
 * emulates that: no SSE, no int3, no iretq, no cmpxchg16b, little code.
 */
#ifndef TESTS_GUEST_LIB_H
#define TESTS_GUEST_LIB_H

#include <stddef.h>
#include <stdint.h>

#define PORT_COM1	0x3f8

/* Each guest's program.  Returning halts for ever. */
void guest_main(const char *cmdline);

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" :: "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" :: "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" :: "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#define MMIO_ACCESS(bits)						\
static inline uint##bits##_t mmio_read##bits(uint64_t address)		\
{									\
	return *(volatile uint##bits##_t *)address;			\
}									\
static inline void mmio_write##bits(uint64_t address,			\
				    uint##bits##_t value)		\
{									\
	*(volatile uint##bits##_t *)address = value;			\
}
MMIO_ACCESS(8)
MMIO_ACCESS(16)
MMIO_ACCESS(32)
MMIO_ACCESS(64)

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]),
			   "=d"(regs[3])
			 : "a"(leaf), "c"(subleaf));
}

static inline void barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

/* Text to COM1. */
void put(const char *text);
void put_hex(uint64_t value);
/* "name=value\n" in hex. */
void put_value(const char *name, uint64_t value);

int text_equal(const char *a, const char *b);

static inline uint64_t cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/*
 * From here on at CPL 3, with ports at hand: a KVM that emulates ring 0 runs
 * that natively.  There is no way back, and no hlt.
 */
void user_enter(void);

/* ACPI S5; does not return. */
_Noreturn void power_off(void);
_Noreturn void halt(void);

/*
 * The local APIC's view of a vector that came while interrupts were off:
 * wait for it in IRR, which needs no handler and no iretq.
 * Return: whether it came within that many looks.
 */
int irq_wait(uint8_t vector, uint32_t looks);
/* Take all that is pending by enabling and acknowledging it. */
void lapic_enable(void);

#endif
