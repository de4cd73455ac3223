/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues, the device's side, see vring.h.  Virtio devices; D3
 * (vring_pop) and D5 (vring_push, vring_publish).
 *
 * Every shared word is read once, through a volatile access, into a local.
 */
#include "devproc/vring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "devproc/guest_mem.h"
#include "devproc/stats.h"
#include "devproc/vring_priv.h"
#include "devproc/walk.h"
#include "ipc/probe.h"

/* Lines per second that a guest can make this process write. */
#define BREAK_LOG_BURST	2

/* --- words that both sides know ------------------------------------------- */

/*
 * Orders our reads of ring entries and descriptors after this read of idx;
 * on the other side, virtqueue_add_split()'s virtio_wmb() orders the stores
 * of those before its store of idx.
 */
static uint16_t read_avail_idx(const struct vring *vring)
{
	return __atomic_load_n(&vring->avail->idx, __ATOMIC_ACQUIRE);
}

/* virtio 1.2, 2.7.7: behind the available ring */
static uint16_t read_used_event(const struct vring *vring)
{
	return vring->avail->ring[vring->size];
}

/* virtio 1.2, 2.7.10: behind the used ring */
static void write_avail_event(struct vring *vring, uint16_t value)
{
	volatile uint16_t *event =
		(volatile uint16_t *)&vring->used->ring[vring->size];

	*event = value;
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

void vring_init(struct vring *vring, unsigned int index,
		struct stats_queue *stats)
{
	memset(vring, 0, offsetof(struct vring, again));
	vring->index = index;
	vring->stats = stats;
	/* What the process before had in flight is not: it is done again. */
	stats->in_flight = 0;
	vring->call_fd = -1;
	vring->err_fd = -1;
}

int vring_start(struct vring *vring)
{
	int nr_again;

	vring->next_used = vring->used->idx;
	vring->shown_used = vring->next_used;
	vring->called_valid = false;
	vring->in_flight = 0;
	vring->nr_batch = 0;
	vring->nr_again = 0;
	vring->next_again = 0;
	vring->broken = false;
	vring->kicked = false;
	memset(vring->taken, 0, sizeof(vring->taken));

	nr_again = inflight_recover(&vring->inflight, vring->next_used,
				    vring->again);
	/*
	 * The guest wrote to the used ring, which is not its to write: its
	 * driver has to begin anew (virtio 1.2, 2.1.2), and no successor of
	 * this process would find it any different.
	 */
	if (nr_again < 0) {
		vring_break(vring, "its used index is none that was ever shown");
		nr_again = 0;
	}
	vring->nr_again = (unsigned int)nr_again;
	/*
	 * What was in flight had been taken from the available ring, which
	 * the front-end of a device that died cannot know: it starts us at
	 * the used index.
	 */
	if (nr_again > 0)
		vring->last_avail =
			(uint16_t)(vring->next_used + nr_again);
	vring->seen_avail = vring->last_avail;
	return 0;
}

void vring_stop(struct vring *vring)
{
	vring->running = false;
	vring->desc = NULL;
	vring->avail = NULL;
	vring->used = NULL;
	vring->inflight.shared = NULL;
}

void vring_break(struct vring *vring, const char *reason)
{
	uint64_t one = 1;

	vring->broken = true;
	stats_add(&vring->stats->errors, 1);
	if (log_allowed(&vring->log_limit, BREAK_LOG_BURST))
		log_warn("queue %u stopped: the driver broke it: %s",
			 vring->index, reason);
	/* vhost-user: SET_VRING_ERR */
	if (vring->err_fd >= 0 &&
	    write(vring->err_fd, &one, sizeof(one)) != sizeof(one))
		log_warn("queue %u: the error eventfd cannot be written",
			 vring->index);
}

/* --- D3: taking ----------------------------------------------------------- */

static bool is_taken(const struct vring *vring, uint16_t head)
{
	return vring->taken[head / 64] >> (head % 64) & 1;
}

static void mark_taken(struct vring *vring, uint16_t head)
{
	vring->taken[head / 64] |= 1ull << (head % 64);
}

static void unmark_taken(struct vring *vring, uint16_t head)
{
	vring->taken[head / 64] &= ~(1ull << (head % 64));
}

/* A walk along one chain. */
struct walk {
	struct vring_chain *chain;
	const volatile struct vring_descriptor *table;
	uint32_t nr_table;	/* entries of table */
	uint32_t left;		/* descriptors the chain may still have */
	const char *reason;	/* why it is broken */
};

static int walk_broken(struct walk *walk, const char *reason)
{
	walk->reason = reason;
	return -EPROTO;
}

/* No room for all spans: keep the last one, the status byte may be there. */
static int keep_last_span(struct walk *walk,
			  const struct vring_descriptor *desc, bool in)
{
	struct vring_chain *chain = walk->chain;
	uint16_t last = (uint16_t)(chain->max_spans - 1);

	chain->cut = true;
	if (guest_mem_span(desc->addr + desc->len - 1, 1,
			   &chain->spans[last], 1) != 1)
		return walk_broken(walk, "a buffer is not in guest RAM");
	if (!in)
		chain->nr_out = chain->max_spans;
	else if (chain->nr_out > last)
		chain->nr_out = last;
	if (in)
		chain->nr_in = (uint16_t)(chain->max_spans - chain->nr_out);
	return 0;
}

/* Note where the buffer of one descriptor is. */
static int add_spans(struct walk *walk, const struct vring_descriptor *desc)
{
	struct vring_chain *chain = walk->chain;
	bool in = desc->flags & VRING_DESC_WRITE;
	uint32_t *bytes = in ? &chain->in_bytes : &chain->out_bytes;
	unsigned int used = chain->nr_out + chain->nr_in;
	uint32_t total;
	int nr;

	/* virtio 1.2, 2.7.4.2: device-writable ones after all others */
	if (!in && chain->nr_in > 0)
		return walk_broken(walk, "a buffer to read follows one to write");
	/* virtio 1.2, 2.7.5: "2^32 bytes in total" bound a chain */
	if (desc->len == 0 ||
	    __builtin_add_overflow(*bytes, desc->len, bytes) ||
	    __builtin_add_overflow(chain->in_bytes, chain->out_bytes, &total))
		return walk_broken(walk, "a buffer is empty or the chain too long");
	nr = guest_mem_span(desc->addr, desc->len, &chain->spans[used],
			    chain->max_spans - used);
	if (nr == -E2BIG)
		return keep_last_span(walk, desc, in);
	if (nr < 0)
		return walk_broken(walk, "a buffer is not in guest RAM");
	if (in)
		chain->nr_in = (uint16_t)(chain->nr_in + nr);
	else
		chain->nr_out = (uint16_t)(chain->nr_out + nr);
	return 0;
}

/* virtio 1.2, 2.7.5.3: the table that takes a chain's place */
static int enter_indirect(struct walk *walk,
			  const struct vring_descriptor *desc)
{
	struct iovec span;
	int nr;

	/* 2.7.5.3.1: INDIRECT and NEXT never together */
	if (desc->flags & VRING_DESC_NEXT)
		return walk_broken(walk, "an indirect table is not the last");
	if (desc->len == 0 || desc->len % sizeof(*desc) ||
	    desc->len / sizeof(*desc) > VRING_MAX_SIZE)
		return walk_broken(walk, "an indirect table's size is wrong");
	nr = guest_mem_span(desc->addr, desc->len, &span, 1);
	if (nr != 1)
		return walk_broken(walk, "an indirect table is not in guest RAM");
	walk->table = span.iov_base;
	walk->nr_table = desc->len / sizeof(*desc);
	walk->left = walk->nr_table;
	return 0;
}

/*
 * Follow descriptors from first to the end of the chain.  Each is read once;
 * `left` ends a loop that the driver made.
 */
static int walk_table(struct walk *walk, uint16_t first, bool may_indirect,
		      struct vring_descriptor *indirect)
{
	uint16_t next = first;
	struct vring_descriptor desc;

	do {
		int ret;

		if (next >= walk->nr_table)
			return walk_broken(walk, "a descriptor index is too large");
		if (walk->left-- == 0)
			return walk_broken(walk, "a chain has a loop");
		desc = latch_descriptor(&walk->table[next]);
		if (desc.flags & VRING_DESC_INDIRECT) {
			/* 2.7.5.3.1: only if negotiated, and no table in a table */
			if (!may_indirect)
				return walk_broken(walk, "an indirect table where none may be");
			*indirect = desc;
			return 1;
		}
		ret = add_spans(walk, &desc);
		if (ret)
			return ret;
		next = desc.next;
	} while (desc.flags & VRING_DESC_NEXT);
	return 0;
}

static int walk_chain(struct vring *vring, struct walk *walk, uint16_t head)
{
	struct vring_descriptor indirect;
	int ret = walk_table(walk, head, vring->indirect, &indirect);

	if (ret <= 0)
		return ret;
	ret = enter_indirect(walk, &indirect);
	if (ret)
		return ret;
	return walk_table(walk, 0, false, NULL);
}

/* New requests are there: after a kick, or found by looking. */
static void count_find(struct vring *vring)
{
	if (!vring->kicked)
		stats_add(&vring->stats->polls, 1);
	vring->kicked = false;
}

/*
 * The next head: first what the process before left over, then what the
 * driver made available.  Return: 1, 0 or -EPROTO.
 */
static int next_head(struct vring *vring, uint16_t *head,
		     const char **reason)
{
	uint16_t guest_head;

	if (vring->next_again < vring->nr_again) {
		vring->took_again = true;
		*head = vring->again[vring->next_again++];
		return 1;
	}
	if (vring->seen_avail == vring->last_avail) {
		vring->seen_avail = read_avail_idx(vring);
		if (vring->seen_avail == vring->last_avail) {
			if (walk_is_on())
				walk_idle(vring);
			return 0;
		}
		count_find(vring);
	}
	if ((uint16_t)(vring->seen_avail - vring->last_avail) > vring->size) {
		*reason = "the available index jumped";
		return -EPROTO;
	}
	guest_head = vring->avail->ring[vring->last_avail & (vring->size - 1)];
	if (guest_head >= vring->size) {
		*reason = "an available head is too large";
		return -EPROTO;
	}
	if (is_taken(vring, guest_head)) {
		*reason = "a head was offered while in flight";
		return -EPROTO;
	}
	vring->last_avail++;
	vring->took_again = false;
	*head = guest_head;
	return 1;
}

int vring_pop(struct vring *vring, struct vring_chain *chain)
{
	struct walk walk = {
		.chain = chain,
		.table = vring->desc,
		.nr_table = vring->size,
		.left = vring->size,
	};
	int ret;

	if (!vring->running || vring->broken)
		return 0;
	ret = next_head(vring, &chain->head, &walk.reason);
	if (ret == 0)
		return 0;
	chain->nr_out = 0;
	chain->nr_in = 0;
	chain->out_bytes = 0;
	chain->in_bytes = 0;
	chain->cut = false;
	if (ret > 0)
		ret = walk_chain(vring, &walk, chain->head);
	if (ret) {
		vring_break(vring, walk.reason);
		return ret;
	}
	mark_taken(vring, chain->head);
	/* One that is done again is marked, and keeps its place in the order. */
	if (!vring->took_again)
		inflight_taken(&vring->inflight, chain->head);
	vring->in_flight++;
	stats_add(&vring->stats->in_flight, 1);
	vring->taken_ns[chain->head] = stats_batch_now();
	vring->kind[chain->head] = chain->in_bytes ? STATS_READ : STATS_WRITE;
	PROBE2(take, vring->index, chain->head);
	if (walk_is_on())
		walk_taken(vring, chain->head);
	return 1;
}

void vring_unpop(struct vring *vring, uint16_t head)
{
	unmark_taken(vring, head);
	vring->in_flight--;
	stats_add(&vring->stats->in_flight, -1ull);
	if (vring->took_again) {
		vring->next_again--;
		return;
	}
	inflight_untaken(&vring->inflight, head);
	vring->last_avail--;
}

/* --- D5: giving back ------------------------------------------------------ */

/* vhost_fault.c asked for an impossible entry (virtio 1.2, 2.7.8: id). */
static uint32_t used_id(struct vring *vring, uint16_t head)
{
	if (__builtin_expect(!(vring->faults & VRING_FAULT_BAD_USED), 1))
		return head;
	vring->faults &= (uint8_t)~VRING_FAULT_BAD_USED;
	return (uint32_t)head + vring->size;
}

void vring_push(struct vring *vring, uint16_t head, uint32_t written_bytes)
{
	volatile struct vring_used_entry *entry;

	/*
	 * A driver may offer a head again before it is told that it has it
	 * back, so only this bounds a batch.
	 */
	if (vring->nr_batch == vring->size)
		vring_publish(vring);
	entry = &vring->used->ring[vring->next_used & (vring->size - 1)];
	entry->id = used_id(vring, head);
	entry->len = written_bytes;
	vring->next_used++;
	unmark_taken(vring, head);
	inflight_pushed(&vring->inflight, head);
	vring->batch_taken_ns[vring->nr_batch] = vring->taken_ns[head];
	vring->batch_kind[vring->nr_batch] = vring->kind[head];
	vring->batch[vring->nr_batch++] = head;
	vring->in_flight--;
	stats_add(&vring->stats->in_flight, -1ull);
	stats_add(&vring->stats->requests, 1);
	if (walk_is_on())
		walk_pushed(vring, head);
	PROBE2(push, vring->index, head);
}

void vring_set_kind(struct vring *vring, uint16_t head, enum stats_kind kind)
{
	vring->kind[head] = (uint8_t)kind;
}

/* The batch was shown; the clock that says when is the next batch's too. */
static void count_batch(struct vring *vring, unsigned int nr)
{
	uint64_t now_ns = stats_clock_ns();

	for (unsigned int i = 0; i < nr; i++)
		stats_took(vring->stats, vring->batch_kind[i],
			   vring->batch_taken_ns[i], now_ns);
	stats_batch_ns = now_ns;
}

/* virtio 1.2, 2.7.7.2 */
static bool wants_call(struct vring *vring)
{
	uint16_t old = vring->called_used;
	uint16_t now = vring->shown_used;
	bool valid = vring->called_valid;

	/*
	 * Orders the store of used->idx before these reads; on the other
	 * side, virtqueue_enable_cb_prepare_split() and its virtio_store_mb()
	 * order the store of used_event (or flags) before the read of used->idx.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vring->event_idx)
		return !(vring->avail->flags & VRING_AVAIL_NO_INTERRUPT);
	vring->called_used = now;
	vring->called_valid = true;
	/* Has used->idx just gone past used_event, from old to now? */
	return !valid || (uint16_t)(now - read_used_event(vring) - 1) <
			 (uint16_t)(now - old);
}

void vring_call(struct vring *vring)
{
	uint64_t one = 1;

	PROBE1(call, vring->index);
	/* virtio-pci delivers it by irqfd (D6) */
	if (vring->call_fd >= 0 &&
	    write(vring->call_fd, &one, sizeof(one)) == sizeof(one))
		stats_add(&vring->stats->interrupts, 1);
}

/* What vhost_fault.c asked for.  Return: the interrupt is not to get lost. */
static bool fault_lets_call(struct vring *vring)
{
	bool lose = vring->faults & VRING_FAULT_NO_CALL;

	if (vring->faults & VRING_FAULT_CRASH)
		__builtin_trap();
	vring->faults &= (uint8_t)~VRING_FAULT_NO_CALL;
	return !lose;
}

void vring_publish(struct vring *vring)
{
	unsigned int nr = vring->nr_batch;
	bool call;

	if (vring->next_used == vring->shown_used || !vring->used)
		return;
	/*
	 * Orders what we wrote to buffers and used->ring before used->idx;
	 * on the other side, virtqueue_get_buf_ctx_split()'s virtio_rmb().
	 */
	__atomic_store_n(&vring->used->idx, vring->next_used,
			 __ATOMIC_RELEASE);
	vring->shown_used = vring->next_used;
	if (walk_is_on())
		walk_visible(vring);
	PROBE2(publish, vring->index, nr);
	inflight_published(&vring->inflight, vring->batch, vring->nr_batch,
			   vring->shown_used);
	vring->nr_batch = 0;
	call = wants_call(vring);
	if (__builtin_expect(vring->faults, 0))
		call = fault_lets_call(vring) && call;
	if (call)
		vring_call(vring);
	/* Behind the interrupt: the guest need not wait for it. */
	count_batch(vring, nr);
	if (walk_is_on())
		walk_called(vring, call);
}

/* --- when to be kicked ---------------------------------------------------- */

bool vring_rearm(struct vring *vring)
{
	if (!vring->running || vring->broken)
		return false;
	if (vring->event_idx)
		write_avail_event(vring, vring->last_avail);
	else
		vring->used->flags = 0;
	/*
	 * Orders that store before this read of avail->idx; on the other
	 * side, virtqueue_kick_prepare_split()'s virtio_mb() orders the store
	 * of avail->idx before the read of avail_event (or flags).
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vring_has_work(vring);
}

bool vring_has_work(const struct vring *vring)
{
	if (!vring->running || vring->broken)
		return false;
	return vring->next_again < vring->nr_again ||
	       vring->avail->idx != vring->last_avail;
}

unsigned int vring_in_flight(const struct vring *vring)
{
	return vring->in_flight;
}

/* --- contents ------------------------------------------------------------- */

/* Copy to or from nr spans, from byte offset of them. */
static size_t copy_spans(const struct iovec *spans, unsigned int nr,
			 size_t offset, void *to, const void *from, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < nr && done < len; i++) {
		uint8_t *base = spans[i].iov_base;
		size_t piece = spans[i].iov_len;

		if (offset >= piece) {
			offset -= piece;
			continue;
		}
		piece -= offset;
		if (piece > len - done)
			piece = len - done;
		if (to)
			memcpy((uint8_t *)to + done, base + offset, piece);
		else
			memcpy(base + offset, (const uint8_t *)from + done,
			       piece);
		offset = 0;
		done += piece;
	}
	return done;
}

size_t vring_chain_read(const struct vring_chain *chain, size_t offset,
			void *buf, size_t len)
{
	return copy_spans(chain->spans, chain->nr_out, offset, buf, NULL, len);
}

size_t vring_chain_write(const struct vring_chain *chain, size_t offset,
			 const void *buf, size_t len)
{
	return copy_spans(chain->spans + chain->nr_out, chain->nr_in, offset,
			  NULL, buf, len);
}
