/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of every device with rings, see devproc/vhost_fault.h. */
#include "devproc/vhost_fault.h"

#include "devproc/vring_priv.h"

void vhost_fault_fetched(const struct fault_set *set, struct vring *vring,
			 uint16_t head)
{
	if (set->value[FAULT_CRASH] >> FAULT_POINT_FETCH & 1)
		vring_unpop(vring, head);
	fault_crash_at(set, FAULT_POINT_FETCH);
	if (fault_has(set, FAULT_SPURIOUS_INTERRUPT))
		vring_call(vring);
	if (fault_has(set, FAULT_HANG))
		fault_hang();
}

bool vhost_fault_match(enum fault_op op, struct vring *vring, uint16_t head,
		       struct fault_set *set)
{
	const struct fault_request asked = { .op = op };

	if (!fault_match(FAULT_REQUEST_ACTIONS, &asked, set))
		return false;
	vhost_fault_fetched(set, vring, head);
	fault_crash_at(set, FAULT_POINT_SUBMIT);
	return true;
}

void vhost_fault_done(const struct fault_set *set, struct vring *vring)
{
	fault_crash_at(set, FAULT_POINT_COMPLETE);
	if (fault_has(set, FAULT_BAD_USED))
		vring->faults |= VRING_FAULT_BAD_USED;
	if (fault_has(set, FAULT_LOSE_INTERRUPT))
		vring->faults |= VRING_FAULT_NO_CALL;
	if (set->value[FAULT_CRASH] >> FAULT_POINT_USED & 1)
		vring->faults |= VRING_FAULT_CRASH;
}
