/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to the record of a disk, see devproc/blk/record.h.  bulkhead-blk,
 * D4: when a request has changed the image, its entry is written to RES2_FD,
 * and only then is the guest told.
 *
 * A flush covers what the image had when the flush was begun: all entries
 * that had their place in the file by then.
 */
#include "devproc/blk/record.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "devproc/blk/steps.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "ipc/record.h"

/* What each request is to leave in the record; touched only if there is one. */
static struct slot {
	struct file_io io;
	struct blk_request *req;
	struct record_entry entry;
	struct record_entry flush;	/* follows it, if it was written through */
	struct iovec spans[1 + BLK_MAX_SPANS + 1];	/* entry, data, flush */
	uint16_t nr_spans;
} slots[BLK_MAX_REQUESTS];

static struct {
	bool open;
	bool no_flush;
	uint64_t end;		/* where the next entry goes */
} record;

int record_open(const struct blk_image *image)
{
	off_t end = lseek(RES2_FD, 0, SEEK_END);

	if (end < (off_t)sizeof(struct record_header)) {
		log_err("record: the file has no header");
		return -EINVAL;
	}
	/* A process before us may have died with half an entry written. */
	record.end = ((uint64_t)end + RECORD_ALIGN - 1) &
		     ~(uint64_t)(RECORD_ALIGN - 1);
	record.no_flush = image->ignore_flush;
	record.open = true;
	return 0;
}

static enum record_op op_of(const struct blk_request *req)
{
	switch ((enum blk_op)req->op) {
	case BLK_OP_WRITE:
		return RECORD_WRITE;
	case BLK_OP_DISCARD:
		return RECORD_DISCARD;
	case BLK_OP_FLUSH:
		return RECORD_FLUSH;
	default:
		return RECORD_ZERO;
	}
}

/* A flush that does nothing (cache = unsafe) covers nothing. */
static bool is_wanted(const struct blk_request *req)
{
	return record.open && req->op != BLK_OP_READ &&
	       !(req->op == BLK_OP_FLUSH && record.no_flush);
}

void record_begin(struct blk_request *req)
{
	struct slot *slot = &slots[req->index];

	if (!is_wanted(req))
		return;
	slot->entry = (struct record_entry) {
		.magic = RECORD_ENTRY_MAGIC,
		.op = op_of(req),
		.offset = req->op == BLK_OP_FLUSH ? 0 : req->offset,
		.bytes = req->left,
		.covers = req->op == BLK_OP_FLUSH ? record.end : 0,
	};
	slot->spans[0].iov_base = &slot->entry;
	slot->spans[0].iov_len = sizeof(slot->entry);
	slot->nr_spans = 1;
	if (req->op != BLK_OP_WRITE)
		return;
	memcpy(&slot->spans[1], req->data,
	       req->nr_data * sizeof(*req->data));
	slot->nr_spans = (uint16_t)(1 + req->nr_data);
}

/* Data is whole sectors, so that entries stay aligned. */
static uint64_t length_of(const struct slot *slot)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < slot->nr_spans; i++)
		bytes += slot->spans[i].iov_len;
	return bytes;
}

/*
 * A write that was made to be a flush as well (request_becomes_flush()): so is
 * each before it, or the guest would not have been told of them.
 */
static void add_flush(struct slot *slot)
{
	uint64_t position = slot->entry.position + length_of(slot);

	slot->flush = (struct record_entry) {
		.magic = RECORD_ENTRY_MAGIC,
		.op = RECORD_FLUSH,
		.position = position,
		.covers = position,
	};
	slot->spans[slot->nr_spans].iov_base = &slot->flush;
	slot->spans[slot->nr_spans++].iov_len = sizeof(slot->flush);
}

static void on_written(struct file_io *io, int result)
{
	const struct slot *slot = (const struct slot *)
		((const char *)io - offsetof(struct slot, io));

	/* The disk goes on; the record is good up to here. */
	if (result < 0 || (uint64_t)result != length_of(slot)) {
		if (record.open)
			log_err("record ends at byte %llu: %s",
				(unsigned long long)slot->entry.position,
				result < 0 ? strerror(-result) : "no room");
		record.open = false;
	}
	steps_recorded(slot->req);
}

bool record_append(struct blk_request *req)
{
	struct slot *slot = &slots[req->index];

	if (!is_wanted(req))
		return false;
	slot->entry.position = record.end;
	if (req->op == BLK_OP_FLUSH && slot->entry.op != RECORD_FLUSH)
		add_flush(slot);
	record.end += length_of(slot);
	slot->req = req;
	slot->io = (struct file_io) {
		.done = on_written,
		.op = FILE_WRITE,
		.file = FILE_RECORD,
		.offset = slot->entry.position,
		.iov = slot->spans,
		.nr_iov = slot->nr_spans,
	};
	file_io_start(&slot->io);
	return true;
}
