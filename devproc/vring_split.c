/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (virtio 1.2, 2.7), the device's side, see vring_priv.h.
 * Virtio devices; D3 (split_take) and D5 (split_give, split_show).
 *
 * Every shared word is read once, through a volatile access, into a local.
 */
#include <string.h>

#include "devproc/vring_walk.h"

/* --- words that both sides know ------------------------------------------- */

/*
 * Orders our reads of ring entries and descriptors after this read of idx;
 * on the other side, virtqueue_add_split()'s virtio_wmb() orders the stores
 * of those before its store of idx.
 */
static uint16_t read_avail_idx(const struct vring_split *split)
{
	return __atomic_load_n(&split->avail->idx, __ATOMIC_ACQUIRE);
}

/* virtio 1.2, 2.7.7: behind the available ring */
static uint16_t read_used_event(const struct vring *vring)
{
	return vring->split.avail->ring[vring->size];
}

static struct vring_descriptor
latch_descriptor(const volatile struct vring_descriptor *guest)
{
	return (struct vring_descriptor) {
		.addr = guest->addr,
		.len = guest->len,
		.flags = guest->flags,
		.next = guest->next,
	};
}

/* --- life ----------------------------------------------------------------- */

/* User addresses to pointers; each part of the ring lies in one region. */
static int split_map(struct vring *vring,
		     const struct vhost_user_vring_addr *addr)
{
	struct vring_split *split = &vring->split;

	split->desc = guest_mem_from_user(addr->desc,
					  VRING_DESC_BYTES(vring->size),
					  VRING_DESC_ALIGN);
	split->avail = guest_mem_from_user(addr->avail,
					   VRING_AVAIL_BYTES(vring->size),
					   VRING_AVAIL_ALIGN);
	split->used = guest_mem_from_user(addr->used,
					  VRING_USED_BYTES(vring->size),
					  VRING_USED_ALIGN);
	return split->desc && split->avail && split->used ? 0 : -EFAULT;
}

static void split_unmap(struct vring *vring)
{
	vring->split.desc = NULL;
	vring->split.avail = NULL;
	vring->split.used = NULL;
}

static int split_track(struct vring *vring, void *shared, uint16_t size)
{
	return inflight_attach(&vring->split.inflight, shared, size);
}

static int split_start(struct vring *vring)
{
	struct vring_split *split = &vring->split;
	int nr_again;

	split->last_avail = (uint16_t)vring->base;
	split->next_used = split->used->idx;
	split->shown_used = split->next_used;
	split->called_valid = false;
	memset(split->taken, 0, sizeof(split->taken));
	nr_again = inflight_recover(&split->inflight, split->next_used,
				    vring->again);
	/*
	 * What was in flight had been taken from the available ring, which
	 * the front-end of a device that died cannot know: it starts us at
	 * the used index.
	 */
	if (nr_again > 0)
		split->last_avail =
			(uint16_t)(split->next_used + nr_again);
	split->seen_avail = split->last_avail;
	return nr_again;
}

static uint32_t split_base(const struct vring *vring)
{
	return vring->split.last_avail;
}

/* --- D3: taking ----------------------------------------------------------- */

static bool is_taken(const struct vring_split *split, uint16_t head)
{
	return split->taken[head / 64] >> (head % 64) & 1;
}

static void mark_taken(struct vring_split *split, uint16_t head)
{
	split->taken[head / 64] |= 1ull << (head % 64);
}

static void unmark_taken(struct vring_split *split, uint16_t head)
{
	split->taken[head / 64] &= ~(1ull << (head % 64));
}

/*
 * Buffers of one table, from entry next on; its nr entries also bound the
 * chain.  indirect: where a table's descriptor goes; NULL: none may be here.
 * Return: 0; 1 the chain goes on in *indirect; -EPROTO.
 */
static int walk_table(struct vring_walk *walk,
		      const volatile struct vring_descriptor *table,
		      uint32_t nr, uint16_t next,
		      struct vring_descriptor *indirect)
{
	struct vring_descriptor desc;
	uint32_t left = nr;

	do {
		int ret;

		if (next >= nr)
			return vring_walk_broken(walk,
					"a descriptor index is too large");
		if (left-- == 0)
			return vring_walk_broken(walk, "a chain has a loop");
		desc = latch_descriptor(&table[next]);
		if (desc.flags & VRING_DESC_INDIRECT) {
			/* 2.7.5.3.1: only if negotiated, and no table in a table */
			if (!indirect)
				return vring_walk_broken(walk,
					"an indirect table where none may be");
			*indirect = desc;
			return 1;
		}
		ret = vring_walk_add(walk, desc.addr, desc.len,
				     desc.flags & VRING_DESC_WRITE);
		if (ret)
			return ret;
		next = desc.next;
	} while (desc.flags & VRING_DESC_NEXT);
	return 0;
}

static int walk_chain(struct vring *vring, struct vring_walk *walk,
		      uint16_t head)
{
	struct vring_descriptor indirect;
	const volatile void *table;
	int ret = walk_table(walk, vring->split.desc, vring->size, head,
			     vring->indirect ? &indirect : NULL);

	if (ret <= 0)
		return ret;
	/* 2.7.5.3.1: INDIRECT and NEXT never together */
	if (indirect.flags & VRING_DESC_NEXT)
		return vring_walk_broken(walk,
				"an indirect table is not the last");
	ret = vring_walk_table(walk, indirect.addr, indirect.len, &table);
	if (ret < 0)
		return ret;
	return walk_table(walk, table, (uint32_t)ret, 0, NULL);
}

/* What the driver made available.  Return: 1, 0 or -EPROTO. */
static int next_head(struct vring *vring, struct vring_walk *walk)
{
	struct vring_split *split = &vring->split;
	uint16_t head;

	if (split->seen_avail == split->last_avail) {
		split->seen_avail = read_avail_idx(split);
		if (split->seen_avail == split->last_avail) {
			vring_count_idle(vring);
			return 0;
		}
		vring_count_find(vring);
	}
	if ((uint16_t)(split->seen_avail - split->last_avail) > vring->size)
		return vring_walk_broken(walk, "the available index jumped");
	head = split->avail->ring[split->last_avail & (vring->size - 1)];
	if (head >= vring->size)
		return vring_walk_broken(walk,
				"an available head is too large");
	if (is_taken(split, head))
		return vring_walk_broken(walk,
				"a head was offered while in flight");
	split->last_avail++;
	walk->chain->head = head;
	return 1;
}

static int split_take_again(struct vring *vring, struct vring_walk *walk)
{
	uint16_t head = walk->chain->head;
	int ret = walk_chain(vring, walk, head);

	if (ret)
		return ret;
	/* It is in flight already, and keeps its place in the order. */
	mark_taken(&vring->split, head);
	return 1;
}

static int split_take(struct vring *vring, struct vring_walk *walk)
{
	int ret = next_head(vring, walk);

	if (ret <= 0)
		return ret;
	ret = split_take_again(vring, walk);
	if (ret > 0)
		inflight_taken(&vring->split.inflight, walk->chain->head);
	return ret;
}

static void split_untake(struct vring *vring, uint16_t head, bool again)
{
	unmark_taken(&vring->split, head);
	if (again)
		return;
	inflight_untaken(&vring->split.inflight, head);
	vring->split.last_avail--;
}

static bool split_is_waiting(const struct vring *vring)
{
	return vring->split.avail->idx != vring->split.last_avail;
}

/* --- D5: giving back ------------------------------------------------------ */

static void split_give(struct vring *vring, uint16_t head,
		       uint32_t written_bytes)
{
	struct vring_split *split = &vring->split;
	volatile struct vring_used_entry *entry =
		&split->used->ring[split->next_used & (vring->size - 1)];

	entry->id = vring_used_id(vring, head);
	entry->len = written_bytes;
	split->next_used++;
	unmark_taken(split, head);
	inflight_pushed(&split->inflight, head);
}

static void split_show(struct vring *vring)
{
	struct vring_split *split = &vring->split;

	/*
	 * Orders what we wrote to buffers and used->ring before used->idx;
	 * on the other side, virtqueue_get_buf_ctx_split()'s virtio_rmb().
	 */
	__atomic_store_n(&split->used->idx, split->next_used,
			 __ATOMIC_RELEASE);
	split->shown_used = split->next_used;
	inflight_published(&split->inflight, vring->batch, vring->nr_batch,
			   split->shown_used);
}

/* virtio 1.2, 2.7.7.2 */
static bool split_wants_call(struct vring *vring)
{
	struct vring_split *split = &vring->split;
	uint16_t old = split->called_used;
	uint16_t now = split->shown_used;
	bool valid = split->called_valid;

	/*
	 * Orders the store of used->idx before these reads; on the other
	 * side, virtqueue_enable_cb_prepare_split() and its virtio_store_mb()
	 * order the store of used_event (or flags) before the read of used->idx.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vring->event_idx)
		return !(split->avail->flags & VRING_AVAIL_NO_INTERRUPT);
	split->called_used = now;
	split->called_valid = true;
	/* Has used->idx just gone past used_event, from old to now? */
	return !valid || (uint16_t)(now - read_used_event(vring) - 1) <
			 (uint16_t)(now - old);
}

/* virtio 1.2, 2.7.10: behind the used ring */
static volatile uint16_t *avail_event(const struct vring *vring)
{
	return (volatile uint16_t *)&vring->split.used->ring[vring->size];
}

/*
 * In vring_rearm(), whose fence is, on the other side, that of
 * virtqueue_kick_prepare_split(): its virtio_mb() orders the store of
 * avail->idx before the read of avail_event (or flags).
 */
static void split_ask_for_kick(struct vring *vring)
{
	if (vring->event_idx)
		*avail_event(vring) = vring->split.last_avail;
	else
		vring->split.used->flags = 0;
}

static void split_ask_for_no_kick(struct vring *vring)
{
	/* The entry before the next one: 65,535 after it. */
	if (vring->event_idx)
		*avail_event(vring) = (uint16_t)(vring->split.last_avail - 1);
	else
		vring->split.used->flags = VRING_USED_NO_NOTIFY;
}

static uint32_t split_driver_words(const struct vring *vring)
{
	return (uint32_t)read_used_event(vring) << 16 |
	       vring->split.avail->idx;
}

const struct vring_form vring_form_split = {
	.map = split_map,
	.unmap = split_unmap,
	.track = split_track,
	.start = split_start,
	.base = split_base,
	.take = split_take,
	.take_again = split_take_again,
	.untake = split_untake,
	.is_waiting = split_is_waiting,
	.give = split_give,
	.show = split_show,
	.wants_call = split_wants_call,
	.ask_for_kick = split_ask_for_kick,
	.ask_for_no_kick = split_ask_for_no_kick,
	.driver_words = split_driver_words,
};
