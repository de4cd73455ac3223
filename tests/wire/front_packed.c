/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side of a packed virtqueue, see front_packed.h. */
#include "tests/wire/front_packed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define AVAIL_FLAG	(1u << VRING_PACKED_DESC_F_AVAIL)
#define USED_FLAG	(1u << VRING_PACKED_DESC_F_USED)
#define WRAP_SHIFT	VRING_PACKED_EVENT_F_WRAP_CTR

void front_packed_init(struct front_queue *queue)
{
	struct front_packed *packed = &queue->packed_ring;

	packed->desc = (struct vring_packed_desc *)queue->desc;
	packed->driver = (struct vring_packed_desc_event *)queue->avail;
	packed->device = (struct vring_packed_desc_event *)queue->used;
	packed->avail_wrap = true;
	packed->used_wrap = true;
	for (uint16_t i = 0; i < queue->size; i++)
		packed->next_id[i] = (uint16_t)(i + 1);
	if (queue->front->options.no_calls)
		packed->driver->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
}

/* virtio 1.2, 2.8.1 */
static uint16_t available(bool wrap)
{
	return wrap ? AVAIL_FLAG : USED_FLAG;
}

static void advance(uint16_t *slot, bool *wrap, uint16_t nr, uint16_t size)
{
	*slot = (uint16_t)(*slot + nr);
	if (*slot < size)
		return;
	*slot = (uint16_t)(*slot - size);
	*wrap = !*wrap;
}

/* A descriptor in the next slot; the first that is not shown yet waits. */
static void put(struct front_queue *queue, const struct front_buf *buf,
		uint16_t id, uint16_t flags)
{
	struct front_packed *packed = &queue->packed_ring;
	struct vring_packed_desc *desc = &packed->desc[queue->next_avail];

	flags |= available(packed->avail_wrap);
	desc->addr = buf->gpa;
	desc->len = buf->len;
	desc->id = id;
	if (packed->nr_hidden++ == 0) {
		packed->first = desc;
		packed->first_flags = flags;
	} else {
		desc->flags = flags;
	}
	advance(&queue->next_avail, &packed->avail_wrap, 1, queue->size);
}

static void put_table(struct front_queue *queue, const struct front_buf *bufs,
		      unsigned int nr_out, unsigned int nr, uint16_t id)
{
	struct vring_packed_desc *table = (struct vring_packed_desc *)
		&queue->tables[id * FRONT_TABLE];
	const struct front_buf whole = {
		.gpa = queue->tables_gpa +
		       (uint64_t)id * FRONT_TABLE * sizeof(*table),
		.len = (uint32_t)(nr * sizeof(*table)),
	};

	for (unsigned int i = 0; i < nr; i++)
		table[i] = (struct vring_packed_desc){
			.addr = bufs[i].gpa, .len = bufs[i].len,
			.flags = i < nr_out ? 0 : VRING_DESC_F_WRITE,
		};
	put(queue, &whole, id, VRING_DESC_F_INDIRECT);
}

int front_packed_add(struct front_queue *queue, const struct front_buf *out,
		     unsigned int nr_out, const struct front_buf *in,
		     unsigned int nr_in, void *cookie)
{
	struct front_packed *packed = &queue->packed_ring;
	struct front_buf bufs[FRONT_TABLE];
	unsigned int nr = nr_out + nr_in;
	uint16_t id = queue->free_head;
	bool table = queue->indirect && nr > 1;
	uint16_t nr_slots = table ? 1 : (uint16_t)nr;

	if (nr > FRONT_TABLE || nr_slots > queue->nr_free)
		return -ENOSPC;
	for (unsigned int i = 0; i < nr; i++)
		bufs[i] = i < nr_out ? out[i] : in[i - nr_out];
	queue->free_head = packed->next_id[id];
	queue->nr_free = (uint16_t)(queue->nr_free - nr_slots);
	queue->cookies[id] = cookie;
	packed->nr_slots[id] = nr_slots;
	if (table)
		put_table(queue, bufs, nr_out, nr, id);
	for (unsigned int i = 0; i < nr && !table; i++)
		put(queue, &bufs[i], id, (uint16_t)
		    ((i + 1 < nr ? VRING_DESC_F_NEXT : 0) |
		     (i < nr_out ? 0 : VRING_DESC_F_WRITE)));
	return id;
}

/* virtio 1.2, 2.8.14: does the device want a kick for nr slots? */
static bool wants_kick(const struct front_queue *queue, uint16_t nr)
{
	const struct front_packed *packed = &queue->packed_ring;
	const volatile struct vring_packed_desc_event *event = packed->device;
	uint16_t flags = event->flags;
	uint16_t off_wrap = event->off_wrap;
	uint16_t slot = off_wrap & ((1u << WRAP_SHIFT) - 1);

	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	if (off_wrap >> WRAP_SHIFT != packed->avail_wrap)
		slot = (uint16_t)(slot - queue->size);
	return vring_need_event(slot, queue->next_avail,
				(uint16_t)(queue->next_avail - nr));
}

void front_packed_show(struct front_queue *queue)
{
	struct front_packed *packed = &queue->packed_ring;

	if (packed->nr_hidden == 0)
		return;
	__atomic_store_n(&packed->first->flags, packed->first_flags,
			 __ATOMIC_RELEASE);
	packed->nr_unkicked = (uint16_t)(packed->nr_unkicked +
					 packed->nr_hidden);
	packed->nr_hidden = 0;
}

void front_packed_kick(struct front_queue *queue)
{
	struct front_packed *packed = &queue->packed_ring;
	uint64_t one = 1;
	uint16_t nr;

	front_packed_show(queue);
	nr = packed->nr_unkicked;
	if (nr == 0)
		return;
	packed->nr_unkicked = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!wants_kick(queue, nr))
		return;
	queue->nr_kicks++;
	if (write(queue->kick_fd, &one, sizeof(one)) != sizeof(one))
		front_bail("kick: %s", strerror(errno));
}

bool front_packed_take(struct front_queue *queue, void **cookie,
		       uint32_t *written)
{
	struct front_packed *packed = &queue->packed_ring;
	struct vring_packed_desc *desc = &packed->desc[queue->next_used];
	uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);
	uint16_t both = AVAIL_FLAG | USED_FLAG;
	uint16_t id = desc->id;

	if ((flags & both) != (packed->used_wrap ? both : 0))
		return false;
	if (id >= queue->size || !packed->nr_slots[id])
		front_bail("packed ring: id %u was used, nobody offered it",
			   id);
	if (cookie)
		*cookie = queue->cookies[id];
	if (written)
		*written = desc->len;
	advance(&queue->next_used, &packed->used_wrap, packed->nr_slots[id],
		queue->size);
	queue->nr_free = (uint16_t)(queue->nr_free + packed->nr_slots[id]);
	packed->nr_slots[id] = 0;
	packed->next_id[id] = queue->free_head;
	queue->free_head = id;
	/* Ask for a call at the next completion. */
	if (queue->event_idx && !queue->front->options.no_calls) {
		packed->driver->off_wrap = (uint16_t)(queue->next_used |
					packed->used_wrap << WRAP_SHIFT);
		__atomic_store_n(&packed->driver->flags,
				 VRING_PACKED_EVENT_FLAG_DESC,
				 __ATOMIC_RELEASE);
	}
	return true;
}
