/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user, the front-end's side: the core's calls in any order, against a
 * back-end that answers with anything, and its successors.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ipc/log.h"
#include "tests/fuzz/inline_backend.h"
#include "vmm-core/vhost_front.h"

#define RAM_BYTES	(1u << 20)
#define CONFIG_BYTES	60
#define MAX_STEPS	24

static struct guest_region region = { .size_bytes = RAM_BYTES };
static int ram_fd;
static int event_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	ram_fd = fuzz_memfd(NULL, 0, RAM_BYTES);
	event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (guest_mem_init(ram_fd, RAM_BYTES))
		abort();
	region.host = guest_mem_span(0, RAM_BYTES);
	return 0;
}

static void check(const struct vhost_front *front)
{
	fuzz_check(front->nr_queues <= front->max_queues);
	fuzz_check(!(front->features & ~front->feature_mask));
}

static void make_queue_ready(struct vhost_front *front, uint8_t choice)
{
	struct vhost_front_queue *queue = &front->queue[choice & 3];

	queue->ready = true;
	queue->size = 1u << (choice >> 4 & 7);
	queue->desc = 0x1000;
	queue->driver = 0x2000;
	queue->device = 0x3000;
}

static void step(struct vhost_front *front, struct fuzz_input *in)
{
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	uint8_t data[CONFIG_BYTES] = { 0 };

	switch (what & 7) {
	case 0:
	case 1:
		vhost_front_attach(front, inline_backend_link(what & 8));
		break;
	case 2:
		make_queue_ready(front, (uint8_t)fuzz_take(in, 1));
		vhost_front_start(front, front->features);
		break;
	case 3:
		vhost_front_stop(front);
		break;
	case 4:
		vhost_front_read_config(front);
		break;
	case 5:
		vhost_front_write_config(front, what >> 4, data, 4);
		break;
	case 6:
		vhost_front_take_channel(front);
		break;
	case 7:
		if (what & 8)
			vhost_front_forget(front);
		else
			vhost_front_may_lose(front);
		break;
	}
	check(front);
	if (vhost_front_is_gone(front))
		vhost_front_drop(front);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct vhost_front front;

	vhost_front_init(&front, "fuzz");
	front.regions = &region;
	front.nr_regions = 1;
	front.ram_fd = ram_fd;
	front.feature_mask = 0x170ffffff;
	front.min_queues = 1;
	front.max_queues = 4;
	front.config_bytes = CONFIG_BYTES;
	front.channel_fd = event_fd;
	front.channel_peer_fd = event_fd;
	front.err_fd = event_fd;
	for (unsigned int i = 0; i < VHOST_FRONT_MAX_QUEUES; i++) {
		front.queue[i].kick_fd = event_fd;
		front.queue[i].call_fd = event_fd;
	}
	inline_backend_use(&in);
	for (int i = 0; i < MAX_STEPS && in.left > 0; i++)
		step(&front, &in);
	inline_backend_use(NULL);
	vhost_front_drop(&front);
	if (front.inflight_fd >= 0)
		close(front.inflight_fd);
	return 0;
}
