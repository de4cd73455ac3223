/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: wakes the other vCPUs by INIT and SIPI (SDM volume 3, 8.4.4) and
 * prints what each of them says its APIC id is, from real mode.  "pause": only
 * one, which then counts, while the first vCPU is out of the guest.
 */
#include "tests/guest/lib.h"
#include "vmm-core/layout.h"

#define TRAMPOLINE	0x8000u
#define MAILBOX		0x9000u		/* a byte per APIC id */
#define MAY_COUNT	(MAILBOX + 0x80)
#define COUNTER		(MAILBOX + 0x100)
#define PORT_NOBODY	0x2f8
#define LOOKS		3000000u

#define LAPIC_ICR_LOW	0x300
#define LAPIC_ICR_HIGH	0x310
#define ICR_INIT	0x4500u		/* assert, INIT */
#define ICR_SIPI	0x4600u		/* assert, start-up; page in the low byte */

extern const uint8_t ap_code[];
extern const uint32_t ap_bytes;

/* 16-bit code: mailbox[APIC id] = APIC id + 1, then sleep, or count. */
__asm__(".section .rodata\n"
	".code16\n"
	"ap_code:\n"
	"	movl $1, %eax\n"
	"	cpuid\n"
	"	shrl $24, %ebx\n"
	"	movw $0x900, %ax\n"
	"	movw %ax, %ds\n"
	"	movb %bl, %al\n"
	"	incb %al\n"
	"	movb %al, (%bx)\n"
	"	cmpb $0, (0x80)\n"
	"	je 1f\n"
	"3:	incl (0x100)\n"
	"	jmp 3b\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	"2:\n"
	"	.balign 4\n"
	"ap_bytes:\n"
	"	.long 2b - ap_code\n"
	".code64\n"
	".text\n");

static void ipi(uint32_t apic_id, uint32_t low)
{
	mmio_write32(LAPIC_BASE + LAPIC_ICR_HIGH, apic_id << 24);
	mmio_write32(LAPIC_BASE + LAPIC_ICR_LOW, low);
}

static int ap_wake(uint32_t apic_id)
{
	ipi(apic_id, ICR_INIT);
	ipi(apic_id, ICR_SIPI | TRAMPOLINE >> 12);
	for (uint32_t i = 0; i < LOOKS; i++)
		if (mmio_read8(MAILBOX + apic_id) == apic_id + 1)
			return 1;
	return 0;
}

/* Nothing is printed before the access: it would be an exit, too. */
static void count_meanwhile(void)
{
	uint32_t before;
	int woke;

	mmio_write8(MAY_COUNT, 1);
	woke = ap_wake(1);
	before = mmio_read32(COUNTER);
	in8(PORT_NOBODY);
	put_value("counted", (uint64_t)(mmio_read32(COUNTER) - before));
	put_value("woke", (uint64_t)woke);
}

void guest_main(const char *cmdline)
{
	uint32_t nr = (uint32_t)(cmdline[0] - '0');
	uint32_t regs[4];

	for (uint32_t i = 0; i < ap_bytes; i++)
		mmio_write8(TRAMPOLINE + i, ap_code[i]);
	lapic_enable();
	if (text_equal(cmdline, "pause")) {
		count_meanwhile();
		power_off();
	}
	cpuid(1, 0, regs);
	put_value("logical", regs[1] >> 16 & 0xff);
	for (uint32_t id = 1; id < nr; id++)
		put_value("woke", (uint64_t)ap_wake(id));
	put_value("nobody", mmio_read8(MAILBOX + nr));
	put("done\n");
	power_off();
}
