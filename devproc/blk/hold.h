/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of an I/O error of the host (on_read_error, on_write_error):
 * the guest gets it, or the disk is held.  A held disk keeps what failed and
 * what comes after it, tells the supervisor once, and tries again when that
 * says so.  bulkhead-blk, around D4; called by steps.c only.
 */
#ifndef DEVPROC_BLK_HOLD_H
#define DEVPROC_BLK_HOLD_H

#include "devproc/blk/blk.h"

void hold_init(const struct life_birth_blk *birth);

/* Where a request that is tried again goes on. */
enum hold_stage {
	HOLD_BEGIN,	/* nothing of it is done */
	HOLD_TRANSFER,	/* some may be */
};

/*
 * req failed with err, a positive errno.  Return: true, it is kept, and the
 * disk is held; false, the guest is to be told.
 */
bool hold_take(struct blk_request *req, int err, enum hold_stage stage);

extern bool hold_active;

void hold_keep(struct blk_request *req);

/* Before anything is done of req.  Return: true, it waits here. */
static inline bool hold_park(struct blk_request *req)
{
	if (__builtin_expect(!hold_active, 1))
		return false;
	hold_keep(req);
	return true;
}

/* LIFE_BLK_RESUME. */
void hold_resume(void);

/*
 * A request that goes on, and from where; NULL: there is none, or the disk
 * is held (again).
 */
struct blk_request *hold_next(enum hold_stage *stage);

/* One that is kept and is of that queue; NULL: none. */
struct blk_request *hold_drop(unsigned int queue);

unsigned int hold_nr(void);

#endif
