/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-flight tracking, split rings (vhost-user.rst, "Inflight I/O tracking");
 * packed ones: inflight_packed.h.
 *
 * The region is a memfd that outlives this process.  Each request taken is
 * marked in it and unmarked when the guest has been told of its end, so the
 * next process knows what to do again.  Its contents are not trusted: the
 * process before may have been taken over by the guest.
 */
#ifndef DEVPROC_INFLIGHT_H
#define DEVPROC_INFLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "devproc/vring.h"
#include "ipc/vhost_user.h"

/* One queue's part of the region; shared NULL: not tracked. */
struct inflight_queue {
	volatile struct inflight_split_queue *shared;
	uint16_t nr_entries;
	uint64_t counter;	/* given to the next request */
};

/*
 * Take up the queue's part at shared, for a queue of size descriptors; NULL:
 * none.  A fresh (all zero) part is given its version and size.
 * Return: 0; -EINVAL it is of another version or size.
 */
int inflight_attach(struct inflight_queue *queue, void *shared, uint16_t size);

/*
 * Before the queue starts: settle the last batch against used_idx (the used
 * ring's idx), and list the heads to do again, oldest first, in again[] (room
 * for the queue's size).
 * Return: how many; -EPROTO the region contradicts itself.
 */
int inflight_recover(struct inflight_queue *queue, uint16_t used_idx,
		     uint16_t *again);

/* The three moments of a request; no-ops if not tracked. */
void inflight_taken(struct inflight_queue *queue, uint16_t head);
void inflight_pushed(struct inflight_queue *queue, uint16_t head);
void inflight_published(struct inflight_queue *queue, const uint16_t *heads,
			unsigned int nr_heads, uint16_t used_idx);

/*
 * Left over heads, in the order of their counters (both forms of rings).
 * nr of them are in inflight_left_over[], put in order in again[].
 * Return: the counter that comes next.
 */
struct inflight_left {
	uint64_t counter;
	uint16_t head;
};

extern struct inflight_left inflight_left_over[VRING_MAX_SIZE];

uint64_t inflight_sort(struct inflight_left *found, unsigned int nr,
		       uint16_t *again);

/* A taken request is given back unserved, see vring_unpop(). */
void inflight_untaken(struct inflight_queue *queue, uint16_t head);

#endif
