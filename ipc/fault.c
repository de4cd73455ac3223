/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault page's writer (supervisor, tests), and what actions, points and
 * operations are called, in rules and in logs (all).
 */
#include <stddef.h>

#include <string.h>

#include "ipc/fault.h"

static const char *const action_name[FAULT_NR_ACTIONS] = {
	[FAULT_EIO] = "eio",
	[FAULT_ENOSPC] = "enospc",
	[FAULT_DELAY] = "delay",
	[FAULT_HOLD] = "hold",
	[FAULT_SHORT] = "short",
	[FAULT_TORN] = "torn",
	[FAULT_CORRUPT] = "corrupt",
	[FAULT_LOSE] = "lose",
	[FAULT_MISDIRECT] = "misdirect",
	[FAULT_CRASH] = "crash",
	[FAULT_HANG] = "hang",
	[FAULT_LOSE_INTERRUPT] = "lose-interrupt",
	[FAULT_SPURIOUS_INTERRUPT] = "spurious-interrupt",
	[FAULT_BAD_USED] = "bad-used",
	[FAULT_DROP] = "drop",
	[FAULT_GARBLE] = "garble",
	[FAULT_STALL] = "stall",
	[FAULT_VCPU_PAUSE] = "vcpu-pause",
	[FAULT_CLOCK_JUMP] = "clock-jump",
};

static const char *const point_name[FAULT_NR_POINTS] = {
	[FAULT_POINT_FETCH] = "fetch",
	[FAULT_POINT_SUBMIT] = "submit",
	[FAULT_POINT_COMPLETE] = "complete",
	[FAULT_POINT_USED] = "used",
};

static const char *const op_name[FAULT_NR_OPS] = {
	[FAULT_OP_READ] = "read",
	[FAULT_OP_WRITE] = "write",
	[FAULT_OP_FLUSH] = "flush",
	[FAULT_OP_DISCARD] = "discard",
	[FAULT_OP_EXIT] = "exit",
};

const char *fault_action_name(unsigned int action)
{
	return action < FAULT_NR_ACTIONS ? action_name[action] : NULL;
}

const char *fault_point_name(unsigned int point)
{
	return point < FAULT_NR_POINTS ? point_name[point] : NULL;
}

const char *fault_op_name(unsigned int op)
{
	return op < FAULT_NR_OPS ? op_name[op] : NULL;
}

void fault_page_write(struct fault_page *page, const struct fault_rule *rules,
		      unsigned int nr)
{
	uint32_t generation = page->generation + 1;

	__atomic_store_n(&page->generation, generation, __ATOMIC_RELAXED);
	/* Orders the odd number before the rules; against refresh(). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	page->nr_rules = nr;
	if (nr)
		memcpy(page->rule, rules, nr * sizeof(*rules));
	__atomic_store_n(&page->generation, generation + 1, __ATOMIC_RELEASE);
}
