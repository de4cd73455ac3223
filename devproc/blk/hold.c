/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that is held after an error, see devproc/blk/hold.h. */
#include "devproc/blk/hold.h"

#include "devproc/device.h"

bool hold_active;

static struct {
	uint8_t on_read_error;	/* enum life_on_error */
	uint8_t on_write_error;
	struct blk_request *first;
	struct blk_request **last;
	unsigned int nr;
	uint8_t stage[BLK_MAX_REQUESTS];	/* by index of the request */
} held = { .last = &held.first };

void hold_init(const struct life_birth_blk *birth)
{
	held.on_read_error = birth->on_read_error;
	held.on_write_error = birth->on_write_error;
}

static void count(int change)
{
	held.nr = (unsigned int)((int)held.nr + change);
	__atomic_store_n(&device_stats->disk.held, held.nr, __ATOMIC_RELAXED);
}

static void keep(struct blk_request *req, enum hold_stage stage)
{
	held.stage[req->index] = (uint8_t)stage;
	req->next = NULL;
	*held.last = req;
	held.last = &req->next;
	count(1);
}

void hold_keep(struct blk_request *req)
{
	keep(req, HOLD_BEGIN);
}

bool hold_take(struct blk_request *req, int err, enum hold_stage stage)
{
	bool read = req->op == BLK_OP_READ;
	const struct life_blk_held event = {
		.err = (uint32_t)err,
		.write = !read,
		.offset = req->op == BLK_OP_FLUSH ? 0 : req->offset,
	};

	if ((read ? held.on_read_error : held.on_write_error) !=
	    LIFE_ERROR_HOLD)
		return false;
	keep(req, stage);
	if (!hold_active)
		device_tell(LIFE_BLK_HELD, &event);
	hold_active = true;
	return true;
}

void hold_resume(void)
{
	hold_active = false;
}

static struct blk_request *unlink_held(struct blk_request **link)
{
	struct blk_request *req = *link;

	*link = req->next;
	if (!req->next)
		held.last = link;
	count(-1);
	return req;
}

struct blk_request *hold_next(enum hold_stage *stage)
{
	if (!held.first || hold_active)
		return NULL;
	*stage = held.stage[held.first->index];
	return unlink_held(&held.first);
}

struct blk_request *hold_drop(unsigned int queue)
{
	for (struct blk_request **link = &held.first; *link;
	     link = &(*link)->next)
		if ((*link)->queue == queue)
			return unlink_held(link);
	return NULL;
}

unsigned int hold_nr(void)
{
	return held.nr;
}
