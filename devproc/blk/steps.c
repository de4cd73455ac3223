/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a request, in their order.  bulkhead-blk, D3 to D5; the one
 * place that knows all filters.
 *
 *	steps_begin()	   1 parse	what does the guest ask for	request.c
 *			   2 faults	do any meet it; may wait	faults.c
 *			   3 throttle	is it its turn; may wait	throttle.c
 *	go()		   4 faults	change what it asks for, or end it
 *			   5 record	note what it is			record.c
 *			   6 transfer	format, files, data; waits	transfer.c
 *	steps_transferred()
 *			   7 flush	a write that must be stable: 6 again
 *			   8 record	append the note; waits		record.c
 *	end()		   9 faults	say something else
 *			  10 complete	tell the guest			engine.c
 *
 * A step that waits gives the request to somebody who calls the next step
 * from the loop.  A step that finds the end skips to end().
 */
#include "devproc/blk/steps.h"

#include <linux/virtio_blk.h>

#include "devproc/blk/engine.h"
#include "devproc/blk/faults.h"
#include "devproc/blk/record.h"
#include "devproc/blk/throttle.h"
#include "devproc/blk/transfer.h"
#include "devproc/device.h"
#include "devproc/vhost_device.h"
#include "ipc/fault_match.h"

static const struct blk_image *image;

static void end(struct blk_request *req, uint8_t status)
{
	if (req->faults)
		status = faults_end(req, status);
	engine_complete(req, status);
}

static void go(struct blk_request *req)
{
	int status = req->faults ? faults_begin(req, image) : -1;

	if (status >= 0) {
		end(req, (uint8_t)status);
		return;
	}
	record_begin(req);
	transfer_begin(req);
}

static void pass_throttle(struct blk_request *req)
{
	if (!throttle_take(req))
		go(req);
}

void steps_begin(struct blk_request *req)
{
	int status = request_parse(req, image);

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
	if (err) {
		report(req, err);
		end(req, VIRTIO_BLK_S_IOERR);
	} else if (request_becomes_flush(req, image)) {
		transfer_begin(req);
	} else if (!record_append(req)) {
		end(req, VIRTIO_BLK_S_OK);
	}
}

/* The record has it before the guest is told. */
void steps_recorded(struct blk_request *req)
{
	end(req, VIRTIO_BLK_S_OK);
}

void steps_due(void)
{
	for (struct blk_request *req; (req = faults_next_due()); )
		pass_throttle(req);
	for (struct blk_request *req; (req = throttle_next_due()); )
		go(req);
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
}

unsigned int steps_nr_parked(void)
{
	return throttle_nr_waiting();
}

void steps_init(const struct blk_image *blk_image)
{
	image = blk_image;
	transfer_init(blk_image);
}
