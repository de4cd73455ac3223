/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether to be SCHED_BATCH, see batch.h.  bulkhead-blk, D3.
 *
 * Theory of operation: time goes by in windows of some requests.  After every
 * few of them the other policy has one, as a trial, and then the old one again:
 * the trial must have been better than what was before and what came after it,
 * so that a load that just happened to grow is not its merit.  A trial that
 * fails ends early, and the next one is later.
 */
#include "devproc/blk/batch.h"

#define WINDOW_REQUESTS	64u
#define WINDOW_NS	UINT64_C(20000000)
#define IDLE_NS		UINT64_C(1000000000)	/* a window says nothing */

/* Between two trials; seldom enough for what one may cost. */
#define FEWEST_WINDOWS	4u
#define MOST_WINDOWS	16u
#define MOST_AS_BATCH	64u

/* One request a wake, that often in a row: nothing is gathered. */
#define SINGLES_TRIAL	2u
#define SINGLES_SETTLED	8u

static bool is_batch(const struct batch *batch)
{
	return batch->settled != (batch->phase == BATCH_TRIAL);
}

static void begin(struct batch *batch, enum batch_phase phase, uint64_t now_ns)
{
	batch->phase = phase;
	batch->begin_ns = now_ns;
	batch->requests = 0;
	batch->wakes = 0;
}

static void settle(struct batch *batch, bool other, uint64_t now_ns)
{
	if (other) {
		batch->settled = !batch->settled;
		batch->every = FEWEST_WINDOWS;
	} else if (batch->every < (batch->settled ? MOST_AS_BATCH :
						    MOST_WINDOWS)) {
		batch->every *= 2;
	}
	batch->windows = 0;
	begin(batch, BATCH_STEADY, now_ns);
}

/* A quarter more served than before and after. */
static bool was_better(const struct batch *batch, uint64_t after_ns)
{
	uint64_t least_ns = batch->before_ns < after_ns ? batch->before_ns :
							  after_ns;

	return (batch->settled || batch->gathered) &&
	       batch->trial_ns + batch->trial_ns / 4 < least_ns;
}

static void end_window(struct batch *batch, uint64_t now_ns)
{
	uint64_t request_ns = (now_ns - batch->begin_ns) / batch->requests;

	switch (batch->phase) {
	case BATCH_STEADY:
		batch->before_ns = request_ns;
		batch->windows++;
		begin(batch, batch->windows < batch->every ? BATCH_STEADY :
							     BATCH_TRIAL,
		      now_ns);
		break;
	case BATCH_TRIAL:
		batch->trial_ns = request_ns;
		batch->gathered = batch->requests >= 2 * batch->wakes;
		begin(batch, BATCH_AFTER, now_ns);
		break;
	case BATCH_AFTER:
		settle(batch, was_better(batch, request_ns), now_ns);
		break;
	}
}

/* A trial that has taken longer than what it is to be better than has failed. */
static bool window_is_over(const struct batch *batch, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns - batch->begin_ns;

	if (batch->phase == BATCH_TRIAL &&
	    elapsed_ns > WINDOW_NS + WINDOW_REQUESTS * batch->before_ns)
		return true;
	return batch->requests >= WINDOW_REQUESTS && elapsed_ns >= WINDOW_NS;
}

bool batch_sleeps(struct batch *batch, unsigned int requests, uint64_t now_ns)
{
	bool trial = batch->phase == BATCH_TRIAL;
	bool was = is_batch(batch);

	if (!batch->every)
		batch->every = FEWEST_WINDOWS;
	if (now_ns - batch->begin_ns > IDLE_NS) {
		/* What has not come to its end counts as failed. */
		if (batch->phase != BATCH_STEADY)
			settle(batch, false, now_ns);
		else
			begin(batch, BATCH_STEADY, now_ns);
	}
	batch->requests += requests;
	batch->wakes++;
	batch->singles = requests == 1 ? batch->singles + 1 : 0;
	if (was && batch->singles >= (trial ? SINGLES_TRIAL : SINGLES_SETTLED))
		settle(batch, !trial, now_ns);
	else if (window_is_over(batch, now_ns))
		end_window(batch, now_ns);
	if (is_batch(batch) != was)
		batch->singles = 0;
	return is_batch(batch);
}
