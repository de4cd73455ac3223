/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues, the device's side, see vring.h: what both forms have in common.
 * Virtio devices; D3 (vring_pop) and D5 (vring_push, vring_publish).
 */
#include "devproc/vring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "devproc/stats.h"
#include "devproc/vring_walk.h"
#include "devproc/walk.h"
#include "ipc/probe.h"

/* Lines per second that a guest can make this process write. */
#define BREAK_LOG_BURST	2

/* --- life ----------------------------------------------------------------- */

void vring_init(struct vring *vring, unsigned int index,
		struct stats_queue *stats)
{
	memset(vring, 0, offsetof(struct vring, again));
	vring->form = &vring_form_split;
	vring->index = index;
	vring->stats = stats;
	/* What the process before had in flight is not: it is done again. */
	stats->in_flight = 0;
	vring->call_fd = -1;
	vring->err_fd = -1;
}

int vring_map(struct vring *vring, const struct vhost_user_vring_addr *addr)
{
	return vring->form->map(vring, addr);
}

int vring_track(struct vring *vring, void *shared, uint16_t size)
{
	return vring->form->track(vring, shared, size);
}

int vring_start(struct vring *vring)
{
	int nr_again;

	vring->in_flight = 0;
	vring->nr_batch = 0;
	vring->next_again = 0;
	vring->broken = false;
	vring->kicked = false;

	nr_again = vring->form->start(vring);
	if (nr_again == -EINVAL)
		return nr_again;
	/*
	 * The guest wrote where it is not its to write: its driver has to
	 * begin anew (virtio 1.2, 2.1.2), and no successor of this process
	 * would find it any different.
	 */
	if (nr_again < 0) {
		vring_break(vring, "its used index is none that was ever shown");
		nr_again = 0;
	}
	vring->nr_again = (unsigned int)nr_again;
	vring->started = true;
	return 0;
}

void vring_stop(struct vring *vring)
{
	vring->running = false;
	if (vring->started)
		vring->base = vring->form->base(vring);
	vring->started = false;
	vring->nr_batch = 0;
	vring->form->unmap(vring);
	vring->form->track(vring, NULL, 0);
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

void vring_count_find(struct vring *vring)
{
	/* After a kick, or found by looking. */
	if (!vring->kicked)
		stats_add(&vring->stats->polls, 1);
	vring->kicked = false;
}

void vring_count_idle(struct vring *vring)
{
	if (walk_is_on())
		walk_idle(vring);
}

/* First what the process before left over, then what the driver offers. */
static int take(struct vring *vring, struct vring_walk *walk)
{
	vring->took_again = vring->next_again < vring->nr_again;
	if (!vring->took_again)
		return vring->form->take(vring, walk);
	walk->chain->head = vring->again[vring->next_again++];
	return vring->form->take_again(vring, walk);
}

int vring_pop(struct vring *vring, struct vring_chain *chain)
{
	struct vring_walk walk = { .chain = chain };
	int ret;

	if (!vring->running || vring->broken)
		return 0;
	chain->nr_out = 0;
	chain->nr_in = 0;
	chain->out_bytes = 0;
	chain->in_bytes = 0;
	chain->cut = false;
	ret = take(vring, &walk);
	if (ret <= 0) {
		if (ret < 0)
			vring_break(vring, walk.reason);
		return ret;
	}
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
	vring->form->untake(vring, head, vring->took_again);
	if (vring->took_again)
		vring->next_again--;
	vring->in_flight--;
	stats_add(&vring->stats->in_flight, -1ull);
}

/* --- D5: giving back ------------------------------------------------------ */

void vring_push(struct vring *vring, uint16_t head, uint32_t written_bytes)
{
	/*
	 * A driver may offer a head again before it is told that it has it
	 * back, so only this bounds a batch.
	 */
	if (vring->nr_batch == vring->size)
		vring_publish(vring);
	vring->form->give(vring, head, written_bytes);
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

	if (nr == 0)
		return;
	vring->form->show(vring);
	if (walk_is_on())
		walk_visible(vring);
	PROBE2(publish, vring->index, nr);
	vring->nr_batch = 0;
	call = vring->form->wants_call(vring);
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
	vring->form->ask_for_kick(vring);
	/* Orders what was stored there before the look for new requests. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vring_has_work(vring);
}

void vring_disarm(struct vring *vring)
{
	if (vring->running && !vring->broken)
		vring->form->ask_for_no_kick(vring);
}

bool vring_has_work(const struct vring *vring)
{
	if (!vring->running || vring->broken)
		return false;
	return vring->next_again < vring->nr_again ||
	       vring->form->is_waiting(vring);
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
