/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to the statistics page (ipc/pages.h): one writer, this process.
 * Every device process; D2 to D5.
 *
 * The clock is read twice per batch, not per request: when the first of a
 * batch is taken, and when a batch is shown to the guest.  It is the vDSO's,
 * which takes no system call.
 */
#ifndef DEVPROC_STATS_H
#define DEVPROC_STATS_H

#include <stdint.h>
#include <time.h>

#include "ipc/pages.h"

/* Add to a counter that other processes read. */
static inline void stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t stats_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* When the batch of requests in hand was begun; 0: not read yet. */
extern uint64_t stats_batch_ns;

/* Requests that are taken from now on are another batch. */
static inline void stats_batch_end(void)
{
	stats_batch_ns = 0;
}

/* The time of this batch. */
static inline uint64_t stats_batch_now(void)
{
	if (!stats_batch_ns)
		stats_batch_ns = stats_clock_ns();
	return stats_batch_ns;
}

/* A request of that kind took from begin_ns to end_ns. */
static inline void stats_took(struct stats_queue *queue, unsigned int kind,
			      uint64_t begin_ns, uint64_t end_ns)
{
	struct stats_latency *latency = &queue->latency[kind];
	uint64_t ns = end_ns > begin_ns ? end_ns - begin_ns : 0;

	stats_add(&latency->requests, 1);
	stats_add(&latency->sum_ns, ns);
	stats_add(&latency->bucket[stats_bucket(ns)], 1);
	if (ns > latency->max_ns)
		__atomic_store_n(&latency->max_ns, ns, __ATOMIC_RELAXED);
}

#endif
