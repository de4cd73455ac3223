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

/* Its process has ended: what it held, the next one tries again. */
void disk_lost_process(struct device *dev);

/*
 * Let a held disk try again.  Return: 0; -EINVAL it is not held, -EPIPE; with
 * a line in why.
 */
int disk_resume(struct device *dev, char why[VM_WHY_MAX]);

#endif
