/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throttling of a VM's disks, the supervisor's side: the page of each disk or
 * group of disks, what is in force, and its change while they run (C1, C7).
 */
#ifndef CLI_THROTTLES_H
#define CLI_THROTTLES_H

#include "cli/supervisor.h"
#include "ipc/pages.h"

/* Settings of [blk], a page for each disk of ours, one for each group. */
int throttles_open(struct vm *vm, char why[VM_WHY_MAX]);
void throttles_close(struct vm *vm);

/*
 * Change what text names (cli/throttle_parse.h) for a disk of ours and for all
 * of its group, now and for processes to come.  "": change nothing.
 * Return: 0; -EINVAL with a line in why.
 */
int throttles_change(struct device *dev, const char *text,
		     char why[VM_WHY_MAX]);

/* What the disk's process has counted; its word, checked by nobody. */
struct stats_disk throttles_counts(const struct device *dev);

/*
 * Of that, delayed, delay_us and waiting; of a disk in several processes the
 * sum of them.
 */
struct stats_disk throttles_delays(const struct device *dev);

#endif
