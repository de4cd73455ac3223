/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a qcow2 disk: what transfer.c asks about each, those that have to
 * wait, and what makes them go on.  bulkhead-blk, D4.
 */
#include <errno.h>
#include <string.h>

#include "devproc/blk/blk.h"
#include "devproc/blk/qcow2_priv.h"
#include "ipc/log.h"

struct qcow2_disk qcow2;

/* They ask again after each completion of ours; oldest first. */
static struct {
	struct blk_request *first;
	struct blk_request **last;
} waiting = { .last = &waiting.first };

static struct qcow2_layer *const image = &qcow2.layer[0];

static int wait_for_it(struct blk_request *req)
{
	req->next = NULL;
	*waiting.last = req;
	waiting.last = &req->next;
	return BLK_MAP_LATER;
}

void qcow2_advance(void)
{
	struct blk_request *req;

	lease_advance();
	grow_advance();
	req = waiting.first;
	waiting.first = NULL;
	waiting.last = &waiting.first;
	while (req) {
		struct blk_request *next = req->next;

		request_resume(req);
		req = next;
	}
}

/* --- once something went wrong ------------------------------------------------ */

static struct {
	struct file_io io;
	bool busy;
	uint8_t head[SLICE_BYTES] __attribute__((aligned(4096)));
} poke, mark;

static void on_poked(struct file_io *io, int result)
{
	(void)io;
	(void)result;
	poke.busy = false;
	qcow2_advance();
}

/* Any I/O brings us back by way of the loop; this is rare. */
void qcow2_advance_soon(void)
{
	if (poke.busy)
		return;
	poke.busy = true;
	poke.io = (struct file_io) {
		.done = on_poked, .op = FILE_READ, .file = image->file,
		.bytes = image->slice_bytes, .buf = poke.head,
	};
	file_io_start(&poke.io);
}

static void on_marked(struct file_io *io, int result)
{
	(void)io;
	(void)result;
	mark.busy = false;
}

/* The specification: "corrupt bit"; from now on nobody writes to the image. */
static void mark_corrupt(void)
{
	qcow2.broken = true;
	if (image->header.version < 3 || mark.busy)
		return;
	mark.busy = true;
	image->header.incompatible |= QCOW2_CORRUPT;
	qcow2_header_set_features(qcow2.head, &image->header);
	memcpy(mark.head, qcow2.head, sizeof(mark.head));
	mark.io = (struct file_io) {
		.done = on_marked, .op = FILE_WRITE, .file = image->file,
		.bytes = image->slice_bytes, .buf = mark.head,
	};
	file_io_start(&mark.io);
}

int qcow2_corrupt(const struct qcow2_layer *layer, const char *what,
		  uint64_t where)
{
	static struct log_limit limit;

	if (log_allowed(&limit, 4))
		log_err("image: layer %u is corrupt: %s at byte %llu makes no sense",
			(unsigned int)(layer - qcow2.layer), what,
			(unsigned long long)where);
	if (layer == image && qcow2.writable && !qcow2.broken)
		mark_corrupt();
	return -EIO;
}

/* --- map() --------------------------------------------------------------------- */

static int map_discard(struct blk_request *req, struct blk_extent *extent)
{
	uint64_t skip = req->offset & (image->cluster_bytes - 1);
	struct qcow2_entry entry;
	int ret;

	ret = qcow2_entry_at(image, req->offset, req->left, &entry,
			     &extent->bytes);
	if (ret)
		return ret;
	/* The cluster stays where it is: nobody else can get it. */
	if (entry.kind != QCOW2_NORMAL || !entry.copied)
		return BLK_MAP_NOTHING;
	extent->file = image->file;
	extent->offset = entry.offset + skip;
	return BLK_MAP_DATA;
}

static bool is_zeroing(const struct blk_request *req)
{
	return req->op == BLK_OP_ZERO || req->op == BLK_OP_ZERO_UNMAP ||
	       req->op == BLK_OP_ZERO_WRITE;
}

static int map_write(struct blk_request *req, struct blk_extent *extent)
{
	uint64_t skip = req->offset & (image->cluster_bytes - 1);
	struct qcow2_entry entry;
	uint64_t run;
	int ret;

	ret = qcow2_entry_at(image, req->offset, req->left, &entry, &run);
	if (ret)
		return ret;
	if (entry.kind == QCOW2_NORMAL && entry.copied) {
		extent->file = image->file;
		extent->offset = entry.offset + skip;
		extent->bytes = run;
		return BLK_MAP_DATA;
	}
	if (is_zeroing(req)) {
		ret = qcow2_find(0, req->offset, least(run, req->left),
				 extent);
		if (ret == BLK_MAP_ZERO)
			return BLK_MAP_NOTHING;
		if (ret < 0)
			return ret;
	}
	return grow_map(req, &entry, run, extent);
}

static int map(struct blk_request *req, struct blk_extent *extent)
{
	switch ((enum blk_op)req->op) {
	case BLK_OP_READ:
		return qcow2_find(0, req->offset, req->left, extent);
	case BLK_OP_FLUSH:
		/* All metadata of what the guest was told is in the file. */
		extent->file = image->file;
		return BLK_MAP_DATA;
	default:
		break;
	}
	if (!qcow2.writable || qcow2.broken)
		return -EIO;
	return req->op == BLK_OP_DISCARD ? map_discard(req, extent) :
					   map_write(req, extent);
}

int qcow2_map(struct blk_request *req, struct blk_extent *extent)
{
	int ret = map(req, extent);

	return ret == -EINPROGRESS ? wait_for_it(req) : ret;
}

int qcow2_written(struct blk_request *req, const struct blk_extent *extent,
		  int err)
{
	(void)extent;
	return grow_written(req, err);
}

void qcow2_forget(void)
{
	waiting.first = NULL;
	waiting.last = &waiting.first;
	poke.busy = mark.busy = false;
	cache_forget();
	packed_forget();
	grow_forget();
	lease_open(0);
}
