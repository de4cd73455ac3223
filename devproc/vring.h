/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues, the device's side (D3, D5; virtio 1.2, 2.6): split (2.7) and
 * packed (2.8), which differ in vring_split.c and vring_packed.c alone.
 *
 * Every word of the ring is the guest's: it is read once into a local,
 * checked, then used.  A ring that breaks the rules is stopped for good
 * (until the driver resets it); the process goes on.
 *
 * Use, per queue, in a kick handler:
 *
 *	do {
 *		while (vring_pop(vring, &chain) > 0)
 *			... take it; later, in any order: vring_push() ...
 *	} while (vring_rearm(vring));
 *	...
 *	vring_publish(vring);	once per batch of vring_push()
 *
 * One thread; no function blocks.
 */
#ifndef DEVPROC_VRING_H
#define DEVPROC_VRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ipc/pages.h"

#define VRING_MAX_SIZE	1024	/* descriptors of a queue, or of an indirect table */

struct vring;

/*
 * One request of the driver: spans of guest RAM, first those the device
 * reads ("out"), then those it writes ("in").
 */
struct vring_chain {
	/* Set by the caller before vring_pop(), kept. */
	struct iovec *spans;	/* room for max_spans, owned by the caller */
	uint16_t max_spans;	/* 2 at least */

	/* Set by vring_pop(). */
	uint16_t head;		/* what vring_push() wants back */
	uint16_t nr_out;	/* spans[0 .. nr_out - 1] */
	uint16_t nr_in;		/* spans[nr_out .. nr_out + nr_in - 1] */
	uint32_t out_bytes;
	uint32_t in_bytes;
	/*
	 * More spans than max_spans.  The last slot then holds the chain's
	 * last span, spans before it are missing, and the byte counts are of
	 * the whole chain: good for writing a status byte, nothing else.
	 */
	bool cut;
};

/*
 * Take the next request.
 * Return: 1, chain is filled and counts as in flight until vring_push();
 * 0 none there, or the queue is not running; -EPROTO the ring is broken
 * (logged, reported on the error eventfd; it stays so, and pop returns 0).
 */
int vring_pop(struct vring *vring, struct vring_chain *chain);

/*
 * Give a request back with the number of bytes the device wrote, counted
 * from the start of the "in" spans.  The guest sees it at vring_publish().
 */
void vring_push(struct vring *vring, uint16_t head, uint32_t written_bytes);

/*
 * What kind of request head is, for the statistics, if its buffers do not say
 * so: without this, one that the device may write to is a read.
 */
void vring_set_kind(struct vring *vring, uint16_t head, enum stats_kind kind);

/*
 * Show the guest all that was pushed: one store of what the guest looks at, and
 * one write to the call eventfd if it asked for that.  Cheap if nothing is new.
 */
void vring_publish(struct vring *vring);

/*
 * Undo the last vring_pop(): the chain will be popped again.  Only before
 * another pop, and with nothing written to the chain.
 */
void vring_unpop(struct vring *vring, uint16_t head);

/*
 * Ask for a kick when the guest adds a request; before the loop sleeps.
 * Return: true if one was added meanwhile: pop again.
 */
bool vring_rearm(struct vring *vring);

/* Ask for none until then: whoever is awake looks by himself. */
void vring_disarm(struct vring *vring);

/* Requests popped and not yet pushed. */
unsigned int vring_in_flight(const struct vring *vring);

/* Is a guest request waiting?  May be stale at once. */
bool vring_has_work(const struct vring *vring);

/*
 * Copy between a buffer and the chain's spans, from byte `offset` of its
 * out (read) or in (write) part.  Return: bytes copied, less than len only
 * if the chain ends.  Not for a chain that is cut.
 */
size_t vring_chain_read(const struct vring_chain *chain, size_t offset,
			void *buf, size_t len);
size_t vring_chain_write(const struct vring_chain *chain, size_t offset,
			 const void *buf, size_t len);

#endif
