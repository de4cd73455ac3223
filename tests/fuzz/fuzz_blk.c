/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk requests: whatever chain the guest makes, what comes out lies
 * inside the image and inside guest memory, and adds up.
 */
#include <stdlib.h>
#include <string.h>

#include "devproc/blk/blk.h"
#include "ipc/log.h"
#include "tests/fuzz/ring.h"

static struct ring ring;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	fuzz_reserve_fds();
	ring_open(&ring);
	return 0;
}

static uint64_t data_bytes(const struct blk_request *req)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < req->nr_data; i++)
		sum += req->data[i].iov_len;
	return sum;
}

static void check_operation(struct blk_request *req,
			    const struct blk_image *image, uint32_t step)
{
	bool moves = req->op == BLK_OP_READ || req->op == BLK_OP_WRITE;

	if (req->op == BLK_OP_FLUSH)
		return;
	fuzz_check(req->left > 0 && req->offset <= image->bytes &&
		   req->left <= image->bytes - req->offset);
	fuzz_check(req->op == BLK_OP_READ || !image->read_only);
	request_aligned(req, image);
	if (!moves)
		return;
	/* Backends end requests in pieces. */
	while (req->left > 0) {
		uint64_t piece = step % req->left + 1;

		fuzz_check(data_bytes(req) == req->left);
		request_advance(req, piece);
	}
	request_becomes_flush(req, image);
}

static void serve(const struct blk_image *image, uint32_t step)
{
	struct blk_request *req = calloc(1, sizeof(*req));
	uint32_t written;
	int status;

	if (!req)
		abort();
	req->chain.spans = req->spans;
	req->chain.max_spans = RING_SPANS;
	if (vring_pop(&ring.vring, &req->chain) > 0) {
		ring_check(&ring, &req->chain);
		status = request_parse(req, image);
		if (status < 0)
			check_operation(req, image, step);
		written = request_finish(req, status < 0 ? 0 :
						  (uint8_t)status);
		fuzz_check(written <= req->chain.in_bytes);
		vring_push(&ring.vring, req->chain.head, written);
	}
	free(req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint8_t how = (uint8_t)fuzz_take(&in, 1);
	const struct blk_image image = {
		.bytes = 4096 * (1 + fuzz_take(&in, 2)),
		.block_bytes = how & 1 ? 512 : 4096,
		.memory_align = how & 2 ? 512 : 1,
		.physical_bytes = 4096,
		.read_only = how & 4,
		.discard = how & 8,
		.write_through = how & 16,
		.id = "fuzz",
	};
	uint32_t step = (uint32_t)fuzz_take(&in, 2);

	ring_begin(&ring, &in);
	for (int i = 0; i < 2 * RING_SIZE; i++)
		serve(&image, 256 + step);
	vring_publish(&ring.vring);
	vring_stop(&ring.vring);
	return 0;
}
