/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on files through the io_uring at RING_FD, see file_io.h.
 * bulkhead-blk, D4.
 *
 * Operations gather in the submission queue and go to the kernel together, in
 * portions.  When that is full they go at once; what finds no room even then
 * waits, and goes on as soon as something has completed.
 */
#include "devproc/blk/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <liburing.h>
#include <stddef.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "devproc/blk/blk.h"
#include "devproc/blk/fixed.h"
#include "devproc/blk/record.h"
#include "devproc/blk/ring.h"
#include "devproc/device.h"
#include "devproc/loop.h"
#include "ipc/inherit.h"

#define SQ_ENTRIES	256	/* submitted in one go at most */
#define REAP_BATCH	64	/* completions looked at in one go */

/*
 * A disk that waits for the end of our batch, and a process that waits for the
 * end of the disk's, take turns, and both stand still half of the time.  So a
 * batch goes to the disk in portions, and at once to one with little to do; one
 * with plenty can wait for a whole portion.
 * What the page cache has is done in the system call itself.
 */
#define PORTION_DIRECT	8
#define PORTION_CACHED	32
#define LITTLE		4	/* operations that the disk has */
#define PLENTY		16

/*
 * Threads of io_uring that write into the page cache, where they do it all.
 * They contend for the file's lock, and the more there are, the longer one may
 * miss its turn; two, as one may be busy with a flush.
 */
#define WRITERS		2

static struct io_uring ring;
static unsigned int portion = PORTION_CACHED;
static unsigned int outstanding;	/* in the ring, or given to it */
static unsigned int image_write_flags;	/* IOSQE_ASYNC, or none */

/* Found no room in the submission queue; oldest first. */
static struct {
	struct file_io *first;
	struct file_io **last;
} waiting = { .last = &waiting.first };

static void prepare_data(struct io_uring_sqe *sqe, const struct file_io *io)
{
	bool read = io->op == FILE_READ;
	void *buf = io->buf;
	size_t bytes = io->bytes;
	int fixed;

	/* One buffer is the common case, and cheaper without a vector. */
	if (io->nr_iov == 1) {
		buf = io->iov->iov_base;
		bytes = io->iov->iov_len;
	}
	if (io->nr_iov > 1) {
		if (read)
			io_uring_prep_readv(sqe, io->file, io->iov, io->nr_iov,
					    io->offset);
		else
			io_uring_prep_writev(sqe, io->file, io->iov,
					     io->nr_iov, io->offset);
		return;
	}
	fixed = fixed_index(buf, bytes);
	if (read)
		io_uring_prep_read(sqe, io->file, buf, (unsigned int)bytes,
				   io->offset);
	else
		io_uring_prep_write(sqe, io->file, buf, (unsigned int)bytes,
				    io->offset);
	if (fixed >= 0) {
		sqe->opcode = read ? IORING_OP_READ_FIXED :
				     IORING_OP_WRITE_FIXED;
		sqe->buf_index = (uint16_t)fixed;
		stats_add(&device_stats->disk.registered_ios, 1);
	}
}

static void prepare(struct io_uring_sqe *sqe, const struct file_io *io)
{
	const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const int zero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	switch ((enum file_op)io->op) {
	case FILE_READ:
	case FILE_WRITE:
		prepare_data(sqe, io);
		break;
	case FILE_SYNC:
		io_uring_prep_fsync(sqe, io->file, IORING_FSYNC_DATASYNC);
		break;
	case FILE_PUNCH:
	case FILE_ZERO:
		io_uring_prep_fallocate(sqe, io->file,
					io->op == FILE_PUNCH ? hole : zero,
					(off_t)io->offset, (off_t)io->bytes);
		break;
	}
}

static unsigned int more_flags(const struct file_io *io)
{
	return io->op == FILE_WRITE && io->file == FILE_IMAGE ?
	       image_write_flags : 0;
}

/* Return: false, there is no room. */
static bool try_start(struct file_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe && io_uring_submit(&ring) > 0)
		sqe = io_uring_get_sqe(&ring);
	if (!sqe)
		return false;
	record_begin(io);
	prepare(sqe, io);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE | more_flags(io));
	io_uring_sqe_set_data(sqe, io);
	outstanding++;
	return true;
}

void file_io_start(struct file_io *io)
{
	/* Nobody overtakes those who wait already. */
	if (!waiting.first && try_start(io))
		return;
	io->next = NULL;
	*waiting.last = io;
	waiting.last = &io->next;
}

static void start_waiting(void)
{
	while (waiting.first) {
		struct file_io *io = waiting.first;
		struct file_io *next = io->next;

		if (!try_start(io))
			return;
		waiting.first = next;
		if (!next)
			waiting.last = &waiting.first;
	}
}

void file_io_submit(void)
{
	if (io_uring_sq_ready(&ring))
		io_uring_submit(&ring);
}

void file_io_push(void)
{
	unsigned int ready = io_uring_sq_ready(&ring);
	unsigned int most = portion;

	if (portion == PORTION_DIRECT && outstanding - ready < LITTLE)
		most = 1;
	if (ready >= most)
		io_uring_submit(&ring);
}

bool file_io_can_wait(void)
{
	unsigned int ready = io_uring_sq_ready(&ring);

	return portion == PORTION_DIRECT && ready > 0 && ready < portion &&
	       outstanding - ready >= PLENTY;
}

unsigned int file_io_outstanding(void)
{
	return outstanding;
}

bool file_io_has_writers(void)
{
	return image_write_flags;
}

bool file_io_ready(void)
{
	/* Completions, or news that turn into some in the kernel. */
	return io_uring_cq_ready(&ring) ||
	       IO_URING_READ_ONCE(*ring.sq.kflags) & IORING_SQ_TASKRUN;
}

bool file_io_pending(void)
{
	return io_uring_sq_ready(&ring) > 0;
}

static void end(struct file_io *io, int result)
{
	if (result == -EAGAIN || result == -EINTR)
		file_io_start(io);
	else if (!record_take(io, result))
		io->done(io, result);
}

static bool reap_batch(void)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	unsigned int nr = io_uring_peek_batch_cqe(&ring, cqes, REAP_BATCH);

	for (unsigned int i = 0; i < nr; i++)
		end(io_uring_cqe_get_data(cqes[i]), cqes[i]->res);
	io_uring_cq_advance(&ring, nr);
	outstanding -= nr;
	return nr > 0;
}

bool file_io_reap(void)
{
	bool any = false;

	while (reap_batch())
		any = true;
	if (any)
		start_waiting();
	return any;
}

/* --- waiting for one -------------------------------------------------------- */

/* What file_io_run() waits for: one at a time, and longer than a caller's stack. */
static struct {
	struct file_io piece;
	bool ended;
	int result;
} run;

static void on_run_done(struct file_io *io, int result)
{
	(void)io;
	run.ended = true;
	run.result = result;
}

static int run_once(void)
{
	run.piece.done = on_run_done;
	run.ended = false;
	file_io_start(&run.piece);
	while (!run.ended) {
		int ret = io_uring_submit_and_wait(&ring, 1);

		/* What was begun may end still: nothing can be run after it. */
		if (ret < 0 && ret != -EINTR && ret != -EAGAIN &&
		    ret != -EBUSY) {
			device_fail("io_uring_enter: %s", strerror(-ret));
			return ret;
		}
		file_io_reap();
	}
	return run.result;
}

int file_io_run(struct file_io *io)
{
	struct file_io *piece = &run.piece;
	uint64_t total = 0;
	int result;

	*piece = *io;
	result = run_once();
	if ((io->op != FILE_READ && io->op != FILE_WRITE) || io->nr_iov)
		return result;
	while (result > 0 && (uint64_t)result < piece->bytes) {
		total += (uint64_t)result;
		piece->buf = (char *)piece->buf + result;
		piece->offset += (uint64_t)result;
		piece->bytes -= (uint64_t)result;
		result = run_once();
	}
	/* With O_DIRECT, there is no going on from an end within a block. */
	if (result == -EINVAL && total > 0 && io->op == FILE_READ)
		result = 0;
	return result < 0 ? result : (int)(total + (uint64_t)result);
}

int file_io_truncate(unsigned int file, uint64_t bytes)
{
	/* io_uring learned it in Linux 6.9 only. */
	if (file != FILE_IMAGE)
		return -EINVAL;
	if (ftruncate(RES_FD, (off_t)bytes) < 0)
		return -errno;
	record_size(bytes);
	return 0;
}

int file_io_settle(void)
{
	/*
	 * fallocate(2) waits for direct I/O on the file (inode_dio_wait() of
	 * ext4, XFS, btrfs); setting a size to what it is does not.  The first
	 * byte is there, or becomes so: no contents change.
	 */
	if (fallocate(RES_FD, FALLOC_FL_KEEP_SIZE, 0, 1) == 0)
		return 0;
	switch (errno) {
	case EOPNOTSUPP:	/* the file system has no fallocate(2) */
	case ENOSPC:		/* it has waited before it looked for space */
	case EDQUOT:
		return 0;
	default:
		return -errno;
	}
}

/* --- life --------------------------------------------------------------------- */

/* The wake-up is all: the engine reaps at the end of every round. */
static void on_ring(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
}

int file_io_watch(void)
{
	static struct loop_source source = LOOP_SOURCE_INIT(on_ring);

	return loop_add(&source, RING_FD, EPOLLIN | EPOLLET);
}

/*
 * Into the page cache, ext4 writes nothing that is not allowed to wait.
 * io_uring tries it, and then has a thread of its own do it, each request by
 * itself.  Told beforehand that it will be so, it has a batch done there.
 */
static bool cached_writes_wait(void)
{
	struct statfs fs;

	return fstatfs(RES_FD, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC;
}

int file_io_open(const struct file_io_options *options)
{
	int files[FILE_MAX];
	int ret;

	if (options->direct)
		portion = PORTION_DIRECT;
	else if (cached_writes_wait())
		image_write_flags = IOSQE_ASYNC;
	for (unsigned int i = 0; i < FILE_MAX; i++)
		files[i] = -1;
	files[FILE_IMAGE] = RES_FD;
	if (options->recorded)
		files[FILE_RECORD] = RES2_FD;
	for (unsigned int i = 0; i < options->nr_extra; i++)
		files[FILE_EXTRA + i] = EXTRA_FD + (int)i;
	ret = ring_open(&ring, SQ_ENTRIES, BLK_MAX_REQUESTS, files, FILE_MAX,
			image_write_flags ? WRITERS : 0,
			options->fixed ? FIXED_MAX : 0);
	if (!ret && options->fixed)
		fixed_open(&ring);
	return ret;
}
