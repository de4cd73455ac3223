/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest guest there is: its first instructions enter ACPI S5.  What
 * lies between exec of the core and its power-off event is the time to the
 * guest's first instruction.
 */
#include "vmm-core/layout.h"

	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	guest_entry64

	.section .text.entry, "ax"
	.code32
	.globl	guest_entry64
guest_entry64:
	movw	$PORT_PM1_CONTROL, %dx
	movw	$(SLEEP_TYPE_S5 << 10 | 1 << 13), %ax
	outw	%ax, %dx
1:	hlt
	jmp	1b
