/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaky buckets, arithmetic only: no clock, no file, no request.  Used by
 * throttle.c; bulkhead-blk, between D3 and D4.
 *
 * A bucket is one number, the time at which it will have leaked empty (the
 * "virtual scheduling" form of ITU-T I.371's GCRA).  What is in it is that
 * time less now; a request may pass while no more is in it than its slack,
 * and then adds what it costs, so that one larger than the bucket passes too
 * and is paid for afterwards.
 */
#ifndef DEVPROC_BLK_BUCKET_H
#define DEVPROC_BLK_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/throttle.h"

/* How late a timer may be without a loss of rate. */
#define BUCKET_SLACK_NS		50000000ull
/* No bucket is believed to be fuller than that, beyond its slack. */
#define BUCKET_MAX_DEBT_NS	120000000000ull

/* A request, as limits see it. */
struct bucket_load {
	bool write;		/* else a read */
	uint64_t bytes;		/* 0: it moves none, and counts as one I/O */
};

/* Does any limit apply to anything? */
bool buckets_limit(const struct throttle_settings *settings);

/*
 * How long until a request may pass, in ns; 0: now.  page is read with
 * atomic loads, and may be written by others meanwhile.
 */
uint64_t buckets_wait(const struct throttle_settings *settings,
		      const struct throttle_page *page,
		      const struct bucket_load *load, uint64_t now_ns);

/* No bucket has anything in it. */
void buckets_empty(struct throttle_page *page);

/*
 * It passes.  since_ns: when it came; if it had to wait, a bucket that has
 * leaked empty meanwhile has been empty for too long, and owes nothing.
 */
void buckets_add(const struct throttle_settings *settings,
		 struct throttle_page *page, const struct bucket_load *load,
		 uint64_t since_ns);

#endif
