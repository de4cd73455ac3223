/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk, between its files: the image (image.c, main.c) and a request
 * (request.c makes it, steps.c says where it goes).  README.md is the map.
 */
#ifndef DEVPROC_BLK_BLK_H
#define DEVPROC_BLK_BLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devproc/blk/file_io.h"
#include "devproc/blk/format.h"
#include "devproc/vring.h"
#include "ipc/life.h"

#define SECTOR_BYTES	512u	/* virtio 1.2, 5.2.4: unit of the protocol */
#define BLK_ID_BYTES	20u	/* virtio 1.2, 5.2.6: GET_ID */

/* Data segments per request that the guest is told it may use. */
#define BLK_SEG_MAX	126u
/*
 * Header, data, status, and a border between memory regions within a buffer:
 * there are at most VHOST_USER_MAX_REGIONS - 1 of those.
 */
#define BLK_MAX_SPANS	(BLK_SEG_MAX + 2 + 8)

/* Requests in flight, all queues together. */
#define BLK_MAX_REQUESTS	1024u

/* Longest range of one DISCARD and of one WRITE_ZEROES. */
#define BLK_DISCARD_MAX_SECTORS		(2u << 20)	/* 1 GiB */
#define BLK_ZEROES_MAX_SECTORS		(64u << 10)	/* 32 MiB */

/* --- image.c -------------------------------------------------------------- */

struct blk_image {
	const struct blk_format *format;
	uint64_t bytes;		/* multiple of block_bytes and io_align */
	uint32_t block_bytes;	/* the guest's: its offsets and lengths */
	uint32_t physical_bytes;	/* what the medium prefers */
	/* The host's rules (O_DIRECT); powers of two, 1: any will do. */
	uint32_t io_align;	/* of offsets and lengths in files */
	uint32_t memory_align;	/* of addresses */
	bool is_file;	/* a regular file, not a block device */
	bool read_only;
	bool discard;		/* DISCARD and WRITE_ZEROES are offered */
	bool write_through;	/* as agreed with the driver: writes end stable */
	bool ignore_flush;	/* cache = unsafe */
	char id[BLK_ID_BYTES];	/* padded with NULs */
};

/*
 * Started by hand: open path at number (an fd of ipc/inherit.h) and lock it,
 * as the supervisor would.  Logs why it failed.  Before confinement.
 */
int image_acquire(const char *path, bool read_only, bool direct, int number);

/* Find out what is at RES_FD.  Before confinement; does not look into it. */
int image_measure(const struct life_birth_blk *birth,
		  struct blk_image *image);

/* --- request.c ------------------------------------------------------------ */

enum blk_op {
	BLK_OP_READ,
	BLK_OP_WRITE,
	BLK_OP_FLUSH,
	BLK_OP_DISCARD,
	BLK_OP_ZERO_UNMAP,	/* WRITE_ZEROES that may punch a hole */
	BLK_OP_ZERO,		/* WRITE_ZEROES, blocks stay allocated */
	BLK_OP_ZERO_WRITE,	/* the same, by writing: the last resort */
};

struct blk_faults;	/* faults.c */

/* What piece.c has to remember of the piece in flight. */
struct blk_piece {
	uint8_t *bounce;	/* the request's buffer; NULL: none */
	size_t cut_bytes;	/* that io's last buffer was shortened by */
	uint32_t skip;		/* the data's place in the bounce buffer */
	uint32_t bytes;		/* of data in it */
	bool reads_first;	/* the blocks that it writes a part of */
};

struct blk_request {
	struct blk_request *next;	/* of whoever keeps it waiting */
	struct vring *vring;	/* NULL: our own, no guest waits for it: copy.c */
	struct blk_faults *faults;	/* NULL: none fired */
	uint16_t index;		/* of its own, below BLK_MAX_REQUESTS */
	uint8_t queue;		/* index of vring */
	uint8_t op;		/* enum blk_op */
	uint32_t read_bytes;	/* of data for the guest, if all goes well */

	/* What is still to do; transfer.c moves it forward. */
	uint64_t offset;	/* bytes, into the image */
	uint64_t left;		/* bytes */
	struct iovec *data;	/* into spans[]; of READ and WRITE */
	uint16_t nr_data;

	struct blk_extent extent;	/* the format's answer: transfer.c */
	struct file_io io;	/* the piece in flight: piece.c */
	struct blk_piece piece;
	uint64_t format_data;	/* the format's, while it keeps the request */

	uint8_t *status_byte;	/* in guest RAM; NULL: the chain has none */
	struct vring_chain chain;
	struct iovec spans[BLK_MAX_SPANS];
};

/*
 * Make of req->chain, just popped, an operation on the image.
 * Return: -1, there is I/O to do; else the status the request ends with, now.
 */
int request_parse(struct blk_request *req, const struct blk_image *image);

/* Move data, offset and left forward by bytes that are done. */
void request_advance(struct blk_request *req, uint64_t bytes);

/*
 * The I/O has ended well.  Return: true, it has become a flush, which must end
 * too before the guest is told.
 */
bool request_becomes_flush(struct blk_request *req,
			   const struct blk_image *image);

/* Do all buffers still to do fit O_DIRECT's rules? */
bool request_aligned(const struct blk_request *req,
		     const struct blk_image *image);

/* Store the status byte.  Return: what vring_push() is to say was written. */
uint32_t request_finish(const struct blk_request *req, uint8_t status);

#endif
