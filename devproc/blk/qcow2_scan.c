/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Count every reference of an image and compare its refcounts: after a cut,
 * and for `bulkhead disk check`.  bulkhead-blk before it serves (and after),
 * the child of `bulkhead disk`; blocks on I/O.  Loops are bounded by the
 * tables' sizes, which the header's check bounds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devproc/blk/qcow2_priv.h"

#define L1_RESERVED	0x7f000000000001ffull
#define PART_BYTES	(64u << 10)

static const struct qcow2_layer *const image = &qcow2.layer[0];

/* One table of a level is in hand while the next is read. */
static uint8_t outer[PART_BYTES] __attribute__((aligned(4096)));
static uint8_t inner[PART_BYTES] __attribute__((aligned(4096)));

static void bad(struct qcow2_scan *scan, const char *what, uint64_t where)
{
	if (!scan->nr_bad++)
		snprintf(scan->first, sizeof(scan->first),
			 "%s at byte %llu", what, (unsigned long long)where);
}

/* Return: false, it was said to be bad. */
static bool refer(struct qcow2_scan *scan, uint64_t offset, uint64_t bytes,
		  bool alone, const char *what, uint64_t where)
{
	uint64_t first = cluster_of(image, offset);
	uint64_t last = cluster_of(image, offset + bytes - 1);

	if (offset >= image->file_bytes || last >= scan->max_clusters) {
		bad(scan, what, where);
		return false;
	}
	for (uint64_t n = first; n <= last; n++) {
		if ((alone && scan->count[n]) ||
		    scan->count[n] == UINT16_MAX) {
			bad(scan, what, where);
			return false;
		}
		scan->count[n]++;
	}
	if (scan->end <= last)
		scan->end = last + 1;
	return true;
}

static void take_entry(struct qcow2_scan *scan, uint64_t raw, uint64_t where)
{
	struct qcow2_entry entry = qcow2_entry_parse(&image->header, raw);
	uint64_t end;

	switch (entry.kind) {
	case QCOW2_UNALLOCATED:
		return;
	case QCOW2_BAD:
		bad(scan, "an L2 entry that makes no sense", where);
		return;
	case QCOW2_PACKED:
		/* Its last sector may be more than the file has. */
		end = least(entry.offset + entry.bytes, image->file_bytes);
		scan->nr_packed++;
		if (end <= entry.offset)
			bad(scan, "an L2 entry beyond the file's end", where);
		else
			refer(scan, entry.offset, end - entry.offset, false,
			      "a compressed cluster out of its place", where);
		return;
	default:
		break;
	}
	if (entry.kind == QCOW2_ZEROES)
		scan->nr_zero++;
	else
		scan->nr_data++;
	if (!entry.offset)
		return;
	if (!entry.copied)
		scan->nr_flags++;
	refer(scan, entry.offset, image->cluster_bytes, true,
	      "an L2 entry that overlaps with something", where);
}

static int take_l2_table(struct qcow2_scan *scan, uint64_t offset)
{
	for (uint64_t at = 0; at < image->cluster_bytes; at += PART_BYTES) {
		uint64_t bytes = least(PART_BYTES, image->cluster_bytes - at);
		int ret = qcow2_read(image, offset + at, inner, bytes);

		if (ret)
			return ret;
		for (uint64_t i = 0; i < bytes; i += 8)
			take_entry(scan, qcow2_get64(inner + i),
				   offset + at + i);
	}
	return 0;
}

static int take_l1_entry(struct qcow2_scan *scan, uint64_t raw,
			 uint64_t where)
{
	uint64_t offset = raw & QCOW2_OFFSET_MASK;

	if (raw & L1_RESERVED || offset & (image->cluster_bytes - 1)) {
		bad(scan, "an L1 entry that makes no sense", where);
		return 0;
	}
	if (!offset)
		return 0;
	if (!(raw & QCOW2_COPIED))
		scan->nr_flags++;
	if (!refer(scan, offset, image->cluster_bytes, true,
		   "an L1 entry that overlaps with something", where))
		return 0;
	return take_l2_table(scan, offset);
}

static int take_block_entry(struct qcow2_scan *scan, uint64_t raw,
			    uint64_t where)
{
	if (raw & (image->cluster_bytes - 1) || raw >> 56)
		bad(scan, "a refcount table entry that makes no sense", where);
	else if (raw)
		refer(scan, raw, image->cluster_bytes, true,
		      "a refcount block that overlaps with something", where);
	return 0;
}

/* Each entry of a table of 8-byte entries. */
static int for_each(struct qcow2_scan *scan, uint64_t offset, uint64_t bytes,
		    int (*take)(struct qcow2_scan *scan, uint64_t raw,
				uint64_t where))
{
	for (uint64_t at = 0; at < bytes; at += PART_BYTES) {
		uint64_t part = least(PART_BYTES, bytes - at);
		int ret = qcow2_read(image, offset + at, outer, part);

		for (uint64_t i = 0; !ret && i < part; i += 8)
			ret = take(scan, qcow2_get64(outer + i),
				   offset + at + i);
		if (ret)
			return ret;
	}
	return 0;
}

/* --- refcounts ------------------------------------------------------------------ */

static uint64_t refcounts_per_block(void)
{
	return (uint64_t)image->cluster_bytes * 8 >>
	       image->header.refcount_order;
}

static void compare(struct qcow2_scan *scan, uint64_t cluster,
		    uint64_t refcount)
{
	uint64_t count = cluster < scan->max_clusters ?
			 scan->count[cluster] : 0;

	if (refcount < count)
		scan->nr_low++;
	else if (refcount > count)
		scan->nr_high++;
}

/* For each part of the refcount block with number `block`: look, and change. */
static int visit_block(struct qcow2_scan *scan, uint64_t block,
		       uint64_t offset, bool repair)
{
	uint64_t per_part = least(PART_BYTES, image->cluster_bytes) * 8 >>
			    image->header.refcount_order;
	uint64_t cluster = block * refcounts_per_block();
	uint64_t part = least(PART_BYTES, image->cluster_bytes);

	for (uint64_t at = 0; at < image->cluster_bytes; at += part) {
		bool changed = false;
		int ret = qcow2_read(image, offset + at, inner, part);

		for (uint64_t n = 0; !ret && n < per_part; n++, cluster++) {
			uint64_t is = qcow2_refcount_get(inner,
				image->header.refcount_order, n);
			uint64_t want = cluster < scan->max_clusters ?
					scan->count[cluster] : 0;

			compare(scan, cluster, is);
			if (is == want)
				continue;
			if (want > qcow2_refcount_max(
					image->header.refcount_order))
				return -ERANGE;
			qcow2_refcount_set(inner, image->header.refcount_order,
					   n, want);
			changed = true;
		}
		if (!ret && repair && changed)
			ret = qcow2_write(image, offset + at, inner, part);
		if (ret)
			return ret;
	}
	return 0;
}

static void count_uncounted(struct qcow2_scan *scan, uint64_t from,
			    uint64_t to)
{
	for (uint64_t n = from; n < to && n < scan->end; n++)
		if (scan->count[n])
			scan->nr_uncounted++;
}

static int visit_blocks(struct qcow2_scan *scan, bool repair)
{
	uint64_t bytes = (uint64_t)image->header.reftable_clusters *
			 image->cluster_bytes;
	uint64_t per_block = refcounts_per_block();

	for (uint64_t at = 0; at < bytes; at += 8) {
		uint64_t raw;
		int ret = 0;

		if (at % PART_BYTES == 0)
			ret = qcow2_read(image,
					 image->header.reftable_offset + at,
					 outer, least(PART_BYTES, bytes - at));
		if (ret)
			return ret;
		raw = qcow2_get64(outer + at % PART_BYTES);
		if (!raw)
			count_uncounted(scan, at / 8 * per_block,
					(at / 8 + 1) * per_block);
		else if (!(raw & (image->cluster_bytes - 1)) && !(raw >> 56) &&
			 raw < image->file_bytes)
			ret = visit_block(scan, at / 8, raw, repair);
		if (ret)
			return ret;
	}
	count_uncounted(scan, bytes / 8 * per_block, scan->end);
	return 0;
}

int qcow2_scan(struct qcow2_scan *scan)
{
	const struct qcow2_header *header = &image->header;
	uint64_t reftable_bytes = (uint64_t)header->reftable_clusters *
				  image->cluster_bytes;
	uint64_t l1_bytes = (uint64_t)header->l1_entries * 8;
	int ret;

	*scan = (struct qcow2_scan) {
		.count = scan->count, .max_clusters = scan->max_clusters,
	};
	if (cluster_of(image, image->file_bytes) >= scan->max_clusters)
		return -EFBIG;
	memset(scan->count, 0, sizeof(*scan->count) *
	       (cluster_of(image, image->file_bytes) + 1));
	refer(scan, 0, image->cluster_bytes, true, "the header", 0);
	refer(scan, header->reftable_offset, reftable_bytes, true,
	      "the refcount table overlaps with something",
	      header->reftable_offset);
	if (l1_bytes)
		refer(scan, header->l1_offset, l1_bytes, true,
		      "the L1 table overlaps with something",
		      header->l1_offset);
	ret = for_each(scan, header->reftable_offset, reftable_bytes,
		       take_block_entry);
	if (!ret)
		ret = for_each(scan, header->l1_offset, l1_bytes,
			       take_l1_entry);
	return ret ? ret : visit_blocks(scan, false);
}

int qcow2_repair(struct qcow2_scan *scan)
{
	int ret = visit_blocks(scan, true);

	if (!ret)
		ret = qcow2_sync();
	return ret;
}

/* --- new refcount structures ---------------------------------------------------- */

/* Where they go, and how large they are. */
struct rebuild {
	uint64_t first;		/* cluster: the blocks, then the table */
	uint64_t nr_blocks;
	uint64_t table_clusters;
};

static void plan(const struct qcow2_scan *scan, uint64_t room_clusters,
		 struct rebuild *plan)
{
	uint64_t per_block = refcounts_per_block();
	uint64_t entries = image->cluster_bytes / 8;
	uint64_t room = room_clusters > scan->end ? room_clusters : scan->end;
	uint64_t used, table;

	plan->first = scan->end;
	plan->nr_blocks = 1;
	/* They count themselves; each turn adds a block or is the last. */
	for (;;) {
		table = (room + plan->nr_blocks) / per_block + 1;
		plan->table_clusters = (table + table / per_block + entries) /
				       entries + 1;
		used = plan->first + plan->nr_blocks + plan->table_clusters;
		if (used <= plan->nr_blocks * per_block)
			return;
		plan->nr_blocks++;
	}
}

static int write_blocks(const struct qcow2_scan *scan,
			const struct rebuild *plan)
{
	uint64_t part = least(PART_BYTES, image->cluster_bytes);
	uint64_t per_part = part * 8 >> image->header.refcount_order;
	uint64_t used = plan->first + plan->nr_blocks + plan->table_clusters;
	uint64_t offset = plan->first << image->header.cluster_bits;
	uint64_t end = offset + (plan->nr_blocks <<
				 image->header.cluster_bits);

	for (uint64_t cluster = 0; offset < end; offset += part) {
		int ret;

		memset(inner, 0, part);
		for (uint64_t n = 0; n < per_part; n++, cluster++) {
			uint64_t count = cluster < plan->first ?
					 scan->count[cluster] :
					 cluster < used;

			if (count > qcow2_refcount_max(
					image->header.refcount_order))
				return -ERANGE;
			qcow2_refcount_set(inner, image->header.refcount_order,
					   n, count);
		}
		ret = qcow2_write(image, offset, inner, part);
		if (ret)
			return ret;
	}
	return 0;
}

static int write_table(const struct rebuild *plan)
{
	uint64_t part = least(PART_BYTES, image->cluster_bytes);
	uint64_t offset = (plan->first + plan->nr_blocks) <<
			  image->header.cluster_bits;
	uint64_t end = offset + (plan->table_clusters <<
				 image->header.cluster_bits);

	for (uint64_t n = 0; offset < end; offset += part) {
		int ret;

		for (uint64_t i = 0; i < part; i += 8, n++)
			qcow2_put64(inner + i, n < plan->nr_blocks ?
				    (plan->first + n) <<
				    image->header.cluster_bits : 0);
		ret = qcow2_write(image, offset, inner, part);
		if (ret)
			return ret;
	}
	return 0;
}

static int forget_block(struct qcow2_scan *scan, uint64_t raw, uint64_t where)
{
	(void)where;
	if (raw && cluster_of(image, raw) < scan->max_clusters)
		scan->count[cluster_of(image, raw)] = 0;
	return 0;
}

/* The structures that are replaced are not to be counted. */
static int forget_refcounts(struct qcow2_scan *scan)
{
	const struct qcow2_header *header = &image->header;

	for (uint64_t n = 0; n < header->reftable_clusters; n++)
		scan->count[cluster_of(image, header->reftable_offset) + n] =
			0;
	return for_each(scan, header->reftable_offset,
			(uint64_t)header->reftable_clusters *
			image->cluster_bytes, forget_block);
}

/* The old ones are referred to until the header is written, in one piece. */
int qcow2_rebuild(struct qcow2_scan *scan, uint64_t room_clusters)
{
	struct qcow2_header *header = &qcow2.layer[0].header;
	struct rebuild new;
	uint64_t bytes;
	int ret;

	plan(scan, room_clusters, &new);
	if (new.table_clusters * image->cluster_bytes >
	    QCOW2_MAX_REFTABLE_BYTES)
		return -EFBIG;
	ret = forget_refcounts(scan);
	if (!ret)
		ret = write_blocks(scan, &new);
	if (!ret)
		ret = write_table(&new);
	if (!ret)
		ret = qcow2_sync();
	if (ret)
		return ret;
	header->reftable_offset = (new.first + new.nr_blocks) <<
				  header->cluster_bits;
	header->reftable_clusters = (uint32_t)new.table_clusters;
	qcow2_put64(qcow2.head + 48, header->reftable_offset);
	qcow2_put32(qcow2.head + 56, header->reftable_clusters);
	scan->end = new.first + new.nr_blocks + new.table_clusters;
	bytes = scan->end << header->cluster_bits;
	if (bytes > image->file_bytes)
		qcow2.layer[0].file_bytes = bytes;
	return qcow2_write_head();
}
