/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move's copy of what the disk has: once through all of it, piece by piece,
 * by way of the disk's format.  bulkhead-blk, around D4; mirror.c, which does
 * the guest's writes to both files, lets it go on.
 */
#ifndef DEVPROC_BLK_COPY_H
#define DEVPROC_BLK_COPY_H

#include "devproc/blk/blk.h"

struct range {
	uint64_t offset;	/* bytes, into the disk */
	uint64_t bytes;		/* 0: nowhere */
};

static inline bool ranges_meet(const struct range *a, const struct range *b)
{
	return a->bytes && b->bytes && a->offset < b->offset + b->bytes &&
	       b->offset < a->offset + a->bytes;
}

/* The loop is about to run. */
void copy_start(const struct blk_image *image);

/* What the copy is at: nobody else may write there. */
const struct range *copy_piece(void);

/* End of a round: go on, unless a write is under way in the piece. */
void copy_next(void);

/* steps.c: the request without a vring has ended; err: positive errno. */
void copy_has_read(int err);

#endif
