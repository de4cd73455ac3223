/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bulkhead disk`: image files, while no VM has them.
 *
 * The command opens, locks and creates files; what is in an image is looked at
 * by a child of it only (disk_child.c), which has nothing but the image's fd and
 * a pipe, and answers with a struct of fixed size.
 */
#ifndef CLI_DISK_H
#define CLI_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "devproc/blk/qcow2.h"

#define DISK_WHY_MAX	512	/* bytes of an error, with the NUL */

enum disk_job {
	DISK_LOOK,	/* the header only */
	DISK_CHECK,	/* all references and refcounts */
	DISK_REPAIR,	/* and put them right */
	DISK_RESIZE,	/* to bytes, which are not less than now */
};

/* What the child says; nothing in it is trusted but that it is a struct. */
struct disk_answer {
	int32_t ret;		/* 0 or -errno, then why is filled */
	char why[QCOW2_WHY_MAX];
	struct qcow2_header header;
	uint64_t nr_data, nr_packed, nr_zero;	/* guest clusters */
	uint64_t nr_bad, nr_low, nr_high, nr_flags, nr_uncounted;
	bool repaired;
};

/*
 * disk_child.c: have a child do job on fd, a qcow2 image.
 * Return: 0, *answer is its, texts terminated; -errno: it failed, and why says
 * how, in one line without the image's name.
 */
int disk_ask(int fd, enum disk_job job, uint64_t bytes,
	     struct disk_answer *answer, char why[DISK_WHY_MAX]);

/* disk_io.c: what file_io.h is on in the child. */
void disk_io_init(int fd);

/*
 * disk_create.c: a new image of bytes at path, which must not exist.
 * backing: its name as the image is to have it, "" for none.
 * Return: 0 or -errno with why.
 */
struct disk_shape {
	uint64_t bytes;
	uint32_t cluster_bits;
	const char *backing;
	const char *backing_format;
};

int disk_create(const char *path, const struct disk_shape *shape,
		char why[DISK_WHY_MAX]);

/*
 * disk_open.c: open and lock an image as a VM would, for writing or reading.
 * Return: fd, or -errno with why.
 */
int disk_open(const char *path, bool writable, char why[DISK_WHY_MAX]);

#endif
