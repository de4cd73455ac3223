/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in two files, see devproc/blk/mirror.h. */
#include "devproc/blk/mirror.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "devproc/blk/copy.h"
#include "devproc/blk/file_io.h"
#include "devproc/blk/steps.h"
#include "devproc/blk/target.h"
#include "devproc/device.h"

bool mirror_on;
bool mirror_look;	/* a range has become free */

/* What a request does, as it was before it was begun. */
static struct slot {
	struct file_io io;
	struct blk_request *req;
	struct range range;
	uint8_t op;		/* enum blk_op */
	uint16_t nr_spans;
	uint16_t place;		/* in mirror.active */
	bool active;
	struct iovec spans[BLK_MAX_SPANS];
} slots[BLK_MAX_REQUESTS];

static struct {
	const struct blk_image *image;
	bool whole;			/* was told that both are the same */
	uint16_t active[BLK_MAX_REQUESTS];	/* requests under way, by index */
	unsigned int nr_active;
	struct blk_request *first;	/* waiting; oldest first */
	struct blk_request **last;
} mirror = { .last = &mirror.first };

/* --- the end ---------------------------------------------------------------- */

static void tell(int err)
{
	const struct life_blk_moved moved = { .err = (uint32_t)err };

	device_tell(LIFE_BLK_MOVED, &moved);
}

void mirror_is_whole(void)
{
	if (!mirror_on)
		return;
	mirror.whole = true;
	tell(0);
}

void mirror_give_up(int err)
{
	if (!mirror_on)
		return;
	mirror_on = false;
	mirror_look = true;
	tell(err);
}

/* --- ranges ------------------------------------------------------------------- */

bool mirror_meets(const struct range *range)
{
	for (unsigned int i = 0; i < mirror.nr_active; i++)
		if (ranges_meet(range, &slots[mirror.active[i]].range))
			return true;
	return false;
}

/* Nobody overtakes one that waits for the same blocks. */
static bool meets_older(const struct slot *slot)
{
	for (const struct blk_request *req = mirror.first;
	     req && req != slot->req; req = req->next)
		if (ranges_meet(&slot->range, &slots[req->index].range))
			return true;
	return false;
}

static bool may_go(const struct slot *slot)
{
	return !ranges_meet(&slot->range, copy_piece()) &&
	       !mirror_meets(&slot->range) && !meets_older(slot);
}

static void set_active(struct slot *slot)
{
	slot->active = true;
	slot->place = (uint16_t)mirror.nr_active;
	mirror.active[mirror.nr_active++] = slot->req->index;
}

void mirror_let_go(const struct blk_request *req)
{
	struct slot *slot = &slots[req->index];
	uint16_t moved;

	if (!slot->active)
		return;
	slot->active = false;
	moved = mirror.active[--mirror.nr_active];
	mirror.active[slot->place] = moved;
	slots[moved].place = slot->place;
	mirror_look = true;
}

/* --- requests: first the image, then the other file --------------------------- */

static void note(struct slot *slot, struct blk_request *req)
{
	slot->req = req;
	slot->op = req->op;
	slot->range.offset = req->offset;
	slot->range.bytes = req->op == BLK_OP_FLUSH ? 0 : req->left;
	slot->nr_spans = 0;
	if (req->op != BLK_OP_WRITE)
		return;
	memcpy(slot->spans, req->data, req->nr_data * sizeof(*req->data));
	slot->nr_spans = req->nr_data;
}

bool mirror_admit(struct blk_request *req)
{
	struct slot *slot = &slots[req->index];

	if (req->op == BLK_OP_READ)
		return false;
	/* What is discarded reads as zeroes afterwards, and in both alike. */
	if (req->op == BLK_OP_DISCARD)
		req->op = BLK_OP_ZERO_UNMAP;
	note(slot, req);
	if (may_go(slot)) {
		set_active(slot);
		return false;
	}
	req->next = NULL;
	*mirror.last = req;
	mirror.last = &req->next;
	return true;
}

static void repeat_other(struct slot *slot)
{
	slot->io.nr_iov = 0;
	slot->io.bytes = slot->range.bytes;
	switch ((enum blk_op)slot->op) {
	case BLK_OP_FLUSH:
		slot->io.op = FILE_SYNC;
		break;
	case BLK_OP_ZERO_UNMAP:
		slot->io.op = FILE_PUNCH;
		break;
	default:
		slot->io.op = FILE_ZERO;
	}
}

/* A file system may have one of two ways to make zeroes. */
static bool try_other_way(struct slot *slot)
{
	bool zeroes = slot->op == BLK_OP_ZERO_UNMAP || slot->op == BLK_OP_ZERO;

	if (!zeroes || slot->io.op == FILE_SYNC)
		return false;
	slot->io.op = slot->io.op == FILE_PUNCH ? FILE_ZERO : FILE_PUNCH;
	slot->op = BLK_OP_ZERO_WRITE;	/* and no third one */
	file_io_start(&slot->io);
	return true;
}

static bool is_short(const struct slot *slot, int result)
{
	return slot->io.op == FILE_WRITE && (uint64_t)result < slot->range.bytes;
}

static void on_repeated(struct file_io *io, int result)
{
	struct slot *slot = (struct slot *)
		((char *)io - offsetof(struct slot, io));

	if (result == -EOPNOTSUPP && try_other_way(slot))
		return;
	if (result < 0)
		mirror_give_up(-result);
	else if (is_short(slot, result))
		mirror_give_up(ENOSPC);
	else if (slot->op != BLK_OP_FLUSH && slot->op != BLK_OP_ZERO_UNMAP)
		target_used(slot->range.offset, slot->range.bytes);
	/* A write that has to end stable does so in both. */
	if (mirror_on && slot->op != BLK_OP_FLUSH &&
	    mirror.image->write_through) {
		slot->op = BLK_OP_FLUSH;
		slot->io.op = FILE_SYNC;
		file_io_start(io);
		return;
	}
	steps_mirrored(slot->req);
}

bool mirror_repeat(struct blk_request *req)
{
	struct slot *slot = &slots[req->index];

	if (req->op == BLK_OP_READ ||
	    (slot->op == BLK_OP_FLUSH && mirror.image->ignore_flush))
		return false;
	slot->io.done = on_repeated;
	slot->io.file = target_file();
	slot->io.offset = target_place(slot->range.offset);
	if (slot->op == BLK_OP_WRITE) {
		slot->io.op = FILE_WRITE;
		slot->io.iov = slot->spans;
		slot->io.nr_iov = slot->nr_spans;
	} else {
		repeat_other(slot);
	}
	file_io_start(&slot->io);
	return true;
}

/* --- the round ------------------------------------------------------------------ */

static struct blk_request *unlink_waiting(struct blk_request **link)
{
	struct blk_request *req = *link;

	*link = req->next;
	if (!req->next)
		mirror.last = link;
	return req;
}

struct blk_request *mirror_next(void)
{
	bool look = mirror_look;

	mirror_look = false;
	if (mirror_on && !mirror.whole)
		copy_next();
	if (!look)
		return NULL;
	for (struct blk_request **link = &mirror.first; *link;
	     link = &(*link)->next) {
		struct slot *slot = &slots[(*link)->index];

		/* Given up: nobody waits for anything. */
		if (mirror_on && !may_go(slot))
			continue;
		if (mirror_on)
			set_active(slot);
		/* There may be more of them. */
		mirror_look = true;
		return unlink_waiting(link);
	}
	return NULL;
}

/* --- life ----------------------------------------------------------------------- */

int mirror_open(const struct life_birth_blk *birth,
		const struct blk_image *image)
{
	mirror.image = image;
	mirror_on = birth->move != 0;
	return mirror_on ? target_open(birth) : 0;
}

void mirror_start(void)
{
	if (mirror_on)
		copy_start(mirror.image);
}

int mirror_finish(void)
{
	if (!mirror.whole)
		return 0;
	return mirror_on ? target_finish() : -EIO;
}
