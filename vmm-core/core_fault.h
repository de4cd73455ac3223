/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the core itself (bulkhead(1), FAULTS): vCPUs that stand still and
 * clocks that jump.  The unit that rules count is an exit of a vCPU to the
 * core: an access that the core answers, or a signal.  The supervisor stops
 * the core for an instant when rules come (birth_interrupt()), so a guest that
 * never comes out meets them too.
 */
#ifndef VMM_CORE_CORE_FAULT_H
#define VMM_CORE_CORE_FAULT_H

#include <stdint.h>

#include "ipc/fault_match.h"

/* What every vCPU thread compares with its own; ms the TSC has jumped. */
extern uint64_t core_fault_jumped_ms;

struct core_fault_vcpu {
	unsigned int index;
	int fd;
	uint64_t jumped_ms;	/* of core_fault_jumped_ms, done here */
};

/*
 * Map the fault page, if there is one; counts: FAULT_MAX_RULES of them.
 * Should: come after vcpus_create() and before confinement.
 */
void core_fault_init(struct stats_head *head);

/* Out of line, see core_fault_look(). */
void core_fault_meet(struct core_fault_vcpu *vcpu);

/*
 * This vCPU has left the guest and goes back: suffer what is due.  Without
 * rules: some loads, and two branches that are not taken.
 * Context: the vCPU's own thread, no lock held.
 */
static inline void core_fault_look(struct core_fault_vcpu *vcpu)
{
	if (fault_armed() ||
	    __builtin_expect(__atomic_load_n(&core_fault_jumped_ms,
					     __ATOMIC_ACQUIRE) !=
			     vcpu->jumped_ms, 0))
		core_fault_meet(vcpu);
}

#endif
