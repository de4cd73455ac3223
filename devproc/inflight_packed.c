/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-flight tracking of packed rings, see inflight_packed.h.  Virtio devices;
 * D3 and D5 while requests run, C7 when a reborn process finds what its
 * predecessor left.
 *
 * Theory of operation: as in inflight.c, this process may be killed between
 * any two instructions.  The stores are in the document's order, but where it
 * has two or three that a kill must not come between: the free list's heads
 * are one store here, and so are both used indices with their wrap counters.
 * Entries of a batch join the free list when the batch is published, not when
 * they are pushed, as others may be taken between the two.
 *
 * Slots of a batch behind its first are written before the first one's flags
 * show them all.  If the process dies then, the driver must not find them
 * later, when a successor shows the first slot for another buffer: so the
 * successor takes them back, and knows which from the new used index, which
 * is stored before them.
 */
#include "devproc/inflight_packed.h"

#include <errno.h>
#include <string.h>

#include "devproc/inflight.h"
#include "devproc/vring_priv.h"

/* Ordered against all stores before it, see the theory of operation. */
#define STORE(where, value)	\
	__atomic_store_n(&(where), (value), __ATOMIC_RELEASE)

static void store_free(volatile struct inflight_packed_queue *q,
		       uint16_t head, uint16_t old_head)
{
	union inflight_free_heads heads = {
		.head = head, .old_head = old_head,
	};

	STORE(q->free.word, heads.word);
}

static void store_used(volatile struct inflight_packed_queue *q,
		       struct vring_place used, struct vring_place old)
{
	union inflight_used_places places = {
		.idx = used.slot, .wrap_counter = used.wrap,
		.old_idx = old.slot, .old_wrap_counter = old.wrap,
	};

	STORE(q->used.word, places.word);
}

int inflight_packed_attach(struct inflight_packed *queue, void *shared,
			   uint16_t size)
{
	volatile struct inflight_packed_queue *q = shared;
	uint16_t version;

	queue->shared = NULL;
	if (!q)
		return 0;
	version = q->version;
	if (size > VRING_MAX_SIZE ||
	    (version != 0 && (version != INFLIGHT_VERSION ||
			      q->desc_num != size)))
		return -EINVAL;
	queue->shared = q;
	queue->region_size = size;
	return 0;
}

/* --- a buffer's way ---------------------------------------------------------- */

void inflight_packed_note(struct inflight_packed *queue, uint16_t entry,
			  const struct vring_packed_descriptor *desc)
{
	volatile struct inflight_packed_entry *to;

	if (!queue->shared)
		return;
	to = &queue->shared->desc[entry];
	to->addr = desc->addr;
	to->len = desc->len;
	to->flags = desc->flags;
	to->id = desc->id;
}

struct vring_packed_descriptor
inflight_packed_noted(const struct inflight_packed *queue, uint16_t entry)
{
	const volatile struct inflight_packed_entry *from =
		&queue->shared->desc[entry];

	return (struct vring_packed_descriptor) {
		.addr = from->addr,
		.len = from->len,
		.id = from->id,
		.flags = from->flags,
	};
}

void inflight_packed_taken(struct inflight_packed *queue,
			   const struct inflight_entry *taken)
{
	volatile struct inflight_packed_queue *q = queue->shared;
	uint16_t head = queue->free_head;
	struct inflight_entry *entry = &queue->entries[head];

	entry->last = taken->last;
	entry->num = taken->num;
	entry->id = taken->id;
	queue->free_head = queue->entries[taken->last].next;
	queue->nr_free = (uint16_t)(queue->nr_free - taken->num);
	if (!q)
		return;
	q->desc[head].num = taken->num;
	q->desc[head].last = taken->last;
	q->desc[head].counter = queue->counter++;
	STORE(q->desc[head].inflight, 1);
	/* From here on it is taken. */
	store_free(q, queue->free_head, queue->free_head);
}

/* The buffer's entries are the first of the free list. */
static void release(struct inflight_packed *queue, uint16_t head)
{
	const struct inflight_entry *entry = &queue->entries[head];

	queue->entries[entry->last].next = queue->free_head;
	if (queue->shared)
		queue->shared->desc[entry->last].next = queue->free_head;
	queue->free_head = head;
	queue->nr_free = (uint16_t)(queue->nr_free + entry->num);
}

void inflight_packed_untaken(struct inflight_packed *queue, uint16_t head)
{
	release(queue, head);
	if (!queue->shared)
		return;
	store_free(queue->shared, head, head);
	STORE(queue->shared->desc[head].inflight, 0);
}

void inflight_packed_publish(struct inflight_packed *queue,
			     const uint16_t *heads, unsigned int nr,
			     struct vring_place from, struct vring_place to)
{
	uint16_t old_head = queue->free_head;

	for (unsigned int i = 0; i < nr; i++)
		release(queue, heads[i]);
	if (!queue->shared)
		return;
	store_free(queue->shared, queue->free_head, old_head);
	store_used(queue->shared, to, from);
}

void inflight_packed_published(struct inflight_packed *queue,
			       const uint16_t *heads, unsigned int nr,
			       struct vring_place to)
{
	volatile struct inflight_packed_queue *q = queue->shared;

	if (!q)
		return;
	for (unsigned int i = 0; i < nr; i++)
		STORE(q->desc[heads[i]].inflight, 0);
	store_free(q, queue->free_head, queue->free_head);
	store_used(q, to, to);
}

/* --- after a death ------------------------------------------------------------- */

/* All entries are free; the region is told, last of all that it is valid. */
static void begin(struct inflight_packed *queue, struct vring_place used)
{
	volatile struct inflight_packed_queue *q = queue->shared;

	for (uint16_t i = 0; i < queue->size; i++) {
		uint16_t next = i + 1 < queue->size ? (uint16_t)(i + 1) :
						      INFLIGHT_NO_ENTRY;

		queue->entries[i].next = next;
		if (q)
			q->desc[i].next = next;
	}
	queue->free_head = 0;
	queue->nr_free = queue->size;
	queue->counter = 0;
	if (!q)
		return;
	store_free(q, 0, 0);
	store_used(q, used, used);
	q->desc_num = queue->region_size;
	STORE(q->version, INFLIGHT_VERSION);
}

/* Slots from one place to the other; 0 or more than size: there is no way. */
static unsigned int distance(struct vring_place from, struct vring_place to,
			     uint16_t size)
{
	return (unsigned int)to.slot - from.slot +
	       (to.wrap != from.wrap ? size : 0);
}

/*
 * The driver has not seen the batch: what was written behind its first slot
 * is available as before (virtio 1.2, 2.8.1).
 */
static void take_back_slots(volatile struct vring_packed_descriptor *desc,
			    struct vring_place first, unsigned int nr,
			    uint16_t size)
{
	for (unsigned int i = 1; i < nr; i++) {
		uint16_t flags;

		vring_place_advance(&first, 1, size);
		flags = desc[first.slot].flags;
		STORE(desc[first.slot].flags,
		      vring_flags_available(flags, first.wrap));
	}
}

/*
 * vhost-user, reconnecting, steps 1 and 2: was the last batch shown to the
 * driver?  Then it is the last word, else it never was.
 */
static int settle_last_batch(struct inflight_packed *queue,
			     volatile struct vring_packed_descriptor *desc,
			     struct vring_place *used, uint16_t *free_head)
{
	volatile struct inflight_packed_queue *q = queue->shared;
	const union inflight_used_places word = { .word = q->used.word };
	const union inflight_free_heads heads = { .word = q->free.word };
	struct vring_place now = { word.idx, word.wrap_counter & 1 };
	struct vring_place old = { word.old_idx, word.old_wrap_counter & 1 };
	unsigned int nr = distance(old, now, queue->size);

	if (now.slot >= queue->size || old.slot >= queue->size ||
	    nr > queue->size)
		return -EPROTO;
	*used = old;
	*free_head = heads.old_head;
	if (nr > 0 && !vring_is_available(desc[old.slot].flags, old.wrap)) {
		*used = now;
		*free_head = heads.head;
	} else if (nr > 1) {
		take_back_slots(desc, old, nr, queue->size);
	}
	store_free(q, *free_head, *free_head);
	/* Last: until then a successor of this process settles it, too. */
	store_used(q, *used, *used);
	return 0;
}

/* Each entry is in one list, once. */
struct census {
	uint64_t seen[VRING_MAX_SIZE / 64];
	unsigned int nr_seen;
};

static bool is_new(struct census *census, uint16_t entry, uint16_t size)
{
	uint64_t bit = 1ull << (entry % 64);

	if (entry >= size || census->seen[entry / 64] & bit)
		return false;
	census->seen[entry / 64] |= bit;
	census->nr_seen++;
	return true;
}

/* vhost-user, reconnecting, step 3 */
static int count_free(struct inflight_packed *queue, uint16_t free_head,
		      struct census *census)
{
	uint16_t at = free_head;

	queue->free_head = free_head;
	while (at != INFLIGHT_NO_ENTRY) {
		volatile struct inflight_packed_entry *entry;

		if (!is_new(census, at, queue->size))
			return -EPROTO;
		entry = &queue->shared->desc[at];
		STORE(entry->inflight, 0);
		at = queue->entries[at].next = entry->next;
	}
	queue->nr_free = (uint16_t)census->nr_seen;
	return 0;
}

static int count_buffer(struct inflight_packed *queue, uint16_t head,
			struct census *census)
{
	volatile struct inflight_packed_queue *q = queue->shared;
	struct inflight_entry *entry = &queue->entries[head];
	uint16_t at = head;

	entry->num = q->desc[head].num;
	if (entry->num == 0)
		return -EPROTO;
	for (uint16_t i = 0; i < entry->num; i++) {
		if (!is_new(census, at, queue->size))
			return -EPROTO;
		entry->last = at;
		at = queue->entries[at].next = q->desc[at].next;
	}
	entry->id = q->desc[entry->last].id;
	return 0;
}

/* Return: how many buffers are in flight, or -EPROTO. */
static int count_in_flight(struct inflight_packed *queue,
			   struct census *census, uint16_t *again)
{
	struct inflight_left *found = inflight_left_over;
	unsigned int nr = 0;

	for (uint16_t i = 0; i < queue->size; i++) {
		if (!queue->shared->desc[i].inflight)
			continue;
		if (count_buffer(queue, i, census))
			return -EPROTO;
		found[nr].counter = queue->shared->desc[i].counter;
		found[nr].head = i;
		nr++;
	}
	if (census->nr_seen != queue->size)
		return -EPROTO;
	/* vhost-user, reconnecting, step 4: in the order of their counters */
	queue->counter = inflight_sort(found, nr, again);
	return (int)nr;
}

int inflight_packed_recover(struct inflight_packed *queue,
			    volatile struct vring_packed_descriptor *desc,
			    struct vring_place *used, uint16_t *again)
{
	volatile struct inflight_packed_queue *q = queue->shared;
	struct census census = { .nr_seen = 0 };
	uint16_t free_head;
	int nr;

	if (!q || q->version == 0) {
		begin(queue, *used);
		return 0;
	}
	nr = settle_last_batch(queue, desc, used, &free_head);
	if (nr == 0)
		nr = count_free(queue, free_head, &census);
	if (nr == 0)
		nr = count_in_flight(queue, &census, again);
	if (nr >= 0)
		return nr;
	queue->shared = NULL;
	begin(queue, *used);
	queue->shared = q;
	return nr;
}
