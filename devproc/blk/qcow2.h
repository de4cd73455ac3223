/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 (QEMU, docs/interop/qcow2.rst, "the specification" below): what its
 * files share.  bulkhead-blk, D4, and the confined child of `bulkhead disk`.
 *
 * Theory of operation.  Nothing of an image is trusted: each entry is checked
 * when it is used, tables stay in the file and go through one cache of fixed
 * size (qcow2_cache.c).  No metadata is ever dirty in memory only:
 *
 *  - refcounts are raised for a lease of clusters at the end of the file, made
 *    zero and synced, before one of them is used (qcow2_lease.c);
 *  - data goes to a leased cluster, then its L2 entry is written, then the
 *    guest is told (qcow2_grow.c).  If the old contents were not zeroes, the
 *    data is synced before the entry;
 *  - nothing is freed while a disk runs: a discard punches holes into clusters
 *    that stay allocated.
 *
 * So at any moment, process killed or power cut, the file is consistent but
 * for leased clusters that nothing points to.  Those are what the dirty bit
 * (v3) is for: the next open counts all references and repairs (qcow2_check.c);
 * of v2, which has no such bit, every open for writing does.
 */
#ifndef DEVPROC_BLK_QCOW2_H
#define DEVPROC_BLK_QCOW2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devproc/blk/file_io.h"

#define QCOW2_MAGIC		0x514649fbu
#define QCOW2_MAX_CLUSTER	(2u << 20)
#define QCOW2_MAX_LAYERS	9	/* the image and what is behind it */
#define QCOW2_WHY_MAX		200	/* bytes of an error, with the NUL */
#define QCOW2_NAME_MAX		1024	/* the specification: of a backing file */
/* Tables that are larger are refused: 4M entries (L1), 1M (refcounts). */
#define QCOW2_MAX_L1_BYTES	(32u << 20)
#define QCOW2_MAX_REFTABLE_BYTES (8u << 20)
/* Of a file that is written: its reference counts are 2 bytes each. */
#define QCOW2_MAX_CLUSTERS	(256ull << 20)

/* The specification, "Header": incompatible, compatible features. */
#define QCOW2_DIRTY		(1ull << 0)
#define QCOW2_CORRUPT		(1ull << 1)
#define QCOW2_EXTERNAL_DATA	(1ull << 2)
#define QCOW2_COMPRESSION_TYPE	(1ull << 3)
#define QCOW2_EXTENDED_L2	(1ull << 4)
#define QCOW2_LAZY_REFCOUNTS	(1ull << 0)

enum qcow2_compression { QCOW2_ZLIB = 0, QCOW2_ZSTD = 1 };

struct qcow2_header {
	uint32_t version;	/* 2 or 3 */
	uint32_t cluster_bits;	/* 9 to 21 */
	uint64_t disk_bytes;	/* what the guest sees; multiple of 512 */
	uint64_t l1_offset;
	uint32_t l1_entries;
	uint32_t reftable_clusters;
	uint64_t reftable_offset;
	uint32_t nr_snapshots;
	uint32_t refcount_order;	/* a refcount has 1 << this bits */
	uint64_t incompatible;
	uint64_t compatible;
	uint64_t autoclear;
	uint32_t header_bytes;
	enum qcow2_compression compression;
	bool has_bitmaps;		/* extension with at least one */
	char backing[QCOW2_NAME_MAX];	/* "": none; printable */
	char backing_format[32];	/* "": not said */
};

/* --- qcow2_header.c: no I/O ------------------------------------------------ */

/*
 * Parse and check the first bytes of a file, all of them if it is shorter
 * than a cluster.  Return: 0, or -EINVAL or -ENOTSUP with a line in why.
 */
int qcow2_header_parse(const uint8_t *buf, size_t bytes,
		       struct qcow2_header *header, char why[QCOW2_WHY_MAX]);
/* What keeps it from being written, NULL if nothing. */
const char *qcow2_header_obstacle(const struct qcow2_header *header);
/*
 * Write header and extensions to buf, bytes of zeroes (at least 512).
 * Return: 0; -ENAMETOOLONG.
 */
int qcow2_header_build(const struct qcow2_header *header, uint8_t *buf,
		       size_t bytes);
/* Change the three feature fields, of one that is built. */
void qcow2_header_set_features(uint8_t *buf,
			       const struct qcow2_header *header);

static inline uint16_t qcow2_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t qcow2_get32(const void *at)
{
	uint32_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return __builtin_bswap32(value);
}

static inline uint64_t qcow2_get64(const void *at)
{
	uint64_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return __builtin_bswap64(value);
}

static inline void qcow2_put32(void *at, uint32_t value)
{
	value = __builtin_bswap32(value);
	__builtin_memcpy(at, &value, sizeof(value));
}

static inline void qcow2_put64(void *at, uint64_t value)
{
	value = __builtin_bswap64(value);
	__builtin_memcpy(at, &value, sizeof(value));
}

/* --- refcounts in a block (qcow2_entry.c): no I/O ---------------------- */

/* Entry n of a refcount block, or of a part of it that begins with entry 0. */
uint64_t qcow2_refcount_get(const uint8_t *block, uint32_t order, uint64_t n);
void qcow2_refcount_set(uint8_t *block, uint32_t order, uint64_t n,
			uint64_t value);
static inline uint64_t qcow2_refcount_max(uint32_t order)
{
	return order == 6 ? UINT64_MAX : (1ull << (1u << order)) - 1;
}

/* --- entries of L1 and L2 --------------------------------------------------- */

#define QCOW2_OFFSET_MASK	0x00fffffffffffe00ull
#define QCOW2_COPIED		(1ull << 63)
#define QCOW2_COMPRESSED	(1ull << 62)
#define QCOW2_ZERO_FLAG		(1ull << 0)

enum qcow2_kind {
	QCOW2_UNALLOCATED,	/* what is behind it shows through */
	QCOW2_ZEROES,		/* may have an offset all the same */
	QCOW2_NORMAL,
	QCOW2_PACKED,		/* compressed */
	QCOW2_BAD,
};

struct qcow2_entry {
	enum qcow2_kind kind;
	bool copied;		/* refcount is exactly one */
	uint64_t offset;	/* into the file */
	uint64_t bytes;		/* QCOW2_PACKED: at most so many, from offset */
};

/* qcow2_entry.c: no I/O.  Offsets are not compared with the file's size. */
struct qcow2_entry qcow2_entry_parse(const struct qcow2_header *header,
				     uint64_t raw);

/* --- compressed clusters (qcow2_unpack.c) ------------------------------------ */

/*
 * Unpack one cluster; no memory is allocated.
 * Return: 0, or -EIO if it is not exactly cluster_bytes.
 */
int qcow2_unpack(enum qcow2_compression how, const uint8_t *from,
		 size_t bytes, uint8_t *to, size_t cluster_bytes);
/* Before confinement, if a compressed cluster may come.  0 or -ENOMEM. */
int qcow2_unpack_open(void);

#endif
