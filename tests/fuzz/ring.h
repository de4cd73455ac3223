/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's memory with a ring in it, filled by the fuzzer; for fuzz_vring.c
 * and fuzz_blk.c.  128 KiB in three regions: two that touch at RING_HALF, and
 * one far above, which ends where addresses of that size do.
 */
#ifndef TESTS_FUZZ_RING_H
#define TESTS_FUZZ_RING_H

#include "devproc/vring_priv.h"
#include "tests/fuzz/fuzz.h"

#define RING_SIZE	16
#define RING_AVAIL	0x100
#define RING_USED	0x200
#define RING_HALF	0x8000
#define RING_LOW_BYTES	0x10000
#define RING_HIGH_GPA	0xfffffffffffe0000ull
#define RING_HIGH_BYTES	0x10000
#define RING_SPANS	8

struct ring {
	struct vring vring;
	struct stats_queue stats;
	uint8_t *low;		/* the memory below RING_LOW_BYTES */
	uint8_t *high;
};

/* Once: map the memory. */
void ring_open(struct ring *ring);

/* Memory from the input, a ring at 0 with nothing taken yet. */
void ring_begin(struct ring *ring, struct fuzz_input *in);

/* Start the ring again, as the process after this one would.  0 or -errno. */
int ring_restart(struct ring *ring);

/* A chain that was popped lies in guest memory, and its sums are right. */
void ring_check(const struct ring *ring, const struct vring_chain *chain);

#endif
