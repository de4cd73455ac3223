/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate that vCPU threads stand at before they enter the guest: shut until
 * all is set up (C6), and while the VM is paused (C7).
 */
#ifndef VMM_CORE_GATE_H
#define VMM_CORE_GATE_H

#include <stdbool.h>

extern bool gate_is_open;	/* changed under gate.c's lock only */

/* A look without the lock: enough before each entry, as who pauses knocks. */
static inline bool gate_seems_open(void)
{
	return __builtin_expect(__atomic_load_n(&gate_is_open,
						__ATOMIC_ACQUIRE), 1);
}

/*
 * Stand at it until it is open.  Return: true if it was shut.
 * Context: a vCPU's thread.
 */
bool gate_pass(void);

/* Until nr threads have come to it for the first time. */
void gate_wait_for(unsigned int nr);

/*
 * Open or shut it.  change(open) is called first, while nobody can pass.
 */
void gate_set(bool open, void (*change)(bool open));

#endif
