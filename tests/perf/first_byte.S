/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest whose first instructions write a mark to its serial port, after
 * which it sleeps for ever: what lies between exec of a VMM and the mark is
 * its time to the guest's first instruction, and then some.  Runs under every
 * VMM that boots PVH kernels and has COM1.
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
	movw	$PORT_SERIAL, %dx
	movb	$'!', %al
	outb	%al, %dx
	cli
1:	hlt
	jmp	1b
