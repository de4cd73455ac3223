/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of `bulkhead disk commit`, confined: the overlay's clusters go to
 * the image behind it, as a guest's writes would (devproc/blk/qcow2_grow.c), and
 * are stable at the end.
 *
 * At any moment the overlay on top of it reads as before: it has all of what is
 * written here itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/disk_priv.h"
#include "devproc/blk/blk.h"

#define CHUNK_BYTES	(256u << 10)
#define SECTOR		512u

static const struct qcow2_layer *const overlay = &qcow2.layer[DISK_OVERLAY];
static struct qcow2_layer *const target = &qcow2.layer[0];

static uint8_t chunk[CHUNK_BYTES] __attribute__((aligned(4096)));

/* --- a write to the target, as devproc/blk/transfer.c would do it ------------- */

static struct blk_request req;
static const uint8_t *req_data;
static bool resumed;
static int failed;	/* positive errno */

void request_resume(struct blk_request *request)
{
	(void)request;
	resumed = true;
}

void request_fail(struct blk_request *request, int err)
{
	(void)request;
	failed = err;
	resumed = true;
}

static int wait_resumed(void)
{
	while (!resumed)
		if (!disk_io_step())
			return -EIO;
	resumed = false;
	return -failed;
}

static int write_extent(void)
{
	struct file_io io = {
		.op = FILE_WRITE, .file = req.extent.file,
		.offset = req.extent.offset, .bytes = req.extent.bytes,
		.buf = (void *)(uintptr_t)req_data,
	};
	int ret = file_io_run(&io);

	return ret < 0 ? ret : 0;
}

static void move_on(void)
{
	req.offset += req.extent.bytes;
	req.left -= req.extent.bytes;
	req_data += req.extent.bytes;
}

static int write_some(void)
{
	int ret, err;

	req.extent = (struct blk_extent) { .bytes = 0 };
	resumed = false;
	failed = 0;
	ret = qcow2_map(&req, &req.extent);
	if (ret == BLK_MAP_LATER)
		return wait_resumed();
	if (ret < 0)
		return ret;
	req.extent.bytes = least(req.extent.bytes, req.left);
	err = ret == BLK_MAP_DATA ? write_extent() : 0;
	if (!err)
		move_on();
	if (ret != BLK_MAP_DATA || !req.extent.fresh)
		return err;
	ret = qcow2_written(&req, &req.extent, -err);
	if (ret == BLK_MAP_LATER)
		ret = wait_resumed();
	return err ? err : ret < 0 ? ret : 0;
}

static int put_qcow2(uint64_t offset, uint64_t bytes, bool zeroes)
{
	int ret = 0;

	/* Zeroes over zeroes take no cluster. */
	req.op = zeroes ? BLK_OP_ZERO_WRITE : BLK_OP_WRITE;
	req.offset = offset;
	req.left = bytes;
	req_data = chunk;
	while (!ret && req.left > 0)
		ret = write_some();
	return ret;
}

static bool is_zero(const uint8_t *buf, uint64_t bytes)
{
	return !buf[0] && !memcmp(buf, buf + 1, bytes - 1);
}

static int put_raw(uint64_t offset, uint64_t bytes, bool zeroes)
{
	int ret = zeroes ? qcow2_read(target, offset, chunk, bytes) : 0;

	if (ret || (zeroes && is_zero(chunk, bytes)))
		return ret;
	if (zeroes)
		memset(chunk, 0, bytes);
	return qcow2_write(target, offset, chunk, bytes);
}

/* What is in the chunk, which is zeroes if it says so. */
static int put(uint64_t offset, uint64_t bytes, bool zeroes)
{
	return target->raw ? put_raw(offset, bytes, zeroes) :
			     put_qcow2(offset, bytes, zeroes);
}

/* --- what the overlay has ------------------------------------------------------ */

/*
 * [offset, + bytes) of the overlay, which are of one kind, into the chunk.
 * Return: 0, -EINPROGRESS, -EIO; *got: a first part of it.
 */
static int read_data(uint64_t offset, uint64_t bytes,
		     const struct qcow2_entry *entry, uint64_t *got)
{
	uint64_t skip = offset & (overlay->cluster_bytes - 1);
	const uint8_t *memory;
	int ret;

	*got = bytes;
	if (entry->kind == QCOW2_NORMAL)
		return qcow2_read(overlay, entry->offset + skip, chunk, bytes);
	ret = packed_get(overlay, entry, &memory);
	if (ret)
		return ret;
	*got = least(bytes, overlay->cluster_bytes - skip);
	memcpy(chunk, memory + skip, *got);
	return 0;
}

/* What is next from offset on.  Return: 0, *done bytes are over; -errno. */
static int commit_some(uint64_t offset, uint64_t *done,
		       struct disk_answer *answer)
{
	struct qcow2_entry entry;
	bool zeroes;
	uint64_t run;
	int ret = qcow2_entry_at(overlay, offset, overlay->disk_bytes - offset,
				 &entry, &run);

	if (ret)
		return ret;
	*done = run;
	if (entry.kind == QCOW2_UNALLOCATED)
		return 0;
	run = least(run, CHUNK_BYTES);
	zeroes = entry.kind == QCOW2_ZEROES;
	*done = run;
	if (zeroes)
		memset(chunk, 0, run);
	else
		ret = read_data(offset, run, &entry, done);
	if (!ret)
		ret = put(offset, *done, zeroes);
	if (!ret && zeroes)
		answer->zero_bytes += *done;
	else if (!ret)
		answer->data_bytes += *done;
	return ret;
}

static int copy_all(struct disk_answer *answer)
{
	uint64_t done = 0;
	int ret;

	for (uint64_t at = 0; at < overlay->disk_bytes; at += done) {
		do {
			ret = commit_some(at, &done, answer);
		} while (ret == -EINPROGRESS && disk_io_step());
		if (ret == -EINPROGRESS)
			ret = -EIO;
		if (ret)
			return ret;
	}
	return 0;
}

/* --- begin and end ---------------------------------------------------------------- */

static int open_target(struct disk_answer *answer)
{
	char why[QCOW2_WHY_MAX + 64] = "";
	int ret;

	if (target->raw) {
		target->disk_bytes = target->file_bytes;
		target->slice_bytes = SLICE_BYTES;
		return 0;
	}
	qcow2.writable = true;
	ret = qcow2_open_layers(&disk_scan, SECTOR, why);
	if (ret)
		snprintf(answer->why, sizeof(answer->why),
			 "cannot be written to: %.150s", why);
	return ret;
}

static int close_target(void)
{
	if (target->raw)
		return qcow2_sync();
	/* A lease for later may be on its way. */
	while (disk_io_step())
		;
	return qcow2_close_layers(&disk_scan);
}

int disk_commit(struct disk_answer *answer)
{
	int ret = disk_look(&qcow2.layer[DISK_OVERLAY], answer);
	int end;

	if (ret)
		return ret;
	ret = open_target(answer);
	if (ret)
		return ret;
	if (target->disk_bytes < overlay->disk_bytes)
		return disk_fail(answer, -EFBIG,
				 "is smaller than what is on top of it");
	ret = copy_all(answer);
	end = close_target();
	answer->keep_bytes = disk_io_keep_bytes();
	if (ret)
		return disk_fail(answer, ret, ret == -ENOSPC ?
				 "has no room" :
				 "has I/O errors, or the overlay entries that make no sense");
	return end ? disk_fail(answer, end, "cannot be written") : 0;
}
