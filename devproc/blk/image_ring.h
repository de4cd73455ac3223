/* SPDX-License-Identifier: Apache-2.0 */
/* The restricted io_uring of bulkhead-blk; for backend.c. */
#ifndef DEVPROC_BLK_IMAGE_RING_H
#define DEVPROC_BLK_IMAGE_RING_H

#include <liburing.h>

#define IMAGE_INDEX	0	/* the image among the ring's registered files */

/*
 * Make the ring at RING_FD with RES_FD as its one registered file, held to
 * reads, writes, FSYNC and FALLOCATE on that file.  Before confinement.
 * Return: 0, or -errno, which is logged.
 */
int image_ring_open(struct io_uring *ring, unsigned int sq_entries,
		    unsigned int cq_entries);

#endif
