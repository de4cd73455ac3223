/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-flight tracking, see inflight.h.  Virtio devices; D3 and D5 while
 * requests run, C7 when a reborn process finds what its predecessor left.
 *
 * Theory of operation: this process may be killed between any two
 * instructions, and what the region and the used ring then say must be
 * enough.  The stores below are in the document's order; release stores keep
 * the compiler to it (a killed process's stores all reach memory, so nothing
 * stronger is needed).
 */
#include "devproc/inflight.h"

#include <errno.h>

/* Ordered against all stores before it, see the theory of operation. */
#define STORE(where, value)	\
	__atomic_store_n(&(where), (value), __ATOMIC_RELEASE)

int inflight_attach(struct inflight_queue *queue, void *shared, uint16_t size)
{
	volatile struct inflight_split_queue *q = shared;
	uint16_t version;

	queue->shared = NULL;
	if (!q)
		return 0;
	version = q->version;
	if (size > VRING_MAX_SIZE)
		return -EINVAL;
	if (version == 0) {
		q->desc_num = size;
		STORE(q->version, INFLIGHT_VERSION);
	} else if (version != INFLIGHT_VERSION || q->desc_num != size) {
		return -EINVAL;
	}
	queue->shared = q;
	queue->nr_entries = size;
	queue->counter = 0;
	return 0;
}

/*
 * vhost-user, reconnecting, step 1: the entries of the last batch may still
 * be marked although the used ring has them.
 */
static int settle_last_batch(struct inflight_queue *queue, uint16_t used_idx)
{
	volatile struct inflight_split_queue *q = queue->shared;
	uint16_t nr = (uint16_t)(used_idx - q->used_idx);
	uint16_t head = q->last_batch_head;

	if (nr > queue->nr_entries) {
		/*
		 * Not the last batch of anybody: a region that was not
		 * there when the ring began.  Nothing may be marked then.
		 */
		nr = 0;
		for (uint16_t i = 0; i < queue->nr_entries; i++)
			if (q->desc[i].inflight)
				return -EPROTO;
	}
	while (nr-- > 0) {
		if (head >= queue->nr_entries)
			return -EPROTO;
		STORE(q->desc[head].inflight, 0);
		head = q->desc[head].next;
	}
	STORE(q->used_idx, used_idx);
	return 0;
}

struct inflight_left inflight_left_over[VRING_MAX_SIZE];	/* off the stack */

/* Insertion sort: at most VRING_MAX_SIZE, once; qsort(3) may allocate. */
uint64_t inflight_sort(struct inflight_left *found, unsigned int nr,
		       uint16_t *again)
{
	for (unsigned int i = 1; i < nr; i++) {
		struct inflight_left one = found[i];
		unsigned int at = i;

		while (at > 0 && found[at - 1].counter > one.counter) {
			found[at] = found[at - 1];
			at--;
		}
		found[at] = one;
	}
	for (unsigned int i = 0; i < nr; i++)
		again[i] = found[i].head;
	return nr ? found[nr - 1].counter + 1 : 0;
}

int inflight_recover(struct inflight_queue *queue, uint16_t used_idx,
		     uint16_t *again)
{
	struct inflight_left *found = inflight_left_over;
	volatile struct inflight_split_queue *q = queue->shared;
	unsigned int nr = 0;
	int ret;

	if (!q)
		return 0;
	ret = settle_last_batch(queue, used_idx);
	if (ret)
		return ret;
	for (uint16_t i = 0; i < queue->nr_entries; i++) {
		if (!q->desc[i].inflight)
			continue;
		found[nr].counter = q->desc[i].counter;
		found[nr].head = i;
		nr++;
	}
	/* vhost-user, reconnecting, step 2: in the order of their counters */
	queue->counter = inflight_sort(found, nr, again);
	return (int)nr;
}

void inflight_taken(struct inflight_queue *queue, uint16_t head)
{
	volatile struct inflight_split_queue *q = queue->shared;

	if (!q)
		return;
	q->desc[head].counter = queue->counter++;
	STORE(q->desc[head].inflight, 1);
}

void inflight_untaken(struct inflight_queue *queue, uint16_t head)
{
	if (queue->shared)
		STORE(queue->shared->desc[head].inflight, 0);
}

void inflight_pushed(struct inflight_queue *queue, uint16_t head)
{
	volatile struct inflight_split_queue *q = queue->shared;

	if (!q)
		return;
	q->desc[head].next = q->last_batch_head;
	STORE(q->last_batch_head, head);
}

void inflight_published(struct inflight_queue *queue, const uint16_t *heads,
			unsigned int nr_heads, uint16_t used_idx)
{
	volatile struct inflight_split_queue *q = queue->shared;

	if (!q)
		return;
	for (unsigned int i = 0; i < nr_heads; i++)
		STORE(q->desc[heads[i]].inflight, 0);
	STORE(q->used_idx, used_idx);
}
