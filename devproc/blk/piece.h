/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One piece of a request: a single operation on the file of its extent, with
 * guest memory or a bounce buffer at the other end.  bulkhead-blk, D4; below
 * transfer.c.
 */
#ifndef DEVPROC_BLK_PIECE_H
#define DEVPROC_BLK_PIECE_H

#include "devproc/blk/blk.h"

/* Before confinement. */
void piece_init(const struct blk_image *image);

/* Once per request, before its first piece. */
void piece_prepare(struct blk_request *req);

/*
 * Do what is left of req->extent, or as much of it as goes at once.
 * transfer_moved() follows, from the loop.
 */
void piece_start(struct blk_request *req);

/* The request needs no more pieces. */
void piece_end(struct blk_request *req);

/* Operations have completed: who waits for one of them may go on. */
void piece_retry(void);

/* The first len bytes of a READ's guest memory become from's, or zero (NULL). */
void piece_fill(const struct blk_request *req, const uint8_t *from, size_t len);

#endif
