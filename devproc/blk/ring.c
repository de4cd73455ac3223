/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring that all file I/O goes through: made, restricted, enabled.
 * bulkhead-blk, before confinement; its use is file_io.c (D4).
 */
#include "devproc/blk/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/log.h"

/*
 * From now on the kernel takes from this ring nothing but these operations,
 * on nothing but the registered files, and lets nobody register anything more
 * but, with `buffers`, those.
 */
static int restrict_ring(struct io_uring *ring, bool buffers)
{
	static const uint8_t operations[] = {
		IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE,
		IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
		/* of registered buffers, and so of no use without: */
		IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED,
	};
	struct io_uring_restriction rules[sizeof(operations) + 3] = { 0 };
	unsigned int nr = 0;
	int ret;

	for (; nr < sizeof(operations); nr++) {
		rules[nr].opcode = IORING_RESTRICTION_SQE_OP;
		rules[nr].sqe_op = operations[nr];
	}
	if (buffers) {
		rules[nr].opcode = IORING_RESTRICTION_REGISTER_OP;
		rules[nr++].register_op = IORING_REGISTER_BUFFERS_UPDATE;
	}
	rules[nr].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rules[nr++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC;
	rules[nr].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	rules[nr++].sqe_flags = IOSQE_FIXED_FILE;
	ret = io_uring_register_restrictions(ring, rules, nr);
	return ret ? ret : io_uring_enable_rings(ring);
}

/* Policies name the ring by its fixed number. */
static int move_ring(struct io_uring *ring)
{
	int old = ring->ring_fd;

	if (old == RING_FD)
		return 0;
	if (dup3(old, RING_FD, O_CLOEXEC) < 0)
		return -errno;
	close(old);
	ring->ring_fd = RING_FD;
	ring->enter_ring_fd = RING_FD;
	return 0;
}

/* io_uring_register(2), IORING_REGISTER_IOWQ_MAX_WORKERS */
static int limit_workers(struct io_uring *ring, unsigned int most)
{
	unsigned int of_files_and_others[2] = { most, 0 };

	return most ? io_uring_register_iowq_max_workers(ring,
						of_files_and_others) : 0;
}

int ring_open(struct io_uring *ring, unsigned int sq_entries,
	      unsigned int cq_entries, const int *files, unsigned int nr_files,
	      unsigned int most_workers, unsigned int nr_buffers)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		.cq_entries = cq_entries,
	};
	int ret = io_uring_queue_init_params(sq_entries, ring, &params);

	if (ret) {
		log_perr(-ret, "io_uring is not to be had; it takes Linux 6.1, kernel.io_uring_disabled=0 and some locked memory (ulimit -Hl)");
		return ret;
	}
	ret = move_ring(ring);
	if (!ret)
		ret = io_uring_register_files(ring, files, nr_files);
	if (!ret)
		ret = limit_workers(ring, most_workers);
	if (!ret && nr_buffers)
		ret = io_uring_register_buffers_sparse(ring, nr_buffers);
	if (!ret)
		ret = restrict_ring(ring, nr_buffers);
	if (ret)
		log_perr(-ret, "io_uring cannot be restricted");
	return ret;
}
