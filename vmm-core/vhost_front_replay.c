/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user front-end: all that a back-end is told before it serves (C6), the
 * same for the first one, when the driver starts, and for one that is born
 * while the driver runs.
 *
 *	tell_features -> tell_config -> tell_memory -> tell_inflight
 *	-> tell_ring each
 *	-> enable_rings -> DRIVER_OK -> wake_rings
 *
 * "User addresses" are guest-physical addresses, so a back-end learns nothing
 * about this process's address space.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"
#include "vmm-core/vhost_front_priv.h"

/* virtio 1.2, 2.7.6 and 2.7.8: flags, then idx, in both rings */
#define RING_INDEX	2

/*
 * vhost-user: VRING_BASE of a packed ring that is new: available place, and,
 * in the upper half, used place; bit 15 of each is the wrap counter (virtio
 * 1.2, 2.8.1).
 */
#define PACKED_BASE	0x80008000u

#define STATUS_DRIVER \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

static int tell_vring(struct vhost_front *front,
		      enum vhost_user_request request, uint32_t index,
		      uint32_t num)
{
	struct vhost_user_vring_state state = { .index = index, .num = num };

	return front_tell(front, request, &state, sizeof(state));
}

static int tell_features(struct vhost_front *front)
{
	uint64_t features = front->acked_features;
	int err;

	/* vhost-user: with this bit, rings start disabled */
	if (front->protocol_features)
		features |= F_PROTOCOL_FEATURES_MASK;
	err = front_tell_u64(front, VHOST_USER_SET_FEATURES, features);
	if (err)
		return err;
	return front_tell_status(front,
				 STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
}

/* What the driver had set, which SET_FEATURES may have set back. */
static int tell_config(struct vhost_front *front)
{
	int changed;

	if (!front->kept_config.set)
		return 0;
	vhost_front_write_config(front, front->kept_config.offset,
				 &front->kept_config.value, 1);
	return front_fetch_config(front, &changed);
}

static int tell_memory(struct vhost_front *front)
{
	struct vhost_user_memory memory = { .nr_regions = front->nr_regions };
	int fds[VHOST_USER_MAX_REGIONS];

	for (unsigned int i = 0; i < front->nr_regions; i++) {
		const struct guest_region *region = &front->regions[i];

		memory.region[i] = (struct vhost_user_region){
			.gpa = region->gpa,
			.size = region->size_bytes,
			.user_addr = region->gpa,
			.mmap_offset = region->fd_offset,
		};
		fds[i] = front->ram_fd;
	}
	return front_tell_fds(front, VHOST_USER_SET_MEM_TABLE, &memory,
			      offsetof(struct vhost_user_memory,
				       region[front->nr_regions]),
			      fds, front->nr_regions);
}

/* vhost-user: GET_INFLIGHT_FD, a fresh region from the back-end */
static int fetch_inflight(struct vhost_front *front)
{
	union vhost_user_payload payload = {
		.inflight = {
			.nr_queues = front->nr_queues,
			.queue_size = VHOST_FRONT_QUEUE_SIZE,
		},
	};
	int fd = -1;
	int err;

	/* QEMU pads the reply to 24 bytes; the document says 20. */
	err = front_ask(front, VHOST_USER_GET_INFLIGHT_FD, &payload,
			sizeof(payload.inflight), sizeof(payload.inflight),
			24, &fd);
	if (err)
		return err;
	if (fd < 0 || !payload.inflight.mmap_size) {
		fdmsg_close_all(&fd, fd >= 0);
		return front_fail(front, -EPROTO,
				  "GET_INFLIGHT_FD: no region came");
	}
	fdmsg_close_all(&front->inflight_fd, front->inflight_fd >= 0);
	front->inflight_fd = fd;
	front->inflight_is_foreign = true;
	front->inflight_bytes = payload.inflight.mmap_size;
	front->inflight_offset = payload.inflight.mmap_offset;
	return 0;
}

/*
 * A driver that starts anew has nothing in flight: the region becomes zeroes,
 * which the back-end takes as not yet used.
 */
static int renew_inflight(struct vhost_front *front)
{
	if (front->inflight_fd < 0 || front->inflight_is_foreign)
		return fetch_inflight(front);

	front->inflight_offset = 0;
	front->inflight_bytes = front->nr_queues *
				inflight_queue_bytes(VHOST_FRONT_QUEUE_SIZE);
	if (fallocate(front->inflight_fd,
		      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)front->inflight_bytes) != 0)
		return front_fail(front, -errno,
				  "in-flight region cannot be zeroed");
	return 0;
}

static int tell_inflight(struct vhost_front *front)
{
	struct vhost_user_inflight inflight;
	int err = 0;

	if (!front_has(front, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT))
		return 0;
	if (!front->inflight_bytes)
		err = renew_inflight(front);
	if (err)
		return err;
	inflight = (struct vhost_user_inflight){
		.mmap_size = front->inflight_bytes,
		.mmap_offset = front->inflight_offset,
		.nr_queues = front->nr_queues,
		.queue_size = VHOST_FRONT_QUEUE_SIZE,
	};
	return front_tell_fds(front, VHOST_USER_SET_INFLIGHT_FD, &inflight,
			      sizeof(inflight), &front->inflight_fd, 1);
}

/* A word of a ring, read once from guest RAM; 0 if it is not in RAM. */
static uint16_t ring_word(const struct vhost_front *front, uint64_t address)
{
	uint16_t word = 0;

	for (unsigned int i = 0; i < front->nr_regions; i++) {
		const struct guest_region *region = &front->regions[i];
		uint64_t offset = address - region->gpa;

		if (address < region->gpa ||
		    offset + sizeof(word) > region->size_bytes)
			continue;
		memcpy(&word, region->host + offset, sizeof(word));
	}
	return word;
}

/*
 * Where a successor goes on: at the used index, that is, after the last
 * request that was completed (virtio 1.2, 2.7.8).  What lies between it and
 * the available index was lost with the predecessor, or is in the in-flight
 * region, from which a back-end that has one corrects this number.
 */
static uint16_t ring_used_index(const struct vhost_front *front,
				const struct vhost_front_queue *queue)
{
	return ring_word(front, queue->device + RING_INDEX);
}

/*
 * Of a packed ring a successor learns it from the in-flight region, without
 * which packed rings are not offered; whatever it is told here.
 */
static uint32_t ring_base(const struct vhost_front *front,
			  const struct vhost_front_queue *queue, bool fresh)
{
	if (front->acked_features >> VIRTIO_F_RING_PACKED & 1)
		return PACKED_BASE;
	return fresh ? 0 : ring_used_index(front, queue);
}

bool vhost_front_may_lose(const struct vhost_front *front)
{
	if (!front->started ||
	    front_has(front, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT))
		return false;
	for (uint32_t i = 0; i < front->nr_queues; i++) {
		const struct vhost_front_queue *queue = &front->queue[i];

		if (front_serves(front, i) && ring_used_index(front, queue) !=
		    ring_word(front, queue->driver + RING_INDEX))
			return true;
	}
	return false;
}

/* An eventfd of one ring; vhost-user: SET_VRING_KICK, _CALL, _ERR */
static int tell_ring_fd(struct vhost_front *front,
			enum vhost_user_request request, uint32_t index,
			int fd)
{
	uint64_t payload = index & VHOST_USER_VRING_INDEX_MASK;

	if (fd < 0)
		payload |= VHOST_USER_VRING_NOFD_MASK;
	return front_tell_fds(front, request, &payload, sizeof(payload), &fd,
			      fd >= 0);
}

static int tell_ring(struct vhost_front *front, uint32_t index, bool fresh)
{
	const struct vhost_front_queue *queue = &front->queue[index];
	const struct vhost_user_vring_addr addr = {
		.index = index,
		.desc = queue->desc,
		.avail = queue->driver,
		.used = queue->device,
	};
	int err;

	err = tell_vring(front, VHOST_USER_SET_VRING_NUM, index, queue->size);
	if (!err)
		err = tell_vring(front, VHOST_USER_SET_VRING_BASE, index,
				 ring_base(front, queue, fresh));
	if (!err)
		err = front_tell(front, VHOST_USER_SET_VRING_ADDR, &addr,
				 sizeof(addr));
	if (!err)
		err = tell_ring_fd(front, VHOST_USER_SET_VRING_ERR, index,
				   front->err_fd);
	if (!err)
		err = tell_ring_fd(front, VHOST_USER_SET_VRING_CALL, index,
				   queue->call_fd);
	if (!err)
		err = tell_ring_fd(front, VHOST_USER_SET_VRING_KICK, index,
				   queue->kick_fd);
	return err;
}

/* vhost-user, "Ring states": enable only what is set up completely */
static int enable_rings(struct vhost_front *front)
{
	int err = 0;

	if (!front->protocol_features)
		return 0;
	for (uint32_t i = 0; i < front->nr_queues && !err; i++)
		if (front_serves(front, i))
			err = tell_vring(front, VHOST_USER_SET_VRING_ENABLE,
					 i, 1);
	return err;
}

/*
 * The driver may have filled a ring before the back-end looked at it, or
 * wait for an interrupt that died with the predecessor.
 */
static void wake_rings(const struct vhost_front *front, bool fresh)
{
	for (unsigned int i = 0; i < front->nr_queues; i++) {
		const struct vhost_front_queue *queue = &front->queue[i];

		if (!front_serves(front, i))
			continue;
		front->wake(queue->kick_fd);
		if (!fresh)
			front->wake(queue->call_fd);
	}
}

int front_replay(struct vhost_front *front, bool fresh)
{
	int err;

	front->quiet = front->pipelined;
	err = tell_features(front);
	if (!err)
		err = tell_config(front);
	if (!err)
		err = tell_memory(front);
	if (!err)
		err = tell_inflight(front);
	for (uint32_t i = 0; i < front->nr_queues && !err; i++)
		if (front_serves(front, i))
			err = tell_ring(front, i, fresh);
	if (!err)
		err = enable_rings(front);
	front->quiet = false;
	if (!err)
		err = front_tell_status(front, STATUS_DRIVER |
					VIRTIO_CONFIG_S_FEATURES_OK |
					VIRTIO_CONFIG_S_DRIVER_OK);
	if (!err)
		wake_rings(front, fresh);
	return err;
}
