/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request followed through the data path (`bulkhead walk`), on demand.
 * Devices with rings; D2 to D6.
 *
 * The supervisor says in the fault page how many requests are to be followed;
 * one at a time is, and ends as a struct stats_walk in the statistics page.
 * While none is wanted a hook costs one branch that is never taken, and no
 * clock is read.
 */
#ifndef DEVPROC_WALK_H
#define DEVPROC_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/fault.h"
#include "ipc/pages.h"

struct vring;

/* Before confinement; goal: of the fault page, or NULL: none is ever wanted. */
void walk_init(const uint64_t *goal, struct stats_page *page);

/* Is one being followed, or wanted? */
extern bool walk_on;

static inline bool walk_is_on(void)
{
	return __builtin_expect(walk_on, 0);
}

/* Look whether any is wanted; once per round. */
void walk_look(void);

/* In a request's order; only if walk_is_on(). */
void walk_idle(const struct vring *vring);	/* the ring is empty */
void walk_woken(const struct vring *vring);	/* a kick came */
void walk_taken(const struct vring *vring, uint16_t head);
void walk_queued(const struct vring *vring, uint16_t head);
void walk_issued(void);			/* what was queued went to the kernel */
void walk_done(const struct vring *vring, uint16_t head);
void walk_pushed(const struct vring *vring, uint16_t head);
void walk_visible(const struct vring *vring);	/* used->idx is stored */
/*
 * The guest was interrupted, or wants no interrupt.  Watches the ring for its
 * answer, some 0.2 ms at most: a request that is followed is for looking at.
 */
void walk_called(const struct vring *vring, bool called);

#endif
