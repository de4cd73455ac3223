/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the bytes of a qcow2 disk are (the specification, "Cluster mapping"),
 * through all its layers.  bulkhead-blk, D4.  Entries are hostile: each is
 * checked here, each time, before anything is done with it.
 */
#include <errno.h>

#include "devproc/blk/qcow2_priv.h"

#define L1_RESERVED	0x7f000000000001ffull

static int read_entry(const struct qcow2_layer *layer, uint64_t at,
		      uint64_t *raw)
{
	struct slice *slice;
	uint8_t *bytes;
	int ret = cache_get(layer, at, &slice, &bytes);

	if (!ret)
		*raw = qcow2_get64(bytes + at % layer->slice_bytes);
	return ret;
}

int qcow2_locate(const struct qcow2_layer *layer, uint64_t offset,
		 struct qcow2_place *place)
{
	unsigned int l2_bits = layer->header.cluster_bits - 3;
	uint64_t cluster = cluster_of(layer, offset);
	uint64_t raw;
	int ret;

	place->l1_entry = layer->header.l1_offset + (cluster >> l2_bits) * 8;
	ret = read_entry(layer, place->l1_entry, &raw);
	if (ret)
		return ret;
	place->l2_table = raw & QCOW2_OFFSET_MASK;
	if (raw & L1_RESERVED ||
	    place->l2_table & (layer->cluster_bytes - 1) ||
	    place->l2_table >= layer->file_bytes)
		return qcow2_corrupt(layer, "L1 entry", place->l1_entry);
	place->l2_entry = place->l2_table +
			  (cluster & ((1ull << l2_bits) - 1)) * 8;
	return 0;
}

/* Does next go on where entry, n clusters long, ends? */
static bool follows(const struct qcow2_layer *layer,
		    const struct qcow2_entry *entry,
		    const struct qcow2_entry *next, uint64_t n)
{
	if (next->kind != entry->kind || next->copied != entry->copied)
		return false;
	switch (entry->kind) {
	case QCOW2_UNALLOCATED:
	case QCOW2_ZEROES:
		return true;
	case QCOW2_NORMAL:
		return next->offset == entry->offset +
				       n * layer->cluster_bytes;
	default:
		return false;
	}
}

/* In whole clusters, within the slice in which the entry is. */
static uint64_t count_alike(const struct qcow2_layer *layer,
			    const uint8_t *bytes, uint64_t at, uint64_t most,
			    const struct qcow2_entry *entry)
{
	uint64_t n = 1;

	for (at += 8; n < most && at % layer->slice_bytes; n++, at += 8) {
		struct qcow2_entry next = qcow2_entry_parse(&layer->header,
			qcow2_get64(bytes + at % layer->slice_bytes));

		if (!follows(layer, entry, &next, n))
			break;
	}
	return n;
}

static bool entry_is_sound(const struct qcow2_layer *layer,
			   const struct qcow2_entry *entry)
{
	switch (entry->kind) {
	case QCOW2_BAD:
		return false;
	case QCOW2_NORMAL:
		if (qcow2.writable && layer == &qcow2.layer[0] &&
		    is_metadata(cluster_of(layer, entry->offset)))
			return false;
		return entry->offset < layer->file_bytes;
	case QCOW2_ZEROES:
		return !entry->offset || entry->offset < layer->file_bytes;
	case QCOW2_PACKED:
		return entry->offset < layer->file_bytes &&
		       entry->bytes <= 2ull * layer->cluster_bytes;
	default:
		return true;
	}
}

int qcow2_entry_at(const struct qcow2_layer *layer, uint64_t offset,
		   uint64_t most, struct qcow2_entry *entry, uint64_t *bytes)
{
	uint64_t skip = offset & (layer->cluster_bytes - 1);
	struct qcow2_place place;
	struct slice *slice;
	uint8_t *table;
	uint64_t n;
	int ret = qcow2_locate(layer, offset, &place);

	if (ret)
		return ret;
	if (!place.l2_table) {
		uint64_t span = (uint64_t)layer->cluster_bytes *
				(layer->cluster_bytes / 8);

		*entry = (struct qcow2_entry){ .kind = QCOW2_UNALLOCATED };
		*bytes = least(most, span - offset % span);
		return 0;
	}
	ret = cache_get(layer, place.l2_entry, &slice, &table);
	if (ret)
		return ret;
	*entry = qcow2_entry_parse(&layer->header,
		qcow2_get64(table + place.l2_entry % layer->slice_bytes));
	if (!entry_is_sound(layer, entry))
		return qcow2_corrupt(layer, "L2 entry", place.l2_entry);
	n = count_alike(layer, table, place.l2_entry,
			cluster_of(layer, skip + most - 1) + 1, entry);
	*bytes = least(most, n * layer->cluster_bytes - skip);
	return 0;
}

/* The last bytes of a file that ends within a block: O_DIRECT reads no such. */
static int found_tail(const struct qcow2_layer *layer, uint64_t at,
		      struct blk_extent *extent)
{
	uint64_t skip = at % layer->slice_bytes;
	struct slice *slice;
	uint8_t *bytes;
	int ret = cache_get(layer, at, &slice, &bytes);

	if (ret)
		return ret;
	extent->memory = bytes + skip;
	extent->bytes = least(extent->bytes, layer->slice_bytes - skip);
	return BLK_MAP_MEMORY;
}

/* What is behind the end of its file was never written. */
static int found_data(const struct qcow2_layer *layer, uint64_t at,
		      struct blk_extent *extent)
{
	uint64_t whole = layer->file_bytes &
			 ~(uint64_t)(layer->slice_bytes - 1);

	if (at >= layer->file_bytes)
		return BLK_MAP_ZERO;
	if (at >= whole)
		return found_tail(layer, at, extent);
	extent->file = layer->file;
	extent->offset = at;
	extent->bytes = least(extent->bytes, whole - at);
	return BLK_MAP_DATA;
}

static int found_packed(const struct qcow2_layer *layer, uint64_t offset,
			const struct qcow2_entry *entry,
			struct blk_extent *extent)
{
	uint64_t skip = offset & (layer->cluster_bytes - 1);
	const uint8_t *bytes;
	int ret = packed_get(layer, entry, &bytes);

	if (ret)
		return ret;
	extent->memory = bytes + skip;
	extent->bytes = least(extent->bytes, layer->cluster_bytes - skip);
	return BLK_MAP_MEMORY;
}

/* Return: as qcow2_find(); 1 + BLK_MAP_LATER: the layer behind has it. */
#define LOOK_BEHIND	(BLK_MAP_LATER + 1)

static int find_in(const struct qcow2_layer *layer, uint64_t offset,
		   struct blk_extent *extent)
{
	struct qcow2_entry entry;
	uint64_t skip = offset & (layer->cluster_bytes - 1);
	int ret;

	if (layer->raw)
		return found_data(layer, offset, extent);
	ret = qcow2_entry_at(layer, offset, extent->bytes, &entry,
			     &extent->bytes);
	if (ret)
		return ret;
	switch (entry.kind) {
	case QCOW2_NORMAL:
		return found_data(layer, entry.offset + skip, extent);
	case QCOW2_ZEROES:
		return BLK_MAP_ZERO;
	case QCOW2_PACKED:
		return found_packed(layer, offset, &entry, extent);
	default:
		return LOOK_BEHIND;
	}
}

int qcow2_find(unsigned int number, uint64_t offset, uint64_t most,
	       struct blk_extent *extent)
{
	extent->bytes = most;
	for (; number < qcow2.nr_layers; number++) {
		const struct qcow2_layer *layer = &qcow2.layer[number];
		int ret;

		/* A backing disk may be smaller than what is on top of it. */
		if (offset >= layer->disk_bytes)
			return BLK_MAP_ZERO;
		extent->bytes = least(extent->bytes,
				      layer->disk_bytes - offset);
		ret = find_in(layer, offset, extent);
		if (ret != LOOK_BEHIND)
			return ret;
	}
	return BLK_MAP_ZERO;
}
