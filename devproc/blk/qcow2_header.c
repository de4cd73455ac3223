/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a qcow2 image and its extensions (the specification, "Header",
 * "Header extensions"): parsed, checked, built.  No I/O; bulkhead-blk after
 * confinement, and the child of `bulkhead disk`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devproc/blk/qcow2.h"

#define V2_BYTES	72u
#define V3_BYTES	104u
#define MAX_OFFSET	(1ull << 56)	/* the specification: of a cluster */

enum {
	EXT_END = 0,
	EXT_BACKING_FORMAT = 0xe2792aca,
	EXT_BITMAPS = 0x23852875,
	EXT_ENCRYPTION = 0x0537be77,
	EXT_DATA_FILE = 0x44415441,
};

static int fail(char *why, int err, const char *text)
{
	snprintf(why, QCOW2_WHY_MAX, "%s", text);
	return -err;
}

/* Names are shown to the operator: nothing but printable ASCII. */
static void copy_text(char *to, size_t room, const uint8_t *from,
		      size_t bytes)
{
	size_t len = bytes < room - 1 ? bytes : room - 1;

	for (size_t i = 0; i < len; i++)
		to[i] = from[i] >= ' ' && from[i] < 127 ? (char)from[i] : '?';
	to[len] = '\0';
}

static int check_features(const struct qcow2_header *h, char *why)
{
	uint64_t unknown = h->incompatible &
			   ~(QCOW2_DIRTY | QCOW2_CORRUPT |
			     QCOW2_COMPRESSION_TYPE);

	if (unknown & QCOW2_EXTERNAL_DATA)
		return fail(why, ENOTSUP,
			    "has its data in an external file, which is not supported; convert it with qemu-img");
	if (unknown & QCOW2_EXTENDED_L2)
		return fail(why, ENOTSUP,
			    "has extended L2 entries (subclusters), which are not supported; convert it with qemu-img");
	if (!unknown)
		return 0;
	snprintf(why, QCOW2_WHY_MAX,
		 "has unknown incompatible features 0x%llx; convert it with qemu-img",
		 (unsigned long long)unknown);
	return -ENOTSUP;
}

static int parse_v3(const uint8_t *buf, size_t bytes, struct qcow2_header *h,
		    char *why)
{
	uint8_t type;

	if (bytes < V3_BYTES)
		return fail(why, EINVAL, "is too short for its header");
	h->incompatible = qcow2_get64(buf + 72);
	h->compatible = qcow2_get64(buf + 80);
	h->autoclear = qcow2_get64(buf + 88);
	h->refcount_order = qcow2_get32(buf + 96);
	h->header_bytes = qcow2_get32(buf + 100);
	if (h->header_bytes < V3_BYTES || h->header_bytes % 8 ||
	    h->header_bytes > 1u << h->cluster_bits || h->header_bytes > bytes)
		return fail(why, EINVAL, "has a header of an impossible length");
	if (h->refcount_order > 6)
		return fail(why, EINVAL, "has refcounts wider than 64 bits");
	if (check_features(h, why))
		return -ENOTSUP;
	type = h->header_bytes > V3_BYTES ? buf[104] : 0;
	if (type > QCOW2_ZSTD)
		return fail(why, ENOTSUP,
			    "is compressed in a way other than zlib and zstd; convert it with qemu-img");
	/* "Compression type bit": set if the type is not zlib, and only then. */
	if ((type != QCOW2_ZLIB) != !!(h->incompatible & QCOW2_COMPRESSION_TYPE))
		return fail(why, EINVAL,
			    "contradicts itself about its compression");
	h->compression = type;
	return 0;
}

static int take_extension(const uint8_t *data, uint32_t type, uint32_t len,
			  struct qcow2_header *h, char *why)
{
	switch (type) {
	case EXT_BACKING_FORMAT:
		copy_text(h->backing_format, sizeof(h->backing_format), data,
			  len);
		return 0;
	case EXT_BITMAPS:
		h->has_bitmaps = len >= 4 && qcow2_get32(data) > 0;
		return 0;
	case EXT_ENCRYPTION:
		return fail(why, ENOTSUP,
			    "is encrypted, which is not supported; decrypt it with qemu-img convert");
	case EXT_DATA_FILE:
		return fail(why, ENOTSUP,
			    "names an external data file, which is not supported; convert it with qemu-img");
	default:
		/* Unknown ones may be left alone. */
		return 0;
	}
}

/* They end with their end mark, the backing name, or the cluster. */
static int parse_extensions(const uint8_t *buf, size_t end,
			    struct qcow2_header *h, char *why)
{
	size_t at = h->header_bytes;

	while (at + 8 <= end) {
		uint32_t type = qcow2_get32(buf + at);
		uint32_t len = qcow2_get32(buf + at + 4);
		int ret;

		if (type == EXT_END)
			return 0;
		if (len > end - at - 8)
			return fail(why, EINVAL,
				    "has a header extension that runs out of the header");
		ret = take_extension(buf + at + 8, type, len, h, why);
		if (ret)
			return ret;
		at += 8 + (((size_t)len + 7) & ~(size_t)7);
	}
	return 0;
}

static int parse_backing(const uint8_t *buf, size_t bytes,
			 struct qcow2_header *h, size_t *end, char *why)
{
	uint64_t offset = qcow2_get64(buf + 8);
	uint32_t len = qcow2_get32(buf + 16);

	if (!offset)
		return 0;
	if (len == 0 || len >= QCOW2_NAME_MAX || offset < h->header_bytes ||
	    offset > bytes || len > bytes - offset)
		return fail(why, EINVAL,
			    "has the name of its backing file outside its header");
	copy_text(h->backing, sizeof(h->backing), buf + offset, len);
	*end = offset;
	return 0;
}

/* offset, clusters: of a table. */
static bool table_is_sound(uint64_t offset, uint64_t bytes,
			   const struct qcow2_header *h)
{
	return offset && offset % (1u << h->cluster_bits) == 0 &&
	       offset < MAX_OFFSET && bytes < MAX_OFFSET;
}

static int check_tables(const struct qcow2_header *h, char *why)
{
	uint64_t l1_bytes = (uint64_t)h->l1_entries * 8;
	uint64_t table_bytes = (uint64_t)h->reftable_clusters
			       << h->cluster_bits;
	unsigned int l2_bits = h->cluster_bits * 2 - 3;
	uint64_t needed = (h->disk_bytes >> l2_bits) +
			  !!(h->disk_bytes & ((1ull << l2_bits) - 1));

	if (l1_bytes > QCOW2_MAX_L1_BYTES || h->l1_entries < needed)
		return fail(why, EINVAL,
			    l1_bytes > QCOW2_MAX_L1_BYTES ?
			    "has an L1 table of more than 32 MiB" :
			    "has an L1 table that is too small for its disk");
	if (l1_bytes && !table_is_sound(h->l1_offset, l1_bytes, h))
		return fail(why, EINVAL, "has its L1 table at an impossible place");
	if (table_bytes > QCOW2_MAX_REFTABLE_BYTES || !table_bytes)
		return fail(why, EINVAL,
			    "has a refcount table of no size, or of more than 8 MiB");
	if (!table_is_sound(h->reftable_offset, table_bytes, h))
		return fail(why, EINVAL,
			    "has its refcount table at an impossible place");
	return 0;
}

static int parse_fields(const uint8_t *buf, size_t bytes,
			struct qcow2_header *h, char *why)
{
	h->version = qcow2_get32(buf + 4);
	h->cluster_bits = qcow2_get32(buf + 20);
	h->disk_bytes = qcow2_get64(buf + 24);
	h->l1_entries = qcow2_get32(buf + 36);
	h->l1_offset = qcow2_get64(buf + 40);
	h->reftable_offset = qcow2_get64(buf + 48);
	h->reftable_clusters = qcow2_get32(buf + 56);
	h->nr_snapshots = qcow2_get32(buf + 60);
	h->header_bytes = V2_BYTES;
	h->refcount_order = 4;
	if (h->version != 2 && h->version != 3)
		return fail(why, ENOTSUP,
			    "is of another version of qcow2 than 2 and 3");
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return fail(why, EINVAL,
			    "has clusters that are not of 512 bytes to 2 MiB");
	if (h->disk_bytes == 0 || h->disk_bytes % 512 ||
	    h->disk_bytes >= MAX_OFFSET)
		return fail(why, EINVAL,
			    "has a disk of an impossible size");
	if (qcow2_get32(buf + 32))
		return fail(why, ENOTSUP,
			    "is encrypted, which is not supported; decrypt it with qemu-img convert");
	return h->version == 3 ? parse_v3(buf, bytes, h, why) : 0;
}

int qcow2_header_parse(const uint8_t *buf, size_t bytes,
		       struct qcow2_header *h, char why[QCOW2_WHY_MAX])
{
	size_t end;
	int ret;

	memset(h, 0, sizeof(*h));
	if (bytes < V2_BYTES || qcow2_get32(buf) != QCOW2_MAGIC)
		return fail(why, EINVAL, "is no qcow2 image");
	ret = parse_fields(buf, bytes, h, why);
	if (ret)
		return ret;
	if (bytes > 1u << h->cluster_bits)
		bytes = 1u << h->cluster_bits;
	end = bytes;
	ret = parse_backing(buf, bytes, h, &end, why);
	if (!ret)
		ret = parse_extensions(buf, end, h, why);
	return ret ? ret : check_tables(h, why);
}

const char *qcow2_header_obstacle(const struct qcow2_header *h)
{
	if (h->nr_snapshots)
		return "has internal snapshots, with which it can only be read; delete them with qemu-img snapshot -d";
	if (h->has_bitmaps)
		return "has persistent bitmaps, with which it can only be read; remove them with qemu-img bitmap --remove";
	if (h->incompatible & QCOW2_CORRUPT)
		return "is marked corrupt and can only be read; 'bulkhead disk check --repair' may help";
	return NULL;
}

void qcow2_header_set_features(uint8_t *buf, const struct qcow2_header *h)
{
	if (h->version < 3)
		return;
	qcow2_put64(buf + 72, h->incompatible);
	qcow2_put64(buf + 80, h->compatible);
	qcow2_put64(buf + 88, h->autoclear);
}

static size_t put_extension(uint8_t *buf, size_t at, uint32_t type,
			    const char *text)
{
	size_t len = strlen(text);

	qcow2_put32(buf + at, type);
	qcow2_put32(buf + at + 4, (uint32_t)len);
	memcpy(buf + at + 8, text, len);
	return at + 8 + ((len + 7) & ~(size_t)7);
}

int qcow2_header_build(const struct qcow2_header *h, uint8_t *buf,
		       size_t bytes)
{
	size_t at = h->version == 3 ? V3_BYTES + 8 : V2_BYTES;
	size_t name = strlen(h->backing);

	if (at + 8 + sizeof(h->backing_format) + 8 + name > bytes)
		return -ENAMETOOLONG;
	memset(buf, 0, bytes);
	qcow2_put32(buf, QCOW2_MAGIC);
	qcow2_put32(buf + 4, h->version);
	qcow2_put32(buf + 20, h->cluster_bits);
	qcow2_put64(buf + 24, h->disk_bytes);
	qcow2_put32(buf + 36, h->l1_entries);
	qcow2_put64(buf + 40, h->l1_offset);
	qcow2_put64(buf + 48, h->reftable_offset);
	qcow2_put32(buf + 56, h->reftable_clusters);
	qcow2_header_set_features(buf, h);
	if (h->version == 3) {
		qcow2_put32(buf + 96, h->refcount_order);
		qcow2_put32(buf + 100, V3_BYTES + 8);
		buf[104] = (uint8_t)h->compression;
	}
	if (!name)
		return 0;
	if (h->backing_format[0])
		at = put_extension(buf, at, EXT_BACKING_FORMAT,
				   h->backing_format);
	at = put_extension(buf, at, EXT_END, "");
	memcpy(buf + at, h->backing, name);
	qcow2_put64(buf + 8, at);
	qcow2_put32(buf + 16, (uint32_t)name);
	return 0;
}
