/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device behind vhost-user, the back-end's side (C6).
 *
 * vhost_device.c owns LINK_FD, the queues and the memory table; a device
 * supplies the struct below and knows nothing about sockets.
 */
#ifndef DEVPROC_VHOST_DEVICE_H
#define DEVPROC_VHOST_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "devproc/vring.h"

#define VHOST_MAX_QUEUES	32

struct vhost_ops {
	uint64_t features;	/* device-specific bits, 0..23; see offer() */
	uint16_t nr_queues;	/* 1..VHOST_MAX_QUEUES; see offer() */
	uint16_t config_bytes;	/* 0..VHOST_USER_CONFIG_MAX */

	/*
	 * What is offered, if it depends on the resource; NULL: the two
	 * fields above.  Called once, by vhost_start().
	 */
	void (*offer)(uint64_t *features, uint16_t *nr_queues);
	/* Device-specific features that the driver took. */
	void (*accept)(uint64_t features);
	/* The driver reset the device; no queue runs.  May be NULL. */
	void (*reset)(void);

	/* Fill config space, config_bytes of it.  NULL if config_bytes is 0. */
	void (*config_read)(uint8_t *config);
	/* The driver wrote; offset + size <= config_bytes.  NULL: refused. */
	int (*config_write)(uint32_t offset, const uint8_t *data,
			    uint32_t size);

	/*
	 * The queue runs from now on; it may hold requests already.  Start and
	 * stop come in pairs, more than once if the memory table changes.
	 */
	void (*queue_start)(unsigned int index, struct vring *vring);
	/*
	 * The guest kicked, or may have: pop what is there.  Also called
	 * right after queue_start.
	 */
	void (*queue_kick)(unsigned int index, struct vring *vring);
	/*
	 * The queue is about to stop: vring_pop() returns 0 from now on.
	 * Push, or let complete, all that is in flight; the skeleton waits
	 * for vring_in_flight() to be 0, with the loop running.
	 */
	void (*queue_stop)(unsigned int index, struct vring *vring);
	/*
	 * Requests, of all queues, that wait for something but the host. NULL:
	 * none ever does.  The end of this process does not wait for them: the
	 * in-flight region has them, and the next process does them.
	 */
	unsigned int (*nr_parked)(void);
	/*
	 * End of a loop round: submit and complete in batches.  Return true
	 * to be called again before the loop sleeps.  May be NULL.
	 */
	bool (*round_end)(void);
};

/*
 * From device_ops.open, before confinement: makes the memfd that in-flight
 * tracking may need, for nr_queues at most.  Return: 0 or -errno.
 */
int vhost_open(uint16_t nr_queues);

/*
 * Put LINK_FD in the loop and serve it.  From device_ops.start, after
 * confinement.  ops must stay.  Return: 0 or -errno.
 */
int vhost_start(const struct vhost_ops *ops);

/* Has vhost_stop() been called?  For queue_stop. */
bool vhost_is_ending(void);

/*
 * device_ops.stop of a virtio device: stop all queues, let in-flight
 * requests end, then loop_quit(0).
 */
void vhost_stop(void);

/* Config space changed on the device's side: tell the driver. */
void vhost_config_changed(void);

#endif
