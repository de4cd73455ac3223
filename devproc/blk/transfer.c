/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's data, piece by piece, see transfer.h.  bulkhead-blk, D4.
 *
 * A piece (piece.c) is an extent of the format, or the part of it that fits a
 * bounce buffer, or what a short read or write left of either.  After each
 * piece the request has moved forward by it, and the next one starts from
 * there; a request has one piece in flight.
 */
#include "devproc/blk/transfer.h"

#include <errno.h>

#include "devproc/blk/faults.h"
#include "devproc/blk/format.h"
#include "devproc/blk/piece.h"
#include "devproc/blk/steps.h"
#include "devproc/device.h"

static const struct blk_image *image;

static void next_extent(struct blk_request *req);

static uint64_t left_of_extent(const struct blk_request *req)
{
	return req->extent.bytes - req->extent.done;
}

static bool moves_data(const struct blk_request *req)
{
	return req->op == BLK_OP_READ || req->op == BLK_OP_WRITE ||
	       req->op == BLK_OP_ZERO_WRITE;
}

/* --- results ------------------------------------------------------------------ */

static void count(const struct blk_request *req, uint64_t bytes)
{
	struct stats_queue *stats = &device_stats->queue[req->queue];

	if (req->op == BLK_OP_READ)
		stats_add(&stats->bytes_read, bytes);
	else if (req->op == BLK_OP_WRITE || req->op == BLK_OP_ZERO_WRITE)
		stats_add(&stats->bytes_written, bytes);
}

/* The first bytes of what is left are done: count them, and go past them. */
static void move_on(struct blk_request *req, uint64_t bytes)
{
	if (req->op == BLK_OP_READ && req->faults)
		faults_change_data(req, bytes);
	if (req->vring)
		count(req, bytes);
	request_advance(req, bytes);
}

static void end(struct blk_request *req, int err)
{
	piece_end(req);
	/* virtio 1.2, 5.2.6: a discard is a hint, nothing is lost. */
	if (err == EOPNOTSUPP && req->op == BLK_OP_DISCARD)
		err = 0;
	steps_transferred(req, err);
}

/* What else would do it, if the format or its file cannot do op. */
static int instead_of(const struct blk_request *req)
{
	switch (req->op) {
	case BLK_OP_ZERO_UNMAP:
		return BLK_OP_ZERO;
	case BLK_OP_ZERO:
		return BLK_OP_ZERO_WRITE;
	default:
		return -1;
	}
}

static void fail(struct blk_request *req, int err)
{
	if (err != EOPNOTSUPP || instead_of(req) < 0) {
		end(req, err);
		return;
	}
	req->op = (uint8_t)instead_of(req);
	next_extent(req);
}

/* The extent's data is there, or will not be. */
static void end_extent(struct blk_request *req, int err)
{
	int ret = -err;

	if (req->extent.fresh)
		ret = image->format->written(req, &req->extent, err);
	if (ret == BLK_MAP_LATER)
		return;
	if (err || ret < 0)
		fail(req, err ? err : -ret);
	else
		next_extent(req);
}

static void on_data(struct blk_request *req, uint64_t bytes)
{
	if (bytes > left_of_extent(req))
		bytes = left_of_extent(req);
	req->extent.done += bytes;
	move_on(req, bytes);
	/* Reads and writes may be short: go on with the rest. */
	if (left_of_extent(req) > 0)
		piece_start(req);
	else
		end_extent(req, 0);
}

void transfer_moved(struct blk_request *req, int result)
{
	if (result < 0) {
		end_extent(req, -result);
	} else if (req->op == BLK_OP_FLUSH) {
		end(req, 0);
	} else if (moves_data(req)) {
		on_data(req, (uint64_t)result);
	} else {
		move_on(req, req->extent.bytes);
		end_extent(req, 0);
	}
}

/* --- extents ------------------------------------------------------------------ */

/* Return: what is next of the request; its extent is sound. */
static int map(struct blk_request *req)
{
	struct blk_extent *extent = &req->extent;
	int ret;

	*extent = (struct blk_extent) { .bytes = 0 };
	ret = image->format->map(req, extent);
	if (ret < 0 || ret == BLK_MAP_LATER || req->op == BLK_OP_FLUSH)
		return ret;
	if (extent->bytes == 0 || extent->file >= FILE_MAX)
		return -EIO;
	if (extent->bytes > req->left)
		extent->bytes = req->left;
	return ret;
}

/* Ask the format until there is something to wait for, or nothing to do. */
static void next_extent(struct blk_request *req)
{
	bool flush = req->op == BLK_OP_FLUSH;

	/* Who may have to wait for a format must not hold what others need. */
	piece_end(req);
	while (flush || req->left > 0) {
		int ret = map(req);

		if (ret < 0) {
			fail(req, -ret);
			return;
		}
		switch ((enum blk_map)ret) {
		case BLK_MAP_LATER:
			return;
		case BLK_MAP_DATA:
			/* cache = unsafe: what the format has to do is done. */
			if (flush && image->ignore_flush)
				break;
			piece_start(req);
			return;
		case BLK_MAP_ZERO:
		case BLK_MAP_MEMORY:
			piece_fill(req, req->extent.memory, req->extent.bytes);
			break;
		case BLK_MAP_NOTHING:
			break;
		}
		if (flush)
			break;
		move_on(req, req->extent.bytes);
	}
	end(req, 0);
}

void request_resume(struct blk_request *req)
{
	next_extent(req);
}

void request_fail(struct blk_request *req, int err)
{
	fail(req, err);
}

/*
 * Only whole blocks of the host can be punched out or zeroed at once: others
 * are written, and a discard, being a hint, is let be.
 */
static void avoid_odd_range(struct blk_request *req)
{
	if (moves_data(req) ||
	    !((req->offset | req->left) & (image->io_align - 1)))
		return;
	if (req->op == BLK_OP_DISCARD)
		req->left = 0;
	else
		req->op = BLK_OP_ZERO_WRITE;
}

void transfer_begin(struct blk_request *req)
{
	if (image->io_align > SECTOR_BYTES && req->op != BLK_OP_FLUSH)
		avoid_odd_range(req);
	piece_prepare(req);
	next_extent(req);
}

void transfer_init(const struct blk_image *blk_image)
{
	image = blk_image;
	piece_init(blk_image);
}
