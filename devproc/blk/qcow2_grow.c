/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest clusters, and tables, that are getting a place in the file.
 * bulkhead-blk, D4.  In this order:
 *
 *	TAKE	a leased cluster, all zeroes
 *	LOOK	what does the guest read there now?  Zeroes: go to READY
 *	COPY	it, unless all of it is about to be written
 *	READY	the request writes its data (transfer.c)
 *	SYNC	if the guest read anything but zeroes: that was stable, so what
 *		replaces it has to be before it is pointed to
 *	LINK	the table's entry; grows of one slice go together
 *
 * Then the guest is told.  A request holds what it grows; others that want the
 * same clusters wait until that is over.
 */
#include <errno.h>
#include <string.h>

#include "devproc/blk/blk.h"
#include "devproc/blk/qcow2_priv.h"

#define NR_GROWS	64u
#define NR_COPIES	4u

enum grow_state {
	GROW_FREE,
	GROW_TAKE,
	GROW_LOOK,
	GROW_COPY_TAKE,		/* needs a buffer */
	GROW_COPY,
	GROW_COPY_WRITE,
	GROW_READY,
	GROW_DATA,		/* the request writes */
	GROW_SYNC,
	GROW_SYNCING,
	GROW_LINK,
	GROW_LINKING,
	GROW_FAILED,
};

struct grow {
	struct file_io io;	/* of COPY and COPY_WRITE */
	enum grow_state state;
	bool busy;		/* io is on its way */
	bool table;		/* an L2 table: no data, no owner */
	bool partly;		/* not all of it is about to be written */
	bool barrier;
	bool owned;		/* host is the guest's already, its data is not */
	bool packed;		/* what is replaced stays behind, unused */
	int err;
	struct blk_request *owner;
	struct table_write *link;
	uint64_t entry_at;	/* offset of the first entry */
	uint64_t nr;		/* clusters */
	uint64_t guest;		/* offset in the disk */
	uint64_t host;		/* offset in the file */
	uint64_t copied;	/* bytes */
	uint64_t wanted;	/* of the read that is on its way */
	unsigned int copy;	/* 1 + its buffer; 0: none */
};

static struct grow grows[NR_GROWS];
static unsigned int nr_active;

static uint8_t copies[NR_COPIES][QCOW2_MAX_CLUSTER]
	__attribute__((aligned(4096)));
static bool copy_taken[NR_COPIES];

static struct file_io sync_io;
static bool syncing;

static const struct qcow2_layer *const image = &qcow2.layer[0];

static void release(struct grow *grow)
{
	if (grow->copy)
		copy_taken[grow->copy - 1] = false;
	grow->state = GROW_FREE;
	nr_active--;
}

/* What was taken stays allocated, and nothing points to it. */
static void drop(struct grow *grow)
{
	if (grow->state > GROW_TAKE)
		qcow2.leaky = true;
	release(grow);
}

static void fail(struct grow *grow, int err)
{
	grow->err = err;
	/* With an owner: it is told when it asks. */
	if (grow->table)
		drop(grow);
	else
		grow->state = GROW_FAILED;
}

static struct grow *find(uint64_t entry_at, uint64_t nr)
{
	for (unsigned int i = 0; nr_active && i < NR_GROWS; i++) {
		struct grow *grow = &grows[i];

		if (grow->state != GROW_FREE &&
		    grow->entry_at < entry_at + nr * 8 &&
		    entry_at < grow->entry_at + grow->nr * 8)
			return grow;
	}
	return NULL;
}

static struct grow *find_free(void)
{
	for (unsigned int i = 0; i < NR_GROWS; i++)
		if (grows[i].state == GROW_FREE)
			return &grows[i];
	return NULL;
}

/* --- TAKE, LOOK -------------------------------------------------------------- */

static int take(struct grow *grow)
{
	int ret;

	if (grow->owned) {
		grow->state = GROW_LOOK;
		return 0;
	}
	ret = lease_take(grow->nr, &grow->host, &grow->nr);
	if (ret)
		return ret;
	if (grow->table)
		set_metadata(cluster_of(image, grow->host));
	grow->state = grow->table ? GROW_LINK : GROW_LOOK;
	return 0;
}

static uint64_t bytes_of(const struct grow *grow)
{
	return least(grow->nr * image->cluster_bytes,
		     image->disk_bytes - grow->guest);
}

/* Is it all zeroes that the guest reads there now? */
static int reads_zeroes(const struct grow *grow, bool *zeroes)
{
	uint64_t bytes = bytes_of(grow);
	uint64_t at = 0;

	*zeroes = false;
	while (at < bytes) {
		struct blk_extent extent = { .bytes = 0 };
		int ret = qcow2_find(0, grow->guest + at, bytes - at,
				     &extent);

		if (ret < 0)
			return ret;
		if (ret != BLK_MAP_ZERO)
			return 0;
		at += extent.bytes;
	}
	*zeroes = true;
	return 0;
}

static int look(struct grow *grow)
{
	bool zeroes;
	int ret = reads_zeroes(grow, &zeroes);

	if (ret)
		return ret;
	/* An own cluster that reads as zeroes by its flag holds anything. */
	grow->barrier = !zeroes || grow->owned;
	grow->state = grow->barrier && grow->partly ? GROW_COPY_TAKE :
						      GROW_READY;
	return 0;
}

/* --- COPY: of one cluster ----------------------------------------------------- */

static void on_copy_io(struct file_io *io, int result)
{
	struct grow *grow = (struct grow *)io;

	grow->busy = false;
	if (result < 0) {
		fail(grow, result);
	} else if (grow->state == GROW_COPY_WRITE) {
		if ((uint64_t)result < io->bytes)
			fail(grow, -ENOSPC);
		else
			grow->state = GROW_READY;
	} else if (result == 0) {
		fail(grow, -EIO);
	} else {
		grow->copied += least((uint64_t)result, grow->wanted);
	}
	qcow2_advance();
}

static void start_copy_io(struct grow *grow, enum file_op op,
			  unsigned int file, uint64_t offset, uint8_t *buf,
			  uint64_t bytes)
{
	grow->busy = true;
	grow->io = (struct file_io) {
		.done = on_copy_io, .op = (uint8_t)op, .file = (uint8_t)file,
		.offset = offset, .bytes = bytes, .buf = buf,
	};
	file_io_start(&grow->io);
}

static int take_copy(struct grow *grow)
{
	for (unsigned int i = 0; i < NR_COPIES; i++) {
		if (copy_taken[i])
			continue;
		copy_taken[i] = true;
		grow->copy = i + 1;
		grow->copied = 0;
		memset(copies[i], 0, image->cluster_bytes);
		grow->state = GROW_COPY;
		return 0;
	}
	return -EINPROGRESS;
}

/* O_DIRECT takes whole blocks; the buffer has room for them. */
static uint64_t whole_blocks(const struct grow *grow, uint64_t bytes)
{
	return least((bytes + SLICE_BYTES - 1) & ~(uint64_t)(SLICE_BYTES - 1),
		     QCOW2_MAX_CLUSTER - grow->copied);
}

static int copy_some(struct grow *grow)
{
	uint8_t *buf = copies[grow->copy - 1];
	uint64_t left = bytes_of(grow) - grow->copied;
	struct blk_extent extent = { .bytes = 0 };
	int ret;

	if (left == 0) {
		/* Nothing of what a whole block had more. */
		memset(buf + grow->copied, 0,
		       image->cluster_bytes - grow->copied);
		grow->state = GROW_COPY_WRITE;
		start_copy_io(grow, FILE_WRITE, image->file, grow->host, buf,
			      image->cluster_bytes);
		return 0;
	}
	ret = qcow2_find(0, grow->guest + grow->copied, left, &extent);
	if (ret < 0)
		return ret;
	if (ret == BLK_MAP_DATA) {
		grow->wanted = extent.bytes;
		start_copy_io(grow, FILE_READ, extent.file, extent.offset,
			      buf + grow->copied,
			      whole_blocks(grow, extent.bytes));
		return 0;
	}
	if (ret == BLK_MAP_MEMORY)
		memcpy(buf + grow->copied, extent.memory, extent.bytes);
	grow->copied += extent.bytes;
	return 0;
}

/* --- SYNC ------------------------------------------------------------------------ */

static void on_synced(struct file_io *io, int result)
{
	(void)io;
	syncing = false;
	for (unsigned int i = 0; i < NR_GROWS; i++) {
		if (grows[i].state != GROW_SYNCING)
			continue;
		grows[i].state = GROW_LINK;
		if (result < 0) {
			struct blk_request *owner = grows[i].owner;

			drop(&grows[i]);
			request_fail(owner, -result);
		}
	}
	qcow2_advance();
}

/* One for all whose data is there by now. */
static void sync_those_written(void)
{
	bool any = false;

	if (syncing)
		return;
	for (unsigned int i = 0; i < NR_GROWS; i++) {
		if (grows[i].state != GROW_SYNC)
			continue;
		grows[i].state = GROW_SYNCING;
		any = true;
	}
	if (!any)
		return;
	syncing = true;
	sync_io = (struct file_io) {
		.done = on_synced, .op = FILE_SYNC, .file = image->file,
	};
	file_io_start(&sync_io);
}

/* --- LINK ------------------------------------------------------------------------ */

static void on_linked(struct table_write *write, int err)
{
	for (unsigned int i = 0; i < NR_GROWS; i++) {
		struct blk_request *owner = grows[i].owner;

		if (grows[i].state != GROW_LINKING || grows[i].link != write)
			continue;
		if (err)
			qcow2.leaky = true;
		if (grows[i].packed)
			qcow2.leaky = true;
		release(&grows[i]);
		if (!owner)
			continue;
		if (err)
			request_fail(owner, -err);
		else
			request_resume(owner);
	}
}

static void put_entries(const struct grow *grow, struct table_write *write)
{
	uint64_t at = grow->entry_at % image->slice_bytes;

	for (uint64_t i = 0; i < grow->nr; i++)
		qcow2_put64(write->bytes + at + i * 8,
			    (grow->host + i * image->cluster_bytes) |
			    QCOW2_COPIED);
}

static int link_slice(struct grow *first)
{
	uint64_t mask = ~(uint64_t)(image->slice_bytes - 1);
	struct table_write *write;
	struct slice *slice;
	uint8_t *bytes;
	int ret = cache_get(image, first->entry_at, &slice, &bytes);

	if (ret)
		return ret;
	write = cache_write_begin(slice);
	if (!write)
		return -EINPROGRESS;
	for (unsigned int i = 0; i < NR_GROWS; i++) {
		struct grow *grow = &grows[i];

		if (grow->state != GROW_LINK ||
		    ((grow->entry_at ^ first->entry_at) & mask))
			continue;
		put_entries(grow, write);
		grow->link = write;
		grow->state = GROW_LINKING;
	}
	cache_write_end(write, on_linked);
	return 0;
}

static void link_failed(struct grow *grow, int err)
{
	struct blk_request *owner = grow->owner;

	grow->err = err;
	drop(grow);
	if (owner)
		request_fail(owner, -err);
}

/* --- all together ------------------------------------------------------------------ */

/* Return: 0, the state is another one or I/O was begun. */
static int step(struct grow *grow)
{
	switch (grow->state) {
	case GROW_TAKE:
		return take(grow);
	case GROW_LOOK:
		return look(grow);
	case GROW_COPY_TAKE:
		return take_copy(grow);
	case GROW_COPY:
		return copy_some(grow);
	case GROW_LINK:
		return link_slice(grow);
	default:
		return -EINPROGRESS;
	}
}

static void advance(struct grow *grow)
{
	int ret = 0;

	while (!ret && !grow->busy)
		ret = step(grow);
	if (!ret || ret == -EINPROGRESS)
		return;
	/* Behind READY, the owner does not ask but waits. */
	if (grow->state == GROW_LINK)
		link_failed(grow, ret);
	else
		fail(grow, ret);
}

void grow_advance(void)
{
	for (unsigned int i = 0; nr_active && i < NR_GROWS; i++)
		if (grows[i].state != GROW_FREE)
			advance(&grows[i]);
	if (nr_active)
		sync_those_written();
}

static struct grow *begin(uint64_t entry_at, uint64_t nr)
{
	struct grow *grow = find_free();

	if (!grow)
		return NULL;
	memset(grow, 0, sizeof(*grow));
	grow->state = GROW_TAKE;
	grow->entry_at = entry_at;
	grow->nr = nr;
	nr_active++;
	return grow;
}

int grow_table(const struct qcow2_place *place)
{
	struct grow *grow;

	if (find(place->l1_entry, 1))
		return -EINPROGRESS;
	grow = begin(place->l1_entry, 1);
	if (!grow)
		return -EINPROGRESS;
	grow->table = true;
	advance(grow);
	return grow->err ? grow->err : -EINPROGRESS;
}

/* As many whole clusters of the run as req is about to write; or one, partly. */
static struct grow *begin_data(struct blk_request *req, uint64_t entry_at,
			       const struct qcow2_entry *entry, uint64_t run)
{
	uint64_t skip = req->offset & (image->cluster_bytes - 1);
	uint64_t nr = skip ? 0 : least(run, req->left) / image->cluster_bytes;
	bool partly = nr == 0;
	struct grow *grow;

	if (nr == 0 || entry->kind == QCOW2_ZEROES ||
	    entry->kind == QCOW2_PACKED)
		nr = 1;
	nr = least(nr, lease_clusters());
	while (nr > 1 && find(entry_at, nr))
		nr /= 2;
	grow = begin(entry_at, nr);
	if (!grow)
		return NULL;
	grow->owner = req;
	grow->partly = partly;
	grow->guest = req->offset - skip;
	grow->packed = entry->kind == QCOW2_PACKED ||
		       (entry->offset && !entry->copied);
	/* v3: "preallocated", its contents do not count. */
	if (entry->kind == QCOW2_ZEROES && entry->offset && entry->copied) {
		grow->owned = true;
		grow->host = entry->offset;
	}
	return grow;
}

int grow_map(struct blk_request *req, const struct qcow2_entry *entry,
	     uint64_t run, struct blk_extent *extent)
{
	uint64_t skip = req->offset & (image->cluster_bytes - 1);
	struct qcow2_place place;
	struct grow *grow;
	int ret = qcow2_locate(image, req->offset, &place);

	if (ret)
		return ret;
	if (!place.l2_table)
		return grow_table(&place);
	grow = find(place.l2_entry, 1);
	if (!grow)
		grow = begin_data(req, place.l2_entry, entry, run);
	if (!grow || grow->owner != req)
		return -EINPROGRESS;
	advance(grow);
	if (grow->state == GROW_FAILED) {
		ret = grow->err;
		drop(grow);
		qcow2_advance_soon();
		return ret;
	}
	if (grow->state != GROW_READY)
		return -EINPROGRESS;
	grow->state = GROW_DATA;
	req->format_data = (uint64_t)(grow - grows);
	extent->file = image->file;
	extent->offset = grow->host + skip;
	extent->bytes = least(req->left, grow->nr * image->cluster_bytes -
					 skip);
	extent->fresh = true;
	return BLK_MAP_DATA;
}

int grow_written(struct blk_request *req, int err)
{
	struct grow *grow = &grows[req->format_data];
	int ret;

	if (err) {
		drop(grow);
		qcow2_advance_soon();
		return -err;
	}
	if (grow->barrier) {
		grow->state = GROW_SYNC;
		sync_those_written();
		return BLK_MAP_LATER;
	}
	grow->state = GROW_LINK;
	ret = link_slice(grow);
	if (!ret || ret == -EINPROGRESS)
		return BLK_MAP_LATER;
	drop(grow);
	qcow2_advance_soon();
	return ret;
}

bool grow_is_busy(void)
{
	return nr_active > 0;
}

void grow_forget(void)
{
	memset(grows, 0, sizeof(grows));
	memset(copy_taken, 0, sizeof(copy_taken));
	nr_active = 0;
	syncing = false;
}
