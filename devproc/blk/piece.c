/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of requests, see piece.h.  bulkhead-blk, D4.
 *
 * A bounce buffer takes the place of guest memory if O_DIRECT would refuse
 * its address, if a fault is to change what is written, or if the range is
 * odd: it does not begin and end with a block of the host, as with a sector
 * of 512 bytes on a disk of 4096.  Then the buffer holds whole blocks around
 * it, and a write reads them first.  Such a write is alone among the writes,
 * or it might take back what another one wrote to the same block.
 */
#include "devproc/blk/piece.h"

#include <errno.h>
#include <string.h>

#include "devproc/blk/bounce.h"
#include "devproc/blk/faults.h"
#include "devproc/blk/transfer.h"
#include "devproc/blk/zeroes.h"
#include "devproc/walk.h"
#include "ipc/probe.h"

static const struct blk_image *image;

/* Cannot go on now; oldest first. */
static struct {
	struct blk_request *first;
	struct blk_request **last;
} waiting = { .last = &waiting.first };

/* Counted only if ranges can be odd. */
static struct {
	unsigned int nr;	/* pieces in flight that change a file */
	bool odd;		/* the one there is, is odd */
	bool odd_waits;		/* for all others to end */
} writers;

static uint64_t at_most(uint64_t bytes, uint64_t most)
{
	return bytes < most ? bytes : most;
}

static bool has_guest_data(const struct blk_request *req)
{
	return req->op == BLK_OP_READ || req->op == BLK_OP_WRITE;
}

static bool has_data(const struct blk_request *req)
{
	return has_guest_data(req) || req->op == BLK_OP_ZERO_WRITE;
}

/* --- guest memory ----------------------------------------------------------- */

void piece_fill(const struct blk_request *req, const uint8_t *from, size_t len)
{
	for (unsigned int i = 0; i < req->nr_data && len > 0; i++) {
		size_t part = at_most(req->data[i].iov_len, len);

		if (from) {
			memcpy(req->data[i].iov_base, from, part);
			from += part;
		} else {
			memset(req->data[i].iov_base, 0, part);
		}
		len -= part;
	}
}

/* The first len bytes that are to be written go to buf. */
static void fetch_data(const struct blk_request *req, uint8_t *buf, size_t len)
{
	if (req->op == BLK_OP_ZERO_WRITE)
		memset(buf, 0, len);
	else
		for (unsigned int i = 0; i < req->nr_data && len > 0; i++) {
			size_t part = at_most(req->data[i].iov_len, len);

			memcpy(buf, req->data[i].iov_base, part);
			buf += part;
			len -= part;
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
	if (bytes == req->left) {
		req->io.nr_iov = req->nr_data;
		return;
	}
	for (; bytes > req->data[i].iov_len; i++)
		bytes -= req->data[i].iov_len;
	req->piece.cut_bytes = req->data[i].iov_len - bytes;
	req->data[i].iov_len = bytes;
	req->io.nr_iov = (uint16_t)(i + 1);
}

static void restore_data(struct blk_request *req)
{
	if (req->piece.cut_bytes)
		req->data[req->io.nr_iov - 1].iov_len += req->piece.cut_bytes;
	req->piece.cut_bytes = 0;
}

/* --- what may be in flight together ---------------------------------------- */

static bool ranges_can_be_odd(void)
{
	return image->io_align > SECTOR_BYTES;
}

static bool is_odd(const struct blk_request *req)
{
	return (req->io.offset | req->io.bytes) & (image->io_align - 1);
}

static bool changes_file(const struct blk_request *req)
{
	return req->op != BLK_OP_READ && req->op != BLK_OP_FLUSH;
}

/* Return: false, it must wait for others. */
static bool enter(const struct blk_request *req)
{
	bool odd;

	if (!ranges_can_be_odd() || !changes_file(req))
		return true;
	odd = is_odd(req);
	if (odd && writers.nr > 0) {
		writers.odd_waits = true;
		return false;
	}
	if (!odd && (writers.odd || writers.odd_waits))
		return false;
	writers.nr++;
	writers.odd = odd;
	if (odd)
		writers.odd_waits = false;
	return true;
}

static void leave(const struct blk_request *req)
{
	if (!ranges_can_be_odd() || !changes_file(req))
		return;
	writers.nr--;
	writers.odd = false;
}

/* --- starting ----------------------------------------------------------------- */

static bool needs_bounce(const struct blk_request *req)
{
	if (ranges_can_be_odd() && is_odd(req))
		return true;
	return has_guest_data(req) &&
	       (!request_aligned(req, image) ||
		(req->faults && faults_want_copy(req)));
}

static void write_bounce(struct blk_request *req)
{
	struct blk_piece *piece = &req->piece;

	fetch_data(req, piece->bounce + piece->skip, piece->bytes);
	if (req->faults)
		faults_change_copy(req, piece->bounce + piece->skip,
				   piece->bytes);
	req->io.op = FILE_WRITE;
	piece->reads_first = false;
	file_io_start(&req->io);
}

/* io has the range; it becomes whole blocks, as many as the buffer holds. */
static void start_bounced(struct blk_request *req)
{
	struct file_io *io = &req->io;
	struct blk_piece *piece = &req->piece;
	uint64_t mask = image->io_align - 1;
	uint64_t blocks;

	piece->skip = (uint32_t)(io->offset & mask);
	blocks = at_most((piece->skip + io->bytes + mask) & ~mask,
			 BOUNCE_BYTES);
	piece->bytes = (uint32_t)at_most(io->bytes, blocks - piece->skip);
	piece->reads_first = req->op != BLK_OP_READ &&
			     (piece->skip || piece->bytes != blocks);
	io->nr_iov = 0;
	io->buf = piece->bounce;
	io->offset -= piece->skip;
	io->bytes = blocks;
	io->op = FILE_READ;
	if (req->op == BLK_OP_READ || piece->reads_first)
		file_io_start(io);
	else
		write_bounce(req);
}

static void start_data(struct blk_request *req)
{
	struct file_io *io = &req->io;

	io->op = req->op == BLK_OP_READ ? FILE_READ : FILE_WRITE;
	if (req->op != BLK_OP_ZERO_WRITE) {
		point_at_data(req, io->bytes);
	} else {
		io->nr_iov = 0;
		/* Only read from. */
		io->buf = (void *)(uintptr_t)zeroes();
		io->bytes = at_most(io->bytes, ZEROES_BYTES);
	}
	file_io_start(io);
}

static void start_other(struct blk_request *req)
{
	req->io.nr_iov = 0;
	switch ((enum blk_op)req->op) {
	case BLK_OP_FLUSH:
		req->io.op = FILE_SYNC;
		break;
	case BLK_OP_ZERO:
		req->io.op = FILE_ZERO;
		break;
	default:	/* BLK_OP_DISCARD, BLK_OP_ZERO_UNMAP */
		req->io.op = FILE_PUNCH;
	}
	file_io_start(&req->io);
}

/* Return: false, something it needs is not to be had now. */
static bool try_start(struct blk_request *req)
{
	struct file_io *io = &req->io;

	io->file = req->extent.file;
	io->offset = req->extent.offset + req->extent.done;
	io->bytes = req->extent.bytes - req->extent.done;
	if (has_data(req) && !req->piece.bounce && needs_bounce(req)) {
		req->piece.bounce = bounce_take();
		if (!req->piece.bounce)
			return false;
	}
	if (!enter(req))
		return false;
	if (!has_data(req))
		start_other(req);
	else if (req->piece.bounce)
		start_bounced(req);
	else
		start_data(req);
	if (!req->vring)
		return true;
	if (walk_is_on())
		walk_queued(req->vring, req->chain.head);
	PROBE2(issue, req->queue, req->chain.head);
	if (req->faults)
		faults_issued(req);
	return true;
}

void piece_start(struct blk_request *req)
{
	if (try_start(req))
		return;
	req->next = NULL;
	*waiting.last = req;
	waiting.last = &req->next;
}

/*
 * All of them: what one waits for, a buffer or being alone, another one in the
 * list may have.
 */
void piece_retry(void)
{
	struct blk_request **link = &waiting.first;

	while (*link) {
		struct blk_request *req = *link;
		struct blk_request *next = req->next;

		if (try_start(req))
			*link = next;
		else
			link = &req->next;
	}
	waiting.last = link;
}

void piece_end(struct blk_request *req)
{
	if (!req->piece.bounce)
		return;
	bounce_drop(req->piece.bounce);
	req->piece.bounce = NULL;
}

/* --- results ------------------------------------------------------------------ */

/* The blocks around an odd write have come; what the file lacks is zero. */
static void on_blocks(struct blk_request *req, int result)
{
	memset(req->piece.bounce + result, 0,
	       req->io.bytes - (uint64_t)result);
	write_bounce(req);
}

/* Of `result` bytes in the buffer, which are the request's? */
static int end_bounced(struct blk_request *req, int result)
{
	const struct blk_piece *piece = &req->piece;
	int64_t bytes = (int64_t)result - piece->skip;

	if (bytes <= 0)
		return 0;
	bytes = (int64_t)at_most((uint64_t)bytes, piece->bytes);
	if (req->op == BLK_OP_READ)
		piece_fill(req, piece->bounce + piece->skip, (size_t)bytes);
	return (int)bytes;
}

static void on_io(struct file_io *io, int result)
{
	struct blk_request *req = (struct blk_request *)
		((char *)io - offsetof(struct blk_request, io));

	if (result >= 0 && req->piece.bounce && req->piece.reads_first) {
		on_blocks(req, result);
		return;
	}
	restore_data(req);
	leave(req);
	if (result > 0 && req->piece.bounce)
		result = end_bounced(req, result);
	/* The file has become shorter than the format says. */
	if (result == 0 && has_data(req))
		result = -EIO;
	transfer_moved(req, result);
}

void piece_prepare(struct blk_request *req)
{
	req->io.done = on_io;
}

void piece_init(const struct blk_image *blk_image)
{
	image = blk_image;
}
