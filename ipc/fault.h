/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault page: what a device, or the core, is to do wrong on purpose.  The
 * supervisor makes it, keeps it and writes it; they map it read-only.  How a
 * rule is written down is cli/fault_parse.h, what each does bulkhead(1).
 *
 * The writer makes generation odd, writes the rules, makes it even again.  Who
 * reads it copies the page when generation has changed, and checks the copy.
 */
#ifndef IPC_FAULT_H
#define IPC_FAULT_H

#include <stdint.h>

#define FAULT_PAGE_BYTES	4096
#define FAULT_MAX_RULES		32	/* of one process */

enum fault_action {
	/* blk */
	FAULT_EIO,
	FAULT_ENOSPC,
	FAULT_DELAY,		/* value: milliseconds */
	FAULT_HOLD,
	FAULT_SHORT,
	FAULT_TORN,		/* value: sectors that reach the disk */
	FAULT_CORRUPT,		/* value: bits */
	FAULT_LOSE,
	FAULT_MISDIRECT,	/* value: sectors further on */
	/* every device */
	FAULT_CRASH,		/* value: enum fault_point */
	FAULT_HANG,
	FAULT_LOSE_INTERRUPT,
	FAULT_SPURIOUS_INTERRUPT,
	/* devices with rings */
	FAULT_BAD_USED,
	/* serial, console: their unit is one character */
	FAULT_DROP,
	FAULT_GARBLE,
	FAULT_STALL,
	/* the core: its unit is an exit of a vCPU */
	FAULT_VCPU_PAUSE,	/* value: milliseconds */
	FAULT_CLOCK_JUMP,	/* value: milliseconds, int64_t */
	FAULT_NR_ACTIONS,
};

/* Where a process may be made to crash, in a request's order. */
enum fault_point {
	FAULT_POINT_FETCH,	/* before the request is taken */
	FAULT_POINT_SUBMIT,	/* it is at work */
	FAULT_POINT_COMPLETE,	/* done, not yet in the used ring */
	FAULT_POINT_USED,	/* in the used ring, no interrupt yet */
	FAULT_NR_POINTS,
};

/*
 * As the guest sees it: a read moves data to it.  EXIT is the core's alone: a
 * vCPU has left the guest, for an access that the core answers or for a signal.
 */
enum fault_op {
	FAULT_OP_READ,
	FAULT_OP_WRITE,
	FAULT_OP_FLUSH,
	FAULT_OP_DISCARD,	/* discards and write-zeroes */
	FAULT_OP_EXIT,
	FAULT_NR_OPS,
};

#define FAULT_ALL_OPS	((1u << FAULT_NR_OPS) - 1)

/*
 * Of the requests that match ops and sectors, a rule lets `after` pass, then
 * looks at each `every`th, of those at a share of `probability`, and fires at
 * most `count` times.
 */
struct fault_rule {
	uint32_t id;		/* never used twice in a VM's life; not 0 */
	uint8_t action;		/* enum fault_action */
	uint8_t ops;		/* 1 << enum fault_op, ored; not 0 */
	uint16_t pad;
	uint64_t value;
	uint64_t first_sector;	/* of 512 bytes */
	uint64_t last_sector;	/* UINT64_MAX: no limit */
	uint64_t after;
	uint64_t every;		/* 0 and 1: each */
	uint64_t count;		/* 0: no limit */
	uint64_t seed;		/* of this rule's random numbers */
	uint32_t probability;	/* of 2^32; 0: always */
	uint32_t pad2;
};

struct fault_page {
	uint32_t generation;
	uint32_t nr_rules;
	struct fault_rule rule[FAULT_MAX_RULES];
	/* No fault: follow requests until walk_serial (ipc/pages.h) is this. */
	uint64_t walk_goal;
};

_Static_assert(sizeof(struct fault_page) <= FAULT_PAGE_BYTES, "fault_page");

/*
 * Number n of a stream.  It has no state, so a reborn device goes on where the
 * last one was.  The mixing steps are those of splitmix64 (Steele, Lea and
 * Flood, "Fast splittable pseudorandom number generators", 2014).
 */
static inline uint64_t fault_random(uint64_t seed, uint64_t n)
{
	uint64_t x = seed + (n + 1) * 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* All rules at once; nr <= FAULT_MAX_RULES.  One writer. */
void fault_page_write(struct fault_page *page, const struct fault_rule *rules,
		      unsigned int nr);

/* fault.c: as rules and logs have them; NULL beyond the last. */
const char *fault_action_name(unsigned int action);
const char *fault_point_name(unsigned int point);
const char *fault_op_name(unsigned int op);

#endif
