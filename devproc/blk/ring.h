/* SPDX-License-Identifier: Apache-2.0 */
/* The restricted io_uring of bulkhead-blk; for file_io.c. */
#ifndef DEVPROC_BLK_RING_H
#define DEVPROC_BLK_RING_H

#include <liburing.h>

/*
 * Make the ring at RING_FD with files[] (-1: none) as its registered files,
 * held to reads, writes, FSYNC and FALLOCATE on those.  Before confinement.
 * most_workers: threads of the kernel for what waits on files; 0: its choice.
 * nr_buffers: size of the table of registered buffers, all empty, which may
 * be filled later (fixed.h); 0: none, and never.
 * Return: 0, or -errno, which is logged.
 */
int ring_open(struct io_uring *ring, unsigned int sq_entries,
	      unsigned int cq_entries, const int *files, unsigned int nr_files,
	      unsigned int most_workers, unsigned int nr_buffers);

#endif
