/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of an L2 table and of a refcount block (the specification, "Cluster
 * mapping" and "Host cluster management"): bits to numbers.  No I/O, no state;
 * bulkhead-blk, D4, and the child of `bulkhead disk`.
 */
#include "devproc/blk/qcow2.h"

#define RESERVED_NORMAL	0x3f000000000001feull	/* 56 to 61, 1 to 8 */
#define PACKED_SECTOR	512u

/* "Compressed Clusters Descriptor" */
static struct qcow2_entry parse_packed(const struct qcow2_header *header,
				       uint64_t raw)
{
	unsigned int x = 62 - (header->cluster_bits - 8);
	uint64_t descriptor = raw & (QCOW2_COMPRESSED - 1);
	uint64_t more = descriptor >> x;
	struct qcow2_entry entry = {
		.kind = QCOW2_PACKED,
		.offset = descriptor & ((1ull << x) - 1),
	};

	/* COPIED is 0 for compressed clusters. */
	if (raw & QCOW2_COPIED || entry.offset >= 1ull << 56)
		entry.kind = QCOW2_BAD;
	/* The first sector counts from where the data begins. */
	entry.bytes = (more + 1) * PACKED_SECTOR -
		      entry.offset % PACKED_SECTOR;
	return entry;
}

struct qcow2_entry qcow2_entry_parse(const struct qcow2_header *header,
				     uint64_t raw)
{
	uint64_t cluster = 1ull << header->cluster_bits;
	struct qcow2_entry entry = {
		.copied = raw & QCOW2_COPIED,
		.offset = raw & QCOW2_OFFSET_MASK,
	};

	if (raw & QCOW2_COMPRESSED)
		return parse_packed(header, raw);
	if (raw & RESERVED_NORMAL || entry.offset & (cluster - 1) ||
	    (raw & QCOW2_ZERO_FLAG && header->version < 3))
		entry.kind = QCOW2_BAD;
	else if (raw & QCOW2_ZERO_FLAG)
		entry.kind = QCOW2_ZEROES;
	else if (entry.offset)
		entry.kind = QCOW2_NORMAL;
	else
		entry.kind = entry.copied ? QCOW2_BAD : QCOW2_UNALLOCATED;
	return entry;
}

/* Below 8 bits, entry 0 is in the lowest bits of its byte. */
uint64_t qcow2_refcount_get(const uint8_t *block, uint32_t order, uint64_t n)
{
	unsigned int bits = 1u << order;
	uint64_t value = 0;

	if (order < 3)
		return block[n * bits / 8] >> (n * bits % 8) &
		       ((1u << bits) - 1);
	for (unsigned int i = 0; i < bits / 8; i++)
		value = value << 8 | block[n * (bits / 8) + i];
	return value;
}

void qcow2_refcount_set(uint8_t *block, uint32_t order, uint64_t n,
			uint64_t value)
{
	unsigned int bits = 1u << order;
	unsigned int shift = n * bits % 8;
	uint8_t *at = &block[n * bits / 8];

	if (order < 3) {
		*at &= (uint8_t)~(((1u << bits) - 1) << shift);
		*at |= (uint8_t)(value << shift);
		return;
	}
	for (unsigned int i = bits / 8; i-- > 0; value >>= 8)
		at[i] = (uint8_t)value;
}
