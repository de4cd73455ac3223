/* SPDX-License-Identifier: Apache-2.0 */
/* The VM as KVM knows it: made once, at VM_FD (C2). */
#ifndef VMM_CORE_KVM_H
#define VMM_CORE_KVM_H

#include <stdint.h>

/*
 * Check KVM's version and capabilities and make the VM.  Does not return if
 * anything is missing (report_failed(), with the name of what is); nor do
 * the others here.
 */
void kvm_create_vm(void);

/*
 * The regions of guest_mem.h become the guest's memory.
 * Should: come before kvm_create_interrupts(), which leaves work behind in the
 * host kernel that a memory slot then waits for, some 5 ms.
 */
void kvm_map_memory(void);

/* Interrupt controllers and timer.  Should: come before the vCPUs. */
void kvm_create_interrupts(void);

/* Largest size of the area that a vCPU shares with KVM, in bytes. */
uint32_t kvm_run_bytes(void);

/* Make vCPU index.  Return: its fd, VCPU_FD_BASE + index. */
int kvm_create_vcpu(unsigned int index);

#endif
