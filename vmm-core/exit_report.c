/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU has stopped for good: what KVM said, where, and its registers.
 * vCPU threads of the core process, once per VM.
 */
#include "vmm-core/exit_report.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ipc/log.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/kvm_ioctl.h"

#define CODE_MAX	15	/* bytes of an x86 instruction */
#define REASON_MAX	96
#define HEX_MAX		(CODE_MAX * 3 + 1)

struct registers {
	bool valid;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

static const char *const exit_names[] = {
	[KVM_EXIT_UNKNOWN] = "unknown exit",
	[KVM_EXIT_EXCEPTION] = "exception",
	[KVM_EXIT_HYPERCALL] = "hypercall",
	[KVM_EXIT_DEBUG] = "debug exit",
	[KVM_EXIT_HLT] = "halt outside of KVM",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "interrupt window",
	[KVM_EXIT_SHUTDOWN] = "triple fault",
	[KVM_EXIT_FAIL_ENTRY] = "the CPU refused the guest's state",
	[KVM_EXIT_SET_TPR] = "TPR write",
	[KVM_EXIT_TPR_ACCESS] = "TPR access",
	[KVM_EXIT_NMI] = "NMI",
	[KVM_EXIT_INTERNAL_ERROR] = "KVM internal error",
	[KVM_EXIT_SYSTEM_EVENT] = "system event",
	[KVM_EXIT_X86_BUS_LOCK] = "bus lock",
	[KVM_EXIT_NOTIFY] = "guest blocks interrupts for too long",
};

/* KVM api.rst: KVM_EXIT_INTERNAL_ERROR */
static const char *internal_name(unsigned int suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "KVM could not emulate";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "KVM internal error: exceptions at the same time";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "KVM internal error: while delivering an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "KVM internal error: unexpected exit";
	default:
		return "KVM internal error";
	}
}

static void reason_write(const struct kvm_run *run, int run_errno,
			 char reason[REASON_MAX])
{
	unsigned int exit = run->exit_reason;
	const char *name = NULL;

	if (run_errno) {
		snprintf(reason, REASON_MAX, "KVM_RUN: %s",
			 strerror(run_errno));
		return;
	}
	if (exit < sizeof(exit_names) / sizeof(*exit_names))
		name = exit_names[exit];
	if (!name)
		name = "exit that this program does not know";

	if (exit == KVM_EXIT_INTERNAL_ERROR)
		snprintf(reason, REASON_MAX, "%s (suberror %u)",
			 internal_name(run->internal.suberror),
			 run->internal.suberror);
	else if (exit == KVM_EXIT_FAIL_ENTRY)
		snprintf(reason, REASON_MAX, "%s (reason 0x%llx)", name,
			 run->fail_entry.hardware_entry_failure_reason);
	else if (exit == KVM_EXIT_UNKNOWN)
		snprintf(reason, REASON_MAX, "%s (reason 0x%llx)", name,
			 run->hw.hardware_exit_reason);
	else
		snprintf(reason, REASON_MAX, "%s (exit %u)", name, exit);
}

static void hex_write(const uint8_t *bytes, unsigned int nr, char *hex)
{
	size_t len = 0;

	if (nr == 0)
		snprintf(hex, HEX_MAX, "?");
	for (unsigned int i = 0; i < nr; i++)
		len += (size_t)snprintf(hex + len, HEX_MAX - len, "%s%02x",
					i ? " " : "", bytes[i]);
}

/* The bytes at the linear address of RIP, as the guest maps it. */
static unsigned int code_fetch(int vcpu_fd, const struct registers *r,
			       uint8_t code[CODE_MAX])
{
	/* KVM api.rst: KVM_TRANSLATE */
	struct kvm_translation where = {
		.linear_address = r->sregs.cs.base + r->regs.rip,
	};
	unsigned int nr = CODE_MAX;
	unsigned int to_page_end;
	const void *host;

	if (!r->valid || kvm_ioctl(vcpu_fd, KVM_TRANSLATE, &where) != 0 ||
	    !where.valid)
		return 0;
	to_page_end = 4096 - (unsigned int)(where.physical_address & 4095);
	if (nr > to_page_end)
		nr = to_page_end;
	host = guest_mem_span(where.physical_address, nr);
	if (!host)
		return 0;
	memcpy(code, host, nr);
	return nr;
}

/* KVM's own copy of the instruction if it has one, else what is at RIP. */
static unsigned int code_find(int vcpu_fd, const struct kvm_run *run,
			      int run_errno, const struct registers *r,
			      uint8_t code[CODE_MAX])
{
	unsigned int nr = run->emulation_failure.insn_size;

	if (!run_errno && run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.ndata >= 3 &&
	    run->emulation_failure.flags &
	    KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES &&
	    nr > 0 && nr <= CODE_MAX) {
		memcpy(code, run->emulation_failure.insn_bytes, nr);
		return nr;
	}
	return code_fetch(vcpu_fd, r, code);
}

static void segment_log(unsigned int index, const char *name,
			const struct kvm_segment *s)
{
	log_err("vcpu%u %s sel %04x base %llx limit %x type %x dpl %u p %u s %u l %u db %u g %u",
		index, name, s->selector, s->base, s->limit, s->type, s->dpl,
		s->present, s->s, s->l, s->db, s->g);
}

static void registers_log(unsigned int index, const struct registers *r)
{
	const struct kvm_regs *g = &r->regs;
	const struct kvm_sregs *s = &r->sregs;

	log_err("vcpu%u rip %llx rflags %llx rsp %llx rbp %llx rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx",
		index, g->rip, g->rflags, g->rsp, g->rbp, g->rax, g->rbx,
		g->rcx, g->rdx, g->rsi, g->rdi);
	log_err("vcpu%u r8 %llx r9 %llx r10 %llx r11 %llx r12 %llx r13 %llx r14 %llx r15 %llx",
		index, g->r8, g->r9, g->r10, g->r11, g->r12, g->r13, g->r14,
		g->r15);
	log_err("vcpu%u cr0 %llx cr2 %llx cr3 %llx cr4 %llx cr8 %llx efer %llx apic %llx gdt %llx/%x idt %llx/%x",
		index, s->cr0, s->cr2, s->cr3, s->cr4, s->cr8, s->efer,
		s->apic_base, s->gdt.base, s->gdt.limit, s->idt.base,
		s->idt.limit);
	segment_log(index, "cs", &s->cs);
	segment_log(index, "ss", &s->ss);
	segment_log(index, "ds", &s->ds);
	segment_log(index, "tr", &s->tr);
}

void exit_report(unsigned int index, int vcpu_fd, const struct kvm_run *run,
		 int run_errno, char text[LIFE_TEXT_MAX])
{
	struct registers r = { 0 };
	char reason[REASON_MAX];
	uint8_t code[CODE_MAX];
	char hex[HEX_MAX];

	r.valid = kvm_ioctl(vcpu_fd, KVM_GET_REGS, &r.regs) == 0 &&
		  kvm_ioctl(vcpu_fd, KVM_GET_SREGS, &r.sregs) == 0;
	reason_write(run, run_errno, reason);
	hex_write(code, code_find(vcpu_fd, run, run_errno, &r, code), hex);
	snprintf(text, LIFE_TEXT_MAX,
		 "vcpu%u: %s: %s at rip=%llx rsp=%llx cr0=%llx cr3=%llx cr4=%llx efer=%llx",
		 index, reason, hex, r.regs.rip, r.regs.rsp, r.sregs.cr0,
		 r.sregs.cr3, r.sregs.cr4, r.sregs.efer);
	log_err("%s", text);
	if (r.valid)
		registers_log(index, &r);
}
