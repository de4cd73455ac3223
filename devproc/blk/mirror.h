/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk is being moved: everything is copied to another file, and whatever
 * the guest writes meanwhile goes to both.  bulkhead-blk, around D4; called by
 * steps.c only.  What the supervisor does about it: cli/move.h.
 *
 * The copy goes through the disk once, piece by piece.  The guest's writes
 * wait while their piece is on its way, and a piece waits for writes that are,
 * so that behind the copy both files are the same, and it ends however much
 * the guest writes.  Until the supervisor exchanges the process, the old file
 * is the disk: reads come from it, and it is whole at any moment.
 */
#ifndef DEVPROC_BLK_MIRROR_H
#define DEVPROC_BLK_MIRROR_H

#include "devproc/blk/blk.h"

extern bool mirror_on;
/* mirror_next() may have some: call it before the loop sleeps. */
extern bool mirror_look;

/* birth->move; the image must stay.  Before confinement. */
void mirror_init(const struct life_birth_blk *birth,
		 const struct blk_image *image);
/* Begin to copy; the loop is about to run. */
void mirror_start(void);

bool mirror_admit(struct blk_request *req);

/*
 * req is about to be done.  Return: true, it waits here for a piece or for
 * another write of the same blocks, until mirror_next() gives it back.
 */
static inline bool mirror_wait(struct blk_request *req)
{
	return __builtin_expect(mirror_on, 0) && mirror_admit(req);
}

/* End of a round: one that waits no more; NULL: none. */
struct blk_request *mirror_next(void);

bool mirror_repeat(struct blk_request *req);

/*
 * The image has what req changes.  Return: true, it is done to the other file
 * as well, and steps_mirrored() follows.
 */
static inline bool mirror_copy(struct blk_request *req)
{
	return __builtin_expect(mirror_on, 0) && mirror_repeat(req);
}

void mirror_let_go(const struct blk_request *req);

/* req is over, in whatever way. */
static inline void mirror_end(const struct blk_request *req)
{
	if (__builtin_expect(mirror_on, 0))
		mirror_let_go(req);
}

#endif
