/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a request's data between guest memory and files, piece by piece as
 * the format says where they are.  bulkhead-blk, D4; one of the steps of a
 * request (steps.c).
 */
#ifndef DEVPROC_BLK_TRANSFER_H
#define DEVPROC_BLK_TRANSFER_H

#include "devproc/blk/blk.h"

/* Before confinement.  image stays the caller's, who may change it. */
void transfer_init(const struct blk_image *image);

/* Do what is left of req; steps_transferred() follows, maybe at once. */
void transfer_begin(struct blk_request *req);

/*
 * piece.c: a piece has ended.  result: bytes of guest data that are through,
 * 0 of an operation without data; -errno.
 */
void transfer_moved(struct blk_request *req, int result);

#endif
