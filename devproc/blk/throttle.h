/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throttling: a filter between request.c, which says what is asked for, and
 * the engine that does it.  bulkhead-blk, between D3 and D4.  How much passes
 * is bucket.c's arithmetic; here requests wait for their turn, in the guest's
 * order, reads and writes apart.
 *
 * It keeps a hostile guest within its limits, not a hostile process: that
 * could leave it out.
 */
#ifndef DEVPROC_BLK_THROTTLE_H
#define DEVPROC_BLK_THROTTLE_H

#include "devproc/blk/blk.h"
#include "ipc/throttle.h"

/*
 * Map the page at THROTTLE_FD, if we were given one, and close the fd.
 * Before confinement.  Return: 0 or -errno.
 */
int throttle_open(const struct throttle_settings *settings);

/* From now on; requests that wait are measured anew. */
void throttle_set(const struct throttle_settings *settings);

extern bool throttle_on;	/* any limit, or any that wait */

bool throttle_hold_back(struct blk_request *req);

/*
 * A request that there is something to do for.  Return: true, it waits here,
 * until throttle_next_due() gives it back.
 */
static inline bool throttle_take(struct blk_request *req)
{
	return __builtin_expect(throttle_on, 0) && throttle_hold_back(req);
}

/*
 * End of a round: a request whose turn has come, NULL if there is none; then
 * the loop has been told when to look again.
 */
struct blk_request *throttle_next_due(void);

/* One that waits and is of that queue, which waits no more; NULL: none. */
struct blk_request *throttle_drop(unsigned int queue);

/* How many wait, of all queues. */
unsigned int throttle_nr_waiting(void);

#endif
