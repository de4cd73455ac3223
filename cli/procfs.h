/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says about a process, for `bulkhead ps` and `top`. */
#ifndef CLI_PROCFS_H
#define CLI_PROCFS_H

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

#endif
