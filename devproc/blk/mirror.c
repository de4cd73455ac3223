/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in two files, see devproc/blk/mirror.h. */
#include "devproc/blk/mirror.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "devproc/blk/file_io.h"
#include "devproc/blk/steps.h"
#include "devproc/device.h"
#include "devproc/vhost_device.h"

#define PIECE_BYTES	(512u << 10)

bool mirror_on;
bool mirror_look;	/* a range has become free */

struct range {
	uint64_t offset;
	uint64_t bytes;		/* 0: nowhere */
};

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
	uint8_t file;			/* the other one's number */
	uint16_t active[BLK_MAX_REQUESTS];	/* requests under way, by index */
	unsigned int nr_active;
	struct blk_request *first;	/* waiting; oldest first */
	struct blk_request **last;
} mirror = { .last = &mirror.first };

/* The copy: one piece at a time. */
static struct {
	struct file_io io;
	struct range piece;	/* taken: nobody else may write to it */
	bool under_way;
	bool over;
	uint8_t buf[PIECE_BYTES] __attribute__((aligned(4096)));
} copy;

/* --- the end ---------------------------------------------------------------- */

static void tell(int err)
{
	const struct life_blk_moved moved = { .err = (uint32_t)err };

	copy.over = true;
	device_tell(LIFE_BLK_MOVED, &moved);
}

/* The image is whole, and goes on alone. */
static void give_up(int err)
{
	if (!mirror_on)
		return;
	mirror_on = false;
	mirror_look = true;
	tell(err);
}

/* --- ranges ------------------------------------------------------------------- */

static bool overlap(const struct range *a, const struct range *b)
{
	return a->bytes && b->bytes && a->offset < b->offset + b->bytes &&
	       b->offset < a->offset + a->bytes;
}

static bool meets_active(const struct range *range)
{
	for (unsigned int i = 0; i < mirror.nr_active; i++)
		if (overlap(range, &slots[mirror.active[i]].range))
			return true;
	return false;
}

/* Nobody overtakes one that waits for the same blocks. */
static bool meets_older(const struct slot *slot)
{
	for (const struct blk_request *req = mirror.first;
	     req && req != slot->req; req = req->next)
		if (overlap(&slot->range, &slots[req->index].range))
			return true;
	return false;
}

static bool may_go(const struct slot *slot)
{
	return !overlap(&slot->range, &copy.piece) &&
	       !meets_active(&slot->range) && !meets_older(slot);
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
		give_up(-result);
	else if (is_short(slot, result))
		give_up(ENOSPC);
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
	slot->io.file = mirror.file;
	slot->io.offset = slot->range.offset;
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

/* --- the copy ------------------------------------------------------------------ */

static void take_piece(uint64_t offset)
{
	uint64_t left = mirror.image->bytes - offset;

	copy.piece.offset = offset;
	copy.piece.bytes = left < PIECE_BYTES ? left : PIECE_BYTES;
	copy.under_way = false;
	mirror_look = true;
	__atomic_store_n(&device_stats->disk.moved_bytes, offset,
			 __ATOMIC_RELAXED);
}

static void on_synced(struct file_io *io, int result)
{
	(void)io;
	if (result < 0)
		give_up(-result);
	else
		tell(0);
}

static void start_io(enum file_op op, uint8_t file,
		     void (*done)(struct file_io *io, int result))
{
	copy.under_way = true;
	copy.io = (struct file_io){
		.done = done,
		.offset = copy.piece.offset,
		.bytes = copy.piece.bytes,
		.buf = copy.buf,
		.file = file,
		.op = (uint8_t)op,
	};
	file_io_start(&copy.io);
}

static void on_written(struct file_io *io, int result)
{
	(void)io;
	if (result < 0)
		give_up(-result);
	else if ((uint64_t)result < copy.piece.bytes)
		give_up(ENOSPC);
	else
		take_piece(copy.piece.offset + copy.piece.bytes);
}

static bool is_zero(const uint8_t *buf, size_t len)
{
	return buf[0] == 0 && !memcmp(buf, buf + 1, len - 1);
}

static void on_read(struct file_io *io, int result)
{
	(void)io;
	if (result <= 0) {
		give_up(result ? -result : EIO);
		return;
	}
	if ((uint64_t)result < copy.piece.bytes)
		copy.piece.bytes = (uint64_t)result;
	/* The other file is new: what was never written to it is zeroes. */
	if (is_zero(copy.buf, copy.piece.bytes))
		take_piece(copy.piece.offset + copy.piece.bytes);
	else
		start_io(FILE_WRITE, mirror.file, on_written);
}

/* The piece is ours once those are done that were under way in it. */
static void copy_next(void)
{
	if (copy.under_way || copy.over || vhost_is_ending() ||
	    meets_active(&copy.piece))
		return;
	if (copy.piece.bytes == 0)
		start_io(FILE_SYNC, mirror.file, on_synced);
	else
		start_io(FILE_READ, FILE_IMAGE, on_read);
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
	if (mirror_on)
		copy_next();
	if (!mirror_look)
		return NULL;
	for (struct blk_request **link = &mirror.first; *link;
	     link = &(*link)->next) {
		struct slot *slot = &slots[(*link)->index];

		/* Given up: nobody waits for anything. */
		if (mirror_on && !may_go(slot))
			continue;
		if (mirror_on)
			set_active(slot);
		return unlink_waiting(link);
	}
	mirror_look = false;
	return NULL;
}

void mirror_init(const struct life_birth_blk *birth,
		 const struct blk_image *image)
{
	mirror.image = image;
	if (!birth->move)
		return;
	mirror.file = (uint8_t)(FILE_EXTRA + birth->move - 1);
	mirror_on = true;
}

void mirror_start(void)
{
	if (mirror_on)
		take_piece(0);
}
