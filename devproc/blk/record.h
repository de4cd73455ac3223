/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what an image went through (ipc/record.h): between backend.c,
 * which does the I/O, and the file at RES2_FD.
 */
#ifndef DEVPROC_BLK_RECORD_H
#define DEVPROC_BLK_RECORD_H

#include "devproc/blk/blk.h"

struct io_uring_sqe;

/* Before confinement: entries go to the end of RES2_FD.  0 or -errno. */
int record_open(void);

/*
 * The request goes to the image as it is now: remember what it is, if there is
 * a record and it belongs there.
 */
void record_begin(struct blk_request *req);

/*
 * The image has it: it becomes a BLK_OP_RECORD, which appends the entry.
 * record_prepare() fills the operation; record_end() takes its result.
 * Return: false, there is nothing to append.
 */
bool record_append(struct blk_request *req);
void record_prepare(struct io_uring_sqe *sqe, const struct blk_request *req);
/* Return: 0; -EAGAIN, issue it once more. */
int record_end(const struct blk_request *req, int result);

#endif
