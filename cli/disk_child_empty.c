/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of `bulkhead disk commit`, confined: the overlay loses all of its
 * clusters.  What they held is in the image behind it already, so whatever a
 * power cut leaves of this reads the same: the mark for dirty, the L1 table,
 * new refcounts behind everything, the header, new refcounts where they take no
 * room, the header.  Each is stable before the next is begun.
 */
#include <errno.h>
#include <string.h>

#include "cli/disk_priv.h"

#define PART_BYTES	(64u << 10)

static struct qcow2_layer *const image = &qcow2.layer[0];

static int mark_dirty(void)
{
	if (image->header.version < 3)
		return 0;
	image->header.incompatible |= QCOW2_DIRTY;
	return qcow2_write_head();
}

static int zero_l1(void)
{
	static const uint8_t zeroes[PART_BYTES];
	uint64_t bytes = (uint64_t)image->header.l1_entries * 8;
	int ret = 0;

	for (uint64_t at = 0; !ret && at < bytes; at += PART_BYTES)
		ret = qcow2_write(image, image->header.l1_offset + at, zeroes,
				  least(PART_BYTES, bytes - at));
	return ret ? ret : qcow2_sync();
}

static uint64_t clusters_for(uint64_t bytes)
{
	return cluster_of(image, bytes + image->cluster_bytes - 1);
}

/* Only the header and the L1 table are where they have to be. */
static void count_what_stays(uint64_t first, uint64_t nr)
{
	memset(disk_scan.count, 0, disk_scan.end * sizeof(*disk_scan.count));
	disk_scan.count[0] = 1;
	for (uint64_t n = first; n < first + nr; n++)
		disk_scan.count[n] = 1;
	disk_scan.end = first + nr > 1 ? first + nr : 1;
}

/* Twice: first out of the way, then into the place that has become free. */
static int pack_refcounts(void)
{
	uint64_t first = cluster_of(image, image->header.l1_offset);
	uint64_t nr = clusters_for((uint64_t)image->header.l1_entries * 8);
	uint64_t per_block = (uint64_t)image->cluster_bytes * 8 >>
			     image->header.refcount_order;
	uint64_t out_of_the_way = disk_scan.end;
	uint64_t most = first + nr + (first + nr) / per_block * 2 + 16;
	int ret = qcow2_rebuild(&disk_scan, 0);

	if (ret || most > out_of_the_way)
		return ret;
	count_what_stays(first, nr);
	return qcow2_rebuild(&disk_scan, 0);
}

static int clear_marks(void)
{
	image->header.incompatible &= ~QCOW2_DIRTY;
	return image->header.version < 3 ? 0 : qcow2_write_head();
}

int disk_empty(struct disk_answer *answer)
{
	int ret = disk_repair(answer);

	if (!ret && disk_scan.nr_bad)
		ret = -EUCLEAN;
	if (!ret)
		ret = mark_dirty();
	if (!ret)
		ret = zero_l1();
	if (!ret)
		ret = qcow2_scan(&disk_scan);
	if (!ret)
		ret = pack_refcounts();
	if (!ret)
		ret = clear_marks();
	if (ret)
		return answer->why[0] ? ret :
		       disk_fail(answer, ret, "cannot be emptied");
	answer->keep_bytes = disk_scan.end << image->header.cluster_bits;
	return 0;
}
