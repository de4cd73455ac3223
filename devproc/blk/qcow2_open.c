/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The begin and the end of a qcow2 disk: its layers' headers, the chain, what a
 * cut left to be repaired.  bulkhead-blk after confinement and before its
 * guest, or after it; the child of `bulkhead disk`.  Blocks on I/O.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devproc/blk/qcow2_priv.h"

#define HEAD_BYTES	(64u << 10)
#define L1_RESERVED	0x7f000000000001ffull

static struct qcow2_layer *const image = &qcow2.layer[0];

int qcow2_read(const struct qcow2_layer *layer, uint64_t offset, void *buf,
	       uint64_t bytes)
{
	uint64_t whole = (bytes + SLICE_BYTES - 1) &
			 ~(uint64_t)(SLICE_BYTES - 1);
	struct file_io io = {
		.op = FILE_READ, .file = layer->file, .offset = offset,
		.bytes = whole, .buf = buf,
	};
	int ret = file_io_run(&io);

	if (ret < 0)
		return ret;
	/* What is behind the end of the file. */
	memset((uint8_t *)buf + ret, 0, whole - (uint64_t)ret);
	return 0;
}

int qcow2_write(const struct qcow2_layer *layer, uint64_t offset,
		const void *buf, uint64_t bytes)
{
	struct file_io io = {
		.op = FILE_WRITE, .file = layer->file, .offset = offset,
		.bytes = bytes, .buf = (void *)(uintptr_t)buf,
	};
	int ret = file_io_run(&io);

	if (ret < 0)
		return ret;
	return (uint64_t)ret == bytes ? 0 : -ENOSPC;
}

int qcow2_sync(void)
{
	struct file_io io = { .op = FILE_SYNC, .file = image->file };

	return file_io_run(&io);
}

int qcow2_write_head(void)
{
	int ret;

	qcow2_header_set_features(qcow2.head, &image->header);
	ret = qcow2_write(image, 0, qcow2.head, image->slice_bytes);
	return ret ? ret : qcow2_sync();
}

/* --- layers --------------------------------------------------------------------- */

static int fail(char *why, unsigned int layer, int err, const char *text)
{
	if (layer == 0)
		snprintf(why, QCOW2_WHY_MAX + 64, "image: it %s", text);
	else
		snprintf(why, QCOW2_WHY_MAX + 64, "backing file %u: it %s",
			 layer, text);
	return err;
}

static int open_raw(struct qcow2_layer *layer)
{
	layer->slice_bytes = SLICE_BYTES;
	layer->disk_bytes = layer->file_bytes;
	return 0;
}

static int open_layer(unsigned int number, uint32_t block_bytes, char *why)
{
	static uint8_t head[HEAD_BYTES] __attribute__((aligned(4096)));
	struct qcow2_layer *layer = &qcow2.layer[number];
	char text[QCOW2_WHY_MAX];
	uint64_t room = least(HEAD_BYTES, layer->file_bytes);
	int ret;

	if (layer->raw)
		return open_raw(layer);
	ret = qcow2_read(layer, 0, head, HEAD_BYTES);
	if (ret)
		return fail(why, number, ret, "cannot be read");
	ret = qcow2_header_parse(head, room, &layer->header, text);
	if (ret)
		return fail(why, number, ret, text);
	layer->cluster_bytes = 1u << layer->header.cluster_bits;
	layer->slice_bytes = (uint32_t)least(SLICE_BYTES,
					     layer->cluster_bytes);
	layer->disk_bytes = layer->header.disk_bytes;
	if (layer->cluster_bytes < block_bytes)
		return fail(why, number, -ENOTSUP,
			    "has clusters smaller than what its storage writes in one piece; use cache = writeback");
	if (number == 0)
		memcpy(qcow2.head, head, SLICE_BYTES);
	return 0;
}

/* What the configuration says is behind a layer must be what it wants there. */
static int check_chain(unsigned int number, char *why)
{
	const struct qcow2_layer *layer = &qcow2.layer[number];
	bool last = number + 1 == qcow2.nr_layers;
	char text[QCOW2_WHY_MAX];

	if (layer->raw)
		return last ? 0 : fail(why, number, -EINVAL,
			"is raw, so nothing can be behind it; see 'backing'");
	if (layer->header.backing[0] && last) {
		snprintf(text, sizeof(text),
			 "has a backing file (%.80s): name it with 'backing'; 'bulkhead disk info --chain' prints the line",
			 layer->header.backing);
		return fail(why, number, -EINVAL, text);
	}
	if (!layer->header.backing[0] && !last)
		return fail(why, number, -EINVAL,
			    "has no backing file, and 'backing' names one");
	return 0;
}

/* --- for writing ------------------------------------------------------------------ */

static int note(uint64_t offset, uint64_t bytes)
{
	uint64_t first = cluster_of(image, offset);
	uint64_t last = cluster_of(image, offset + bytes - 1);

	for (uint64_t n = first; n <= last; n++) {
		if (is_metadata(n))
			return -EUCLEAN;
		set_metadata(n);
	}
	return 0;
}

/* The tables that a table of 8-byte entries points to. */
static int note_tables(uint64_t offset, uint64_t bytes, uint64_t mask)
{
	static uint8_t part[HEAD_BYTES] __attribute__((aligned(4096)));

	for (uint64_t at = 0; at < bytes; at += sizeof(part)) {
		uint64_t size = least(sizeof(part), bytes - at);
		int ret = qcow2_read(image, offset + at, part, size);

		for (uint64_t i = 0; !ret && i < size; i += 8) {
			uint64_t entry = qcow2_get64(part + i) & mask;

			if (entry & (image->cluster_bytes - 1) ||
			    entry >= image->file_bytes)
				ret = -EUCLEAN;
			else if (entry)
				ret = note(entry, image->cluster_bytes);
		}
		if (ret)
			return ret;
	}
	return 0;
}

static int note_all(void)
{
	const struct qcow2_header *header = &image->header;
	uint64_t reftable_bytes = (uint64_t)header->reftable_clusters *
				  image->cluster_bytes;
	uint64_t l1_bytes = (uint64_t)header->l1_entries * 8;
	int ret = note(0, image->cluster_bytes);

	if (!ret)
		ret = note(header->reftable_offset, reftable_bytes);
	if (!ret)
		ret = note(header->l1_offset, l1_bytes);
	if (!ret)
		ret = note_tables(header->reftable_offset, reftable_bytes,
				  ~0ull);
	if (!ret)
		ret = note_tables(header->l1_offset, l1_bytes,
				  QCOW2_OFFSET_MASK);
	return ret;
}

static int write_anew(uint64_t cluster)
{
	static uint8_t part[HEAD_BYTES] __attribute__((aligned(4096)));
	uint64_t start = cluster << image->header.cluster_bits;
	uint64_t bytes = least(sizeof(part), image->cluster_bytes);
	int ret = 0;

	for (uint64_t at = 0; !ret && at < image->cluster_bytes; at += bytes) {
		ret = qcow2_read(image, start + at, part, bytes);
		if (!ret)
			ret = qcow2_write(image, start + at, part, bytes);
	}
	return ret;
}

/*
 * A killed process may have written tables that its record does not have; its
 * guest was not told of the requests that they were for.  Now we build on what
 * is in the file, so the record is to have that, too.
 */
static int write_tables_anew(uint64_t end)
{
	int ret = 0;

	for (uint64_t n = 0; !ret && n < end; n++)
		if (is_metadata(n))
			ret = write_anew(n);
	return ret ? ret : qcow2_sync();
}

/* As many as there will be, all guest clusters written, and some to spare. */
static uint64_t clusters_wanted(void)
{
	uint64_t file = cluster_of(image, image->file_bytes) + 1;
	uint64_t guest = cluster_of(image, image->disk_bytes) + 1;
	uint64_t tables = guest / (image->cluster_bytes / 8) + 2;

	return file + guest + tables + guest / 256 + 4 * lease_clusters();
}

static bool is_covered(uint64_t clusters)
{
	uint64_t per_block = (uint64_t)image->cluster_bytes * 8 >>
			     image->header.refcount_order;

	return clusters / per_block <
	       (uint64_t)image->header.reftable_clusters *
	       image->cluster_bytes / 8;
}

static bool needs_repair(const struct qcow2_scan *scan)
{
	return scan->nr_low || scan->nr_high || scan->nr_uncounted;
}

/* Count, and make the refcounts what was counted. */
static int scan_and_repair(struct qcow2_scan *scan, char *why)
{
	char text[QCOW2_WHY_MAX];
	int ret = qcow2_scan(scan);

	if (ret == -EFBIG)
		return fail(why, 0, ret, "is too large a file to be repaired here; use qemu-img check -r");
	if (ret)
		return fail(why, 0, ret, "cannot be read");
	if (scan->nr_bad) {
		snprintf(text, sizeof(text),
			 "is corrupt: %.120s; it can be read with read_only = yes",
			 scan->first);
		return fail(why, 0, -EUCLEAN, text);
	}
	if (needs_repair(scan) && !scan->nr_uncounted)
		ret = qcow2_repair(scan);
	if (!ret && (scan->nr_uncounted || !is_covered(clusters_wanted())))
		ret = qcow2_rebuild(scan, clusters_wanted());
	return ret ? fail(why, 0, ret, "cannot be repaired") : 0;
}

static int clear_marks(void)
{
	struct qcow2_header *header = &image->header;

	qcow2.marked = false;
	if (header->version < 3 || (!(header->incompatible & QCOW2_DIRTY) &&
				    !header->autoclear))
		return 0;
	/* The specification: unknown autoclear bits, on a write, become 0. */
	header->incompatible &= ~QCOW2_DIRTY;
	header->autoclear = 0;
	return qcow2_write_head();
}

/* Whole clusters, so that nothing of one is behind the file's end. */
static int cut_file(uint64_t end)
{
	uint64_t bytes = end << image->header.cluster_bits;
	int ret;

	if (bytes == image->file_bytes)
		return 0;
	ret = file_io_truncate(image->file, bytes);
	if (!ret)
		image->file_bytes = bytes;
	return ret;
}

static int open_for_writing(struct qcow2_scan *scan, char *why)
{
	const char *obstacle = qcow2_header_obstacle(&image->header);
	uint64_t end = cluster_of(image, image->file_bytes +
				  image->cluster_bytes - 1);
	int ret = 0;

	if (obstacle)
		return fail(why, 0, -ENOTSUP, obstacle);
	if (file_io_settle())
		return fail(why, 0, -EIO, "cannot be written");
	if (clusters_wanted() > qcow2.max_clusters)
		return fail(why, 0, -EFBIG,
			    "has too many clusters to be written; larger ones would do");
	if (image->header.version < 3 ||
	    image->header.incompatible & QCOW2_DIRTY ||
	    !is_covered(clusters_wanted())) {
		ret = scan_and_repair(scan, why);
		end = scan->end;
	}
	if (ret)
		return ret;
	if (cut_file(end))
		return fail(why, 0, -EIO, "cannot be written");
	if (note_all())
		return fail(why, 0, -EUCLEAN,
			    "is corrupt: its tables overlap; it can be read with read_only = yes");
	if ((qcow2.tables_anew && write_tables_anew(end)) || clear_marks())
		return fail(why, 0, -EIO, "cannot be written");
	lease_open(end);
	return 0;
}

int qcow2_open_layers(struct qcow2_scan *scan, uint32_t block_bytes,
		      char why[QCOW2_WHY_MAX + 64])
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < qcow2.nr_layers; i++)
		ret = open_layer(i, block_bytes, why);
	for (unsigned int i = 0; !ret && i < qcow2.nr_layers; i++)
		ret = check_chain(i, why);
	if (!ret && qcow2.writable)
		ret = open_for_writing(scan, why);
	return ret;
}

int qcow2_close_layers(struct qcow2_scan *scan)
{
	int ret;

	if (!qcow2.writable || qcow2.broken)
		return 0;
	/* Ended in the middle of something: as after a kill. */
	if (grow_is_busy())
		return -EBUSY;
	ret = lease_close();
	if (ret || !qcow2.marked)
		return ret ? ret : qcow2_sync();
	if (qcow2.leaky) {
		ret = qcow2_scan(scan);
		if (!ret && (scan->nr_bad || scan->nr_uncounted))
			return -EUCLEAN;
		if (!ret)
			ret = qcow2_repair(scan);
	}
	return ret ? ret : clear_marks();
}
