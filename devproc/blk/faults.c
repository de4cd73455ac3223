/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of a disk, see devproc/blk/faults.h.  bulkhead-blk, D3 to D5.
 *
 * Rules are held against requests in the order in which the guest's came, so
 * the same requests meet the same faults however fast the disk is.  What
 * fired is kept beside the request until it ends.
 */
#include "devproc/blk/faults.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stddef.h>

#include "devproc/loop.h"
#include "devproc/vhost_fault.h"
#include "ipc/fdmsg.h"

#define TO_DO		(-1)
#define HELD_POLL_MS	10	/* how soon a change of the page is seen */

/* Bits are flipped in the first bytes of a request, at most so many. */
#define CORRUPT_MAX_BYTES	(64u << 10)

#define SECTORS_MAX	(UINT64_MAX / SECTOR_BYTES)

static struct blk_faults {
	struct fault_set set;
	uint64_t start;		/* where the request began, bytes */
	uint32_t corrupt_bytes;	/* its length, CORRUPT_MAX_BYTES at most */
	long long due_ms;	/* DELAY: until then; CLOCK_MONOTONIC */
} faults_of[BLK_MAX_REQUESTS];

/* Held or delayed; oldest first. */
static struct {
	struct blk_request *first;
	struct blk_request **last;
} held = { .last = &held.first };

static bool crash_when_submitted;

static bool has(const struct blk_request *req, enum fault_action action)
{
	return fault_has(&req->faults->set, action);
}

static enum fault_op op_of(const struct blk_request *req)
{
	switch ((enum blk_op)req->op) {
	case BLK_OP_READ:
		return FAULT_OP_READ;
	case BLK_OP_WRITE:
		return FAULT_OP_WRITE;
	case BLK_OP_FLUSH:
		return FAULT_OP_FLUSH;
	default:
		return FAULT_OP_DISCARD;
	}
}

/* --- taking ---------------------------------------------------------------------- */

static bool match(struct blk_request *req, uint32_t actions)
{
	struct blk_faults *faults = &faults_of[req->index];
	struct fault_request asked = { .op = op_of(req) };

	if (req->op != BLK_OP_FLUSH) {
		asked.sector = req->offset / SECTOR_BYTES;
		asked.nr_sectors = req->left / SECTOR_BYTES;
	}
	if (!fault_match(actions, &asked, &faults->set))
		return false;
	req->faults = faults;
	return true;
}

void faults_take_again(struct blk_request *req)
{
	if (!req->faults || (!has(req, FAULT_EIO) && !has(req, FAULT_ENOSPC)))
		return;
	req->faults = NULL;
	if (fault_armed())
		(void)match(req, 1u << FAULT_EIO | 1u << FAULT_ENOSPC);
}

bool faults_take(struct blk_request *req)
{
	struct blk_faults *faults = &faults_of[req->index];

	if (!match(req, FAULT_REQUEST_ACTIONS))
		return false;
	vhost_fault_fetched(&faults->set, req->vring, req->chain.head);
	if (!has(req, FAULT_DELAY) && !has(req, FAULT_HOLD))
		return false;
	faults->due_ms = fdmsg_now_ms() +
			 (long long)faults->set.value[FAULT_DELAY];
	req->next = NULL;
	*held.last = req;
	held.last = &req->next;
	return true;
}

/* --- waiting ----------------------------------------------------------------------- */

static struct blk_request *unlink_held(struct blk_request **link)
{
	struct blk_request *req = *link;

	*link = req->next;
	if (!req->next)
		held.last = link;
	return req;
}

/* HOLD ends when its rule does. */
static bool is_due(const struct blk_request *req, long long now_ms)
{
	return !(has(req, FAULT_HOLD) && fault_rule_stands(FAULT_HOLD)) &&
	       now_ms >= req->faults->due_ms;
}

struct blk_request *faults_next_due(void)
{
	long long now_ms;

	if (!held.first)
		return NULL;
	now_ms = fdmsg_now_ms();
	for (struct blk_request **link = &held.first; *link;
	     link = &(*link)->next) {
		long long left_ms = (*link)->faults->due_ms - now_ms;

		if (is_due(*link, now_ms))
			return unlink_held(link);
		loop_sleep_at_most(left_ms > 0 && left_ms < HELD_POLL_MS ?
					   (int)left_ms : HELD_POLL_MS);
	}
	return NULL;
}

void faults_release(unsigned int queue)
{
	for (struct blk_request *req = held.first; req; req = req->next) {
		if (req->queue != queue)
			continue;
		req->faults->set.actions &= ~(1u << FAULT_HOLD);
		req->faults->due_ms = 0;
	}
}

/* --- beginning ---------------------------------------------------------------------- */

/* Let the request end after its first `bytes`, in whole blocks. */
static void cut_to(struct blk_request *req, uint64_t bytes,
		   const struct blk_image *image)
{
	bytes -= bytes % image->block_bytes;
	if (bytes >= req->left)
		return;
	req->left = bytes;
	for (uint16_t i = 0; i < req->nr_data; i++) {
		if (bytes <= req->data[i].iov_len) {
			req->data[i].iov_len = bytes;
			req->nr_data = bytes ? i + 1 : i;
			return;
		}
		bytes -= req->data[i].iov_len;
	}
}

static uint64_t sectors_to_bytes(uint64_t sectors)
{
	return (sectors < SECTORS_MAX ? sectors : SECTORS_MAX) * SECTOR_BYTES;
}

/* Further on, around the disk's end; never across it. */
static void misdirect(struct blk_request *req, const struct blk_image *image)
{
	uint64_t by = sectors_to_bytes(
		req->faults->set.value[FAULT_MISDIRECT]) % image->bytes;

	by -= by % image->block_bytes;
	req->offset = by < image->bytes - req->offset ?
		req->offset + by : by - (image->bytes - req->offset);
	if (req->left > image->bytes - req->offset)
		req->offset = 0;
}

int faults_errno(const struct blk_request *req)
{
	return has(req, FAULT_ENOSPC) ? ENOSPC : EIO;
}

int faults_begin(struct blk_request *req, const struct blk_image *image)
{
	struct blk_faults *faults = req->faults;
	int status = TO_DO;

	if (has(req, FAULT_EIO) || has(req, FAULT_ENOSPC))
		status = VIRTIO_BLK_S_IOERR;
	else if (has(req, FAULT_LOSE))
		status = VIRTIO_BLK_S_OK;
	else if (has(req, FAULT_SHORT))
		cut_to(req, req->left / 2, image);
	else if (has(req, FAULT_TORN))
		cut_to(req, sectors_to_bytes(faults->set.value[FAULT_TORN]),
		       image);
	if (status == TO_DO && has(req, FAULT_MISDIRECT))
		misdirect(req, image);
	/* Nothing is left of it, of what had something: it is done. */
	if (status == TO_DO && req->left == 0 && req->op != BLK_OP_FLUSH)
		status = VIRTIO_BLK_S_OK;
	if (status != TO_DO)
		fault_crash_at(&faults->set, FAULT_POINT_SUBMIT);
	faults->start = req->offset;
	faults->corrupt_bytes = req->left < CORRUPT_MAX_BYTES ?
		(uint32_t)req->left : CORRUPT_MAX_BYTES;
	return status;
}

/* --- data ------------------------------------------------------------------------------ */

/*
 * Bit n of those to flip, counted from the request's first byte: one in each of
 * as many equal parts, so that no two are the same.
 */
static uint32_t corrupt_bit(const struct blk_faults *faults, uint64_t n)
{
	uint64_t bits = faults->set.value[FAULT_CORRUPT];
	uint64_t part = faults->corrupt_bytes * 8ull / bits;

	if (part == 0)
		part = 1;
	return (uint32_t)(n * part + fault_random(faults->set.random, n) % part);
}

bool faults_want_copy(const struct blk_request *req)
{
	return req->op == BLK_OP_WRITE && has(req, FAULT_CORRUPT) &&
	       req->offset == req->faults->start;
}

void faults_change_copy(const struct blk_request *req, uint8_t *buf,
			size_t len)
{
	if (!faults_want_copy(req))
		return;
	for (uint64_t i = 0; i < req->faults->set.value[FAULT_CORRUPT]; i++) {
		uint32_t bit = corrupt_bit(req->faults, i);

		if (bit / 8 < len)
			buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void flip_bit(const struct blk_request *req, uint32_t bit)
{
	size_t at = bit / 8;

	for (uint16_t i = 0; i < req->nr_data; i++) {
		uint8_t *base = req->data[i].iov_base;

		if (at < req->data[i].iov_len) {
			base[at] ^= (uint8_t)(1u << bit % 8);
			return;
		}
		at -= req->data[i].iov_len;
	}
}

void faults_change_data(const struct blk_request *req, size_t bytes)
{
	if (!has(req, FAULT_CORRUPT) || req->offset != req->faults->start)
		return;
	for (uint64_t i = 0; i < req->faults->set.value[FAULT_CORRUPT]; i++) {
		uint32_t bit = corrupt_bit(req->faults, i);

		if (bit / 8 < bytes)
			flip_bit(req, bit);
	}
}

/* --- ending ------------------------------------------------------------------------------ */

void faults_issued(const struct blk_request *req)
{
	if (req->faults->set.value[FAULT_CRASH] >> FAULT_POINT_SUBMIT & 1)
		crash_when_submitted = true;
}

void faults_submitted(void)
{
	if (crash_when_submitted)
		__builtin_trap();
}

uint8_t faults_end(struct blk_request *req, uint8_t status)
{
	vhost_fault_done(&req->faults->set, req->vring);
	return has(req, FAULT_SHORT) ? VIRTIO_BLK_S_IOERR : status;
}
