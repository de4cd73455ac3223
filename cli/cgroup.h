/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM in cgroup2: one leaf for each of its processes, named after the
 * device, with the limits of its section.  Supervisor; C1 to C3, C7.
 *
 *     FOLDER/supervisor    only where the supervisor had to make room
 *     FOLDER/core
 *     FOLDER/vda ...
 *
 * A process is born in its leaf (CLONE_INTO_CGROUP), its successors too.
 */
#ifndef CLI_CGROUP_H
#define CLI_CGROUP_H

#include <stddef.h>

#include "cli/supervisor.h"

#define CGROUP_PATH_MAX	512	/* bytes, with the NUL */

/*
 * The folder of this process's own cgroup.
 * Return: 0; -ENOENT no cgroup2 is mounted or it lies outside; -errno.
 */
int cgroup_own_path(char path[CGROUP_PATH_MAX]);

/*
 * Folder, controllers, leaves and limits, if the configuration wants any.
 * What a supervisor that was killed left there is taken over.
 * Return: 0, or -errno with one line in why.
 */
int cgroup_open(struct vm *vm, char why[VM_WHY_MAX]);

/* Remove it all; the processes must be gone. */
void cgroup_close(struct vm *vm);

#endif
