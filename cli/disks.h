/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a disk while its VM runs, the supervisor's side (C7). */
#ifndef CLI_DISKS_H
#define CLI_DISKS_H

#include "cli/supervisor.h"

/*
 * LIFE_BLK_HELD has come from a disk of ours: an error of the host, and
 * on_error = hold.
 */
void disk_is_held(struct device *dev, const struct life_blk_held *event);

/*
 * Its process is buried: what it held, the next one tries again.  drained: it
 * had finished what it had in hand.
 */
void disk_lost_process(struct device *dev, bool drained);

/*
 * Let a held disk try again: of a disk all its processes, of a further process
 * that one.  Return: 0; -EINVAL it is not held, -EPIPE; with a line in why.
 */
int disk_resume(struct device *dev, char why[VM_WHY_MAX]);

/* Is this a moment for another file?  0, or -errno with a line in why. */
int disk_may_change(const struct device *dev, char *why);
/* The same, of what cannot be done to a disk with a record. */
int disk_may_change_unrecorded(const struct device *dev, char *why);

/*
 * Is one process alone with the disk, so that it can be given another file?
 * 0, or -EBUSY with a line in why.
 */
int disk_has_one_process(const struct device *dev, char *why);

/*
 * A process of a disk serves, or will not: if the disk has grown and no other
 * has yet to hear of it, it is the turn of process 0, which tells the guest.
 */
void disk_process_settled(struct device *dev);

/*
 * How large the disk is that the guest sees, by its process's word; 0: that
 * makes no sense.  Of a raw one it is known how much it can be.
 */
uint64_t disk_capacity(const struct device *dev);

/* A process that serves gives way to one with the files of now. */
void disk_renew(struct device *dev);

/*
 * Let the image grow to `bytes`; the guest is told.  A block device has grown
 * already.  Return: 0, or -errno with a line in why.
 */
int disk_resize(struct device *dev, uint64_t bytes, char why[VM_WHY_MAX]);

#endif
