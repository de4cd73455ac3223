/* SPDX-License-Identifier: Apache-2.0 */
/* What CPUID says to the guest: the host's KVM, with this VM's topology. */
#ifndef VMM_CORE_CPUID_H
#define VMM_CORE_CPUID_H

#include <linux/kvm.h>
#include <stdint.h>

#define CPUID_MAX_ENTRIES	256

/* A struct kvm_cpuid2 with room for its entries. */
union cpuid_table {
	struct kvm_cpuid2 head;
	uint8_t bytes[sizeof(struct kvm_cpuid2) +
		      CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
};

struct cpuid_machine {
	unsigned int nr_vcpus;	/* one package, one thread per core */
	uint32_t tsc_khz;
	int has_tsc_deadline;	/* KVM_CAP_TSC_DEADLINE_TIMER */
};

/*
 * Turn what KVM_GET_SUPPORTED_CPUID said into what vCPU index sees.
 * May be called again with the next index on the same table.
 * Return: 0, or -ENOSPC if an entry had to be added and there is no room.
 */
int cpuid_shape(struct kvm_cpuid2 *table, unsigned int index,
		const struct cpuid_machine *machine);

#endif
