/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's io_uring: made before confinement, as bulkhead-blk does. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "tests/jail/probe.h"

static struct io_uring ring;
static bool has_ring;

void probe_ring_make(void)
{
	has_ring = io_uring_queue_init(4, &ring, 0) == 0;
	if (!has_ring)
		return;
	dup2(ring.ring_fd, RING_FD);
	close(ring.ring_fd);
	ring.ring_fd = RING_FD;
	ring.enter_ring_fd = RING_FD;
}

int probe_ring_open(const char *path)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int err;

	if (!has_ring)
		return -ENODEV;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_openat(sqe, AT_FDCWD, path, O_RDONLY, 0);
	err = io_uring_submit_and_wait(&ring, 1);
	if (err < 0)
		return err;
	err = io_uring_peek_cqe(&ring, &cqe);
	if (err)
		return err;
	return cqe->res < 0 ? cqe->res : 0;
}
