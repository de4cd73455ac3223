/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as registered buffers of the io_uring (io_uring_register(2),
 * IORING_REGISTER_BUFFERS_UPDATE): the kernel holds its pages once and for
 * all, instead of looking them up and letting them go at each request.  The
 * price: all of guest RAM is taken from the host, and charged as locked.
 *
 * That takes time, seconds where RAM is large and new, so it is done slice by
 * slice between requests; what is not registered works as well.
 * bulkhead-blk; C5 when memory comes and goes, D4 when looked up; registered at
 * the end of the engine's rounds.
 */
#ifndef DEVPROC_BLK_FIXED_H
#define DEVPROC_BLK_FIXED_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

#define FIXED_SLICE_BYTES	(16u << 20)
#define FIXED_MAX		4096	/* slices: what is beyond 64 GiB is not */

/*
 * From now on what guest_mem.h maps is to be registered, as far as the limits
 * let it.  ring: has a table of FIXED_MAX empty buffers (ring_open()); lives on.
 */
void fixed_open(struct io_uring *ring);

/* Register a slice, if there is one to register.  Return: whether there was. */
bool fixed_next(void);

/* Return: the index of the buffer that has all of this, or -1. */
int fixed_index(const void *buf, size_t bytes);

#endif
