/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a request, in their order.  bulkhead-blk, D3 to D5; the one
 * place that knows all filters.
 *
 *	steps_begin()	   1 parse	what does the guest ask for	request.c
 *			   2 faults	do any meet it; may wait	faults.c
 *			   3 throttle	is it its turn; may wait	throttle.c
 *	go()		   4 hold	is the disk held; then it waits	hold.c
 *			   5 faults	change what it asks for, or end it
 *			   6 mirror	does it meet the copy; may wait	mirror.c
 *			   7 transfer	format, files, data; waits	transfer.c
 *	steps_transferred()
 *			   8 hold	it failed: keep it for later, or not
 *			   9 flush	a write that must be stable: 7 again
 *			  10 mirror	do it to the other file; waits	mirror.c
 *	end()		  11 faults	say something else
 *			  12 complete	tell the guest			engine.c
 *
 * A step that waits gives the request to somebody who calls the next step
 * from the loop.  A step that finds the end skips to end().
 * What has no guest comes from the copy, begins at 7 and ends before 8.
 */
#include "devproc/blk/steps.h"

#include <linux/virtio_blk.h>

#include "devproc/blk/copy.h"
#include "devproc/blk/engine.h"
#include "devproc/blk/faults.h"
#include "devproc/blk/hold.h"
#include "devproc/blk/mirror.h"
#include "devproc/blk/throttle.h"
#include "devproc/blk/transfer.h"
#include "devproc/device.h"
#include "devproc/walk.h"
#include "ipc/probe.h"
#include "devproc/vhost_device.h"
#include "ipc/fault_match.h"

static const struct blk_image *image;

static void end(struct blk_request *req, uint8_t status)
{
	mirror_end(req);
	if (req->faults)
		status = faults_end(req, status);
	engine_complete(req, status);
}

static void go(struct blk_request *req)
{
	int status;

	if (hold_park(req))
		return;
	status = req->faults ? faults_begin(req, image) : -1;
	if (status == VIRTIO_BLK_S_IOERR &&
	    hold_take(req, faults_errno(req), HOLD_BEGIN))
		return;
	if (status >= 0) {
		end(req, (uint8_t)status);
		return;
	}
	if (!mirror_wait(req))
		transfer_begin(req);
}

/* The disk was held, and goes on. */
static void try_again(struct blk_request *req, enum hold_stage stage)
{
	switch (stage) {
	case HOLD_BEGIN:
		faults_take_again(req);
		go(req);
		return;
	case HOLD_TRANSFER:
		transfer_begin(req);
		return;
	}
}

static void pass_throttle(struct blk_request *req)
{
	if (!throttle_take(req))
		go(req);
}

/* For the statistics. */
static enum stats_kind kind_of(const struct blk_request *req)
{
	if (req->op == BLK_OP_READ)
		return STATS_READ;
	return req->op == BLK_OP_WRITE ? STATS_WRITE : STATS_OTHER;
}

void steps_begin(struct blk_request *req)
{
	int status = request_parse(req, image);

	vring_set_kind(req->vring, req->chain.head,
		       status < 0 ? kind_of(req) : STATS_OTHER);
	req->faults = NULL;
	if (status >= 0)
		end(req, (uint8_t)status);
	else if (!fault_armed() || !faults_take(req))
		pass_throttle(req);
}

static void report(const struct blk_request *req, int err)
{
	static struct log_limit limit;

	if (log_allowed(&limit, 4))
		log_perr(err, "image: operation %u at byte %llu failed",
			 req->op, (unsigned long long)req->offset);
}

void steps_transferred(struct blk_request *req, int err)
{
	if (!req->vring) {
		copy_has_read(err);
		return;
	}
	if (walk_is_on())
		walk_done(req->vring, req->chain.head);
	PROBE2(done, req->queue, req->chain.head);
	if (err) {
		report(req, err);
		if (hold_take(req, err, HOLD_TRANSFER))
			return;
		end(req, VIRTIO_BLK_S_IOERR);
	} else if (request_becomes_flush(req, image)) {
		transfer_begin(req);
	} else if (!mirror_copy(req)) {
		steps_mirrored(req);
	}
}

void steps_mirrored(struct blk_request *req)
{
	end(req, VIRTIO_BLK_S_OK);
}

void steps_due(void)
{
	enum hold_stage stage;

	for (struct blk_request *req; (req = faults_next_due()); )
		pass_throttle(req);
	for (struct blk_request *req; (req = throttle_next_due()); )
		go(req);
	for (struct blk_request *req; (req = hold_next(&stage)); )
		try_again(req, stage);
	for (struct blk_request *req; (req = mirror_next()); )
		transfer_begin(req);
}

bool steps_have_more(void)
{
	return mirror_look;
}

void steps_release(unsigned int queue)
{
	faults_release(queue);
	/* The next process does them, and as slowly as they are to be done. */
	if (vhost_is_ending())
		return;
	/*
	 * Else the driver resets the device and asks for them no more.  Doing
	 * them now would be its way around the throttle.
	 */
	for (struct blk_request *req; (req = throttle_drop(queue)); )
		end(req, VIRTIO_BLK_S_IOERR);
	for (struct blk_request *req; (req = hold_drop(queue)); )
		end(req, VIRTIO_BLK_S_IOERR);
}

unsigned int steps_nr_parked(void)
{
	return throttle_nr_waiting() + hold_nr();
}

void steps_init(const struct blk_image *blk_image)
{
	image = blk_image;
	transfer_init(blk_image);
}
