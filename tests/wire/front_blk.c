/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio-blk driver for tests, see front_blk.h. */
#include "tests/wire/front_blk.h"

#include <linux/virtio_blk.h>
#include <string.h>

void front_blk_init(struct front *front, struct front_blk *blk,
		    uint32_t data_room, uint32_t skew)
{
	memset(blk, 0, sizeof(*blk));
	blk->header_gpa = front_alloc(front, sizeof(struct virtio_blk_outhdr),
				      16);
	blk->status_gpa = front_alloc(front, 1, 1);
	blk->data_room = data_room;
	if (data_room)
		blk->data_gpa = front_alloc(front, data_room + skew, 4096) +
				skew;
}

static bool device_writes(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

int front_blk_submit(struct front_queue *queue, struct front_blk *blk,
		     uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr *header =
		front_ptr(queue->front, blk->header_gpa);
	struct front_buf out[2], in[2];
	unsigned int nr_out = 0, nr_in = 0;
	int head;

	if (len > blk->data_room)
		front_bail("request of %u bytes, room for %u", len,
			   blk->data_room);
	*header = (struct virtio_blk_outhdr) {
		.type = type, .sector = sector,
	};
	*(volatile uint8_t *)front_ptr(queue->front, blk->status_gpa) =
		FRONT_BLK_PENDING;
	out[nr_out++] = (struct front_buf){ blk->header_gpa, sizeof(*header) };
	if (len && device_writes(type))
		in[nr_in++] = (struct front_buf){ blk->data_gpa, len };
	else if (len)
		out[nr_out++] = (struct front_buf){ blk->data_gpa, len };
	in[nr_in++] = (struct front_buf){ blk->status_gpa, 1 };
	head = front_add(queue, out, nr_out, in, nr_in, blk);
	return head < 0 ? head : 0;
}

uint8_t front_blk_status(struct front *front, const struct front_blk *blk)
{
	return *(volatile uint8_t *)front_ptr(front, blk->status_gpa);
}

uint8_t front_blk_do(struct front_queue *queue, struct front_blk *blk,
		     uint32_t type, uint64_t sector, uint32_t len)
{
	void *cookie;

	if (front_blk_submit(queue, blk, type, sector, len))
		front_bail("no descriptors left");
	front_kick(queue);
	if (!front_take_wait(queue, &cookie, &blk->written, FRONT_TIMEOUT_MS))
		front_bail("request of type %u: no answer in %d ms", type,
			   FRONT_TIMEOUT_MS);
	if (cookie != blk)
		front_bail("another request was completed");
	return front_blk_status(queue->front, blk);
}

static bool submit_next(struct front_queue *queue, struct front_blk *blk,
			const struct front_blk_job *job)
{
	uint64_t sector = 0;
	uint32_t type = 0, len = 0;

	if (!job->next(job->ctx, blk, &type, &sector, &len))
		return false;
	if (front_blk_submit(queue, blk, type, sector, len))
		front_bail("no descriptors left");
	return true;
}

void front_blk_run(struct front_queue *queue, struct front_blk *blks,
		   unsigned int depth, const struct front_blk_job *job)
{
	unsigned int running = 0;

	for (unsigned int i = 0; i < depth; i++)
		running += submit_next(queue, &blks[i], job);
	front_kick(queue);
	while (running > 0) {
		struct front_blk *blk;
		void *cookie;

		while (front_take(queue, &cookie, NULL)) {
			blk = cookie;
			running--;
			if (job->done)
				job->done(job->ctx, blk,
					  front_blk_status(queue->front, blk));
			running += submit_next(queue, blk, job);
			front_show(queue);
		}
		front_kick(queue);
	}
}
