/* SPDX-License-Identifier: Apache-2.0 */
/* The VM as KVM knows it: made once, at VM_FD (C2). */
#ifndef VMM_CORE_KVM_H
#define VMM_CORE_KVM_H

#include <stdint.h>

/*
 * Check KVM's version and capabilities, make the VM, its interrupt
 * controllers and its timer.  Does not return if anything is missing
 * (report_failed(), with the name of what is).
 * Should: come before the vCPUs and the memory.
 */
void kvm_create_vm(void);

/* The regions of guest_mem.h become the guest's memory. */
void kvm_map_memory(void);

/* Largest size of the area that a vCPU shares with KVM, in bytes. */
uint32_t kvm_run_bytes(void);

/* Make vCPU index.  Return: its fd, VCPU_FD_BASE + index. */
int kvm_create_vcpu(unsigned int index);

#endif
