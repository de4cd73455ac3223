/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a qcow2 disk, in slices: L1, L2, refcounts of all layers share
 * one cache of 4 MiB, which knows 32 GiB of a disk with 64 KiB clusters.
 * bulkhead-blk, D4.  Nothing in it is ever newer than the file.
 */
#include <errno.h>
#include <string.h>

#include "devproc/blk/qcow2_priv.h"

#define NR_SLICES	1024u
#define NR_BUCKETS	1024u
#define NR_WRITES	16u

enum slice_state { SLICE_EMPTY, SLICE_LOADING, SLICE_READY, SLICE_FAILED };

struct slice {
	struct file_io io;
	struct slice *next;	/* in its bucket */
	const struct qcow2_layer *layer;
	uint64_t offset;	/* into the layer's file */
	enum slice_state state;
	bool used;		/* since the clock's hand came by */
	bool writing;		/* a table_write is on its way */
};

static struct slice slices[NR_SLICES];
static uint8_t memory[NR_SLICES][SLICE_BYTES] __attribute__((aligned(4096)));
static struct slice *buckets[NR_BUCKETS];
static struct table_write writes[NR_WRITES];
static unsigned int hand;

static uint8_t *bytes_of(const struct slice *slice)
{
	return memory[slice - slices];
}

static struct slice **bucket_of(const struct qcow2_layer *layer,
				uint64_t offset)
{
	uint64_t key = (offset / 512 + layer->file) * 0x9e3779b97f4a7c15ull;

	return &buckets[key >> 54];
}

_Static_assert(NR_BUCKETS == 1u << (64 - 54), "bucket_of()");

static void forget(struct slice *slice)
{
	struct slice **at = bucket_of(slice->layer, slice->offset);

	while (*at != slice)
		at = &(*at)->next;
	*at = slice->next;
	slice->state = SLICE_EMPTY;
}

/* One that nobody needs now; NULL: all are on their way. */
static struct slice *evict(void)
{
	for (unsigned int i = 0; i < 2 * NR_SLICES; i++) {
		struct slice *slice = &slices[hand];

		hand = (hand + 1) % NR_SLICES;
		if (slice->state == SLICE_EMPTY)
			return slice;
		if (slice->state == SLICE_LOADING || slice->writing)
			continue;
		if (slice->used) {
			slice->used = false;
			continue;
		}
		forget(slice);
		return slice;
	}
	return NULL;
}

static void on_loaded(struct file_io *io, int result)
{
	struct slice *slice = (struct slice *)io;
	uint32_t size = slice->layer->slice_bytes;

	if (result < 0) {
		slice->state = SLICE_FAILED;
	} else {
		/* A table may end with the file. */
		if ((uint32_t)result < size)
			memset(bytes_of(slice) + result, 0,
			       size - (uint32_t)result);
		slice->state = SLICE_READY;
	}
	qcow2_advance();
}

static int load(const struct qcow2_layer *layer, uint64_t offset)
{
	struct slice *slice = evict();
	struct slice **bucket = bucket_of(layer, offset);

	if (!slice)
		return -EINPROGRESS;
	slice->layer = layer;
	slice->offset = offset;
	slice->state = SLICE_LOADING;
	slice->used = true;
	slice->next = *bucket;
	*bucket = slice;
	slice->io = (struct file_io) {
		.done = on_loaded, .offset = offset,
		.bytes = layer->slice_bytes, .buf = bytes_of(slice),
		.file = layer->file, .op = FILE_READ,
	};
	file_io_start(&slice->io);
	return -EINPROGRESS;
}

int cache_get(const struct qcow2_layer *layer, uint64_t offset,
	      struct slice **found, uint8_t **bytes)
{
	uint64_t start = offset & ~(uint64_t)(layer->slice_bytes - 1);
	struct slice *slice = *bucket_of(layer, start);

	while (slice && (slice->offset != start || slice->layer != layer))
		slice = slice->next;
	if (!slice)
		return load(layer, start);
	if (slice->state == SLICE_LOADING)
		return -EINPROGRESS;
	if (slice->state == SLICE_FAILED) {
		/* Those who ask later try it once more. */
		forget(slice);
		return -EIO;
	}
	slice->used = true;
	*found = slice;
	*bytes = bytes_of(slice);
	return 0;
}

struct table_write *cache_write_begin(struct slice *slice)
{
	if (slice->writing)
		return NULL;
	for (unsigned int i = 0; i < NR_WRITES; i++) {
		struct table_write *write = &writes[i];

		if (write->slice)
			continue;
		write->slice = slice;
		slice->writing = true;
		memcpy(write->bytes, bytes_of(slice), SLICE_BYTES);
		return write;
	}
	return NULL;
}

static void on_table_written(struct file_io *io, int result)
{
	struct table_write *write = (struct table_write *)io;
	struct slice *slice = write->slice;
	uint32_t size = slice->layer->slice_bytes;
	int err = result < 0 ? result :
		  (uint32_t)result < size ? -EIO : 0;

	if (!err)
		memcpy(bytes_of(slice), write->bytes, size);
	slice->writing = false;
	write->slice = NULL;
	/* What is in the file now is not known. */
	if (err)
		forget(slice);
	write->done(write, err);
	qcow2_advance();
}

void cache_write_end(struct table_write *write,
		     void (*done)(struct table_write *write, int err))
{
	write->done = done;
	write->io = (struct file_io) {
		.done = on_table_written, .offset = write->slice->offset,
		.bytes = write->slice->layer->slice_bytes,
		.buf = write->bytes, .file = write->slice->layer->file,
		.op = FILE_WRITE,
	};
	file_io_start(&write->io);
}

void cache_forget(void)
{
	memset(slices, 0, sizeof(slices));
	memset(buckets, 0, sizeof(buckets));
	memset(writes, 0, sizeof(writes));
}
