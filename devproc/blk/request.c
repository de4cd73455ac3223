/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest asks for (virtio 1.2, 5.2.6).  bulkhead-blk, D3: a popped
 * chain becomes an operation on the image, or a status at once.
 *
 * A request is a 16-byte header, data, and a status byte, cut into
 * descriptors as the driver likes (virtio 1.2, 2.7.4.1: no assumptions).
 */
#include <linux/virtio_blk.h>
#include <string.h>

#include "devproc/blk/blk.h"

#define TO_DO	(-1)		/* request_parse(): there is I/O */

_Static_assert(sizeof(struct virtio_blk_outhdr) == 16, "virtio_blk_outhdr");
_Static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16,
	       "virtio_blk_discard_write_zeroes");

/* The last byte that the device may write is the status. */
static uint8_t *find_status_byte(const struct vring_chain *chain)
{
	const struct iovec *last;

	if (chain->nr_in == 0)
		return NULL;
	last = &chain->spans[chain->nr_out + chain->nr_in - 1];
	return (uint8_t *)last->iov_base + last->iov_len - 1;
}

/* Drop bytes from the front of the data. */
static void skip_data(struct blk_request *req, uint64_t bytes)
{
	while (req->nr_data > 0 && bytes >= req->data->iov_len) {
		bytes -= req->data->iov_len;
		req->data++;
		req->nr_data--;
	}
	if (req->nr_data > 0 && bytes > 0) {
		req->data->iov_base = (uint8_t *)req->data->iov_base + bytes;
		req->data->iov_len -= bytes;
	}
}

void request_advance(struct blk_request *req, uint64_t bytes)
{
	req->offset += bytes;
	req->left -= bytes;
	if (req->op == BLK_OP_READ || req->op == BLK_OP_WRITE)
		skip_data(req, bytes);
}

/* Does [sector, sector + bytes) lie in the image, in whole blocks? */
static bool range_is_sound(const struct blk_image *image, uint64_t sector,
			   uint64_t bytes)
{
	uint64_t offset = sector * SECTOR_BYTES;

	return sector <= image->bytes / SECTOR_BYTES &&
	       bytes <= image->bytes - offset &&
	       offset % image->block_bytes == 0 &&
	       bytes % image->block_bytes == 0;
}

static int parse_read(struct blk_request *req, const struct blk_image *image,
		      uint64_t sector)
{
	const struct vring_chain *chain = &req->chain;
	struct iovec *last = &chain->spans[chain->nr_out + chain->nr_in - 1];

	req->left = chain->in_bytes - 1;
	if (!range_is_sound(image, sector, req->left))
		return VIRTIO_BLK_S_IOERR;
	req->op = BLK_OP_READ;
	req->offset = sector * SECTOR_BYTES;
	req->read_bytes = (uint32_t)req->left;
	req->data = &chain->spans[chain->nr_out];
	req->nr_data = chain->nr_in;
	/* The status byte is no data. */
	last->iov_len--;
	if (last->iov_len == 0)
		req->nr_data--;
	return req->left ? TO_DO : VIRTIO_BLK_S_OK;
}

static int parse_write(struct blk_request *req, const struct blk_image *image,
		       uint64_t sector)
{
	const struct vring_chain *chain = &req->chain;

	req->left = chain->out_bytes - sizeof(struct virtio_blk_outhdr);
	/* virtio 1.2, 5.2.6.2: nothing is written to a read-only device */
	if (image->read_only || !range_is_sound(image, sector, req->left))
		return VIRTIO_BLK_S_IOERR;
	req->op = BLK_OP_WRITE;
	req->offset = sector * SECTOR_BYTES;
	req->data = chain->spans;
	req->nr_data = chain->nr_out;
	skip_data(req, sizeof(struct virtio_blk_outhdr));
	return req->left ? TO_DO : VIRTIO_BLK_S_OK;
}

static int parse_get_id(struct blk_request *req,
			const struct blk_image *image)
{
	size_t room = req->chain.in_bytes - 1;
	size_t len = room < BLK_ID_BYTES ? room : BLK_ID_BYTES;

	req->read_bytes = (uint32_t)vring_chain_write(&req->chain, 0,
						      image->id, len);
	return VIRTIO_BLK_S_OK;
}

static int parse_flush(struct blk_request *req)
{
	req->op = BLK_OP_FLUSH;
	req->left = 0;
	return TO_DO;
}

/* One segment is all that the config space allows. */
static int parse_range(struct blk_request *req, const struct blk_image *image,
		       bool zeroes)
{
	struct virtio_blk_discard_write_zeroes segment;
	uint32_t known = zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint32_t max = zeroes ? BLK_ZEROES_MAX_SECTORS :
				BLK_DISCARD_MAX_SECTORS;

	/* virtio 1.2, 5.2.6.2: nothing is written to a read-only device */
	if (image->read_only)
		return VIRTIO_BLK_S_IOERR;
	if (!image->discard)
		return VIRTIO_BLK_S_UNSUPP;
	if (req->chain.out_bytes != sizeof(struct virtio_blk_outhdr) +
				    sizeof(segment) ||
	    vring_chain_read(&req->chain, sizeof(struct virtio_blk_outhdr),
			     &segment, sizeof(segment)) != sizeof(segment))
		return VIRTIO_BLK_S_IOERR;
	/* virtio 1.2, 5.2.6.2: unknown flags, and UNMAP of a DISCARD */
	if (segment.flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	req->left = (uint64_t)segment.num_sectors * SECTOR_BYTES;
	if (segment.num_sectors > max ||
	    !range_is_sound(image, segment.sector, req->left))
		return VIRTIO_BLK_S_IOERR;
	req->offset = segment.sector * SECTOR_BYTES;
	req->op = !zeroes ? BLK_OP_DISCARD :
		  segment.flags ? BLK_OP_ZERO_UNMAP : BLK_OP_ZERO;
	return req->left ? TO_DO : VIRTIO_BLK_S_OK;
}

int request_parse(struct blk_request *req, const struct blk_image *image)
{
	struct virtio_blk_outhdr hdr;

	req->piece.bounce = NULL;
	req->piece.cut_bytes = 0;
	req->read_bytes = 0;
	req->status_byte = find_status_byte(&req->chain);
	/* Without a place for the answer there is nothing to be asked. */
	if (!req->status_byte || req->chain.cut ||
	    vring_chain_read(&req->chain, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return VIRTIO_BLK_S_IOERR;
	switch (hdr.type) {
	case VIRTIO_BLK_T_IN:
		return parse_read(req, image, hdr.sector);
	case VIRTIO_BLK_T_OUT:
		return parse_write(req, image, hdr.sector);
	case VIRTIO_BLK_T_FLUSH:
		return parse_flush(req);
	case VIRTIO_BLK_T_GET_ID:
		return parse_get_id(req, image);
	case VIRTIO_BLK_T_DISCARD:
		return parse_range(req, image, false);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return parse_range(req, image, true);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

bool request_becomes_flush(struct blk_request *req,
			   const struct blk_image *image)
{
	bool writes = req->op == BLK_OP_WRITE || req->op == BLK_OP_ZERO ||
		      req->op == BLK_OP_ZERO_UNMAP ||
		      req->op == BLK_OP_ZERO_WRITE;

	/*
	 * virtio 1.2, 5.2.6.2: a write is stable once it is completed, if
	 * FLUSH was offered and the driver did not take it.
	 */
	if (!writes || !image->write_through)
		return false;
	req->op = BLK_OP_FLUSH;
	return true;
}

bool request_aligned(const struct blk_request *req,
		     const struct blk_image *image)
{
	uintptr_t bits = 0;

	if (image->memory_align <= 1)
		return true;
	for (unsigned int i = 0; i < req->nr_data; i++) {
		bits |= (uintptr_t)req->data[i].iov_base &
			(image->memory_align - 1);
		bits |= req->data[i].iov_len & (image->io_align - 1);
	}
	return bits == 0;
}

uint32_t request_finish(const struct blk_request *req, uint8_t status)
{
	if (!req->status_byte)
		return 0;
	*req->status_byte = status;
	if (status == VIRTIO_BLK_S_OK)
		return req->read_bytes + 1;
	/*
	 * virtio 1.2, 2.7.8.2: no less than this was written from the start
	 * of the buffer.  Data in front of the status was not.
	 */
	return req->chain.in_bytes == 1 ? 1 : 0;
}
