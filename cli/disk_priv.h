/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the child of `bulkhead disk` (disk_child.c): it is
 * confined, and qcow2.layer[0] is the image that its job is about.
 */
#ifndef CLI_DISK_PRIV_H
#define CLI_DISK_PRIV_H

#include "cli/disk.h"
#include "devproc/blk/qcow2_priv.h"

/* Where the overlay of DISK_COMMIT is, whose backing file layer[0] is. */
#define DISK_OVERLAY	(QCOW2_MAX_LAYERS - 1)

extern struct qcow2_scan disk_scan;

/* text goes to answer->why.  Return: ret. */
int disk_fail(struct disk_answer *answer, int ret, const char *text);

/* Parse the header of a layer whose file and file_bytes are set. */
int disk_look(struct qcow2_layer *layer, struct disk_answer *answer);
/* Refcounts right, marks gone; answer->nr_bad: it is not, and cannot be. */
int disk_repair(struct disk_answer *answer);

/* disk_child_commit.c: copy what the overlay has into layer[0]. */
int disk_commit(struct disk_answer *answer);
/* disk_child_empty.c: layer[0] has no cluster of its own any more. */
int disk_empty(struct disk_answer *answer);

/*
 * disk_io.c: fds[n] is what file_io.h calls n, -1: none.  What is begun waits
 * for disk_io_step(), which does the oldest.  Return: false, there is none.
 */
void disk_io_init(const int fds[FILE_MAX]);
bool disk_io_step(void);
/* What file_io_truncate() would have made of the image's size; 0: nothing. */
uint64_t disk_io_keep_bytes(void);

#endif
