/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that every device with rings has: crashes, hangs, interrupts that
 * get lost or come from nowhere, impossible used entries (D3 to D5).
 */
#ifndef DEVPROC_VHOST_FAULT_H
#define DEVPROC_VHOST_FAULT_H

#include "devproc/vring.h"
#include "ipc/fault_match.h"

/* Right after fault_match() fired for the chain popped last. */
void vhost_fault_fetched(const struct fault_set *set, struct vring *vring,
			 uint16_t head);

bool vhost_fault_match(enum fault_op op, struct vring *vring, uint16_t head,
		       struct fault_set *set);

/*
 * For a device that does each request at once: right after vring_pop().
 * Return: whether any fault is for it; vhost_fault_done() then follows.
 */
static inline bool vhost_fault_take(enum fault_op op, struct vring *vring,
				    uint16_t head, struct fault_set *set)
{
	return fault_armed() && vhost_fault_match(op, vring, head, set);
}

/* Right before vring_push() of that chain. */
void vhost_fault_done(const struct fault_set *set, struct vring *vring);

#endif
