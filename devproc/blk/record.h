/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what an image went through (ipc/record.h): a step of
 * a request (steps.c), and the file at RES2_FD.
 */
#ifndef DEVPROC_BLK_RECORD_H
#define DEVPROC_BLK_RECORD_H

#include "devproc/blk/blk.h"

/* Before confinement: entries go to the end of RES2_FD.  0 or -errno. */
int record_open(const struct blk_image *image);

/*
 * The request goes to the image as it is now: remember what it is, if there is
 * a record and it belongs there.
 */
void record_begin(struct blk_request *req);

/*
 * The image has it: append the entry; steps_recorded() follows.
 * Return: false, there is nothing to append.
 */
bool record_append(struct blk_request *req);

#endif
