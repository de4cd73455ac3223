/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: does to every device and to the bus whatever a driver must not, while
 * its second vCPU scribbles over the rings; then it drives its disk as it
 * should, and says whether it answers.
 *
 * Command line: SEED ROUNDS [MODE], hexadecimal.  MODE:
 *	(none)	all attacks that this guest itself survives
 *	die	at the end, interrupts of any kind to itself
 *	spin	nothing; both vCPUs are busy: what the other modes are held against
 */
#include "tests/guest/hostile.h"

#include "tests/guest/virtio.h"
#include "vmm-core/layout.h"

#define TRAMPOLINE	0x8000u
#define LAPIC_ICR_LOW	0x300
#define LAPIC_ICR_HIGH	0x310
#define ICR_INIT	0x4500u
#define ICR_SIPI	0x4600u
#define SPINS		40000000u
#define WAIT_LOOKS	3000000u

struct function functions[MAX_FUNCTIONS];
uint32_t nr_functions;

static uint64_t state;

extern const uint8_t scribbler[];
extern const uint32_t scribbler_bytes;

/* 16-bit code of the second vCPU: a word of the ring area, again and again. */
__asm__(".section .rodata\n"
	".code16\n"
	"scribbler:\n"
	"	movw $0x6000, %ax\n"	/* RING_BASE */
	"	movw %ax, %ds\n"
	"	movw $0x4b55, %cx\n"
	"1:	rolw $3, %cx\n"
	"	addw $0x9e37, %cx\n"
	"	movw %cx, %bx\n"
	"	andw $0x33fe, %bx\n"	/* descriptors, available, used ring */
	"	xorw %cx, (%bx)\n"
	"	jmp 1b\n"
	"2:\n"
	"	.balign 4\n"
	"scribbler_bytes:\n"
	"	.long 2b - scribbler\n"
	".code64\n"
	".text\n");

uint64_t next_random(void)
{
	/* xorshift64 */
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint32_t below(uint32_t limit)
{
	return (uint32_t)(next_random() >> 20) % limit;
}

uint64_t edge(void)
{
	static const uint64_t edges[] = {
		0, 1, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0x7fffffffffffffff,
		0x8000000000000000, 0xffffffffffffffff,
		0x03fffff0, 0x04000000, 0x03ffffff,	/* 64 MiB of RAM */
		0xbffffff0, 0xc0000000, 0xe0000000, 0xfec00000, 0xfee00000,
		RING_BASE, RING_BASE + 8,
	};
	uint32_t choice = below(2 * sizeof(edges) / sizeof(edges[0]));

	return choice < sizeof(edges) / sizeof(edges[0]) ? edges[choice] :
							   next_random();
}

void touch(uint64_t address, uint32_t shift, int is_write, uint64_t value)
{
	switch (shift | (is_write ? 4u : 0)) {
	case 0:
		mmio_read8(address);
		break;
	case 1:
		mmio_read16(address);
		break;
	case 2:
		mmio_read32(address);
		break;
	case 3:
		mmio_read64(address);
		break;
	case 4:
		mmio_write8(address, (uint8_t)value);
		break;
	case 5:
		mmio_write16(address, (uint16_t)value);
		break;
	case 6:
		mmio_write32(address, (uint32_t)value);
		break;
	default:
		mmio_write64(address, value);
		break;
	}
}

static void wake_scribbler(void)
{
	for (uint32_t i = 0; i < scribbler_bytes; i++)
		mmio_write8(TRAMPOLINE + i, scribbler[i]);
	mmio_write32(LAPIC_BASE + LAPIC_ICR_HIGH, 1u << 24);
	mmio_write32(LAPIC_BASE + LAPIC_ICR_LOW, ICR_INIT);
	mmio_write32(LAPIC_BASE + LAPIC_ICR_HIGH, 1u << 24);
	mmio_write32(LAPIC_BASE + LAPIC_ICR_LOW, ICR_SIPI | TRAMPOLINE >> 12);
}

/* The disk reads a sector for a driver that keeps the rules. */
static int disk_answers(void)
{
	static struct blk_header header;
	static uint8_t status, sector[SECTOR];

	restore_bars();
	if (!find_disk())
		return 0;
	find_caps();
	set_vector(0x50);
	driver_start(MAX_SIZE);
	header = (struct blk_header){ .type = T_IN };
	status = 0xff;
	desc[0] = (struct desc){ (uint64_t)&header, 16, DESC_NEXT, 1 };
	desc[1] = (struct desc){ (uint64_t)sector, SECTOR,
				 DESC_NEXT | DESC_WRITE, 2 };
	desc[2] = (struct desc){ (uint64_t)&status, 1, DESC_WRITE, 0 };
	driver.ring[0] = 0;
	barrier();
	driver.idx = 1;
	barrier();
	mmio_write16(notify, 0);
	for (uint32_t i = 0; i < WAIT_LOOKS; i++)
		if (*(volatile uint8_t *)&status != 0xff)
			return status == 0;
	return 0;
}

static uint64_t parse_hex(const char **text)
{
	uint64_t value = 0;

	for (; **text && **text != ' '; (*text)++)
		value = value << 4 | ((**text & 15) + (**text > '9' ? 9 : 0));
	while (**text == ' ')
		(*text)++;
	return value;
}

static void attack(void)
{
	restore_bars();
	attack_config(100);
	attack_bars(12);
	restore_bars();
	attack_registers(150);
	attack_msix(60, 1);
	attack_rings(60);
	attack_ports(150);
	attack_mmio(100);
}

void guest_main(const char *cmdline)
{
	uint64_t seed = parse_hex(&cmdline);
	uint64_t rounds = parse_hex(&cmdline);

	state = seed ? seed : 1;
	lapic_enable();
	find_functions();
	put_value("seed", seed);
	put_value("functions", nr_functions);
	wake_scribbler();
	if (text_equal(cmdline, "spin"))
		for (volatile uint32_t i = 0; i < SPINS; i++)
			;
	else
		for (uint64_t i = 0; i < rounds; i++)
			attack();
	put_value("\nrounds", rounds);
	put_value("answers", (uint64_t)disk_answers());
	if (text_equal(cmdline, "die")) {
		attack_msix(1000, 0);
		attack_rings(1000);
	}
	put("end\n");
	power_off();
}
