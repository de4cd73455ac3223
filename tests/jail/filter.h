/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp filters in force in a stopped thread, as the kernel gives them
 * back: are they what was compiled?  Needs CAP_SYS_ADMIN and
 * CONFIG_CHECKPOINT_RESTORE.
 */
#ifndef TESTS_JAIL_FILTER_H
#define TESTS_JAIL_FILTER_H

#include <sys/types.h>

#include "policy/policy.h"

#define FILTER_SAME	0
#define FILTER_OTHER	1
#define FILTER_UNKNOWN	2	/* the kernel does not say */

/* core, blk, console, disk, rng, serial.  Return: NULL, there is none such. */
const struct policy *filter_policy(const char *name);

/*
 * Has this thread, which the caller traces and which is stopped, that policy's
 * filter and no other?  Prints a line if not.
 */
int filter_look(pid_t tid, const struct policy *policy);

#endif
