/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults on purpose, the side that does them: which rule of the fault page
 * (ipc/fault.h) fires at which request.  Every device process, D3 to D5, and
 * the core, whose requests are the exits of its vCPUs.
 *
 * A process asks fault_armed() for each request; only if that is true, which
 * without rules it is not, it calls fault_match().
 */
#ifndef IPC_FAULT_MATCH_H
#define IPC_FAULT_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/fault.h"
#include "ipc/pages.h"

/* What fires at one request. */
struct fault_set {
	uint32_t actions;	/* 1 << enum fault_action, ored */
	uint64_t random;	/* for those that choose a place */
	uint64_t value[FAULT_NR_ACTIONS];	/* CRASH: points, as bits */
};

struct fault_request {
	enum fault_op op;
	uint64_t sector;
	uint64_t nr_sectors;	/* 0: it has no place, sector= does not match */
};

/* Actions whose unit is a character, an exit; all others are of requests. */
#define FAULT_CHARACTER_ACTIONS \
	(1u << FAULT_DROP | 1u << FAULT_GARBLE | 1u << FAULT_STALL)
#define FAULT_CORE_ACTIONS \
	(1u << FAULT_VCPU_PAUSE | 1u << FAULT_CLOCK_JUMP)
#define FAULT_REQUEST_ACTIONS \
	(~(FAULT_CHARACTER_ACTIONS | FAULT_CORE_ACTIONS))

struct fault_watch {
	const uint32_t *generation;	/* in the page */
	uint32_t quiet;		/* its value when the page had no rules */
};
extern struct fault_watch fault_watch;

/* May any rule be there?  One load, and a branch that is never taken. */
static inline bool fault_armed(void)
{
	return __builtin_expect(__atomic_load_n(fault_watch.generation,
						__ATOMIC_RELAXED) !=
				__atomic_load_n(&fault_watch.quiet,
						__ATOMIC_RELAXED), 0);
}

/*
 * Before confinement.  page: mapped read-only, or NULL: there will be no
 * faults.  head: of the statistics, which the next process goes on with.
 */
void fault_init(const struct fault_page *page, struct stats_head *head);

/*
 * Hold a request against the rules whose action is in `actions`; count and
 * log those that fire.  Once per request, in the guest's order.
 * Return: whether any fired; *set is filled then.
 * Context: one thread at a time.
 */
bool fault_match(uint32_t actions, const struct fault_request *request,
		 struct fault_set *set);

/* Is there, by now, any rule with that action? */
bool fault_rule_stands(enum fault_action action);

static inline bool fault_has(const struct fault_set *set,
			     enum fault_action action)
{
	return set->actions >> action & 1;
}

/* Die, if the set says so for this point: SIGILL. */
void fault_crash_at(const struct fault_set *set, enum fault_point point);

/*
 * Never return, and hear nobody: for FAULT_HANG.  Not declared _Noreturn: a
 * sanitizer would make system calls for it that no policy has.
 */
void fault_hang(void);

#endif
