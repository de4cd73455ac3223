/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault pages of a VM's core and devices, and the rules in them: from [fault] at
 * the start, from control clients later.  Supervisor; C1, C7.
 */
#ifndef CLI_FAULTS_H
#define CLI_FAULTS_H

#include "cli/supervisor.h"
#include "ipc/pages.h"

/*
 * A page for the core and each device with a process of ours, and what [fault] says.
 * Return: 0, or -errno with a line in why.
 */
int faults_open(struct vm *vm, char why[VM_WHY_MAX]);
void faults_close(struct vm *vm);

/* What a client asks for; what is not asked for is zero. */
struct faults_change {
	bool clear;		/* the old rules go; held requests go on */
	/*
	 * Where the random numbers of the rules added from now on come from:
	 * the same rules added in the same order have the same numbers.
	 */
	bool reseed;
	uint64_t seed;
	/*
	 * Rules to add, "DEVICE ACTION [WHEN]..." each: one, or with `script`
	 * one in each line that is neither empty nor begins with '#'.
	 */
	const char *rules;
	bool script;
};

/*
 * All of it, in that order, or nothing.
 * Return: 0; -ENOMEM; -EINVAL with "column N: ..." or
 * "line N, column N: ..." in why.
 */
int faults_change(struct vm *vm, const struct faults_change *change,
		  char why[VM_WHY_MAX]);

/* What the process has counted for its rule number index. */
struct stats_fault faults_counts(const struct child *child,
				 unsigned int index);

#endif
