/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move's copy, see devproc/blk/copy.h.  One piece at a time:
 *
 *	READ	the piece, as the guest would, past all filters	transfer.c
 *	WRITE	what is not zeroes of it; the other file is new, and what was
 *		never written to it is zeroes
 *	TABLES	of a qcow2 file, once a group of clusters is through: counts,
 *		a sync, links					target.c
 *
 * and at the end a sync.
 */
#include "devproc/blk/copy.h"

#include <errno.h>
#include <string.h>

#include "devproc/blk/mirror.h"
#include "devproc/blk/target.h"
#include "devproc/blk/transfer.h"
#include "devproc/device.h"
#include "devproc/vhost_device.h"

#define PIECE_BYTES	(512u << 10)
#define GRAIN_BYTES	(64u << 10)	/* zeroes or not, as a whole */

static struct {
	const struct blk_image *image;
	struct blk_request req;		/* READ */
	struct iovec span;		/* its data */
	struct file_io io;		/* all else */
	struct range piece;
	uint64_t written;	/* bytes of the piece that are through */
	int refused;		/* -errno: there is nowhere to copy to */
	bool under_way;
	uint8_t buf[PIECE_BYTES] __attribute__((aligned(4096)));
} copy;

static uint64_t at_most(uint64_t bytes, uint64_t most)
{
	return bytes < most ? bytes : most;
}

const struct range *copy_piece(void)
{
	return &copy.piece;
}

static void take_piece(uint64_t offset)
{
	copy.piece.offset = offset;
	copy.piece.bytes = at_most(copy.image->bytes - offset, PIECE_BYTES);
	copy.under_way = false;
	mirror_look = true;
	__atomic_store_n(&device_stats->disk.moved_bytes, offset,
			 __ATOMIC_RELAXED);
}

/* Begin copy.io, whose place and buffer are set. */
static void start_io(enum file_op op,
		     void (*done)(struct file_io *io, int result))
{
	copy.under_way = true;
	copy.io.done = done;
	copy.io.file = target_file();
	copy.io.op = (uint8_t)op;
	file_io_start(&copy.io);
}

/* Return: true, all of it was done; else the move is over. */
static bool is_done(const struct file_io *io, int result)
{
	if (result < 0)
		mirror_give_up(-result);
	else if (io->op == FILE_WRITE && (uint64_t)result < io->bytes)
		mirror_give_up(ENOSPC);
	else
		return true;
	return false;
}

/* --- TABLES ------------------------------------------------------------------- */

static void on_links(struct file_io *io, int result)
{
	if (is_done(io, result))
		take_piece(copy.piece.offset);
}

static void on_counts_synced(struct file_io *io, int result)
{
	if (!is_done(io, result))
		return;
	target_table_io(TARGET_LINKS, io);
	start_io(FILE_WRITE, on_links);
}

static void on_counts(struct file_io *io, int result)
{
	if (is_done(io, result))
		start_io(FILE_SYNC, on_counts_synced);
}

/* From now on nobody has to wait for the piece. */
static void end_piece(void)
{
	uint64_t next = copy.piece.offset + copy.piece.bytes;

	copy.piece = (struct range) { .offset = next };
	mirror_look = true;
	if (!target_has_tables(next)) {
		take_piece(next);
		return;
	}
	target_table_io(TARGET_COUNTS, &copy.io);
	start_io(FILE_WRITE, on_counts);
}

/* --- WRITE -------------------------------------------------------------------- */

typedef uint64_t __attribute__((may_alias)) word;

/*
 * Is the grain at `at` of the piece all zeroes?  It is whole sectors.  Eight
 * words at a time, as musl's memcmp() looks at single bytes.
 */
static bool is_zero(uint64_t at)
{
	const word *words = (const word *)(copy.buf + at);
	uint64_t nr = at_most(copy.piece.bytes - at, GRAIN_BYTES) / 8;

	for (uint64_t i = 0; i < nr; i += 8) {
		uint64_t any = 0;

		for (uint64_t k = 0; k < 8; k++)
			any |= words[i + k];
		if (any)
			return false;
	}
	return true;
}

/* Go on to the next grain that is zeroes, or is not; or to the end. */
static uint64_t skip(uint64_t at, bool zeroes)
{
	while (at < copy.piece.bytes && is_zero(at) == zeroes)
		at += GRAIN_BYTES;
	return at_most(at, copy.piece.bytes);
}

static void write_next(void);

static void on_written(struct file_io *io, int result)
{
	if (!is_done(io, result))
		return;
	target_used(copy.piece.offset + copy.written, io->bytes);
	copy.written += io->bytes;
	write_next();
}

static void write_next(void)
{
	uint64_t end;

	copy.written = skip(copy.written, true);
	end = skip(copy.written, false);
	if (copy.written == end) {
		end_piece();
		return;
	}
	copy.io.offset = target_place(copy.piece.offset + copy.written);
	copy.io.bytes = end - copy.written;
	copy.io.buf = copy.buf + copy.written;
	start_io(FILE_WRITE, on_written);
}

/* --- READ --------------------------------------------------------------------- */

static void read_piece(void)
{
	copy.under_way = true;
	copy.written = 0;
	copy.span = (struct iovec) {
		.iov_base = copy.buf, .iov_len = copy.piece.bytes,
	};
	copy.req = (struct blk_request) {
		.op = BLK_OP_READ,
		.offset = copy.piece.offset, .left = copy.piece.bytes,
		.data = &copy.span, .nr_data = 1,
	};
	transfer_begin(&copy.req);
}

void copy_has_read(int err)
{
	if (err)
		mirror_give_up(err);
	else
		write_next();
}

/* --- the round ------------------------------------------------------------------ */

static void on_synced(struct file_io *io, int result)
{
	if (is_done(io, result))
		mirror_is_whole();
}

/* The piece is ours once those are done that were under way in it. */
void copy_next(void)
{
	if (copy.under_way || vhost_is_ending() ||
	    mirror_meets(&copy.piece))
		return;
	if (copy.refused)
		mirror_give_up(-copy.refused);
	else if (copy.piece.bytes == 0)
		start_io(FILE_SYNC, on_synced);
	else
		read_piece();
}

void copy_start(const struct blk_image *image)
{
	copy.image = image;
	copy.refused = target_start(image->bytes);
	take_piece(0);
}
