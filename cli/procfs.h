/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says about a process. */
#ifndef CLI_PROCFS_H
#define CLI_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_usage {
	uid_t uid;
	uint64_t rss_kib;
	uint64_t cpu_ms;	/* user and system */
};

/* What it costs at the moment; two small files. */
struct proc_load {
	uint64_t cpu_ms;	/* user and system, all threads */
	uint64_t private_kib;	/* resident, neither guest RAM nor files */
};

/* Return: 0, -ESRCH it is gone, or another -errno. */
int proc_read_load(pid_t pid, struct proc_load *load);
int proc_read_usage(pid_t pid, struct proc_usage *usage);

/*
 * It has been killed, or has ended, and is still there: its memory goes first,
 * its files and their locks a while later.  False also if nothing can be told.
 */
bool proc_is_dying(pid_t pid);

#endif
