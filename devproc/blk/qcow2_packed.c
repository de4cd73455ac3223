/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed clusters, unpacked: the last few stay in memory, as a guest reads
 * one in many pieces.  bulkhead-blk, D4.  The buffers take memory once they
 * are used.
 */
#include <errno.h>
#include <string.h>

#include "devproc/blk/qcow2_priv.h"

#define NR_PACKED	4u
#define EDGE		4096u	/* what O_DIRECT may want */

enum packed_state { PACKED_EMPTY, PACKED_LOADING, PACKED_READY, PACKED_FAILED };

static struct packed {
	struct file_io io;
	const struct qcow2_layer *layer;
	struct qcow2_entry entry;
	enum packed_state state;
} list[NR_PACKED];

/* A descriptor may name twice the cluster, from anywhere in a sector. */
static uint8_t from_file[NR_PACKED][2 * QCOW2_MAX_CLUSTER + 2 * EDGE]
	__attribute__((aligned(4096)));
static uint8_t unpacked[NR_PACKED][QCOW2_MAX_CLUSTER]
	__attribute__((aligned(4096)));

static void on_loaded(struct file_io *io, int result)
{
	struct packed *packed = (struct packed *)io;
	unsigned int n = (unsigned int)(packed - list);
	uint64_t skip = packed->entry.offset % EDGE;
	uint64_t bytes = packed->entry.bytes;
	int ret = -EIO;

	/* The last sector may be cut by the end of the file. */
	if (result > 0 && (uint64_t)result > skip)
		ret = qcow2_unpack(packed->layer->header.compression,
				   from_file[n] + skip,
				   least(bytes, (uint64_t)result - skip),
				   unpacked[n], packed->layer->cluster_bytes);
	if (ret)
		(void)qcow2_corrupt(packed->layer, "compressed cluster",
				    packed->entry.offset);
	packed->state = ret ? PACKED_FAILED : PACKED_READY;
	qcow2_advance();
}

static int load(const struct qcow2_layer *layer,
		const struct qcow2_entry *entry)
{
	static unsigned int last;
	uint64_t start = entry->offset & ~(uint64_t)(EDGE - 1);
	uint64_t end = (entry->offset + entry->bytes + EDGE - 1) &
		       ~(uint64_t)(EDGE - 1);
	unsigned int n = (last + 1) % NR_PACKED;
	struct packed *packed = &list[n];

	if (packed->state == PACKED_LOADING)
		return -EINPROGRESS;
	last = n;
	*packed = (struct packed) {
		.layer = layer, .entry = *entry, .state = PACKED_LOADING,
		.io = {
			.done = on_loaded, .offset = start,
			.bytes = end - start, .buf = from_file[n],
			.file = layer->file, .op = FILE_READ,
		},
	};
	file_io_start(&packed->io);
	return -EINPROGRESS;
}

int packed_get(const struct qcow2_layer *layer,
	       const struct qcow2_entry *entry, const uint8_t **bytes)
{
	for (unsigned int n = 0; n < NR_PACKED; n++) {
		struct packed *packed = &list[n];

		if (packed->state == PACKED_EMPTY || packed->layer != layer ||
		    packed->entry.offset != entry->offset ||
		    packed->entry.bytes != entry->bytes)
			continue;
		if (packed->state == PACKED_LOADING)
			return -EINPROGRESS;
		*bytes = unpacked[n];
		if (packed->state == PACKED_READY)
			return 0;
		packed->state = PACKED_EMPTY;
		return -EIO;
	}
	return load(layer, entry);
}

void packed_forget(void)
{
	memset(list, 0, sizeof(list));
}
