/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format layer: where in which file the bytes of the guest's disk are.
 * bulkhead-blk, D4; between transfer.c, which moves a request's data, and
 * file_io.h.  raw.c is the smallest format there can be.
 *
 * A format is asked again and again what comes next of a request; it never
 * touches guest memory, and does its own metadata I/O with struct file_io.
 */
#ifndef DEVPROC_BLK_FORMAT_H
#define DEVPROC_BLK_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

struct blk_image;
struct blk_request;

/* Answers of map() and written() that are no errors. */
enum blk_map {
	BLK_MAP_DATA,	/* do the request's operation on extent: file, offset, bytes */
	BLK_MAP_ZERO,	/* READ only: the next extent->bytes are zeroes */
	BLK_MAP_MEMORY,	/* READ only: they are at extent->memory, which stays
			 * good until map() returns again */
	BLK_MAP_NOTHING,	/* the next extent->bytes need nothing (more) done;
				 * of a FLUSH: all is stable */
	/*
	 * The format keeps the request (its `next` and `format_data` are the
	 * format's meanwhile) and gives it back with request_resume() or
	 * request_fail(): later, never within map() or written().
	 */
	BLK_MAP_LATER,
};

/* Zeroed before each map(); kept with the request until its data is done. */
struct blk_extent {
	uint64_t offset;	/* into the file; aligned as the file needs it */
	uint64_t bytes;		/* 1 to req->left; whole guest blocks */
	const uint8_t *memory;	/* BLK_MAP_MEMORY */
	uint8_t file;		/* FILE_IMAGE, FILE_EXTRA + n: file_io.h */
	bool fresh;		/* of a write: written() is to be told of its end */
	uint64_t done;		/* transfer.c's: bytes of it that are through */
};

struct blk_format {
	const char *name;	/* of birth, configuration and logs */

	/*
	 * After confinement, before the guest: look into the image, with
	 * file_io_run().  image is measured as a raw file; sets what differs
	 * (bytes, block_bytes, discard).  Logs why it failed.  NULL: as it is.
	 */
	int (*open)(struct blk_image *image);

	/*
	 * What is next of req: [req->offset, + req->left) of the guest's disk,
	 * which lies in image->bytes.  By req->op (enum blk_op):
	 *	READ			where the bytes are
	 *	WRITE, ZERO_WRITE	where they go; ZERO_WRITE: all zeroes
	 *	DISCARD, ZERO_UNMAP	DATA: punch extent out of the file
	 *	ZERO			DATA: zero the extent of the file
	 *	FLUSH			DATA: sync extent->file (bytes is ignored)
	 * Return: enum blk_map, or -errno; -EOPNOTSUPP of ZERO_UNMAP and ZERO:
	 * not this way (ZERO, then ZERO_WRITE, are tried instead), of DISCARD:
	 * it is let be.
	 */
	int (*map)(struct blk_request *req, struct blk_extent *extent);

	/*
	 * The data of a fresh extent is written: all extent->bytes if err is
	 * 0, else maybe nothing.  req->offset is behind what is done.
	 * Return: BLK_MAP_NOTHING: go on; BLK_MAP_LATER; -errno.
	 * NULL: no extent is ever fresh.
	 */
	int (*written)(struct blk_request *req,
		       const struct blk_extent *extent, int err);

	/*
	 * The process ends, no request is left: bring to the file what it
	 * still has to, with file_io_run().  NULL: nothing.
	 */
	void (*close)(void);
};

/* Give a request back that was kept with BLK_MAP_LATER: map() is asked again. */
void request_resume(struct blk_request *req);
/* The same, but it ends with an error; err: positive errno. */
void request_fail(struct blk_request *req, int err);

extern const struct blk_format format_raw;

#endif
