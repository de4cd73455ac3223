/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_io.h without a ring, for the child of `bulkhead disk`: it serves nobody
 * meanwhile, so it waits for each operation.
 */
#include <errno.h>
#include <unistd.h>

#include "cli/disk.h"
#include "devproc/blk/format.h"

static int image_fd = -1;

void disk_io_init(int fd)
{
	image_fd = fd;
}

static int read_all(const struct file_io *io)
{
	uint64_t done = 0;

	while (done < io->bytes) {
		ssize_t got = pread(image_fd, (char *)io->buf + done,
				    io->bytes - done,
				    (off_t)(io->offset + done));

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (uint64_t)got;
	}
	return (int)done;
}

static int write_all(const struct file_io *io)
{
	uint64_t done = 0;

	while (done < io->bytes) {
		ssize_t put = pwrite(image_fd, (char *)io->buf + done,
				     io->bytes - done,
				     (off_t)(io->offset + done));

		if (put < 0)
			return -errno;
		done += (uint64_t)put;
	}
	return (int)done;
}

int file_io_run(struct file_io *io)
{
	if (io->file != FILE_IMAGE)
		return -EBADF;
	switch ((enum file_op)io->op) {
	case FILE_READ:
		return read_all(io);
	case FILE_WRITE:
		return write_all(io);
	case FILE_SYNC:
		return fdatasync(image_fd) < 0 ? -errno : 0;
	default:
		return -EOPNOTSUPP;
	}
}

int file_io_truncate(unsigned int file, uint64_t bytes)
{
	/* Only a disk that is served is cut behind its end. */
	(void)file;
	(void)bytes;
	return -EOPNOTSUPP;
}

/* Its lock was free: nobody's I/O is on its way. */
int file_io_settle(void)
{
	return 0;
}

/* No guest is served here, so nothing is ever begun or waits. */
void file_io_start(struct file_io *io)
{
	io->done(io, -EOPNOTSUPP);
}

void request_resume(struct blk_request *req)
{
	(void)req;
}

void request_fail(struct blk_request *req, int err)
{
	(void)req;
	(void)err;
}
