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

#include "cli/config.h"
#include "devproc/blk/qcow2.h"
#include "devproc/blk/qcow2_flat.h"

struct host_end;

#define DISK_WHY_MAX	512	/* bytes of an error, with the NUL */

enum disk_job {
	DISK_LOOK,	/* the header only */
	DISK_CHECK,	/* all references and refcounts */
	DISK_REPAIR,	/* and put them right */
	DISK_RESIZE,	/* to bytes, which are not less than now */
	DISK_COMMIT,	/* of files.overlay, into the image */
	DISK_EMPTY,	/* no cluster of its own; all it reads is behind it */
};

/* What the child says; nothing in it is trusted but that it is a struct. */
struct disk_answer {
	int32_t ret;		/* 0 or -errno, then why is filled */
	char why[QCOW2_WHY_MAX];
	struct qcow2_header header;
	uint64_t nr_data, nr_packed, nr_zero;	/* guest clusters */
	uint64_t nr_bad, nr_low, nr_high, nr_flags, nr_uncounted;
	bool repaired;
	uint64_t data_bytes, zero_bytes;	/* committed */
	uint64_t keep_bytes;	/* of the file, the rest is of no use; 0: all */
};

/* What a child is given; the fds stay the caller's. */
struct disk_files {
	int image;
	bool raw;		/* it, for DISK_COMMIT */
	int overlay;		/* of DISK_COMMIT, for reading; -1 */
	int backing[CONFIG_MAX_BACKING];	/* behind the image, nearest first */
	unsigned int nr_backing;
	uint16_t raw_backing;	/* bit per backing file */
};

/*
 * disk_child.c: have a child do job on files.
 * Return: 0, *answer is its, texts terminated; -errno: it failed, and why says
 * how, in one line without the image's name.
 */
int disk_ask_of(const struct disk_files *files, enum disk_job job,
		uint64_t bytes, struct disk_answer *answer,
		char why[DISK_WHY_MAX]);
/* The same, of a qcow2 image alone. */
int disk_ask(int fd, enum disk_job job, uint64_t bytes,
	     struct disk_answer *answer, char why[DISK_WHY_MAX]);

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
 * disk_flat.c: make of fd, an image that is moved to, an empty disk; what was in
 * it is gone.  Return: 0 or -errno.
 */
int disk_flat_fill(int fd, const struct qcow2_flat *flat);

/*
 * disk_open.c: open and lock an image as a VM would, for writing or reading.
 * Return: fd, or -errno with why.
 */
int disk_open(const char *path, bool writable, char why[DISK_WHY_MAX]);
/* The same of any format (enum life_blk_format); *end has its size. */
int disk_open_as(const char *path, int format, bool writable,
		 struct host_end *end, char why[DISK_WHY_MAX]);

/*
 * disk_commit.c: write what image has into the first of chain, which is what is
 * behind it, and empty it.  Return: exit status, after lines.
 */
int disk_commit_into(const char *image, const struct config_chain *chain);

#endif
