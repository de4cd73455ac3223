/* SPDX-License-Identifier: Apache-2.0 */
/* See walk.h. */
#include "devproc/walk.h"

#include <string.h>

#include "devproc/stats.h"
#include "devproc/vring_priv.h"

#define WATCH_NS	200000u

static const uint64_t nothing_wanted;

bool walk_on;

static struct {
	const uint64_t *goal;	/* serial of the last that is wanted */
	struct stats_page *page;
	const struct vring *vring;	/* the one in hand; NULL: none */
	uint16_t head;
	bool queued;
	bool pushed;
	struct stats_walk now;
	/* Of queues: when last seen empty, and kicked since. */
	uint64_t idle_ns[STATS_MAX_QUEUES];
	uint64_t woken_ns[STATS_MAX_QUEUES];
} walk = { .goal = &nothing_wanted };

void walk_init(const uint64_t *goal, struct stats_page *page)
{
	walk.goal = goal ? goal : &nothing_wanted;
	walk.page = page;
}

static bool is_wanted(void)
{
	uint64_t goal = __atomic_load_n(walk.goal, __ATOMIC_RELAXED);

	return goal && goal > walk.page->walk_serial;
}

void walk_look(void)
{
	walk_on = walk.vring || is_wanted();
}

void walk_idle(const struct vring *vring)
{
	walk.idle_ns[vring->index] = stats_clock_ns();
	walk.woken_ns[vring->index] = 0;
}

void walk_woken(const struct vring *vring)
{
	if (!walk.woken_ns[vring->index])
		walk.woken_ns[vring->index] = stats_clock_ns();
}

static bool is_it(const struct vring *vring, uint16_t head)
{
	return vring == walk.vring && head == walk.head;
}

void walk_taken(const struct vring *vring, uint16_t head)
{
	if (walk.vring || !is_wanted())
		return;
	walk.vring = vring;
	walk.head = head;
	walk.queued = false;
	walk.pushed = false;
	walk.now = (struct stats_walk){
		.queue = vring->index,
		.idle_ns = walk.idle_ns[vring->index],
		.woken_ns = walk.woken_ns[vring->index],
		.taken_ns = stats_clock_ns(),
	};
}

void walk_queued(const struct vring *vring, uint16_t head)
{
	if (is_it(vring, head))
		walk.queued = true;
}

void walk_issued(void)
{
	if (walk.vring && walk.queued && !walk.now.issued_ns)
		walk.now.issued_ns = stats_clock_ns();
}

void walk_done(const struct vring *vring, uint16_t head)
{
	if (is_it(vring, head))
		walk.now.done_ns = stats_clock_ns();
}

void walk_pushed(const struct vring *vring, uint16_t head)
{
	if (!is_it(vring, head))
		return;
	walk.pushed = true;
	walk.now.kind = vring->kind[head];
}

void walk_visible(const struct vring *vring)
{
	if (walk.vring == vring && walk.pushed)
		walk.now.used_ns = stats_clock_ns();
}

static uint64_t watch_for_answer(const struct vring *vring, uint32_t before)
{
	uint64_t end_ns = walk.now.used_ns + WATCH_NS;

	for (;;) {
		bool answered = vring->form->driver_words(vring) != before;
		uint64_t now_ns = stats_clock_ns();

		if (answered || now_ns > end_ns)
			return answered ? now_ns : 0;
		__builtin_ia32_pause();
	}
}

static void walk_publish(void)
{
	uint64_t serial = walk.page->walk_serial + 1;
	struct stats_walk *place = &walk.page->walk[serial % STATS_MAX_WALKS];

	/* Readers see a serial of none while it is written. */
	__atomic_store_n(&place->serial, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	walk.now.serial = 0;
	*place = walk.now;
	/* Orders the times before this; on the other side, stats_next_walk(). */
	__atomic_store_n(&place->serial, serial, __ATOMIC_RELEASE);
	__atomic_store_n(&walk.page->walk_serial, serial, __ATOMIC_RELAXED);
	walk.vring = NULL;
}

void walk_called(const struct vring *vring, bool called)
{
	uint32_t before;

	if (walk.vring != vring || !walk.pushed)
		return;
	before = vring->form->driver_words(vring);
	if (called)
		walk.now.called_ns = stats_clock_ns();
	walk.now.answered_ns = watch_for_answer(vring, before);
	walk_publish();
}
