/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtime of the bare-metal guests: PVH entry in 32-bit protected mode, then
 * long mode with the first 4 GiB mapped, a stack, and guest_main(cmdline).
 * Only instructions that KVM's emulator has: see lib.h.
 */
	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	guest_entry32

	.section .text.entry, "ax"
	.code32
	.globl	guest_entry32
guest_entry32:
	movl	$stack_top, %esp
	movl	24(%ebx), %esi		/* hvm_start_info: cmdline */
	movl	%esi, cmdline
	lgdt	gdt_pointer
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orl	$0x100, %eax		/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax	/* PG */
	movl	%eax, %cr0
	ljmp	$0x08, $guest_long

	.code64
	.globl	guest_entry64
guest_entry64:				/* entered without PVH: zero page in RSI */
	movq	$stack_top, %rsp
	movl	0x228(%rsi), %eax	/* boot_params: cmd_line_ptr */
	movq	%rax, cmdline
	lgdt	gdt_pointer
guest_long:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movq	cmdline, %rdi
	call	guest_main
1:	hlt
	jmp	1b

	.data
	.balign	8
	.globl	gdt
gdt:	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0, 0			/* lib.c, user_enter(): task state, */
	.quad	0x00affb000000ffff	/* and CPL 3 */
	.quad	0x00cff3000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.quad	gdt
	.balign	8
cmdline:
	.quad	0

	.balign	4096
pml4:	.quad	pdpt + 7
	.fill	511, 8, 0
pdpt:	.quad	directories + 7, directories + 0x1007
	.quad	directories + 0x2007, directories + 0x3007
	.fill	508, 8, 0
directories:
	.set	page, 0
	.rept	2048
	.quad	page + 0x87		/* 2 MiB, user, writable, present */
	.set	page, page + 0x200000
	.endr

	.bss
	.balign	16
	.fill	16384
stack_top:
