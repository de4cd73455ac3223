/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_io.h without a ring, for the child of `bulkhead disk`: it serves nobody
 * meanwhile, so it does one operation after the other.
 */
#include <errno.h>
#include <unistd.h>

#include "cli/disk_priv.h"

static int fds[FILE_MAX];
static uint64_t keep_bytes;

/* Begun, oldest first. */
static struct {
	struct file_io *first;
	struct file_io **last;
} begun = { .last = &begun.first };

void disk_io_init(const int files[FILE_MAX])
{
	for (unsigned int i = 0; i < FILE_MAX; i++)
		fds[i] = files[i];
}

static int read_all(const struct file_io *io, int fd)
{
	uint64_t done = 0;

	while (done < io->bytes) {
		ssize_t got = pread(fd, (char *)io->buf + done,
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

static int write_all(const struct file_io *io, int fd)
{
	uint64_t done = 0;

	while (done < io->bytes) {
		ssize_t put = pwrite(fd, (char *)io->buf + done,
				     io->bytes - done,
				     (off_t)(io->offset + done));

		if (put < 0)
			return -errno;
		done += (uint64_t)put;
	}
	if (keep_bytes && io->file == FILE_IMAGE &&
	    keep_bytes < io->offset + io->bytes)
		keep_bytes = io->offset + io->bytes;
	return (int)done;
}

int file_io_run(struct file_io *io)
{
	int fd = fds[io->file];

	switch ((enum file_op)io->op) {
	case FILE_READ:
		return read_all(io, fd);
	case FILE_WRITE:
		return write_all(io, fd);
	case FILE_SYNC:
		return fdatasync(fd) < 0 ? -errno : 0;
	default:
		return -EOPNOTSUPP;
	}
}

void file_io_start(struct file_io *io)
{
	io->next = NULL;
	*begun.last = io;
	begun.last = &io->next;
}

bool disk_io_step(void)
{
	struct file_io *io = begun.first;

	if (!io)
		return false;
	begun.first = io->next;
	if (!begun.first)
		begun.last = &begun.first;
	io->done(io, file_io_run(io));
	return true;
}

/*
 * Who started us does it at the end: what is behind it counts for nothing until
 * then, and is written before it is used.
 */
int file_io_truncate(unsigned int file, uint64_t bytes)
{
	if (file != FILE_IMAGE)
		return -EINVAL;
	keep_bytes = bytes;
	return 0;
}

uint64_t disk_io_keep_bytes(void)
{
	return keep_bytes;
}

/* Its lock was free: nobody's I/O is on its way. */
int file_io_settle(void)
{
	return 0;
}
