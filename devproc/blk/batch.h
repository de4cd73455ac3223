/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether to be SCHED_BATCH (sched(7)): a process that wakes up then waits for
 * its turn, and does not take the processor from who has it.  bulkhead-blk, D3.
 *
 * Where a guest's thread and its disk's process share a processor, the disk
 * preempts the guest at each kick and at each answer of the host's disk, so
 * that a guest with much to ask for is served request by request.  As a batch
 * process it finds all that the guest had to ask for.  Where the two do not
 * share one there is no difference; where it shares one with strangers, it
 * would wait for them.  So both are tried, and what serves more is kept.
 *
 * Arithmetic only: the system call is engine.c's.
 */
#ifndef DEVPROC_BLK_BATCH_H
#define DEVPROC_BLK_BATCH_H

#include <stdbool.h>
#include <stdint.h>

enum batch_phase { BATCH_STEADY, BATCH_TRIAL, BATCH_AFTER };

/* Zeroes are a process that is not SCHED_BATCH. */
struct batch {
	bool settled;		/* SCHED_BATCH, outside of trials */
	enum batch_phase phase;
	unsigned int windows;	/* steady ones since the last trial */
	unsigned int every;	/* so many, then a trial */
	/* Of the window at hand: */
	uint64_t begin_ns;
	unsigned int requests, wakes;
	unsigned int singles;	/* wakes in a row that brought one request */
	/* Of the trial: ns per request before and in it. */
	uint64_t before_ns, trial_ns;
	bool gathered;		/* several requests a wake */
};

/*
 * The process is about to sleep, and this many requests have come since it
 * did so last: one at least.  Return: whether to be SCHED_BATCH now.
 */
bool batch_sleeps(struct batch *batch, unsigned int requests, uint64_t now_ns);

#endif
