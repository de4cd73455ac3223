/* SPDX-License-Identifier: Apache-2.0 */
/* Leaky buckets, see devproc/blk/bucket.h. */
#include "devproc/blk/bucket.h"

#define TICKS_PER_S	(1000000000ull * THROTTLE_TICKS_PER_NS)
#define SLACK		(BUCKET_SLACK_NS * THROTTLE_TICKS_PER_NS)
#define MAX_DEBT	(BUCKET_MAX_DEBT_NS * THROTTLE_TICKS_PER_NS)
/* More than anybody waits for, and small enough for sums not to overflow. */
#define MAX_SLACK	(1ull << 62)
#define ADD_TRIES	8	/* against members that write all the time */

static bool applies(enum throttle_kind kind, const struct bucket_load *load)
{
	switch (kind) {
	case THROTTLE_IOPS_READ:
	case THROTTLE_BYTES_READ:
		return !load->write;
	case THROTTLE_IOPS_WRITE:
	case THROTTLE_BYTES_WRITE:
		return load->write;
	default:
		return true;
	}
}

/* n * TICKS_PER_S / rate, as much as a bucket may hold at most. */
static uint64_t ticks_for(uint64_t n, uint64_t rate)
{
	unsigned __int128 ticks = (unsigned __int128)n * TICKS_PER_S / rate;

	return ticks < MAX_DEBT ? (uint64_t)ticks : MAX_DEBT;
}

/* What the request costs of a limit of `rate` a second. */
static uint64_t cost(const struct throttle_settings *settings,
		     enum throttle_kind kind, const struct bucket_load *load,
		     uint64_t rate)
{
	if (kind >= THROTTLE_BYTES)
		return ticks_for(load->bytes, rate);
	/* A request larger than iops_size is as many as it has of those. */
	if (settings->iops_size && load->bytes > settings->iops_size)
		return ticks_for(load->bytes, rate * settings->iops_size);
	return TICKS_PER_S / rate;
}

static bool has_burst(const struct throttle_limit *limit)
{
	return limit->burst > limit->rate;
}

/*
 * What an idle disk may do beyond its rate.  With a burst rate B over R for T
 * seconds, (B - R) * T has come together that R has to leak.
 */
static uint64_t slack_of(const struct throttle_settings *settings,
			 const struct throttle_limit *limit)
{
	unsigned __int128 ticks;

	if (!has_burst(limit))
		return SLACK;
	ticks = (unsigned __int128)(limit->burst - limit->rate) *
		settings->burst_s * TICKS_PER_S / limit->rate;
	return (ticks < MAX_SLACK ? (uint64_t)ticks : MAX_SLACK) + SLACK;
}

/* When the bucket is empty; never more than can be believed. */
static uint64_t look(const uint64_t *empty_at, uint64_t now, uint64_t slack)
{
	uint64_t at = __atomic_load_n(empty_at, __ATOMIC_RELAXED);
	uint64_t most = now + slack + MAX_DEBT;

	return at < most ? at : most;
}

static uint64_t wait_for(const uint64_t *empty_at, uint64_t now,
			 uint64_t slack)
{
	uint64_t at = look(empty_at, now, slack);

	return at > now + slack ? at - now - slack : 0;
}

static void add(uint64_t *empty_at, uint64_t now, uint64_t slack,
		uint64_t ticks)
{
	for (int i = 0; i < ADD_TRIES; i++) {
		uint64_t old = __atomic_load_n(empty_at, __ATOMIC_RELAXED);
		uint64_t at = look(&old, now, slack);

		if (__atomic_compare_exchange_n(empty_at, &old,
						(at > now ? at : now) + ticks,
						false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return;
	}
}

void buckets_empty(struct throttle_page *page)
{
	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++) {
		__atomic_store_n(&page->empty_at[i], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&page->burst_empty_at[i], 0,
				 __ATOMIC_RELAXED);
	}
}

bool buckets_limit(const struct throttle_settings *settings)
{
	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++)
		if (settings->limit[i].rate)
			return true;
	return false;
}

uint64_t buckets_wait(const struct throttle_settings *settings,
		      const struct throttle_page *page,
		      const struct bucket_load *load, uint64_t now_ns)
{
	uint64_t now = now_ns * THROTTLE_TICKS_PER_NS;
	uint64_t longest = 0;

	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++) {
		const struct throttle_limit *limit = &settings->limit[i];
		uint64_t wait;

		if (!limit->rate || !applies(i, load))
			continue;
		wait = wait_for(&page->empty_at[i], now,
				slack_of(settings, limit));
		longest = wait > longest ? wait : longest;
		if (!has_burst(limit))
			continue;
		wait = wait_for(&page->burst_empty_at[i], now, SLACK);
		longest = wait > longest ? wait : longest;
	}
	return (longest + THROTTLE_TICKS_PER_NS - 1) / THROTTLE_TICKS_PER_NS;
}

void buckets_add(const struct throttle_settings *settings,
		 struct throttle_page *page, const struct bucket_load *load,
		 uint64_t since_ns)
{
	uint64_t since = since_ns * THROTTLE_TICKS_PER_NS;

	for (unsigned int i = 0; i < THROTTLE_NR_KINDS; i++) {
		const struct throttle_limit *limit = &settings->limit[i];

		if (!limit->rate || !applies(i, load))
			continue;
		add(&page->empty_at[i], since, slack_of(settings, limit),
		    cost(settings, i, load, limit->rate));
		if (has_burst(limit))
			add(&page->burst_empty_at[i], since, SLACK,
			    cost(settings, i, load, limit->burst));
	}
}
