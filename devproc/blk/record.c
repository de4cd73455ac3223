/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to the record of an image, see devproc/blk/record.h.  bulkhead-blk,
 * D4: when an operation has changed the image file, its entry is written to
 * RES2_FD, and only then does whoever began it hear of its end.
 *
 * A flush covers what the image had when it was begun: all entries that had
 * their place in the record by then.
 */
#include "devproc/blk/record.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "devproc/blk/blk.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "ipc/record.h"

/* A request has one operation in flight; a format has some of its own. */
#define NR_SLOTS	(BLK_MAX_REQUESTS + 128u)

bool record_on;

/* Entries on their way; touched only if there is a record. */
static struct slot {
	struct file_io io;
	struct slot *next;		/* free */
	struct file_io *of;
	int result;			/* of it */
	uint64_t bytes;			/* of the entry, data included */
	struct record_entry entry;
	struct iovec spans[1 + BLK_MAX_SPANS];	/* entry, data */
} slots[NR_SLOTS];

static struct {
	struct slot *free;
	uint64_t end;		/* where the next entry goes */
	bool goes_on;
} record;

int record_open(void)
{
	off_t end = lseek(RES2_FD, 0, SEEK_END);

	if (end < (off_t)sizeof(struct record_header)) {
		log_err("record: the file has no header");
		return -EINVAL;
	}
	/* A process before us may have died with half an entry written. */
	record.end = ((uint64_t)end + RECORD_ALIGN - 1) &
		     ~(uint64_t)(RECORD_ALIGN - 1);
	record.goes_on = end > (off_t)sizeof(struct record_header);
	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		slots[i].next = record.free;
		record.free = &slots[i];
	}
	record_on = true;
	return 0;
}

bool record_goes_on(void)
{
	return record_on && record.goes_on;
}

/* The disk goes on; the record is good up to `position`. */
static void give_up(uint64_t position, const char *why)
{
	if (record_on)
		log_err("record ends at byte %llu: %s",
			(unsigned long long)position, why);
	record_on = false;
}

void record_note_sync(struct file_io *io)
{
	io->covers = record.end;
}

static enum record_op op_of(const struct file_io *io)
{
	switch ((enum file_op)io->op) {
	case FILE_WRITE:
		return RECORD_WRITE;
	case FILE_PUNCH:
		return RECORD_DISCARD;
	case FILE_SYNC:
		return RECORD_FLUSH;
	default:
		return RECORD_ZERO;
	}
}

/* The first `bytes` of what io wrote.  Return: how many spans. */
static uint16_t point_at_data(const struct file_io *io, uint64_t bytes,
			      struct iovec *spans)
{
	uint16_t nr = 0;

	if (io->nr_iov == 0) {
		spans[0].iov_base = io->buf;
		spans[0].iov_len = bytes;
		return 1;
	}
	for (; bytes > 0 && nr < io->nr_iov; nr++) {
		spans[nr] = io->iov[nr];
		if (spans[nr].iov_len > bytes)
			spans[nr].iov_len = bytes;
		bytes -= spans[nr].iov_len;
	}
	return nr;
}

static void on_written(struct file_io *io, int result)
{
	struct slot *slot = (struct slot *)
		((char *)io - offsetof(struct slot, io));

	if (result < 0 || (uint64_t)result != slot->bytes)
		give_up(slot->entry.position,
			result < 0 ? strerror(-result) : "no room");
	slot->next = record.free;
	record.free = slot;
	slot->of->done(slot->of, slot->result);
}

static void fill(struct slot *slot, const struct file_io *io, int result)
{
	bool write = io->op == FILE_WRITE;
	bool sync = io->op == FILE_SYNC;

	slot->entry = (struct record_entry) {
		.magic = RECORD_ENTRY_MAGIC,
		.op = op_of(io),
		.position = record.end,
		.offset = sync ? 0 : io->offset,
		/* A write may be short: what it has done is what counts. */
		.bytes = write ? (uint64_t)result : sync ? 0 : io->bytes,
		.covers = sync ? io->covers : 0,
	};
	slot->bytes = sizeof(slot->entry);
	slot->spans[0].iov_base = &slot->entry;
	slot->spans[0].iov_len = sizeof(slot->entry);
	slot->io = (struct file_io) {
		.done = on_written, .op = FILE_WRITE, .file = FILE_RECORD,
		.offset = slot->entry.position, .iov = slot->spans,
		.nr_iov = 1,
	};
	if (!write)
		return;
	slot->bytes += (uint64_t)result;
	slot->io.nr_iov += point_at_data(io, (uint64_t)result,
					 &slot->spans[1]);
}

bool record_append(struct file_io *io, int result)
{
	struct slot *slot = record.free;

	if (io->file != FILE_IMAGE || io->op == FILE_READ || result < 0)
		return false;
	if (!slot) {
		give_up(record.end, "too much was under way");
		return false;
	}
	record.free = slot->next;
	slot->of = io;
	slot->result = result;
	fill(slot, io, result);
	record.end += slot->bytes;
	file_io_start(&slot->io);
	return true;
}

void record_size(uint64_t bytes)
{
	struct record_entry entry = {
		.magic = RECORD_ENTRY_MAGIC, .op = RECORD_SIZE,
		.position = record.end, .bytes = bytes,
	};
	struct file_io io = {
		.op = FILE_WRITE, .file = FILE_RECORD, .offset = record.end,
		.bytes = sizeof(entry), .buf = &entry,
	};
	int result;

	if (!record_on)
		return;
	record.end += sizeof(entry);
	result = file_io_run(&io);
	if (result != (int)sizeof(entry))
		give_up(entry.position,
			result < 0 ? strerror(-result) : "no room");
}
