/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue, for tests, see front.h: chains
 * offered, kicks, completions taken; a packed one is front_packed.c's.  The
 * queue's life is front.c's.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/wire/front_packed.h"

static void fill(struct vring_desc *desc, const struct front_buf *buf,
		 uint16_t flags)
{
	desc->addr = buf->gpa;
	desc->len = buf->len;
	desc->flags = flags;
}

/* nr buffers through the table of the head; the chain is one descriptor. */
static int add_indirect(struct front_queue *queue,
			const struct front_buf *out, unsigned int nr_out,
			const struct front_buf *in, unsigned int nr_in)
{
	unsigned int nr = nr_out + nr_in;
	uint16_t head = queue->free_head;
	struct vring_desc *table = &queue->tables[head * FRONT_TABLE];

	if (nr > FRONT_TABLE || queue->nr_free == 0)
		return -ENOSPC;
	for (unsigned int i = 0; i < nr; i++) {
		bool is_in = i >= nr_out;

		fill(&table[i], is_in ? &in[i - nr_out] : &out[i],
		     (uint16_t)((i + 1 < nr ? VRING_DESC_F_NEXT : 0) |
				(is_in ? VRING_DESC_F_WRITE : 0)));
		table[i].next = (uint16_t)(i + 1);
	}
	queue->free_head = queue->desc[head].next;
	queue->nr_free--;
	queue->desc[head].addr = queue->tables_gpa +
				 (uint64_t)head * FRONT_TABLE * sizeof(*table);
	queue->desc[head].len = (uint32_t)(nr * sizeof(*table));
	queue->desc[head].flags = VRING_DESC_F_INDIRECT;
	return head;
}

static int add_direct(struct front_queue *queue, const struct front_buf *out,
		      unsigned int nr_out, const struct front_buf *in,
		      unsigned int nr_in)
{
	unsigned int nr = nr_out + nr_in;
	uint16_t head = queue->free_head;
	uint16_t at = head;

	if (nr > queue->nr_free)
		return -ENOSPC;
	for (unsigned int i = 0; i < nr; i++) {
		bool is_in = i >= nr_out;

		fill(&queue->desc[at], is_in ? &in[i - nr_out] : &out[i],
		     (uint16_t)((i + 1 < nr ? VRING_DESC_F_NEXT : 0) |
				(is_in ? VRING_DESC_F_WRITE : 0)));
		at = queue->desc[at].next;
	}
	queue->free_head = at;
	queue->nr_free = (uint16_t)(queue->nr_free - nr);
	return head;
}

void front_offer_head(struct front_queue *queue, uint16_t head)
{
	queue->avail->ring[queue->next_avail % queue->size] = head;
	queue->next_avail++;
}

int front_add(struct front_queue *queue, const struct front_buf *out,
	      unsigned int nr_out, const struct front_buf *in,
	      unsigned int nr_in, void *cookie)
{
	int head;

	if (queue->packed)
		return front_packed_add(queue, out, nr_out, in, nr_in, cookie);
	head = queue->indirect && nr_out + nr_in > 1 ?
		add_indirect(queue, out, nr_out, in, nr_in) :
		add_direct(queue, out, nr_out, in, nr_in);

	if (head < 0)
		return head;
	queue->cookies[head] = cookie;
	front_offer_head(queue, (uint16_t)head);
	return head;
}

void front_show(struct front_queue *queue)
{
	if (queue->packed)
		front_packed_show(queue);
	else
		__atomic_store_n(&queue->avail->idx, queue->next_avail,
				 __ATOMIC_RELEASE);
}

void front_kick(struct front_queue *queue)
{
	uint16_t old = queue->kicked_avail;
	uint64_t one = 1;
	bool kick;

	if (queue->packed) {
		front_packed_kick(queue);
		return;
	}
	if (old == queue->next_avail)
		return;
	front_show(queue);
	queue->kicked_avail = queue->next_avail;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (queue->event_idx) {
		const volatile uint16_t *event = (const volatile uint16_t *)
			&queue->used->ring[queue->size];

		kick = vring_need_event(*event, queue->next_avail, old);
	} else {
		const volatile __virtio16 *flags = &queue->used->flags;

		kick = !(*flags & VRING_USED_F_NO_NOTIFY);
	}
	if (!kick)
		return;
	queue->nr_kicks++;
	if (write(queue->kick_fd, &one, sizeof(one)) != sizeof(one))
		front_bail("kick: %s", strerror(errno));
}

/* The head's descriptors are free again. */
static void release(struct front_queue *queue, uint16_t head)
{
	uint16_t at = head;
	uint16_t nr = 1;

	while (queue->desc[at].flags & VRING_DESC_F_NEXT) {
		at = queue->desc[at].next;
		nr++;
	}
	queue->desc[at].next = queue->free_head;
	queue->free_head = head;
	queue->nr_free = (uint16_t)(queue->nr_free + nr);
}

bool front_take(struct front_queue *queue, void **cookie, uint32_t *written)
{
	struct vring_used_elem done;

	if (queue->packed)
		return front_packed_take(queue, cookie, written);
	if (__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) ==
	    queue->next_used)
		return false;
	done = queue->used->ring[queue->next_used % queue->size];
	queue->next_used++;
	if (done.id >= queue->size)
		front_bail("used ring: head %u of %u", done.id, queue->size);
	if (cookie)
		*cookie = queue->cookies[done.id];
	if (written)
		*written = done.len;
	release(queue, (uint16_t)done.id);
	/* Ask for a call at the next completion. */
	if (queue->event_idx && !queue->front->options.no_calls)
		*(volatile uint16_t *)&queue->avail->ring[queue->size] =
			queue->next_used;
	return true;
}

bool front_take_wait(struct front_queue *queue, void **cookie,
		     uint32_t *written, int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;

	while (!front_take(queue, cookie, written)) {
		if (fdmsg_now_ms() > deadline_ms)
			return false;
		usleep(50);
	}
	return true;
}

static bool eventfd_fired(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

bool front_called(struct front_queue *queue)
{
	return eventfd_fired(queue->call_fd);
}

bool front_call_wait(struct front_queue *queue, int timeout_ms)
{
	struct pollfd pfd = { .fd = queue->call_fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1 && front_called(queue);
}

uint64_t front_count_calls(struct front_queue *queue)
{
	uint64_t count = 0;

	return read(queue->call_fd, &count, sizeof(count)) < 0 ? 0 : count;
}

bool front_erred(struct front_queue *queue)
{
	return eventfd_fired(queue->err_fd);
}
