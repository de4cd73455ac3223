/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed virtqueues (virtio 1.2, 2.8), the device's side, see vring_priv.h.
 * Virtio devices; D3 (packed_take) and D5 (packed_give, packed_show).
 *
 * One ring of descriptors goes round between the two sides.  A slot is
 * available on a lap if its flag AVAIL is the lap's wrap counter and USED is
 * not, and used if both are (2.8.1).  A buffer's descriptors are slots that
 * follow each other; the device writes one used descriptor over the next slot
 * that it has not given back yet, whichever buffer was described there, and
 * goes as many slots on as the buffer had.
 *
 * Every shared word is read once, through a volatile access, into a local.
 * The driver's buffer ids mean nothing here: they are given back as they came.
 */

#include "devproc/vring_walk.h"

/* virtio 1.2, 2.8.14, and vhost-user.rst, VRING_BASE of packed virtqueues */
#define PLACE_SLOT_MASK	0x7fffu
#define PLACE_WRAP_SHIFT	15

static uint16_t place_to_word(struct vring_place place)
{
	return (uint16_t)(place.slot | place.wrap << PLACE_WRAP_SHIFT);
}

static struct vring_place place_of_word(uint16_t word)
{
	return (struct vring_place) {
		.slot = word & PLACE_SLOT_MASK,
		.wrap = word >> PLACE_WRAP_SHIFT,
	};
}

/* --- life ----------------------------------------------------------------- */

static int packed_map(struct vring *vring,
		      const struct vhost_user_vring_addr *addr)
{
	struct vring_packed *packed = &vring->packed;

	/* vhost-user.rst: avail is the driver's area, used the device's */
	packed->desc = guest_mem_from_user(addr->desc,
					   VRING_DESC_BYTES(vring->size),
					   VRING_DESC_ALIGN);
	packed->driver = guest_mem_from_user(addr->avail, VRING_EVENT_BYTES,
					     VRING_EVENT_ALIGN);
	packed->device = guest_mem_from_user(addr->used, VRING_EVENT_BYTES,
					     VRING_EVENT_ALIGN);
	return packed->desc && packed->driver && packed->device ? 0 : -EFAULT;
}

static void packed_unmap(struct vring *vring)
{
	vring->packed.desc = NULL;
	vring->packed.driver = NULL;
	vring->packed.device = NULL;
}

static int packed_track(struct vring *vring, void *shared, uint16_t size)
{
	return inflight_packed_attach(&vring->packed.inflight, shared, size);
}

static int packed_start(struct vring *vring)
{
	struct vring_packed *packed = &vring->packed;
	struct inflight_packed *inflight = &packed->inflight;
	bool tracked = inflight->shared && inflight->shared->version;
	int nr_again;

	packed->avail = place_of_word((uint16_t)vring->base);
	packed->used = place_of_word((uint16_t)(vring->base >> 16));
	if (packed->avail.slot >= vring->size ||
	    packed->used.slot >= vring->size)
		return -EINVAL;
	packed->called_valid = false;
	packed->found = false;
	inflight->entries = vring->entries;
	inflight->size = vring->size;
	nr_again = inflight_packed_recover(inflight, packed->desc,
					   &packed->used, vring->again);
	/*
	 * The slots of all buffers in flight lie between the two places,
	 * which the front-end of a device that died cannot know.
	 */
	if (tracked) {
		packed->avail = packed->used;
		vring_place_advance(&packed->avail, (uint16_t)
				    (inflight->size - inflight->nr_free),
				    vring->size);
	}
	return nr_again;
}

static uint32_t packed_base(const struct vring *vring)
{
	return (uint32_t)place_to_word(vring->packed.used) << 16 |
	       place_to_word(vring->packed.avail);
}

/* --- D3: taking ----------------------------------------------------------- */

/*
 * Orders our reads of the other fields after this; on the other side,
 * virtqueue_add_packed()'s virtio_wmb() orders their stores before it.
 */
static uint16_t read_flags(const struct vring_packed *packed, uint16_t slot)
{
	return __atomic_load_n(&packed->desc[slot].flags, __ATOMIC_ACQUIRE);
}

static struct vring_packed_descriptor
latch_descriptor(const volatile struct vring_packed_descriptor *guest,
		 uint16_t flags)
{
	return (struct vring_packed_descriptor) {
		.addr = guest->addr,
		.len = guest->len,
		.id = guest->id,
		.flags = flags,
	};
}

/* virtio 1.2, 2.8.7: all of the table; of the flags, WRITE alone counts */
static int walk_indirect(struct vring_walk *walk,
			 const struct vring_packed_descriptor *desc)
{
	const volatile struct vring_packed_descriptor *table;
	const volatile void *at = NULL;
	int nr = vring_walk_table(walk, desc->addr, desc->len, &at);

	if (nr < 0)
		return nr;
	table = at;
	for (int i = 0; i < nr; i++) {
		struct vring_packed_descriptor entry =
			latch_descriptor(&table[i], table[i].flags);
		int ret = vring_walk_add(walk, entry.addr, entry.len,
					 entry.flags & VRING_DESC_WRITE);

		if (ret)
			return ret;
	}
	return 0;
}

static int walk_descriptor(const struct vring *vring, struct vring_walk *walk,
			   const struct vring_packed_descriptor *desc,
			   bool is_first)
{
	if (!(desc->flags & VRING_DESC_INDIRECT))
		return vring_walk_add(walk, desc->addr, desc->len,
				      desc->flags & VRING_DESC_WRITE);
	/* virtio 1.2, 2.8.19: only if negotiated, and never in a chain */
	if (!vring->indirect || !is_first || desc->flags & VRING_DESC_NEXT)
		return vring_walk_broken(walk,
				"an indirect table where none may be");
	return walk_indirect(walk, desc);
}

/*
 * The chain at the available place, whose first flags were read: noted, and
 * what inflight_packed_taken() wants to know.  Return: 0 or -EPROTO.
 */
static int walk_slots(struct vring *vring, struct vring_walk *walk,
		      uint16_t flags, struct inflight_entry *taken)
{
	struct vring_packed *packed = &vring->packed;
	struct vring_place place = packed->avail;
	uint16_t entry = packed->inflight.free_head;

	for (uint16_t nr = 0; nr < packed->inflight.nr_free; nr++) {
		struct vring_packed_descriptor desc;
		int ret;

		if (nr > 0)
			flags = packed->desc[place.slot].flags;
		desc = latch_descriptor(&packed->desc[place.slot], flags);
		inflight_packed_note(&packed->inflight, entry, &desc);
		ret = walk_descriptor(vring, walk, &desc, nr == 0);
		if (ret)
			return ret;
		taken->num++;
		taken->last = entry;
		/* virtio 1.2, 2.8.6: the last descriptor has the id */
		taken->id = desc.id;
		if (!(flags & VRING_DESC_NEXT))
			return 0;
		entry = vring->entries[entry].next;
		vring_place_advance(&place, 1, vring->size);
	}
	return vring_walk_broken(walk,
			"more is available than the ring has room for");
}

static int packed_take(struct vring *vring, struct vring_walk *walk)
{
	struct vring_packed *packed = &vring->packed;
	uint16_t flags = read_flags(packed, packed->avail.slot);
	struct inflight_entry taken = { .num = 0 };
	int ret;

	if (!vring_is_available(flags, packed->avail.wrap)) {
		packed->found = false;
		vring_count_idle(vring);
		return 0;
	}
	if (!packed->found)
		vring_count_find(vring);
	packed->found = true;
	ret = walk_slots(vring, walk, flags, &taken);
	if (ret)
		return ret;
	walk->chain->head = packed->inflight.free_head;
	inflight_packed_taken(&packed->inflight, &taken);
	vring_place_advance(&packed->avail, taken.num, vring->size);
	return 1;
}

/* From what was noted: its slots may be others' by now. */
static int packed_take_again(struct vring *vring, struct vring_walk *walk)
{
	const struct vring_packed *packed = &vring->packed;
	uint16_t head = walk->chain->head;
	uint16_t entry = head;

	for (uint16_t i = 0; i < vring->entries[head].num; i++) {
		struct vring_packed_descriptor desc =
			inflight_packed_noted(&packed->inflight, entry);
		int ret = walk_descriptor(vring, walk, &desc, i == 0);

		if (ret)
			return ret;
		entry = vring->entries[entry].next;
	}
	return 1;
}

static void packed_untake(struct vring *vring, uint16_t head, bool again)
{
	struct vring_packed *packed = &vring->packed;
	uint16_t nr = vring->entries[head].num;

	if (again)
		return;
	inflight_packed_untaken(&packed->inflight, head);
	/* A lap less those slots: backwards, and a lap behind. */
	vring_place_advance(&packed->avail, (uint16_t)(vring->size - nr),
			    vring->size);
	packed->avail.wrap = !packed->avail.wrap;
}

static bool packed_is_waiting(const struct vring *vring)
{
	const struct vring_packed *packed = &vring->packed;

	return vring_is_available(packed->desc[packed->avail.slot].flags,
				  packed->avail.wrap);
}

/* --- D5: giving back ------------------------------------------------------ */

static void packed_give(struct vring *vring, uint16_t head,
			uint32_t written_bytes)
{
	struct inflight_entry *entry = &vring->entries[head];

	entry->id = (uint16_t)vring_used_id(vring, entry->id);
	vring->batch_bytes[vring->nr_batch] = written_bytes;
}

/* virtio 1.2, 2.8.2: id, length, and WRITE if the length counts.  Return: flags. */
static uint16_t write_used(struct vring *vring, unsigned int i,
			   struct vring_place place)
{
	volatile struct vring_packed_descriptor *desc =
		&vring->packed.desc[place.slot];
	uint32_t bytes = vring->batch_bytes[i];

	desc->id = vring->entries[vring->batch[i]].id;
	desc->len = bytes;
	return vring_flags_used(bytes ? VRING_DESC_WRITE : 0, place.wrap);
}

/* Where the used place will be behind the batch, and how many slots that is. */
static struct vring_place behind_batch(struct vring *vring)
{
	struct vring_place place = vring->packed.used;

	vring->packed.nr_shown = 0;
	for (unsigned int i = 0; i < vring->nr_batch; i++) {
		uint16_t num = vring->entries[vring->batch[i]].num;

		vring->packed.nr_shown = (uint16_t)(vring->packed.nr_shown +
						    num);
		vring_place_advance(&place, num, vring->size);
	}
	return place;
}

/*
 * The driver finds the batch when it finds the first slot used: its flags are
 * stored last, and order all of this before them; on the other side,
 * virtqueue_get_buf_ctx_packed()'s virtio_rmb().
 */
static void packed_show(struct vring *vring)
{
	struct vring_packed *packed = &vring->packed;
	struct vring_place place = packed->used;
	struct vring_place end = behind_batch(vring);
	volatile uint16_t *first = &packed->desc[place.slot].flags;
	uint16_t first_flags = 0;

	inflight_packed_publish(&packed->inflight, vring->batch,
				vring->nr_batch, place, end);
	for (unsigned int i = 0; i < vring->nr_batch; i++) {
		uint16_t flags = write_used(vring, i, place);

		if (i == 0)
			first_flags = flags;
		else
			__atomic_store_n(&packed->desc[place.slot].flags,
					 flags, __ATOMIC_RELEASE);
		vring_place_advance(&place,
				    vring->entries[vring->batch[i]].num,
				    vring->size);
	}
	__atomic_store_n(first, first_flags, __ATOMIC_RELEASE);
	packed->used = end;
	inflight_packed_published(&packed->inflight, vring->batch,
				  vring->nr_batch, end);
}

/* virtio 1.2, 2.8.14: has the used place just gone past the driver's event? */
static bool passed_event(const struct vring *vring, uint16_t off_wrap)
{
	const struct vring_packed *packed = &vring->packed;
	struct vring_place event = place_of_word(off_wrap);
	unsigned int lap = event.wrap != packed->used.wrap ? vring->size : 0;
	/* Slots from the event to the used place, both counted. */
	uint16_t since = (uint16_t)(packed->used.slot + lap - event.slot - 1);

	return since < packed->nr_shown;
}

static bool packed_wants_call(struct vring *vring)
{
	struct vring_packed *packed = &vring->packed;
	bool valid = packed->called_valid;
	uint16_t flags;

	/*
	 * Orders the store of the first slot's flags before these reads; on
	 * the other side, virtqueue_enable_cb_prepare_packed() and its
	 * virtio_wmb(), and the virtio_mb() before the ring is looked at.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n(&packed->driver->flags, __ATOMIC_ACQUIRE);
	packed->called_valid = true;
	/* virtio 1.2, 2.8.10: DESC only if EVENT_IDX was negotiated */
	if (flags != VRING_EVENT_DESC || !vring->event_idx)
		return flags != VRING_EVENT_DISABLE;
	return !valid || passed_event(vring, packed->driver->off_wrap);
}

/*
 * In vring_rearm(), whose fence is, on the other side, that of
 * virtqueue_kick_prepare_packed(): its virtio_mb() orders the store of the
 * first slot's flags before the read of these.
 */
static void packed_ask_for_kick(struct vring *vring)
{
	struct vring_packed *packed = &vring->packed;

	if (vring->event_idx)
		packed->device->off_wrap = place_to_word(packed->avail);
	__atomic_store_n(&packed->device->flags,
			 vring->event_idx ? VRING_EVENT_DESC :
					    VRING_EVENT_ENABLE,
			 __ATOMIC_RELEASE);
}

static void packed_ask_for_no_kick(struct vring *vring)
{
	__atomic_store_n(&vring->packed.device->flags, VRING_EVENT_DISABLE,
			 __ATOMIC_RELEASE);
}

static uint32_t packed_driver_words(const struct vring *vring)
{
	const struct vring_packed *packed = &vring->packed;

	return (uint32_t)packed->driver->off_wrap << 16 |
	       packed->desc[packed->avail.slot].flags;
}

const struct vring_form vring_form_packed = {
	.map = packed_map,
	.unmap = packed_unmap,
	.track = packed_track,
	.start = packed_start,
	.base = packed_base,
	.take = packed_take,
	.take_again = packed_take_again,
	.untake = packed_untake,
	.is_waiting = packed_is_waiting,
	.give = packed_give,
	.show = packed_show,
	.wants_call = packed_wants_call,
	.ask_for_kick = packed_ask_for_kick,
	.ask_for_no_kick = packed_ask_for_no_kick,
	.driver_words = packed_driver_words,
};
