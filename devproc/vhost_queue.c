/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queues of a virtio device between the front-end's messages, see
 * vhost_queue.h.  Virtio devices; C6, and D2 where a kick arrives.
 */
#include "devproc/vhost_queue.h"

#include <errno.h>
#include <unistd.h>

#include "devproc/device.h"
#include "devproc/guest_mem.h"
#include "devproc/inflight_region.h"
#include "devproc/loop.h"
#include "devproc/virtio_bits.h"
#include "devproc/vring_priv.h"
#include "devproc/walk.h"
#include "ipc/probe.h"

enum queue_state { QUEUE_IDLE, QUEUE_RUNNING, QUEUE_DRAINING };

struct queue {
	struct vring vring;
	struct loop_source kick;	/* owns its fd; -1 if idle */
	struct vhost_user_vring_addr addr;
	enum queue_state state;
	bool has_addr;
	bool enabled;
	bool broken_told;
};

static struct queue queues[VHOST_MAX_QUEUES];
static unsigned int nr_queues;
static const struct vhost_ops *ops;
static uint64_t features;

bool queue_exists(uint32_t index)
{
	return index < nr_queues;
}

/* --- kicks (D2) ----------------------------------------------------------- */

static void on_kick(struct loop_source *source, uint32_t events)
{
	struct queue *queue = &queues[source->index];

	/* A kick fd that only reports errors would keep the loop awake. */
	if (events & (EPOLLERR | EPOLLHUP)) {
		int fd = source->fd;

		loop_remove(source);
		close(fd);
	}
	stats_add(&queue->vring.stats->kicks, 1);
	queue->vring.kicked = true;
	PROBE1(kick, queue->vring.index);
	walk_look();
	if (walk_is_on())
		walk_woken(&queue->vring);
	if (queue->vring.running)
		ops->queue_kick(source->index, &queue->vring);
}

void queue_init_all(const struct vhost_ops *device_ops, unsigned int nr)
{
	ops = device_ops;
	nr_queues = nr;
	for (unsigned int i = 0; i < nr; i++) {
		struct queue *queue = &queues[i];

		vring_init(&queue->vring, i, &device_stats->queue[i]);
		queue->kick = (struct loop_source)LOOP_SOURCE_INIT(on_kick);
		queue->kick.index = i;
	}
}

void queue_set_features(uint64_t new_features)
{
	features = new_features;
}

/* --- starting ------------------------------------------------------------- */

static bool has_feature(unsigned int bit)
{
	return features >> bit & 1;
}

static int map_rings(struct queue *queue)
{
	int ret = vring_map(&queue->vring, &queue->addr);

	if (ret)
		log_err("queue %u: its rings are not in the memory table",
			queue->vring.index);
	return ret;
}

static int track(struct vring *vring)
{
	uint16_t size = 0;
	void *shared = inflight_region_queue(vring->index, &size);

	if (!shared)
		return vring_track(vring, NULL, 0);
	if (vring->size > size || vring_track(vring, shared, size)) {
		log_err("queue %u: the in-flight region is not for %u descriptors",
			vring->index, vring->size);
		return -EINVAL;
	}
	return 0;
}

/*
 * vhost-user, "Ring states": with PROTOCOL_FEATURES a ring is disabled until
 * SET_VRING_ENABLE, without it is enabled from the start.
 */
static bool may_run(const struct queue *queue)
{
	return queue->state == QUEUE_RUNNING &&
	       (queue->enabled ||
		!has_feature(VHOST_USER_F_PROTOCOL_FEATURES_BIT));
}

/* Let it run, or hold it, as state and enabled say. */
static void update_running(struct queue *queue)
{
	struct vring *vring = &queue->vring;
	bool run = may_run(queue);

	if (run == vring->running)
		return;
	vring->running = run;
	if (!run)
		return;
	if (ops->queue_start)
		ops->queue_start(vring->index, vring);
	/* Requests may have come before the kick fd did. */
	ops->queue_kick(vring->index, vring);
}

static int start(struct queue *queue)
{
	struct vring *vring = &queue->vring;
	int ret;

	if (!has_feature(VIRTIO_F_VERSION_1_BIT)) {
		log_err("queue %u: the driver is a legacy one (no VERSION_1)",
			vring->index);
		return -EINVAL;
	}
	if (!vring->size || !queue->has_addr) {
		log_err("queue %u: SET_VRING_KICK before NUM and ADDR",
			vring->index);
		return -EINVAL;
	}
	vring->form = has_feature(VIRTIO_F_RING_PACKED_BIT) ?
		      &vring_form_packed : &vring_form_split;
	vring->event_idx = has_feature(VIRTIO_F_EVENT_IDX_BIT);
	vring->indirect = has_feature(VIRTIO_F_INDIRECT_DESC_BIT);
	ret = map_rings(queue);
	if (!ret)
		ret = track(vring);
	if (!ret)
		ret = vring_start(vring);
	if (ret) {
		vring_stop(vring);
		return ret;
	}
	queue->broken_told = false;
	queue->state = QUEUE_RUNNING;
	/* What the process before us completed, it may not have told. */
	vring_call(vring);
	update_running(queue);
	return 0;
}

/* --- messages ------------------------------------------------------------- */

int queue_set_num(unsigned int index, uint32_t num)
{
	if (!queue_exists(index) || num == 0 || num > VRING_MAX_SIZE)
		return -EINVAL;
	/* virtio 1.2, 2.7 and 2.8.10.1: a power of two, if it is split */
	if (num & (num - 1) && !has_feature(VIRTIO_F_RING_PACKED_BIT))
		return -EINVAL;
	if (queues[index].state != QUEUE_IDLE)
		return -EBUSY;
	queues[index].vring.size = (uint16_t)num;
	return 0;
}

int queue_set_base(unsigned int index, uint32_t base)
{
	/* vhost-user: of a packed ring, two places, see vring_packed.c */
	if (!queue_exists(index) ||
	    (base > UINT16_MAX && !has_feature(VIRTIO_F_RING_PACKED_BIT)))
		return -EINVAL;
	if (queues[index].state != QUEUE_IDLE)
		return -EBUSY;
	queues[index].vring.base = base;
	return 0;
}

int queue_set_addr(const struct vhost_user_vring_addr *addr)
{
	struct queue *queue;

	/* Flag bit 0 asks for a dirty log, which was not offered. */
	if (!queue_exists(addr->index) || addr->flags)
		return -EINVAL;
	queue = &queues[addr->index];
	if (queue->state != QUEUE_IDLE)
		return -EBUSY;
	queue->addr = *addr;
	queue->has_addr = true;
	return 0;
}

/*
 * vhost-user: SET_VRING_KICK.  The document starts a ring at its first kick;
 * it starts here, as a reborn device has requests to do that nobody will kick
 * for again.
 */
int queue_set_kick(unsigned int index, int fd)
{
	struct queue *queue;
	int ret;

	if (!queue_exists(index))
		return -EINVAL;
	queue = &queues[index];
	if (queue->state == QUEUE_DRAINING)
		return -EBUSY;
	if (queue->kick.fd >= 0) {
		int old = queue->kick.fd;

		loop_remove(&queue->kick);
		close(old);
	}
	/* Edge-triggered: every write to the eventfd wakes, none is read. */
	ret = loop_add(&queue->kick, fd, EPOLLIN | EPOLLET);
	if (!ret && queue->state == QUEUE_IDLE)
		ret = start(queue);
	if (ret)
		loop_remove(&queue->kick);
	return ret;
}

static void replace_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

int queue_set_call(unsigned int index, int fd)
{
	if (!queue_exists(index))
		return -EINVAL;
	replace_fd(&queues[index].vring.call_fd, fd);
	/* An interrupt may have been lost between the old one and this. */
	if (queues[index].state != QUEUE_IDLE)
		vring_call(&queues[index].vring);
	return 0;
}

int queue_set_err(unsigned int index, int fd)
{
	if (!queue_exists(index))
		return -EINVAL;
	replace_fd(&queues[index].vring.err_fd, fd);
	return 0;
}

int queue_set_enable(unsigned int index, uint32_t enable)
{
	if (!queue_exists(index) || enable > 1)
		return -EINVAL;
	queues[index].enabled = enable;
	update_running(&queues[index]);
	return 0;
}

/* --- stopping ------------------------------------------------------------- */

/* for each queue that index (maybe QUEUE_ALL) means */
static bool is_meant(uint32_t index, unsigned int i)
{
	return index == QUEUE_ALL || index == i;
}

void queue_drain_begin(uint32_t index)
{
	for (unsigned int i = 0; i < nr_queues; i++) {
		struct queue *queue = &queues[i];

		if (!is_meant(index, i) || queue->state != QUEUE_RUNNING)
			continue;
		queue->state = QUEUE_DRAINING;
		queue->vring.running = false;
		if (ops->queue_stop)
			ops->queue_stop(i, &queue->vring);
		vring_publish(&queue->vring);
	}
}

bool queue_drained(uint32_t index)
{
	for (unsigned int i = 0; i < nr_queues; i++)
		if (is_meant(index, i) && vring_in_flight(&queues[i].vring))
			return false;
	return true;
}

unsigned int queue_nr_in_flight(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < nr_queues; i++)
		nr += vring_in_flight(&queues[i].vring);
	return nr;
}

void queue_stop_end(uint32_t index)
{
	for (unsigned int i = 0; i < nr_queues; i++) {
		struct queue *queue = &queues[i];
		int fd = queue->kick.fd;

		if (!is_meant(index, i))
			continue;
		if (fd >= 0) {
			loop_remove(&queue->kick);
			close(fd);
		}
		vring_stop(&queue->vring);
		queue->state = QUEUE_IDLE;
	}
}

int queue_pause_end(void)
{
	int ret = 0;

	for (unsigned int i = 0; i < nr_queues; i++) {
		struct queue *queue = &queues[i];

		if (queue->state != QUEUE_DRAINING)
			continue;
		if (map_rings(queue)) {
			queue_stop_end(i);
			ret = -EFAULT;
			continue;
		}
		queue->state = QUEUE_RUNNING;
		update_running(queue);
	}
	return ret;
}

bool queue_any_running(void)
{
	for (unsigned int i = 0; i < nr_queues; i++)
		if (queues[i].state != QUEUE_IDLE)
			return true;
	return false;
}

uint32_t queue_base(unsigned int index)
{
	return queues[index].vring.base;
}

bool queue_newly_broken(void)
{
	bool any = false;

	for (unsigned int i = 0; i < nr_queues; i++) {
		struct queue *queue = &queues[i];

		if (!queue->vring.broken || queue->broken_told)
			continue;
		queue->broken_told = true;
		any = true;
	}
	return any;
}
