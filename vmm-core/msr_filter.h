/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which model-specific registers a guest may use: an allow-list that KVM
 * holds it to.  Anything else is a #GP, as on a processor that lacks it.
 */
#ifndef VMM_CORE_MSR_FILTER_H
#define VMM_CORE_MSR_FILTER_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/log.h"

/*
 * Put the allow-list in force for the VM, before it has vCPUs.
 * Return: 0, or -errno.
 */
int msr_filter_install(int vm_fd);

/* What the list says of one register. */
bool msr_filter_allows(uint32_t index, bool is_write);

/* The filter as KVM is given it; for tests. */
const struct kvm_msr_filter *msr_filter_build(void);

/* What a vCPU was refused.  Of that vCPU's thread alone. */
struct msr_refusals {
	uint64_t count;
	struct log_limit limit;
};

/* KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR: #GP, counted and told. */
void msr_filter_refuse(unsigned int vcpu, struct kvm_run *run,
		       struct msr_refusals *refusals);

#endif
