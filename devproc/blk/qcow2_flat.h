/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flat qcow2 image: all that there may ever be of tables is in one row, and
 * so is the guest's data.  What a disk is moved to.  bulkhead-blk fills it
 * (target.c), the supervisor makes it (cli/disk_flat.c).
 *
 *	header | refcount table | refcounts | L1 | L2 entries | data
 *
 * So the place of everything follows from the size of the disk, and a file of
 * zeroes in place of L2 entries, refcounts of data and data is an empty disk.
 * The file is as long as the disk from the start, with holes.
 */
#ifndef DEVPROC_BLK_QCOW2_FLAT_H
#define DEVPROC_BLK_QCOW2_FLAT_H

#include "devproc/blk/qcow2.h"

#define QCOW2_FLAT_REFCOUNT_ORDER	4	/* 2 bytes each */

/* Offsets are bytes into the file. */
struct qcow2_flat {
	struct qcow2_header header;
	uint64_t cluster_bytes;
	uint64_t nr_counted;	/* refcount blocks */
	uint64_t nr_tables;	/* L2 tables, one after another: */
	uint64_t counts;	/* 2 bytes per cluster of the file */
	uint64_t entries;	/* 8 bytes per cluster of the guest */
	uint64_t data;		/* the guest's byte 0 */
	uint64_t file_bytes;
};

/* disk_bytes: a multiple of 512, not 0.  Return: 0; -EFBIG. */
int qcow2_flat_plan(uint64_t disk_bytes, struct qcow2_flat *flat);

#endif
