/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk is being moved: everything is copied to another file (copy.h), and
 * whatever the guest writes meanwhile goes to both.  bulkhead-blk, around D4;
 * called by steps.c and the copy only.  What the supervisor does about it:
 * cli/move.h; what kind of file the other one is: target.h.
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

struct range;

extern bool mirror_on;
/* mirror_next() may have some: call it before the loop sleeps. */
extern bool mirror_look;

/* birth->move; the image must stay.  Before confinement.  0 or -errno. */
int mirror_open(const struct life_birth_blk *birth,
		const struct blk_image *image);
/* Begin to copy; the loop is about to run. */
void mirror_start(void);
/*
 * The process ends in good order.  0; -errno: it had said that both files are
 * the same, and the other one is not, so it must not take over.
 */
int mirror_finish(void);

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

/* --- for the copy --------------------------------------------------------------- */

/* Is a write of the guest under way there? */
bool mirror_meets(const struct range *range);
/* All is copied, and stable. */
void mirror_is_whole(void);
/* The other file failed; the image is whole, and goes on alone. */
void mirror_give_up(int err);

#endif
