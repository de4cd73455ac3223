/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new qcow2 image: header, refcount table, one refcount block, L1 table, in
 * this order, and nothing else.  `bulkhead disk`; reads no image.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/disk.h"

#define REFCOUNT_ORDER	4	/* 16 bits */

/* Clusters, and where they begin. */
struct plan {
	uint64_t cluster_bytes;
	uint64_t table_clusters;	/* from 1 on */
	uint64_t block;
	uint64_t l1;
	uint64_t l1_clusters;
	uint64_t end;
};

static int fail(const char *path, int err, const char *what, char *why)
{
	snprintf(why, DISK_WHY_MAX, "%s: %s", path, what);
	return -err;
}

/* The refcount table has room for all that can ever be in the image. */
static uint64_t table_clusters(uint64_t guest, uint64_t cluster_bytes)
{
	uint64_t per_block = cluster_bytes * 8 >> REFCOUNT_ORDER;
	uint64_t entries = (guest + guest / (cluster_bytes / 8) + guest / 64) /
			   per_block + 64;

	return entries * 8 / cluster_bytes + 1;
}

static int make_plan(const struct disk_shape *shape, struct plan *plan,
		     struct qcow2_header *header)
{
	unsigned int bits = shape->cluster_bits;
	uint64_t guest = (shape->bytes >> bits) + 1;
	uint64_t entries = (shape->bytes - 1) >> (bits * 2 - 3);

	plan->cluster_bytes = 1ull << bits;
	plan->table_clusters = table_clusters(guest, plan->cluster_bytes);
	plan->block = 1 + plan->table_clusters;
	plan->l1 = plan->block + 1;
	plan->l1_clusters = ((entries + 1) * 8 + plan->cluster_bytes - 1) >>
			    bits;
	plan->end = plan->l1 + plan->l1_clusters;
	if ((entries + 1) * 8 > QCOW2_MAX_L1_BYTES ||
	    plan->table_clusters << bits > QCOW2_MAX_REFTABLE_BYTES ||
	    /* One block counts all of it. */
	    plan->end > plan->cluster_bytes * 8 >> REFCOUNT_ORDER)
		return -EFBIG;
	*header = (struct qcow2_header) {
		.version = 3, .cluster_bits = bits,
		.disk_bytes = shape->bytes,
		.l1_offset = plan->l1 << bits,
		.l1_entries = (uint32_t)(entries + 1),
		.reftable_offset = plan->cluster_bytes,
		.reftable_clusters = (uint32_t)plan->table_clusters,
		.refcount_order = REFCOUNT_ORDER,
	};
	return 0;
}

static int write_image(int fd, const struct plan *plan,
		       const struct qcow2_header *header, uint8_t *cluster)
{
	size_t bytes = plan->cluster_bytes;

	if (ftruncate(fd, (off_t)(plan->end * bytes)) < 0)
		return -errno;
	memset(cluster, 0, bytes);
	qcow2_put64(cluster, plan->block * bytes);
	if (pwrite(fd, cluster, bytes, (off_t)bytes) != (ssize_t)bytes)
		return -EIO;
	memset(cluster, 0, bytes);
	for (uint64_t n = 0; n < plan->end; n++)
		qcow2_refcount_set(cluster, REFCOUNT_ORDER, n, 1);
	if (pwrite(fd, cluster, bytes, (off_t)(plan->block * bytes)) !=
	    (ssize_t)bytes)
		return -EIO;
	if (qcow2_header_build(header, cluster, bytes))
		return -ENAMETOOLONG;
	/* Last: without a header it is no image. */
	if (fsync(fd) < 0 || pwrite(fd, cluster, bytes, 0) != (ssize_t)bytes ||
	    fsync(fd) < 0)
		return -EIO;
	return 0;
}

static int fill(const char *path, int fd, const struct disk_shape *shape,
		char *why)
{
	struct qcow2_header header;
	struct plan plan;
	uint8_t *cluster;
	int ret = make_plan(shape, &plan, &header);

	if (ret)
		return fail(path, -ret, "a disk of that size needs larger clusters, see --cluster-size",
			    why);
	if (strlen(shape->backing) >= sizeof(header.backing))
		return fail(path, ENAMETOOLONG,
			    "the backing file's name is too long", why);
	strcpy(header.backing, shape->backing);
	snprintf(header.backing_format, sizeof(header.backing_format), "%s",
		 shape->backing_format);
	cluster = malloc(plan.cluster_bytes);
	ret = cluster ? write_image(fd, &plan, &header, cluster) : -ENOMEM;
	free(cluster);
	return ret ? fail(path, -ret, ret == -ENAMETOOLONG ?
			  "header and backing file's name do not fit into a cluster, see --cluster-size" :
			  strerror(-ret), why) : 0;
}

int disk_create(const char *path, const struct disk_shape *shape,
		char why[DISK_WHY_MAX])
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return fail(path, errno, errno == EEXIST ?
			    "exists already; move it away, or choose another name" :
			    strerror(errno), why);
	ret = fill(path, fd, shape, why);
	close(fd);
	if (ret)
		unlink(path);
	return ret;
}
