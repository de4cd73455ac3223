/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a request, see steps.c. */
#ifndef DEVPROC_BLK_STEPS_H
#define DEVPROC_BLK_STEPS_H

#include "devproc/blk/blk.h"

void steps_init(const struct blk_image *image);

/* req->chain was just popped; req->vring, index and queue are set. */
void steps_begin(struct blk_request *req);

/* transfer.c: the data is moved, or err (positive errno) says why not. */
void steps_transferred(struct blk_request *req, int err);
/* mirror.c: the other file has it too, or none is wanted any more. */
void steps_mirrored(struct blk_request *req);

/* Let those go on whose time has come; at the end of each round. */
void steps_due(void);
/* Is there more for steps_due() to do, without anything from outside? */
bool steps_have_more(void);
/* The queue stops: nothing of it waits for its time any longer. */
void steps_release(unsigned int queue);
/* Requests, of all queues, that wait without any I/O under way for them. */
unsigned int steps_nr_parked(void);

#endif
