/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for their turn, see devproc/blk/throttle.h. */
#include "devproc/blk/throttle.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devproc/blk/bucket.h"
#include "devproc/device.h"
#include "devproc/loop.h"

#define NS_PER_MS	1000000ull

bool throttle_on;

/* Oldest first. */
struct line {
	struct blk_request *first;
	struct blk_request **last;
};

enum { READS, WRITES, NR_LINES };

static struct {
	struct throttle_settings settings;
	struct throttle_page *page;
	struct line line[NR_LINES];
	unsigned int turn;	/* which line is asked first */
	unsigned int nr_waiting;
	uint64_t since_ns[BLK_MAX_REQUESTS];	/* by index of the request */
} throttle = {
	.line = {
		[READS] = { .last = &throttle.line[READS].first },
		[WRITES] = { .last = &throttle.line[WRITES].first },
	},
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void use(const struct throttle_settings *settings)
{
	throttle.settings = *settings;
	throttle_on = buckets_limit(settings) || throttle.nr_waiting;
}

void throttle_set(const struct throttle_settings *settings)
{
	if (!throttle.page)
		return;
	use(settings);
	/* What was owed at the old rates is not at the new ones. */
	buckets_empty(throttle.page);
}

int throttle_open(const struct throttle_settings *settings)
{
	void *page = mmap(NULL, THROTTLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED, THROTTLE_FD, 0);

	/* Started by hand: nobody gave us one, and nothing is limited. */
	if (page == MAP_FAILED)
		return buckets_limit(settings) ? -errno : 0;
	close(THROTTLE_FD);
	throttle.page = page;
	use(settings);
	return 0;
}

/* A discard counts as an I/O, but moves nothing. */
static struct bucket_load load_of(const struct blk_request *req)
{
	bool moves = req->op != BLK_OP_DISCARD;

	return (struct bucket_load){
		.write = req->op != BLK_OP_READ,
		.bytes = moves ? req->left : 0,
	};
}

static uint64_t wait_ns(const struct blk_request *req, uint64_t now)
{
	const struct bucket_load load = load_of(req);

	return buckets_wait(&throttle.settings, throttle.page, &load, now);
}

static void pass(const struct blk_request *req, uint64_t since)
{
	const struct bucket_load load = load_of(req);

	buckets_add(&throttle.settings, throttle.page, &load, since);
}

static void count_waiting(int change)
{
	throttle.nr_waiting = (unsigned int)((int)throttle.nr_waiting + change);
	__atomic_store_n(&device_stats->disk.waiting, throttle.nr_waiting,
			 __ATOMIC_RELAXED);
	if (!throttle.nr_waiting)
		throttle_on = buckets_limit(&throttle.settings);
}

/* Nobody overtakes those that wait in the same line. */
bool throttle_hold_back(struct blk_request *req)
{
	struct line *line =
		&throttle.line[req->op == BLK_OP_READ ? READS : WRITES];
	uint64_t now;

	/* A flush moves nothing, and others may wait for it. */
	if (req->op == BLK_OP_FLUSH)
		return false;
	now = now_ns();
	if (!line->first && !wait_ns(req, now)) {
		pass(req, now);
		return false;
	}
	throttle.since_ns[req->index] = now;
	req->next = NULL;
	*line->last = req;
	line->last = &req->next;
	count_waiting(1);
	return true;
}

/* *link is in line. */
static struct blk_request *unlink_waiting(struct line *line,
					  struct blk_request **link)
{
	struct blk_request *req = *link;

	*link = req->next;
	if (!req->next)
		line->last = link;
	count_waiting(-1);
	return req;
}

static void count_delay(const struct blk_request *req, uint64_t now)
{
	stats_add(&device_stats->disk.delayed, 1);
	stats_add(&device_stats->disk.delay_us,
		  (now - throttle.since_ns[req->index]) / 1000);
}

/* Not before: a wake-up too early would be one more. */
static void sleep_at_most(uint64_t wait)
{
	uint64_t ms = (wait + NS_PER_MS - 1) / NS_PER_MS;

	loop_sleep_at_most((int)ms);
}

struct blk_request *throttle_next_due(void)
{
	uint64_t now;

	if (!throttle.nr_waiting)
		return NULL;
	now = now_ns();
	for (unsigned int i = 0; i < NR_LINES; i++) {
		struct line *line =
			&throttle.line[(throttle.turn + i) % NR_LINES];
		uint64_t wait = line->first ? wait_ns(line->first, now) : 0;

		if (!line->first)
			continue;
		if (wait) {
			sleep_at_most(wait);
			continue;
		}
		/* From when it came: what a late wake-up took is made up for. */
		pass(line->first, throttle.since_ns[line->first->index]);
		count_delay(line->first, now);
		throttle.turn = (throttle.turn + i + 1) % NR_LINES;
		return unlink_waiting(line, &line->first);
	}
	return NULL;
}

struct blk_request *throttle_drop(unsigned int queue)
{
	for (unsigned int i = 0; i < NR_LINES; i++) {
		struct line *line = &throttle.line[i];

		for (struct blk_request **link = &line->first; *link;
		     link = &(*link)->next)
			if ((*link)->queue == queue)
				return unlink_waiting(line, link);
	}
	return NULL;
}

unsigned int throttle_nr_waiting(void)
{
	return throttle.nr_waiting;
}
