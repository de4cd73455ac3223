/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's data, piece by piece, see transfer.h.  bulkhead-blk, D4.
 *
 * A piece is what one file_io does: an extent of the format, or the part of
 * it that fits a bounce buffer, or what a short read or write left of either.
 * After each piece the request has moved forward by it, and the next one
 * starts from there; a request has one piece in flight.
 */
#include "devproc/blk/transfer.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "devproc/blk/bounce.h"
#include "devproc/blk/faults.h"
#include "devproc/blk/format.h"
#include "devproc/blk/steps.h"
#include "devproc/device.h"

static const struct blk_image *image;

/* Need a bounce buffer, and none is free; oldest first. */
static struct {
	struct blk_request *first;
	struct blk_request **last;
} waiting = { .last = &waiting.first };

static void next_extent(struct blk_request *req);

static bool has_guest_data(const struct blk_request *req)
{
	return req->op == BLK_OP_READ || req->op == BLK_OP_WRITE;
}

static uint64_t left_of_extent(const struct blk_request *req)
{
	return req->extent.bytes - req->extent.done;
}

/* --- guest memory ----------------------------------------------------------- */

/* Copy between the first len bytes of the request's data and buf. */
static void copy_data(const struct blk_request *req, uint8_t *buf, size_t len)
{
	for (unsigned int i = 0; i < req->nr_data && len > 0; i++) {
		size_t piece = req->data[i].iov_len < len ?
			req->data[i].iov_len : len;

		if (req->op == BLK_OP_WRITE)
			memcpy(buf, req->data[i].iov_base, piece);
		else
			memcpy(req->data[i].iov_base, buf, piece);
		buf += piece;
		len -= piece;
	}
}

static void fill_data(const struct blk_request *req, const uint8_t *from,
		      size_t len)
{
	for (unsigned int i = 0; i < req->nr_data && len > 0; i++) {
		size_t piece = req->data[i].iov_len < len ?
			req->data[i].iov_len : len;

		if (from) {
			memcpy(req->data[i].iov_base, from, piece);
			from += piece;
		} else {
			memset(req->data[i].iov_base, 0, piece);
		}
		len -= piece;
	}
}

/*
 * Let io have the first `bytes` of the data.  An extent that ends within a
 * buffer shortens that for as long as the operation lasts: restore_data().
 */
static void point_at_data(struct blk_request *req, uint64_t bytes)
{
	uint16_t i = 0;

	req->io.iov = req->data;
	req->cut_bytes = 0;
	if (bytes == req->left) {
		req->io.nr_iov = req->nr_data;
		return;
	}
	for (; bytes > req->data[i].iov_len; i++)
		bytes -= req->data[i].iov_len;
	req->cut_bytes = req->data[i].iov_len - bytes;
	req->data[i].iov_len = bytes;
	req->io.nr_iov = (uint16_t)(i + 1);
}

static void restore_data(struct blk_request *req)
{
	if (req->cut_bytes)
		req->data[req->io.nr_iov - 1].iov_len += req->cut_bytes;
	req->cut_bytes = 0;
}

static bool needs_bounce(const struct blk_request *req)
{
	return !request_aligned(req, image) ||
	       (req->faults && faults_want_copy(req));
}

static void drop_bounce(struct blk_request *req)
{
	if (!req->bounce)
		return;
	bounce_drop(req->bounce);
	req->bounce = NULL;
}

/* --- pieces ------------------------------------------------------------------- */

static uint64_t at_most(uint64_t bytes, uint64_t most)
{
	return bytes < most ? bytes : most;
}

/* io has file, offset and bytes of all that is left of the extent. */
static void start_data(struct blk_request *req)
{
	struct file_io *io = &req->io;

	io->op = req->op == BLK_OP_READ ? FILE_READ : FILE_WRITE;
	if (!req->bounce) {
		point_at_data(req, io->bytes);
		file_io_start(io);
		return;
	}
	io->nr_iov = 0;
	io->buf = req->bounce;
	io->bytes = at_most(io->bytes, BOUNCE_BYTES);
	if (req->op == BLK_OP_WRITE) {
		copy_data(req, req->bounce, io->bytes);
		if (req->faults)
			faults_change_copy(req, req->bounce, io->bytes);
	}
	file_io_start(io);
}

static void start_other(struct blk_request *req)
{
	struct file_io *io = &req->io;

	io->nr_iov = 0;
	switch ((enum blk_op)req->op) {
	case BLK_OP_FLUSH:
		io->op = FILE_SYNC;
		break;
	case BLK_OP_DISCARD:
	case BLK_OP_ZERO_UNMAP:
		io->op = FILE_PUNCH;
		break;
	case BLK_OP_ZERO:
		io->op = FILE_ZERO;
		break;
	default:	/* BLK_OP_ZERO_WRITE */
		io->op = FILE_WRITE;
		/* Only read from. */
		io->buf = (void *)(uintptr_t)bounce_zeroes;
		io->bytes = at_most(io->bytes, BOUNCE_BYTES);
	}
	file_io_start(io);
}

/* Return: false, it has no bounce buffer. */
static bool try_piece(struct blk_request *req)
{
	struct file_io *io = &req->io;
	bool data = has_guest_data(req);

	if (data && !req->bounce && needs_bounce(req)) {
		req->bounce = bounce_take();
		if (!req->bounce)
			return false;
	}
	io->file = req->extent.file;
	io->offset = req->extent.offset + req->extent.done;
	io->bytes = left_of_extent(req);
	if (data)
		start_data(req);
	else
		start_other(req);
	if (req->faults)
		faults_issued(req);
	return true;
}

static void start_piece(struct blk_request *req)
{
	if (try_piece(req))
		return;
	req->next = NULL;
	*waiting.last = req;
	waiting.last = &req->next;
}

void transfer_retry(void)
{
	while (waiting.first) {
		struct blk_request *req = waiting.first;
		struct blk_request *next = req->next;

		if (!try_piece(req))
			return;
		waiting.first = next;
		if (!next)
			waiting.last = &waiting.first;
	}
}

/* --- results ------------------------------------------------------------------ */

/* The first bytes of what is left are done: count them, and go past them. */
static void move_on(struct blk_request *req, uint64_t bytes)
{
	struct stats_queue *stats = &device_stats->queue[req->queue];

	if (req->op == BLK_OP_READ) {
		if (req->faults)
			faults_change_data(req, bytes);
		stats_add(&stats->bytes_read, bytes);
	} else if (req->op == BLK_OP_WRITE || req->op == BLK_OP_ZERO_WRITE) {
		stats_add(&stats->bytes_written, bytes);
	}
	request_advance(req, bytes);
}

static void end(struct blk_request *req, int err)
{
	drop_bounce(req);
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
	bytes = at_most(bytes, left_of_extent(req));
	if (req->bounce && req->op == BLK_OP_READ)
		copy_data(req, req->bounce, bytes);
	req->extent.done += bytes;
	move_on(req, bytes);
	/* Reads and writes may be short: go on with the rest. */
	if (left_of_extent(req) > 0)
		start_piece(req);
	else
		end_extent(req, 0);
}

static void on_io(struct file_io *io, int result)
{
	struct blk_request *req = (struct blk_request *)
		((char *)io - offsetof(struct blk_request, io));
	bool moves_data = has_guest_data(req) || req->op == BLK_OP_ZERO_WRITE;

	restore_data(req);
	if (result < 0) {
		end_extent(req, -result);
	} else if (req->op == BLK_OP_FLUSH) {
		end(req, 0);
	} else if (!moves_data) {
		move_on(req, req->extent.bytes);
		end_extent(req, 0);
	} else if (result == 0) {
		/* The file has become shorter than the format says. */
		end_extent(req, EIO);
	} else {
		on_data(req, (uint64_t)result);
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
	extent->bytes = at_most(extent->bytes, req->left);
	return ret;
}

/* Ask the format until there is something to wait for, or nothing to do. */
static void next_extent(struct blk_request *req)
{
	bool flush = req->op == BLK_OP_FLUSH;

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
			start_piece(req);
			return;
		case BLK_MAP_ZERO:
		case BLK_MAP_MEMORY:
			fill_data(req, req->extent.memory, req->extent.bytes);
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

void transfer_begin(struct blk_request *req)
{
	req->io.done = on_io;
	next_extent(req);
}

void transfer_init(const struct blk_image *blk_image)
{
	image = blk_image;
	bounce_init();
}
