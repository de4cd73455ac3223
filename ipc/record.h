/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a disk (record = FILE): every change of the image file and
 * every flush of it, in the order in which the file had them.  bulkhead-blk appends to
 * it, `bulkhead replay` reads it.  docs/RECORD.md says what it is good for.
 *
 * A header, then entries, each at a multiple of RECORD_ALIGN, little-endian
 * as this host is.  An entry is there before the guest is told that its
 * request is done.  Of a request that nobody was told about, an entry may be
 * missing or half there; the next good one says where it is.
 */
#ifndef IPC_RECORD_H
#define IPC_RECORD_H

#include <stdint.h>

#define RECORD_MAGIC		"BHRECORD"
#define RECORD_VERSION		2
#define RECORD_ALIGN		8	/* bytes */
#define RECORD_ENTRY_MAGIC	0x59525442u	/* "BTRY" */

struct record_header {
	char magic[8];		/* RECORD_MAGIC, without a NUL */
	uint32_t version;
	uint32_t header_bytes;	/* where the first entry is */
	uint64_t disk_bytes;	/* of the file, when the record began */
	uint32_t flags;
	uint32_t reserved;
};

/*
 * The file holds a format that grows: writes may be behind its end, and its
 * size need not be whole sectors.  Without: a raw disk.
 */
#define RECORD_GROWS	(1u << 0)

enum record_op {
	RECORD_WRITE = 1,	/* bytes of data follow the entry */
	RECORD_ZERO,		/* the range reads as zeroes now */
	RECORD_DISCARD,		/* the range may be anything, is zeroes here */
	RECORD_FLUSH,		/* everything before `covers` is on the disk */
	RECORD_SIZE,		/* the file has `bytes` from now on; RECORD_GROWS */
};

struct record_entry {
	uint32_t magic;		/* RECORD_ENTRY_MAGIC */
	uint32_t op;		/* enum record_op */
	uint64_t position;	/* of this entry in the file, bytes */
	uint64_t offset;	/* into the file, bytes */
	uint64_t bytes;
	uint64_t covers;	/* RECORD_FLUSH: a position in the file */
};

_Static_assert(sizeof(struct record_header) == 32, "record_header");
_Static_assert(sizeof(struct record_entry) == 40, "record_entry");

#endif
