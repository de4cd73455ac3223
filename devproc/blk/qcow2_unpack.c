/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed clusters (the specification, "Compressed clusters"): zlib and
 * zstd, without memory being allocated after confinement.  bulkhead-blk, D4,
 * and the child of `bulkhead disk`.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "devproc/blk/qcow2.h"

/* "raw deflate", window of 4 KiB; what zlib needs of it fits here. */
#define WINDOW_BITS	(-12)
#define ARENA_BYTES	(64u << 10)

static struct {
	uint8_t memory[ARENA_BYTES] __attribute__((aligned(16)));
	size_t used;
} arena;

static ZSTD_DCtx *zstd;

static void *arena_take(void *opaque, unsigned int items, unsigned int size)
{
	size_t bytes = ((size_t)items * size + 15) & ~(size_t)15;
	void *at = arena.memory + arena.used;

	(void)opaque;
	if (bytes > sizeof(arena.memory) - arena.used)
		return NULL;
	arena.used += bytes;
	return at;
}

static void arena_drop(void *opaque, void *at)
{
	(void)opaque;
	(void)at;
}

int qcow2_unpack_open(void)
{
	if (!zstd)
		zstd = ZSTD_createDCtx();
	return zstd ? 0 : -ENOMEM;
}

static int unpack_zlib(const uint8_t *from, size_t bytes, uint8_t *to,
		       size_t cluster_bytes)
{
	z_stream stream = {
		.next_in = (z_const Bytef *)(uintptr_t)from,
		.avail_in = (uInt)bytes,
		.next_out = to, .avail_out = (uInt)cluster_bytes,
		.zalloc = arena_take, .zfree = arena_drop,
	};
	int ret;

	arena.used = 0;
	if (inflateInit2(&stream, WINDOW_BITS) != Z_OK)
		return -EIO;
	ret = inflate(&stream, Z_FINISH);
	/* What follows the stream in its last sector is not its own. */
	if ((ret != Z_STREAM_END && ret != Z_BUF_ERROR) || stream.avail_out)
		return -EIO;
	return 0;
}

/*
 * Is it a frame of zstd's specification, or a skippable one?  For those of
 * versions before it libzstd allocates memory.
 */
static bool is_zstd(const uint8_t *from, size_t bytes)
{
	uint32_t magic;

	if (bytes < sizeof(magic))
		return false;
	magic = from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
		(uint32_t)from[3] << 24;
	return magic == ZSTD_MAGICNUMBER ||
	       (magic & ZSTD_MAGIC_SKIPPABLE_MASK) ==
	       ZSTD_MAGIC_SKIPPABLE_START;
}

/* Frame by frame, each in one go, which needs no window of its own. */
static int unpack_zstd(const uint8_t *from, size_t bytes, uint8_t *to,
		       size_t cluster_bytes)
{
	size_t done = 0;

	while (done < cluster_bytes) {
		size_t frame, got;

		if (!is_zstd(from, bytes))
			return -EIO;
		frame = ZSTD_findFrameCompressedSize(from, bytes);
		if (ZSTD_isError(frame) || frame == 0 || frame > bytes)
			return -EIO;
		got = ZSTD_decompressDCtx(zstd, to + done,
					  cluster_bytes - done, from, frame);
		if (ZSTD_isError(got))
			return -EIO;
		done += got;
		from += frame;
		bytes -= frame;
	}
	return 0;
}

int qcow2_unpack(enum qcow2_compression how, const uint8_t *from,
		 size_t bytes, uint8_t *to, size_t cluster_bytes)
{
	if (how == QCOW2_ZLIB)
		return unpack_zlib(from, bytes, to, cluster_bytes);
	return zstd ? unpack_zstd(from, bytes, to, cluster_bytes) : -EIO;
}
