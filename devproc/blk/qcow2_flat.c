/* SPDX-License-Identifier: Apache-2.0 */
/* Where everything is in a flat qcow2 image, see qcow2_flat.h.  No I/O. */
#include "devproc/blk/qcow2_flat.h"

#include <errno.h>

#define LEAST_CLUSTER_BITS	16	/* as `bulkhead disk create` */
#define MOST_CLUSTER_BITS	21	/* the specification: cluster_bits */
#define SPARE_BLOCKS		64	/* refcount blocks */

static uint64_t units(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit;
}

/*
 * The guest may write all of it to new clusters once more, those of now being
 * behind a snapshot or compressed: there has to be room to count them.
 */
static uint64_t clusters_wanted(uint64_t guest)
{
	return 2 * guest + guest / 64 + 4096;
}

static int choose_cluster_bits(uint64_t disk_bytes, uint32_t *bits)
{
	for (*bits = LEAST_CLUSTER_BITS; *bits <= MOST_CLUSTER_BITS; ++*bits)
		if (clusters_wanted(units(disk_bytes, 1ull << *bits)) <=
		    QCOW2_MAX_CLUSTERS)
			return 0;
	return -EFBIG;
}

int qcow2_flat_plan(uint64_t disk_bytes, struct qcow2_flat *flat)
{
	uint64_t cluster, guest, l1_entries, table, l1, rest;
	uint64_t per_block;
	uint32_t bits;

	if (disk_bytes > 1ull << 62 || choose_cluster_bits(disk_bytes, &bits))
		return -EFBIG;
	cluster = 1ull << bits;
	guest = units(disk_bytes, cluster);
	per_block = cluster * 8 >> QCOW2_FLAT_REFCOUNT_ORDER;
	l1_entries = units(guest, cluster / 8);
	/* In clusters; the blocks count themselves, too. */
	table = units((units(clusters_wanted(guest), per_block) +
		       SPARE_BLOCKS) * 8, cluster);
	l1 = units(l1_entries * 8, cluster);
	rest = 1 + table + l1 + l1_entries + guest;
	*flat = (struct qcow2_flat) {
		.cluster_bytes = cluster,
		.nr_counted = units(rest, per_block - 1),
		.nr_tables = l1_entries,
		.counts = (1 + table) * cluster,
	};
	flat->header = (struct qcow2_header) {
		.version = 3, .cluster_bits = bits,
		.disk_bytes = disk_bytes,
		.l1_offset = flat->counts + flat->nr_counted * cluster,
		.l1_entries = (uint32_t)l1_entries,
		.reftable_offset = cluster,
		.reftable_clusters = (uint32_t)table,
		.refcount_order = QCOW2_FLAT_REFCOUNT_ORDER,
	};
	flat->entries = flat->header.l1_offset + l1 * cluster;
	flat->data = flat->entries + l1_entries * cluster;
	flat->file_bytes = flat->data + guest * cluster;
	return 0;
}
