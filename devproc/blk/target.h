/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other file of a move, which the supervisor has made empty: raw, or a
 * flat qcow2 image (qcow2_flat.h), whose tables are written as the copy comes
 * along.  bulkhead-blk, around D4; what mirror.c and copy.c know of the file.
 *
 * What a table is to say follows from one bit per cluster: has anything been
 * written there?  Entries are written a group at a time, of 512 clusters: the
 * refcounts, when the data is there; a sync; then the L2 entries.  A group that
 * the guest writes to once its turn is over is written by target_finish(), at
 * the end of a process whose place one with the new file takes.  Until then a
 * power cut or a kill leaves an image that is consistent and worth nothing.
 */
#ifndef DEVPROC_BLK_TARGET_H
#define DEVPROC_BLK_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "devproc/blk/file_io.h"
#include "ipc/life.h"

/* birth->move is not 0.  Before confinement.  0 or -errno. */
int target_open(const struct life_birth_blk *birth);

/* How large the disk is.  0; -EINVAL: the file was not made for it. */
int target_start(uint64_t disk_bytes);

/* For io->file. */
uint8_t target_file(void);
/* Where in it is byte `offset` of the disk?  All that follows it is in a row. */
uint64_t target_place(uint64_t offset);

/* Data was written there. */
void target_used(uint64_t offset, uint64_t bytes);

enum target_table { TARGET_COUNTS, TARGET_LINKS };

/*
 * The copy has come to `offset` of the disk.  Return: are there tables of what
 * is before it to be written now?  First the counts, then a sync, the links.
 */
bool target_has_tables(uint64_t offset);
/* Offset, bytes and buf of a write of one of them. */
void target_table_io(enum target_table table, struct file_io *io);

/*
 * The guest's last write is in both files: write what tables lack, and sync.
 * Waits, with file_io_run().  0 or -errno.
 */
int target_finish(void);

#endif
