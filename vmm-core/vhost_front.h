/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front-end of one vhost-user back-end (QEMU docs/interop/vhost-user.rst):
 * everything the back-end must be told, kept so that it can be told again to
 * its successor.  Knows no KVM and no PCI; the core and the benchmark's
 * client link it.
 *
 * The back-end is hostile.  Each call below ends within timeout_ms (drain_ms
 * where requests have to end first), whatever the back-end does; after an error other than -ENOTCONN the link is closed,
 * and every further call gives -ENOTCONN at once, until vhost_front_attach().
 *
 * Context: one thread at a time (the core: the function's lock).  No memory
 * is allocated, no socket or eventfd made.
 */
#ifndef VMM_CORE_VHOST_FRONT_H
#define VMM_CORE_VHOST_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/vhost_user.h"
#include "vmm-core/guest_mem.h"

#define VHOST_FRONT_MAX_QUEUES	32
#define VHOST_FRONT_QUEUE_SIZE	256	/* largest; also the in-flight layout */
#define VHOST_FRONT_TIMEOUT_MS	5000
#define VHOST_FRONT_DRAIN_MS	30000	/* a slow disk with full queues */

struct vhost_front_queue {
	int kick_fd;		/* owner's, non-blocking eventfds */
	int call_fd;
	bool ready;		/* the rest is valid; back-end is to serve it */
	uint16_t size;		/* descriptors */
	uint64_t desc;		/* guest-physical, checked by the owner */
	uint64_t driver;
	uint64_t device;
};

struct vhost_front {
	/* Set by the owner before vhost_front_attach(), constant after. */
	const char *name;	/* for the log; kept */
	const struct guest_region *regions;
	unsigned int nr_regions;	/* 1..VHOST_USER_MAX_REGIONS */
	int ram_fd;		/* all regions lie in it */
	uint64_t feature_mask;	/* what may be offered to the guest */
	uint16_t min_queues;	/* fewer in the back-end is an error */
	uint16_t max_queues;	/* more are not used */
	uint16_t config_bytes;	/* of config space; 0: it has none */
	/*
	 * What a back-end is told before it serves is acknowledged once, at
	 * its end, and not message by message.  For back-ends that hang up
	 * on what they refuse; others may pass over it.
	 */
	bool pipelined;
	int timeout_ms;		/* per call; VHOST_FRONT_TIMEOUT_MS */
	int drain_ms;		/* vhost_front_stop(); VHOST_FRONT_DRAIN_MS */
	int channel_fd;		/* back-end channel, stream socket; -1: none */
	int channel_peer_fd;	/* its other end, sent to each back-end */
	int err_fd;		/* non-blocking eventfd: back-end gave up a ring */
	/* In-flight memfd, front's from attach on; -1: the back-end makes one. */
	int inflight_fd;
	/*
	 * Adds 1 to an eventfd that the back-end has too; at once, unless the
	 * owner says otherwise.
	 */
	void (*wake)(int event_fd);
	/*
	 * VHOST_FRONT_MAX_QUEUES of them: own_queue, or those of the front that
	 * was joined.  The back-end hears of those in queue_mask (bit n: queue n)
	 * that are ready, and of no other; unless the owner says otherwise, of all.
	 */
	struct vhost_front_queue *queue;
	uint32_t queue_mask;

	/* Results of vhost_front_attach(). */
	int link_fd;		/* -1: no back-end */
	uint64_t features;	/* offered to the guest */
	uint64_t protocol_features;
	uint16_t nr_queues;
	uint8_t config[VHOST_USER_CONFIG_MAX];

	/* Between vhost_front_start() and vhost_front_stop(). */
	bool started;
	uint64_t acked_features;
	/*
	 * A byte of config space that the driver has set (virtio-blk's
	 * `writeback`), which a successor is to have too; set by the owner.
	 */
	struct {
		bool set;
		uint8_t value;
		uint16_t offset;
	} kept_config;

	/* Private. */
	struct vhost_front_queue own_queue[VHOST_FRONT_MAX_QUEUES];
	bool attached_once;
	bool inflight_is_foreign;	/* inflight_fd came from the back-end */
	uint64_t inflight_bytes;	/* 0: to be made new */
	uint64_t inflight_offset;
	long long deadline_ms;
	bool quiet;		/* no acknowledgements for the moment */
};

/* All zero but the fds, which are -1, and the deadlines. */
void vhost_front_init(struct vhost_front *front, const char *name);

/*
 * Make front, after vhost_front_init(), one more back-end of the device of
 * first, which is attached: they share queues and eventfds (the owner gives each
 * a queue_mask of its own), and its back-end must offer at least what first's
 * did.  It has no back-end channel, and an in-flight region of its own.
 */
void vhost_front_join(struct vhost_front *front,
		      const struct vhost_front *first, int inflight_fd);

/*
 * Negotiate with the back-end behind link_fd, which is taken over in any
 * case.  The first time decides features, nr_queues and config; a later
 * back-end must offer at least the same, and if the front is started it is
 * told all that its predecessor knew, and served on.
 * Return: 0; -EPROTO the back-end broke the protocol or lacks something
 * (logged); -EPIPE, -ETIMEDOUT, -EREMOTEIO (it said no).
 */
int vhost_front_attach(struct vhost_front *front, int link_fd);

/* Features, memory, in-flight region and all ready queues; then run. */
int vhost_front_start(struct vhost_front *front, uint64_t acked_features);

/*
 * Every queue stopped, none of it in flight, and the device reset.  The
 * queues are no longer ready, whatever the result.
 */
int vhost_front_stop(struct vhost_front *front);

/* Fetch config space again.  Return: 1 it changed, 0 it did not, -errno. */
int vhost_front_read_config(struct vhost_front *front);

/*
 * The driver wrote config space; offset + len <= config_bytes.
 * Return: 0, also if the back-end refuses the value; -errno.
 */
int vhost_front_write_config(struct vhost_front *front, uint32_t offset,
			     const void *data, uint32_t len);

/*
 * Take what came on the back-end channel, without blocking.
 * Return: 1 config space changed on the back-end's side, 0 nothing,
 * -EPROTO (the link is closed).
 */
int vhost_front_take_channel(struct vhost_front *front);

/*
 * The link ends, and with it what the driver has set up: a later back-end
 * serves nothing before the driver has reset the device.
 */
void vhost_front_forget(struct vhost_front *front);

/*
 * Would requests be lost if this back-end were exchanged now?  One that keeps
 * an in-flight region loses none; else all rings must be empty, that is, the
 * used index has caught up with the available index.
 */
bool vhost_front_may_lose(const struct vhost_front *front);

/* The back-end hung up, or there is none. */
bool vhost_front_is_gone(const struct vhost_front *front);

/* Close the link: the back-end ends, and calls give -ENOTCONN. */
void vhost_front_drop(struct vhost_front *front);

#endif
