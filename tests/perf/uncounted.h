/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What devproc/stats.h is to tests/perf/blk_uncounted: the same functions, and
 * they count nothing and read no clock.  Included before anything else, so
 * that the real one finds its guard taken.  What statistics cost is the
 * difference between that program and bulkhead-blk (tests/perf/stats); what
 * stays in both is three stores a request, of when and of which kind it is.
 */
#ifndef DEVPROC_STATS_H
#define DEVPROC_STATS_H

#include <stdint.h>
#include <time.h>

#include "ipc/pages.h"

static inline void stats_add(uint64_t *counter, uint64_t n)
{
	(void)counter;
	(void)n;
}

static inline uint64_t stats_clock_ns(void)
{
	return 0;
}

extern uint64_t stats_batch_ns;

static inline void stats_batch_end(void)
{
}

static inline uint64_t stats_batch_now(void)
{
	return 0;
}

static inline void stats_took(struct stats_queue *queue, unsigned int kind,
			      uint64_t begin_ns, uint64_t end_ns)
{
	(void)queue;
	(void)kind;
	(void)begin_ns;
	(void)end_ns;
}

#endif
