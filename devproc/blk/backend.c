/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image I/O through io_uring.  bulkhead-blk, D4.
 *
 * Theory of operation: kicks of a round fill the submission queue; the end
 * of the round submits all of it in one system call, takes what has
 * completed, shows each guest queue its batch, and looks for more in the
 * rings.  As long as there is, no guest is asked to kick: queues are rearmed
 * when the process would sleep.  The kernel holds the ring to six operations
 * on one registered file (image_ring.c).
 *
 * A request that cannot be issued now (no bounce buffer, no room in the
 * submission queue) waits in a list; one that has no request struct stays in
 * the guest's ring.  Both go on as soon as another request completes.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/mman.h>

#include "devproc/blk/blk.h"
#include "devproc/blk/faults.h"
#include "devproc/blk/image_ring.h"
#include "devproc/blk/record.h"
#include "devproc/device.h"
#include "devproc/fault.h"
#include "devproc/loop.h"

#define SQ_ENTRIES	256	/* submitted in one go */
#define REAP_BATCH	64	/* completions looked at in one go */
#define TAKE_MAX	256	/* of one queue, before others are looked at */
#define MAX_PASSES	32	/* of a round, before other fds are looked at */

/*
 * With nothing left to do, a driver that polls has its next request ready
 * within a microsecond, sooner than this process could sleep and wake.
 */
#define LINGER_LOOKS	60	/* one to two microseconds */
#define LINGER_MISSES	4	/* in vain, then it is tried seldom: */
#define LINGER_SELDOM	64	/* once in so many chances */

#define NR_BOUNCE	16
#define BOUNCE_BYTES	(64u << 10)

static struct io_uring ring;
static const struct blk_image *image;

/*
 * Last freed, first taken: what is warm in the cache stays so.  Those that
 * no load has needed so far have never been touched and take no memory.
 */
static struct blk_request requests[BLK_MAX_REQUESTS]
	__attribute__((aligned(4096)));
static struct blk_request *free_requests;
static unsigned int nr_touched;

/* Cannot be issued yet; oldest first. */
static struct {
	struct blk_request *first;
	struct blk_request **last;
} waiting = { .last = &waiting.first };

static uint8_t bounce[NR_BOUNCE][BOUNCE_BYTES] __attribute__((aligned(4096)));
static uint32_t bounce_free = (1u << NR_BOUNCE) - 1;	/* bit n: buffer n */
static const uint8_t zeroes[BOUNCE_BYTES] __attribute__((aligned(4096)));

static struct vring *vrings[STATS_MAX_QUEUES];
static uint32_t pushed;		/* queues with something to publish */
static uint32_t starved;	/* queues left with requests in the ring */
static uint32_t awake;		/* queues to be rearmed before we sleep */
static unsigned int in_flight;	/* requests begun and not completed */
static unsigned int linger_misses;	/* in a row */

_Static_assert(STATS_MAX_QUEUES <= 32, "these masks have a bit per queue");

/* --- completion (D5) ------------------------------------------------------ */

static void complete(struct blk_request *req, uint8_t status)
{
	struct stats_queue *stats = &device_stats->queue[req->queue];
	uint32_t written;

	if (req->faults)
		status = faults_end(req, status);
	written = request_finish(req, status);
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

/* --- bounce buffers: guest buffers that O_DIRECT would refuse ------------- */

static bool take_bounce(struct blk_request *req)
{
	unsigned int n;

	if (req->bounce)
		return true;
	if (!bounce_free)
		return false;
	n = (unsigned int)__builtin_ctz(bounce_free);
	bounce_free &= ~(1u << n);
	req->bounce = (uint8_t)(n + 1);
	return true;
}

static void drop_bounce(struct blk_request *req)
{
	if (req->bounce)
		bounce_free |= 1u << (req->bounce - 1);
	req->bounce = 0;
}

static size_t chunk_of(const struct blk_request *req)
{
	return req->left < BOUNCE_BYTES ? req->left : BOUNCE_BYTES;
}

/* Copy len bytes between the request's data and its bounce buffer. */
static void copy_bounce(const struct blk_request *req, size_t len)
{
	uint8_t *buf = bounce[req->bounce - 1];

	for (unsigned int i = 0; i < req->nr_data && len > 0; i++) {
		size_t piece = req->data[i].iov_len < len ?
			req->data[i].iov_len : len;

		if (req->op == BLK_OP_WRITE)
			memcpy(buf, req->data[i].iov_base, piece);
		else
			memcpy(req->data[i].iov_base, buf, piece);
		buf += piece;
		len -= piece;
	}
}

/* --- submission (D4) ------------------------------------------------------ */

static void prepare_data(struct io_uring_sqe *sqe,
			 const struct blk_request *req)
{
	bool read = req->op == BLK_OP_READ;

	/* One buffer is the common case, and cheaper without a vector. */
	if (req->nr_data == 1 && read)
		io_uring_prep_read(sqe, IMAGE_INDEX, req->data->iov_base,
				   (unsigned int)req->data->iov_len,
				   req->offset);
	else if (req->nr_data == 1)
		io_uring_prep_write(sqe, IMAGE_INDEX, req->data->iov_base,
				    (unsigned int)req->data->iov_len,
				    req->offset);
	else if (read)
		io_uring_prep_readv(sqe, IMAGE_INDEX, req->data, req->nr_data,
				    req->offset);
	else
		io_uring_prep_writev(sqe, IMAGE_INDEX, req->data,
				     req->nr_data, req->offset);
}

static void prepare_bounce(struct io_uring_sqe *sqe,
			   const struct blk_request *req)
{
	uint8_t *buf = bounce[req->bounce - 1];
	size_t len = chunk_of(req);

	if (req->op == BLK_OP_WRITE) {
		copy_bounce(req, len);
		if (req->faults)
			faults_change_copy(req, buf, len);
		io_uring_prep_write(sqe, IMAGE_INDEX, buf, (unsigned int)len,
				    req->offset);
	} else {
		io_uring_prep_read(sqe, IMAGE_INDEX, buf, (unsigned int)len,
				   req->offset);
	}
}

static void prepare(struct io_uring_sqe *sqe, const struct blk_request *req)
{
	const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const int zero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	switch ((enum blk_op)req->op) {
	case BLK_OP_READ:
	case BLK_OP_WRITE:
		if (req->bounce)
			prepare_bounce(sqe, req);
		else
			prepare_data(sqe, req);
		break;
	case BLK_OP_FLUSH:
		io_uring_prep_fsync(sqe, IMAGE_INDEX, IORING_FSYNC_DATASYNC);
		break;
	case BLK_OP_DISCARD:
	case BLK_OP_ZERO_UNMAP:
		io_uring_prep_fallocate(sqe, IMAGE_INDEX, hole,
					(off_t)req->offset, (off_t)req->left);
		break;
	case BLK_OP_ZERO:
		io_uring_prep_fallocate(sqe, IMAGE_INDEX, zero,
					(off_t)req->offset, (off_t)req->left);
		break;
	case BLK_OP_ZERO_WRITE:
		io_uring_prep_write(sqe, IMAGE_INDEX, zeroes,
				    (unsigned int)chunk_of(req), req->offset);
		break;
	case BLK_OP_RECORD:
		record_prepare(sqe, req);
		break;
	}
}

static bool needs_bounce(const struct blk_request *req)
{
	return !request_aligned(req, image) ||
	       (req->faults && faults_want_copy(req));
}

/* Return: false, something it needs is not free now. */
static bool try_issue(struct blk_request *req)
{
	bool data = req->op == BLK_OP_READ || req->op == BLK_OP_WRITE;
	struct io_uring_sqe *sqe;

	if (data && needs_bounce(req) && !take_bounce(req))
		return false;
	sqe = io_uring_get_sqe(&ring);
	if (!sqe && io_uring_submit(&ring) > 0)
		sqe = io_uring_get_sqe(&ring);
	if (!sqe)
		return false;
	prepare(sqe, req);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, req);
	if (req->faults)
		faults_issued(req);
	return true;
}

static void issue(struct blk_request *req)
{
	/* Nobody overtakes those who wait already. */
	if (!waiting.first && try_issue(req))
		return;
	req->next = NULL;
	*waiting.last = req;
	waiting.last = &req->next;
}

static void issue_waiting(void)
{
	while (waiting.first) {
		struct blk_request *req = waiting.first;
		struct blk_request *next = req->next;

		if (!try_issue(req))
			return;
		waiting.first = next;
		if (!next)
			waiting.last = &waiting.first;
	}
}

/* --- results -------------------------------------------------------------- */

static void on_recorded(struct blk_request *req, int result)
{
	if (record_end(req, result))
		issue(req);
	else
		complete(req, VIRTIO_BLK_S_OK);
}

/* What else would do it, if the file system cannot do op. */
static int instead_of(const struct blk_request *req)
{
	switch (req->op) {
	case BLK_OP_ZERO_UNMAP:
		return BLK_OP_ZERO;
	case BLK_OP_ZERO:
		return BLK_OP_ZERO_WRITE;
	default:
		return -1;
	}
}

static void on_error(struct blk_request *req, int err)
{
	static struct log_limit limit;

	if (err == EAGAIN || err == EINTR) {
		issue(req);
		return;
	}
	if (err == EOPNOTSUPP && instead_of(req) >= 0) {
		req->op = (uint8_t)instead_of(req);
		issue(req);
		return;
	}
	drop_bounce(req);
	/* virtio 1.2, 5.2.6: a discard is a hint, nothing is lost. */
	if (err == EOPNOTSUPP && req->op == BLK_OP_DISCARD) {
		complete(req, VIRTIO_BLK_S_OK);
		return;
	}
	if (log_allowed(&limit, 4))
		log_perr(err, "image: operation %u at byte %llu failed",
			 req->op, (unsigned long long)req->offset);
	complete(req, VIRTIO_BLK_S_IOERR);
}

static void on_success(struct blk_request *req)
{
	drop_bounce(req);
	/* The record has it before the guest is told. */
	if (request_becomes_flush(req, image) || record_append(req))
		issue(req);
	else
		complete(req, VIRTIO_BLK_S_OK);
}

/* Reads and writes may be short: count, and go on with the rest. */
static void on_progress(struct blk_request *req, uint32_t bytes)
{
	struct stats_queue *stats = &device_stats->queue[req->queue];

	if (bytes > req->left)
		bytes = (uint32_t)req->left;
	if (req->op == BLK_OP_READ) {
		if (req->bounce)
			copy_bounce(req, bytes);
		if (req->faults)
			faults_change_data(req, bytes);
		stats_add(&stats->bytes_read, bytes);
	} else {
		stats_add(&stats->bytes_written, bytes);
	}
	request_advance(req, bytes);
	if (req->left > 0)
		issue(req);
	else
		on_success(req);
}

static void on_result(struct blk_request *req, int result)
{
	bool moves_data = req->op == BLK_OP_READ || req->op == BLK_OP_WRITE ||
			  req->op == BLK_OP_ZERO_WRITE;

	if (req->op == BLK_OP_RECORD)
		on_recorded(req, result);
	else if (result < 0)
		on_error(req, -result);
	else if (!moves_data)
		on_success(req);
	else if (result == 0)
		/* The image has become shorter than it was at the start. */
		on_error(req, EIO);
	else
		on_progress(req, (uint32_t)result);
}

/* Return: whether there was any. */
static bool reap(void)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	unsigned int nr = io_uring_peek_batch_cqe(&ring, cqes, REAP_BATCH);

	for (unsigned int i = 0; i < nr; i++)
		on_result(io_uring_cqe_get_data(cqes[i]), cqes[i]->res);
	io_uring_cq_advance(&ring, nr);
	return nr > 0;
}

/* --- the device's side ---------------------------------------------------- */

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

/* Nothing keeps it from being done, or from failing. */
static void go(struct blk_request *req)
{
	int status = req->faults ? faults_begin(req, image) : -1;

	if (status >= 0) {
		complete(req, (uint8_t)status);
		return;
	}
	record_begin(req);
	issue(req);
}

static void begin(struct blk_request *req, unsigned int index,
		  struct vring *vring)
{
	int status;

	req->vring = vring;
	req->queue = (uint8_t)index;
	in_flight++;
	status = request_parse(req, image);
	req->faults = NULL;
	if (status >= 0)
		complete(req, (uint8_t)status);
	else if (!fault_armed() || !faults_take(req))
		go(req);
}

/*
 * All that the ring has; if the driver refills it as fast, its turn ends, and
 * pass() comes back to it, as the queue stays awake.
 */
static void take_all(unsigned int index)
{
	struct vring *vring = vrings[index];

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
	}
}

void backend_kick(unsigned int index, struct vring *vring)
{
	vrings[index] = vring;
	awake |= 1u << index;
	starved &= ~(1u << index);
	take_all(index);
}

void backend_queue_stop(unsigned int index, struct vring *vring)
{
	(void)vring;
	faults_release(index);
	/* What is in flight completes by itself. */
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

/* Of the queues that are awake.  Starved ones have to wait. */
static uint32_t queues_with_work(void)
{
	uint32_t found = 0;

	for (uint32_t todo = awake & ~starved; todo; todo &= todo - 1) {
		unsigned int index = (unsigned int)__builtin_ctz(todo);

		if (vring_has_work(vrings[index]))
			found |= 1u << index;
	}
	return found;
}

/* Look a little longer, if that was of use lately. */
static uint32_t linger(void)
{
	static unsigned int chances;
	uint32_t found = 0;

	if (in_flight > 0 || !awake || (linger_misses >= LINGER_MISSES &&
					++chances % LINGER_SELDOM))
		return 0;
	for (unsigned int i = 0; i < LINGER_LOOKS && !found; i++) {
		__builtin_ia32_pause();
		found = queues_with_work();
	}
	linger_misses = found ? 0 : linger_misses + 1;
	return found;
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

/* Submit, complete, take.  Return: whether there may be more to do. */
static bool pass(void)
{
	bool completed = false;
	uint32_t todo;

	for (struct blk_request *req; (req = faults_next_due()); )
		go(req);
	if (io_uring_sq_ready(&ring))
		io_uring_submit(&ring);
	faults_submitted();
	while (reap())
		completed = true;
	publish_all();
	if (completed) {
		issue_waiting();
		kick_starved();
	}
	todo = queues_with_work();
	if (!todo && completed)
		todo = linger();
	if (!todo && !io_uring_sq_ready(&ring) && !pushed)
		todo = rearm_all();
	for (; todo; todo &= todo - 1)
		take_all((unsigned int)__builtin_ctz(todo));
	return io_uring_sq_ready(&ring) || pushed || awake & ~starved;
}

bool backend_round_end(void)
{
	for (unsigned int i = 0; i < MAX_PASSES; i++)
		if (!pass())
			return false;
	return true;
}

/* The wake-up is all: backend_round_end() follows every event. */
static void on_ring(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
}

int backend_start(void)
{
	static struct loop_source source = LOOP_SOURCE_INIT(on_ring);

	return loop_add(&source, RING_FD, EPOLLIN | EPOLLET);
}

int backend_open(const struct blk_image *blk_image, bool recorded)
{
	image = blk_image;
	/*
	 * No huge page for the sake of one request.  A kernel without huge
	 * pages refuses, and has none to give.
	 */
	(void)madvise(requests, sizeof(requests), MADV_NOHUGEPAGE);
	(void)madvise(bounce, sizeof(bounce), MADV_NOHUGEPAGE);
	return image_ring_open(&ring, SQ_ENTRIES, BLK_MAX_REQUESTS, recorded);
}
