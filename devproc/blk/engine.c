/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues <-> requests, see engine.h.  bulkhead-blk, D2, D3 and D5.
 *
 * Theory of operation: kicks of a round fill the submission queue; the end
 * of the round submits all of it in one system call, takes what has
 * completed, shows each guest queue its batch, and looks for more in the
 * rings.  As long as there is, no guest is asked to kick: queues are rearmed
 * when the process would sleep.
 *
 * A request that has no request struct stays in the guest's ring until
 * another one completes.
 */
#include "devproc/blk/engine.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "devproc/blk/batch.h"
#include "devproc/blk/faults.h"
#include "devproc/blk/file_io.h"
#include "devproc/blk/fixed.h"
#include "devproc/blk/piece.h"
#include "devproc/blk/steps.h"
#include "devproc/blk/throttle.h"
#include "devproc/device.h"
#include "devproc/loop.h"
#include "devproc/walk.h"
#include "ipc/log.h"

#define TAKE_MAX	256	/* of one queue, before others are looked at */
#define MAX_PASSES	32	/* of a round, before other fds are looked at */

#define FEW		8	/* in flight: with more there is always something to do */

/*
 * With nothing left to do, a driver that polls has its next request ready
 * within a microsecond, sooner than this process could sleep and wake.
 */
#define LINGER_LOOKS	60	/* one to two microseconds */
#define LINGER_MISSES	4	/* in vain, then it is tried seldom: */
#define LINGER_SELDOM	64	/* once in so many chances */

/*
 * A process that sleeps is woken some microseconds after its disk is done,
 * often as many as the disk took.  With little in flight those are all
 * there is to do, so it looks for a while instead, as long as that is of use:
 * after POLL_MISSES times in vain only seldom.  How long is the user's to
 * say (poll =); a wait that is not longer than going to sleep and waking up
 * costs no more either.  An idle guest has nothing in flight, and nobody polls
 * for it.
 */
#define POLL_LOOKS	32	/* between two looks at the clock */
#define POLL_MISSES	4
#define POLL_SELDOM	64

/*
 * Last freed, first taken: what is warm in the cache stays so.  Those that
 * no load has needed so far have never been touched and take no memory.
 */
static struct blk_request requests[BLK_MAX_REQUESTS]
	__attribute__((aligned(4096)));
static struct blk_request *free_requests;
static unsigned int nr_touched;

static struct vring *vrings[STATS_MAX_QUEUES];
static uint32_t running;	/* queues that may have requests */
static uint32_t pushed;		/* queues with something to publish */
static uint32_t starved;	/* queues left with requests in the ring */
static uint32_t awake;		/* queues to be rearmed before we sleep */
static unsigned int in_flight;	/* requests begun and not completed */
static unsigned int linger_misses;	/* in a row */
static unsigned int poll_misses;
static uint64_t poll_ns;	/* 0: never */
static bool may_batch;		/* change between SCHED_OTHER and SCHED_BATCH */
static unsigned int nr_taken;	/* requests since the last sleep */

_Static_assert(STATS_MAX_QUEUES <= 32, "these masks have a bit per queue");

/* --- completion (D5) ------------------------------------------------------ */

void engine_complete(struct blk_request *req, uint8_t status)
{
	struct stats_queue *stats = &device_stats->queue[req->queue];
	uint32_t written = request_finish(req, status);

	if (status != VIRTIO_BLK_S_OK)
		stats_add(&stats->errors, 1);
	vring_push(req->vring, req->chain.head, written);
	in_flight--;
	pushed |= 1u << req->queue;
	req->next = free_requests;
	free_requests = req;
}

static void publish_all(void)
{
	while (pushed) {
		vring_publish(vrings[__builtin_ctz(pushed)]);
		pushed &= pushed - 1;
	}
}

/* --- taking (D3) ---------------------------------------------------------- */

static bool any_request_free(void)
{
	return free_requests || nr_touched < BLK_MAX_REQUESTS;
}

static struct blk_request *take_request(void)
{
	struct blk_request *req = free_requests;

	if (req) {
		free_requests = req->next;
	} else if (nr_touched < BLK_MAX_REQUESTS) {
		req = &requests[nr_touched];
		req->index = (uint16_t)nr_touched++;
		req->chain.spans = req->spans;
		req->chain.max_spans = BLK_MAX_SPANS;
	}
	return req;
}

static void begin(struct blk_request *req, unsigned int index,
		  struct vring *vring)
{
	req->vring = vring;
	req->queue = (uint8_t)index;
	in_flight++;
	nr_taken++;
	steps_begin(req);
}

/*
 * All that the ring has; if the driver refills it as fast, its turn ends, and
 * pass() comes back to it, as the queue stays awake.
 */
static void take_all(unsigned int index)
{
	struct vring *vring = vrings[index];

	awake |= 1u << index;
	for (unsigned int i = 0; i < TAKE_MAX; i++) {
		struct blk_request *req = take_request();

		if (!req) {
			/* kick_starved() comes back to it. */
			starved |= 1u << index;
			return;
		}
		if (vring_pop(vring, &req->chain) <= 0) {
			req->next = free_requests;
			free_requests = req;
			return;
		}
		begin(req, index, vring);
		file_io_push();
	}
}

void engine_kick(unsigned int index, struct vring *vring)
{
	vrings[index] = vring;
	running |= 1u << index;
	starved &= ~(1u << index);
	take_all(index);
}

void engine_queue_stop(unsigned int index, struct vring *vring)
{
	(void)vring;
	steps_release(index);
	/* What is in flight completes by itself. */
	running &= ~(1u << index);
	starved &= ~(1u << index);
	awake &= ~(1u << index);
}

static void kick_starved(void)
{
	uint32_t todo = starved;

	for (; todo && any_request_free(); todo &= todo - 1) {
		unsigned int index = (unsigned int)__builtin_ctz(todo);

		starved &= ~(1u << index);
		take_all(index);
	}
}

/* Which of these queues have requests?  Starved ones have to wait. */
static uint32_t queues_with_work(uint32_t queues)
{
	uint32_t found = 0;

	for (uint32_t todo = queues & ~starved; todo; todo &= todo - 1) {
		unsigned int index = (unsigned int)__builtin_ctz(todo);

		if (vring_has_work(vrings[index]))
			found |= 1u << index;
	}
	return found;
}

/*
 * Is it of use to look a little longer?  If it was lately, or to find that
 * out.  Whoever gets an answer meanwhile need not kick for his next request.
 */
static bool may_linger(void)
{
	static unsigned int chances;

	if (!pushed || in_flight > FEW || (linger_misses >= LINGER_MISSES &&
					   ++chances % LINGER_SELDOM))
		return false;
	for (uint32_t todo = pushed & running & ~awake; todo; todo &= todo - 1)
		vring_disarm(vrings[__builtin_ctz(todo)]);
	awake |= pushed & running;
	return true;
}

static uint32_t linger(void)
{
	uint32_t found = 0;

	for (unsigned int i = 0; i < LINGER_LOOKS && !found; i++) {
		if (file_io_ready())
			return 0;
		__builtin_ia32_pause();
		found = queues_with_work(awake);
	}
	linger_misses = found ? 0 : linger_misses + 1;
	return found;
}

/*
 * Is there something to do?  Looks POLL_LOOKS times, at queues that have been
 * rearmed too: nobody looks at their kicks meanwhile.
 */
static bool look(uint32_t *found)
{
	for (unsigned int i = 0; i < POLL_LOOKS; i++) {
		if (file_io_ready())
			return true;
		*found = queues_with_work(running);
		if (*found)
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * Wait, awake, for what is in flight, or for more of it.  Return: false, in
 * vain, or it was not tried; found: queues with work.
 */
static bool poll_some(uint32_t *found)
{
	static unsigned int chances;
	unsigned int nr = file_io_outstanding();
	uint64_t end_ns;
	bool any;

	if (!poll_ns || nr == 0 || nr > FEW ||
	    (poll_misses >= POLL_MISSES && ++chances % POLL_SELDOM))
		return false;
	end_ns = now_ns() + poll_ns;
	do
		any = look(found);
	while (!any && now_ns() < end_ns);
	poll_misses = any ? 0 : poll_misses + 1;
	stats_add(&device_stats->disk.polls, 1);
	stats_add(&device_stats->disk.polls_in_vain, !any);
	return any;
}

/* From now on the guests kick.  Return: those that have not waited for it. */
static uint32_t rearm_all(void)
{
	uint32_t found = 0;

	for (uint32_t todo = awake & ~starved; todo; todo &= todo - 1) {
		unsigned int index = (unsigned int)__builtin_ctz(todo);

		if (vring_rearm(vrings[index]))
			found |= 1u << index;
	}
	awake &= starved | found;
	return found;
}

/*
 * What was started goes to the kernel.  Less than a portion waits while there is
 * news and the disk has plenty to do: the next answers bring more of it, and the
 * host's own disk has one doorbell for all.
 */
static void submit(bool news)
{
	if (news && file_io_can_wait())
		return;
	file_io_submit();
	if (walk_is_on())
		walk_issued();
	/* Submitting may have taken long. */
	stats_batch_end();
	faults_submitted();
}

/* Submit, complete, take.  Return: whether there may be more to do. */
static bool pass(void)
{
	static bool news;	/* in the pass before */
	bool completed, lingers;
	uint32_t todo;

	walk_look();
	steps_due();
	submit(news);
	completed = file_io_reap();
	lingers = may_linger();
	publish_all();
	if (completed) {
		piece_retry();
		kick_starved();
	}
	todo = queues_with_work(awake);
	if (!todo && lingers)
		todo = linger();
	if (!todo && !file_io_pending() && !pushed) {
		if (poll_some(&todo) && !todo)
			return true;
		if (!todo)
			todo = rearm_all();
	}
	news = todo || completed;
	for (; todo; todo &= todo - 1)
		take_all((unsigned int)__builtin_ctz(todo));
	return file_io_pending() || steps_have_more() || pushed ||
	       awake & ~starved;
}

/* musl refuses sched_setscheduler(2), as POSIX means the process by it. */
static int set_policy(int policy)
{
	const struct sched_param none = { 0 };

	return syscall(SYS_sched_setscheduler, 0, policy, &none) < 0 ? -errno :
								       0;
}

/* Sleep: as one that wakes up at once, or as one that waits for its turn? */
static void choose_policy(void)
{
	static struct batch batch;
	static bool is_batch;
	/* Limits are kept by the clock: whoever keeps them is not to be late. */
	bool wanted = !throttle_on &&
		      batch_sleeps(&batch, nr_taken, now_ns());
	int ret;

	nr_taken = 0;
	if (wanted == is_batch)
		return;
	ret = set_policy(wanted ? SCHED_BATCH : SCHED_OTHER);
	if (ret) {
		log_perr(-ret, "sched_setscheduler; the process stays as it is");
		may_batch = false;
		return;
	}
	is_batch = wanted;
	stats_add(&device_stats->disk.batch_begins, is_batch);
	stats_add(&device_stats->disk.batch_ends, !is_batch);
}

/*
 * A slice of guest RAM at a time, and the fds in between: whoever talks to this
 * process waits for one of them at most.  Not before a queue runs, when
 * the front-end has all else to say yet.  Return: whether there was any.
 */
static bool register_some(void)
{
	if (!running || !fixed_next())
		return false;
	loop_sleep_at_most(0);
	return true;
}

bool engine_round_end(void)
{
	for (unsigned int i = 0; i < MAX_PASSES; i++) {
		if (pass())
			continue;
		if (may_batch && nr_taken)
			choose_policy();
		register_some();
		return false;
	}
	/* As busy as that: a slice, and then the fds. */
	return !register_some();
}

void engine_init(uint32_t poll_us, bool batch)
{
	poll_ns = poll_us * UINT64_C(1000);
	/* Whoever has chosen another policy for it keeps it (chrt(1)). */
	may_batch = batch &&
		    syscall(SYS_sched_getscheduler, 0) == SCHED_OTHER;
}
