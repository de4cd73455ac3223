/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what an image file went through (ipc/record.h), kept at
 * RES2_FD.  Below file_io.h, which alone calls it while the disk is served: so
 * it has what reaches the file, whatever format, fault or filter made of what
 * the guest had asked for.
 */
#ifndef DEVPROC_BLK_RECORD_H
#define DEVPROC_BLK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "devproc/blk/file_io.h"

extern bool record_on;

/* Before confinement: entries go to the end of RES2_FD.  0 or -errno. */
int record_open(void);

/*
 * A process before us has written to it.  What it had under way when it ended
 * may be in the image and not in the record.
 */
bool record_goes_on(void);

void record_note_sync(struct file_io *io);

/* io goes to the kernel. */
static inline void record_begin(struct file_io *io)
{
	if (__builtin_expect(record_on, 0) && io->op == FILE_SYNC &&
	    io->file == FILE_IMAGE)
		record_note_sync(io);
}

bool record_append(struct file_io *io, int result);

/*
 * io has ended.  Return: true, it belongs in the record; io->done() is called
 * when it is there, with result.
 */
static inline bool record_take(struct file_io *io, int result)
{
	return __builtin_expect(record_on, 0) && record_append(io, result);
}

/* The image's size was set.  Waits, with file_io_run(). */
void record_size(uint64_t bytes);

#endif
