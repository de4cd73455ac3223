/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffers of a packed ring that the device has, and their tracking
 * (vhost-user.rst, "Inflight I/O tracking", packed virtqueues).
 *
 * The driver may overwrite a slot of a packed ring while the device still has
 * the buffer that it described, so each descriptor that is taken moves to an
 * entry of a list: in the region, a memfd that outlives this process, in full;
 * here what is needed to go on.  A head, as vring.h has it, is the number of
 * its buffer's first entry.  The region's contents are not trusted: the
 * process before may have been taken over by the guest.
 */
#ifndef DEVPROC_INFLIGHT_PACKED_H
#define DEVPROC_INFLIGHT_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/vhost_user.h"

struct vring_packed_descriptor;

/* A place in a packed ring (virtio 1.2, 2.8.1). */
struct vring_place {
	uint16_t slot;
	bool wrap;		/* the wrap counter there */
};

/* One entry, as this process knows it. */
struct inflight_entry {
	uint16_t next;		/* of the buffer, or of the free list */
	/* Of a buffer's first entry: */
	uint16_t last;		/* entry of the buffer */
	uint16_t num;		/* entries, and slots of the ring */
	uint16_t id;		/* the driver's */
};

#define INFLIGHT_NO_ENTRY	UINT16_MAX	/* behind the free list's last */

struct inflight_packed {
	volatile struct inflight_packed_queue *shared;	/* NULL: not tracked */
	struct inflight_entry *entries;	/* size of them, the ring's */
	uint16_t size;		/* of the ring */
	uint16_t region_size;	/* entries in the region, size or more */
	uint16_t free_head;
	uint16_t nr_free;
	uint64_t counter;	/* given to the next buffer */
};

/*
 * Take up the queue's part at shared, made for size descriptors; NULL: none.
 * Return: 0; -EINVAL it is of another version or size.
 */
int inflight_packed_attach(struct inflight_packed *queue, void *shared,
			   uint16_t size);

/*
 * Before the ring, of queue->size slots at desc, starts at used: the region's
 * word about that counts, if it has one.  Settles the batch in which the
 * process before died, in the ring too, and lists the heads to do again,
 * oldest first, in again[] (room for the ring's size).
 * Return: how many; -EPROTO the region contradicts itself, all is free.
 */
int inflight_packed_recover(struct inflight_packed *queue,
			    volatile struct vring_packed_descriptor *desc,
			    struct vring_place *used, uint16_t *again);

/*
 * A buffer is taken: _note() each descriptor, the first at free_head, the
 * others at the entry behind; then _taken(), with the last of them, their number,
 * 1 to nr_free, and the id.  Without the latter nothing has happened.
 */
void inflight_packed_note(struct inflight_packed *queue, uint16_t entry,
			  const struct vring_packed_descriptor *desc);
void inflight_packed_taken(struct inflight_packed *queue,
			   const struct inflight_entry *taken);

/* What was noted.  Only if tracked. */
struct vring_packed_descriptor
inflight_packed_noted(const struct inflight_packed *queue, uint16_t entry);

/* A taken buffer is given back unserved, see vring_unpop(). */
void inflight_packed_untaken(struct inflight_packed *queue, uint16_t head);

/*
 * nr buffers become used in one go, from place `from` up to `to`: _publish(),
 * before any of their slots is written, and _published(), behind the store
 * that shows the first to the driver.
 */
void inflight_packed_publish(struct inflight_packed *queue,
			     const uint16_t *heads, unsigned int nr,
			     struct vring_place from, struct vring_place to);
void inflight_packed_published(struct inflight_packed *queue,
			       const uint16_t *heads, unsigned int nr,
			       struct vring_place to);

#endif
