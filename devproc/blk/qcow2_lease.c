/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters for an image to grow by, leased a few MiB at a time at the end of
 * the file: made zero, their refcounts raised, synced; only then is the first
 * one used.  bulkhead-blk, D4.
 *
 * A lease lies in one slice of one refcount block.  If that block is not there
 * yet, the lease's first cluster becomes it: its refcount is its own entry,
 * and the refcount table points to it when all that is on the disk.
 */
#include <errno.h>
#include <string.h>

#include "devproc/blk/qcow2_priv.h"
#include "devproc/blk/zeroes.h"
#include "ipc/log.h"

#define LEASE_BYTES	(4u << 20)
#define CLOSE_TURNS	10000

enum lease_state {
	LEASE_NONE,
	LEASE_MARK,		/* the header says dirty */
	LEASE_MARK_SYNC,
	LEASE_PLAN,		/* which clusters, which refcount block */
	LEASE_ZERO,
	LEASE_ZERO_WRITE,	/* instead, where the file system cannot */
	LEASE_EXTEND,		/* the file's size */
	LEASE_COUNT,		/* refcounts */
	LEASE_COUNT_SYNC,
	LEASE_POINT,		/* the table to a new block */
	LEASE_POINT_SYNC,
	LEASE_DONE,
};

static struct {
	struct file_io io;
	enum lease_state state;
	bool busy;		/* I/O of this state is on its way */
	int failing;		/* all who ask now are told */
	uint64_t next;		/* where the following lease begins */
	uint64_t first, nr;	/* clusters of the one that is being made */
	bool new_block;
	uint64_t block;		/* offset of the refcount block */
	uint64_t zeroed;	/* bytes, of LEASE_ZERO_WRITE */
} lease;

/* Ready: one that is used up, and the one after it. */
static struct range { uint64_t next, end; } ready[2];

static const struct qcow2_layer *const image = &qcow2.layer[0];

static uint64_t refcounts_per_block(void)
{
	return (uint64_t)image->cluster_bytes * 8 >>
	       image->header.refcount_order;
}

static uint64_t refcounts_per_slice(void)
{
	return (uint64_t)image->slice_bytes * 8 >>
	       image->header.refcount_order;
}

static uint64_t entry_of(uint64_t cluster)
{
	return image->header.reftable_offset +
	       cluster / refcounts_per_block() * 8;
}

static uint64_t table_entry(void)
{
	return entry_of(lease.first);
}

/* Where in the file is the slice with the refcounts of the lease? */
static uint64_t count_offset(void)
{
	uint64_t n = lease.first % refcounts_per_block();

	return lease.block + n / refcounts_per_slice() * image->slice_bytes;
}

uint64_t lease_clusters(void)
{
	uint64_t nr = LEASE_BYTES / image->cluster_bytes;

	return nr > 2 ? nr : 2;
}

static void fail(int err)
{
	static struct log_limit limit;

	if (log_allowed(&limit, 4))
		log_perr(-err, "image: it cannot grow");
	lease.state = LEASE_NONE;
	lease.busy = false;
	lease.failing = err;
	qcow2_advance();
	lease.failing = 0;
}

static void on_io(struct file_io *io, int result)
{
	lease.busy = false;
	if (lease.state == LEASE_ZERO && (result == -EOPNOTSUPP ||
					  result == -EINVAL)) {
		lease.state = LEASE_ZERO_WRITE;
		lease.zeroed = 0;
	} else if (result < 0) {
		fail(result);
		return;
	} else if (lease.state == LEASE_ZERO_WRITE) {
		lease.zeroed += (uint64_t)result;
		if (lease.zeroed >= lease.nr * image->cluster_bytes)
			lease.state = LEASE_EXTEND;
	} else if (lease.state == LEASE_ZERO) {
		lease.state = LEASE_EXTEND;
	} else if ((io->op == FILE_WRITE && (uint64_t)result < io->bytes)) {
		fail(-ENOSPC);
		return;
	} else {
		lease.state++;
	}
	qcow2_advance();
}

static void start(enum file_op op, uint64_t offset, const void *buf,
		  uint64_t bytes)
{
	lease.busy = true;
	lease.io = (struct file_io) {
		.done = on_io, .op = (uint8_t)op, .file = image->file,
		.offset = offset, .bytes = bytes,
		/* Nothing is read. */
		.buf = (void *)(uintptr_t)buf,
	};
	file_io_start(&lease.io);
}

static void on_table_write(struct table_write *write, int err)
{
	(void)write;
	lease.busy = false;
	if (err)
		fail(err);
	else
		lease.state++;
}

/* Free ones from lease.first on, as their refcounts have it. */
static int plan_in_block(void)
{
	uint64_t n = lease.first % refcounts_per_slice();
	uint64_t end = n + lease.nr, free = n;
	struct slice *slice;
	uint8_t *bytes;
	int ret = cache_get(image, count_offset(), &slice, &bytes);

	if (ret)
		return ret;
	while (n < end && qcow2_refcount_get(bytes,
					     image->header.refcount_order, n))
		n++;
	lease.first += n - free;
	for (free = n; n < end && !qcow2_refcount_get(bytes,
				image->header.refcount_order, n); )
		n++;
	lease.nr = n - free;
	return 0;
}

static bool any_metadata(void)
{
	for (uint64_t i = 0; i < lease.nr; i++)
		if (is_metadata(lease.first + i))
			return true;
	return false;
}

static int plan(void)
{
	struct slice *slice;
	uint8_t *bytes;
	int ret;

	lease.first = lease.next;
	lease.nr = least(lease_clusters(), refcounts_per_slice() -
			 lease.first % refcounts_per_slice());
	if (lease.first + lease.nr > qcow2.max_clusters ||
	    lease.first / refcounts_per_block() * 8 >=
	    (uint64_t)image->header.reftable_clusters * image->cluster_bytes)
		return -ENOSPC;
	ret = cache_get(image, table_entry(), &slice, &bytes);
	if (ret)
		return ret;
	lease.block = qcow2_get64(bytes + table_entry() % image->slice_bytes);
	lease.new_block = !lease.block;
	if (lease.block & (image->cluster_bytes - 1) || lease.block >> 56)
		return qcow2_corrupt(image, "refcount table entry",
				     table_entry());
	if (lease.new_block)
		lease.block = lease.first << image->header.cluster_bits;
	else
		ret = plan_in_block();
	if (!ret && any_metadata())
		return qcow2_corrupt(image, "refcount block", lease.block);
	if (!ret)
		lease.next = lease.first + lease.nr;
	return ret;
}

static int count(void)
{
	struct table_write *write;
	struct slice *slice;
	uint8_t *bytes;
	int ret = cache_get(image, count_offset(), &slice, &bytes);

	if (ret)
		return ret;
	write = cache_write_begin(slice);
	if (!write)
		return -EINPROGRESS;
	for (uint64_t i = 0; i < lease.nr; i++)
		qcow2_refcount_set(write->bytes, image->header.refcount_order,
				   lease.first % refcounts_per_slice() + i, 1);
	lease.busy = true;
	cache_write_end(write, on_table_write);
	return 0;
}

static int point(void)
{
	struct table_write *write;
	struct slice *slice;
	uint8_t *bytes;
	int ret = cache_get(image, table_entry(), &slice, &bytes);

	if (ret)
		return ret;
	write = cache_write_begin(slice);
	if (!write)
		return -EINPROGRESS;
	qcow2_put64(write->bytes + table_entry() % image->slice_bytes,
		    lease.block);
	lease.busy = true;
	cache_write_end(write, on_table_write);
	return 0;
}

static void zero_some(void)
{
	uint64_t left = lease.nr * image->cluster_bytes - lease.zeroed;

	start(FILE_WRITE, (lease.first << image->header.cluster_bits) +
	      lease.zeroed, zeroes(), least(left, ZEROES_BYTES));
}

static void finish(void)
{
	struct range *to = ready[0].next < ready[0].end ? &ready[1] :
							  &ready[0];

	lease.state = LEASE_NONE;
	to->next = lease.first;
	to->end = lease.first + lease.nr;
	if (lease.new_block && lease.nr) {
		set_metadata(lease.first);
		to->next++;
	}
}

static void mark(void)
{
	if (image->header.version < 3 || qcow2.marked) {
		lease.state = LEASE_PLAN;
		return;
	}
	qcow2.layer[0].header.incompatible |= QCOW2_DIRTY;
	qcow2_header_set_features(qcow2.head, &image->header);
	start(FILE_WRITE, 0, qcow2.head, image->slice_bytes);
}

/* Once lease.nr is 0, all that the plan looked at was in use: go on there. */
static int planned(void)
{
	int ret = plan();

	if (ret || !lease.nr)
		return ret;
	lease.state = LEASE_ZERO;
	return 0;
}

/* Begin the I/O of the state.  Return: 0 or -errno. */
static int step(void)
{
	uint64_t start_at = lease.first << image->header.cluster_bits;
	uint64_t bytes = lease.nr * image->cluster_bytes;

	switch (lease.state) {
	case LEASE_MARK:
		mark();
		return 0;
	case LEASE_PLAN:
		qcow2.marked = true;
		return planned();
	case LEASE_ZERO:
		start(FILE_ZERO, start_at, NULL, bytes);
		return 0;
	case LEASE_ZERO_WRITE:
		zero_some();
		return 0;
	case LEASE_EXTEND:
		if (start_at + bytes <= image->file_bytes) {
			lease.state = LEASE_COUNT;
			return 0;
		}
		start(FILE_WRITE, start_at + bytes - image->slice_bytes,
		      zeroes(), image->slice_bytes);
		return 0;
	case LEASE_COUNT:
		if (start_at + bytes > image->file_bytes)
			qcow2.layer[0].file_bytes = start_at + bytes;
		return count();
	case LEASE_MARK_SYNC:
	case LEASE_COUNT_SYNC:
	case LEASE_POINT_SYNC:
		start(FILE_SYNC, 0, NULL, 0);
		return 0;
	case LEASE_POINT:
		if (lease.new_block)
			return point();
		lease.state = LEASE_DONE;
		return 0;
	default:
		finish();
		return 0;
	}
}

/* Return: -EINPROGRESS, 0 it is ready, or what makes it impossible. */
static int run(void)
{
	int ret = 0;

	while (!ret && lease.state != LEASE_NONE)
		ret = lease.busy ? -EINPROGRESS : step();
	return ret;
}

void lease_advance(void)
{
	int ret = run();

	if (ret && ret != -EINPROGRESS)
		fail(ret);
}

int lease_take(uint64_t want, uint64_t *offset, uint64_t *got)
{
	struct range *range = &ready[0];
	int ret = 0;

	if (lease.failing)
		return lease.failing;
	if (range->next == range->end) {
		*range = ready[1];
		ready[1].next = ready[1].end = 0;
	}
	/* The next one is on its way before it is needed. */
	if (lease.state == LEASE_NONE && ready[1].next == ready[1].end &&
	    range->end - range->next <= lease_clusters() / 2) {
		lease.state = LEASE_MARK;
		ret = run();
		if (ret && ret != -EINPROGRESS)
			lease.state = LEASE_NONE;
	}
	if (range->next == range->end)
		return ret ? ret : -EINPROGRESS;
	*offset = range->next << image->header.cluster_bits;
	*got = least(want, range->end - range->next);
	range->next += *got;
	return 0;
}

void lease_open(uint64_t first_cluster)
{
	memset(&lease, 0, sizeof(lease));
	memset(ready, 0, sizeof(ready));
	lease.next = first_cluster;
}

/* --- at the end --------------------------------------------------------------- */

static int give_back(const struct range *range)
{
	static uint8_t slice[SLICE_BYTES] __attribute__((aligned(4096)));
	uint64_t in_block = range->next % refcounts_per_block();
	uint64_t at = entry_of(range->next);
	int ret = qcow2_read(image, at & ~(uint64_t)(image->slice_bytes - 1),
			     slice, image->slice_bytes);

	if (ret)
		return ret;
	at = qcow2_get64(slice + at % image->slice_bytes) +
	     in_block / refcounts_per_slice() * image->slice_bytes;
	ret = qcow2_read(image, at, slice, image->slice_bytes);
	for (uint64_t n = range->next; !ret && n < range->end; n++)
		qcow2_refcount_set(slice, image->header.refcount_order,
				   n % refcounts_per_slice(), 0);
	return ret ? ret : qcow2_write(image, at, slice, image->slice_bytes);
}

/* The one that is being made goes on while we wait for other I/O. */
static int finish_lease(void)
{
	int ret = 0;

	for (int i = 0; !ret && lease.state != LEASE_NONE; i++)
		ret = i < CLOSE_TURNS ? qcow2_sync() : -EBUSY;
	return ret;
}

int lease_close(void)
{
	int ret = finish_lease();
	uint64_t end = cluster_of(image, image->file_bytes +
				  image->cluster_bytes - 1);

	for (int i = 1; !ret && i >= 0; i--)
		if (ready[i].next < ready[i].end)
			ret = give_back(&ready[i]);
	if (!ret)
		ret = qcow2_sync();
	for (int i = 1; !ret && i >= 0; i--) {
		if (ready[i].next == ready[i].end || ready[i].end != end)
			continue;
		end = ready[i].next;
		ret = file_io_truncate(image->file,
				       end << image->header.cluster_bits);
		if (!ret)
			qcow2.layer[0].file_bytes =
				end << image->header.cluster_bits;
	}
	memset(ready, 0, sizeof(ready));
	return ret;
}
