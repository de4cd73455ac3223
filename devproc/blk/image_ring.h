/* SPDX-License-Identifier: Apache-2.0 */
/* The restricted io_uring of bulkhead-blk; for backend.c. */
#ifndef DEVPROC_BLK_IMAGE_RING_H
#define DEVPROC_BLK_IMAGE_RING_H

#include <liburing.h>
#include <stdbool.h>

#define IMAGE_INDEX	0	/* the image among the ring's registered files */
#define RECORD_INDEX	1	/* the record, if there is one */

/*
 * Make the ring at RING_FD with RES_FD as its one registered file (and, if
 * recorded, RES2_FD as the second), held to reads, writes, FSYNC and FALLOCATE
 * on registered files.  Before confinement.
 * Return: 0, or -errno, which is logged.
 */
int image_ring_open(struct io_uring *ring, unsigned int sq_entries,
		    unsigned int cq_entries, bool recorded);

#endif
