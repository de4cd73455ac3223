/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An empty flat qcow2 image (devproc/blk/qcow2_flat.h), for a disk to be moved
 * to.  In the supervisor, C7; reads nothing of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/disk.h"

static int write_at(int fd, const void *buf, size_t bytes, uint64_t offset)
{
	ssize_t done = pwrite(fd, buf, bytes, (off_t)offset);

	if (done < 0)
		return -errno;
	return (size_t)done == bytes ? 0 : -ENOSPC;
}

/* A table at offset: nr clusters in a row, the first of them at `first`. */
static int write_table(int fd, uint64_t offset, uint64_t nr, uint64_t first,
		       uint64_t cluster_bytes, uint64_t flag)
{
	uint8_t *table = calloc(nr, 8);
	int ret;

	if (!table)
		return -ENOMEM;
	for (uint64_t i = 0; i < nr; i++)
		qcow2_put64(table + i * 8, (first + i * cluster_bytes) | flag);
	ret = write_at(fd, table, nr * 8, offset);
	free(table);
	return ret;
}

/* All tables are in use from the start. */
static int write_counts(int fd, const struct qcow2_flat *flat)
{
	uint64_t nr = flat->data / flat->cluster_bytes;
	uint8_t *counts = calloc(nr, 2);
	int ret;

	if (!counts)
		return -ENOMEM;
	for (uint64_t i = 0; i < nr; i++)
		qcow2_refcount_set(counts, QCOW2_FLAT_REFCOUNT_ORDER, i, 1);
	ret = write_at(fd, counts, nr * 2, flat->counts);
	free(counts);
	return ret;
}

static int write_header(int fd, const struct qcow2_flat *flat)
{
	uint8_t head[512] = { 0 };
	int ret = qcow2_header_build(&flat->header, head, sizeof(head));

	return ret ? ret : write_at(fd, head, sizeof(head), 0);
}

int disk_flat_fill(int fd, const struct qcow2_flat *flat)
{
	const struct qcow2_header *header = &flat->header;
	int ret = 0;

	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)flat->file_bytes) < 0)
		return -errno;
	ret = write_table(fd, header->reftable_offset, flat->nr_counted,
			  flat->counts, flat->cluster_bytes, 0);
	if (!ret)
		ret = write_counts(fd, flat);
	if (!ret)
		ret = write_table(fd, header->l1_offset, flat->nr_tables,
				  flat->entries, flat->cluster_bytes,
				  QCOW2_COPIED);
	/* Last: without a header it is no image. */
	if (!ret && fsync(fd) < 0)
		ret = -errno;
	return ret ? ret : write_header(fd, flat);
}
