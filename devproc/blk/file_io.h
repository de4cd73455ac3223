/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol layer: asynchronous I/O on the few files that bulkhead-blk
 * was born with (D4).  Above it are a request's data (transfer.c), a format's
 * metadata and the record; below it one restricted io_uring (ring.c).
 *
 * One thread.  Nothing here blocks but file_io_run().
 */
#ifndef DEVPROC_BLK_FILE_IO_H
#define DEVPROC_BLK_FILE_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Files go by their number in the ring's table, which is filled before
 * confinement and not changed after it: a process that is to have another
 * file is another process.
 */
enum {
	FILE_IMAGE = 0,		/* RES_FD */
	FILE_RECORD = 1,	/* RES2_FD, if there is a record */
	FILE_EXTRA = 2,		/* + n: EXTRA_FD + n, if the birth names it */
	FILE_MAX = 16,
};

enum file_op {
	FILE_READ,
	FILE_WRITE,
	FILE_SYNC,	/* fdatasync(2), of all that has completed */
	FILE_PUNCH,	/* deallocate; reads as zeroes; the size stays */
	FILE_ZERO,	/* read as zeroes, stay allocated; the size stays */
};

/*
 * One operation.  Owned by the caller, who must leave it and its buffers
 * alone from file_io_start() to done().
 */
struct file_io {
	union {		/* this layer's */
		struct file_io *next;	/* while it waits */
		uint64_t covers;	/* SYNC, in flight: record.c */
	};
	/*
	 * It has ended.  result: bytes read or written, which may be fewer than
	 * asked for, 0 at the end of the file; 0 of other operations; or
	 * -errno, never -EAGAIN or -EINTR.  Called by file_io_reap(), never
	 * within file_io_start(); may start the same struct again.
	 */
	void (*done)(struct file_io *io, int result);
	uint64_t offset;	/* bytes, into the file */
	uint64_t bytes;		/* READ and WRITE: below 2 GiB */
	union {
		void *buf;		/* nr_iov 0: one buffer of `bytes` */
		struct iovec *iov;	/* else; `bytes` is not looked at */
	};
	uint16_t nr_iov;
	uint8_t file;		/* below FILE_MAX */
	uint8_t op;		/* enum file_op */
};

struct file_io_options {
	bool direct;		/* the image goes past the page cache */
	bool recorded;		/* there is FILE_RECORD */
	bool fixed;		/* register guest RAM, fixed.h */
	unsigned int nr_extra;	/* files from FILE_EXTRA on */
};

/* Make the ring; before confinement.  0, or -errno, which is logged. */
int file_io_open(const struct file_io_options *options);
/* Completions wake the loop; after confinement.  0 or -errno. */
int file_io_watch(void);

/*
 * Begin an operation; it reaches the kernel at the end of the loop's round.
 * For O_DIRECT files the caller sees to the alignment.
 */
void file_io_start(struct file_io *io);

/*
 * Do one operation and wait for its end: for a format's open and close,
 * before the loop runs or after it.  Reads and writes of one buffer go on
 * until they are whole or the file ends.  Others that are in flight go on too.
 * Sets io->done.  Return: as done() is told.
 */
int file_io_run(struct file_io *io);

/* Of FILE_IMAGE, a regular file: its new size.  0 or -errno.  Waits. */
int file_io_truncate(unsigned int file, uint64_t bytes);

/*
 * Wait until all direct I/O on FILE_IMAGE has ended, of whomever.  A killed
 * process is reaped before its own has: one of its writes could land over one
 * that came after it.  For open(), of a regular file that may be written: block
 * devices have nothing to wait with.  0 or -errno.
 */
int file_io_settle(void);

/* For the engine: all that was started goes to the kernel. */
void file_io_submit(void);
/* Between two requests of a batch: the same, if the disk should have it now. */
void file_io_push(void);
/* Is it less than a portion, and the disk has plenty to do? */
bool file_io_can_wait(void);
/* Do threads of io_uring write the image?  From file_io_open() on. */
bool file_io_has_writers(void);
/* Operations that have not ended, as far as they found room. */
unsigned int file_io_outstanding(void);
/* Has anything ended?  Two loads; for polling. */
bool file_io_ready(void);
/* Is there anything that file_io_submit() would have to do? */
bool file_io_pending(void);
/* Call done() of all that has ended.  Return: whether there was any. */
bool file_io_reap(void);

#endif
