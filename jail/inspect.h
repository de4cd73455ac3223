/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process still holds, read from /proc by any process that may look:
 * root, or the user who started the VM.
 */
#ifndef JAIL_INSPECT_H
#define JAIL_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define INSPECT_NR_NAMESPACES	7
#define INSPECT_MAX_FDS		160
#define INSPECT_LINE_MAX	512	/* bytes, with the NUL */

struct inspect {
	pid_t pid;
	uid_t uid;		/* real, on the host */
	uint64_t cap_permitted;
	uint64_t cap_effective;
	uint64_t cap_bounding;
	bool no_new_privs;
	unsigned int seccomp;	/* 0 none, 1 strict, 2 filter */
	unsigned int nr_threads;
	unsigned int dumped_kinds;	/* core(5), coredump_filter */
	unsigned int nr_namespaces;	/* that differ from the reader's */
	bool root_empty;
	bool root_read_only;
	bool cwd_is_root;
	unsigned int nr_fds;
	int fds[INSPECT_MAX_FDS];	/* ascending; the first of nr_fds */
	unsigned int nr_mappings;
	unsigned int nr_exec_mappings;
	unsigned int nr_write_exec_mappings;	/* writable and executable */
	uint64_t shared_bytes;	/* mapped shared: guest RAM, pages, rings */
	uint64_t private_bytes;	/* mapped private: code, heap, stacks */
};

/*
 * Read everything about pid.
 * Return: 0, -ESRCH it is gone, -EACCES not yours to look at, other -errno.
 */
int inspect_read(pid_t pid, struct inspect *inspect);

/* true: everything is as the jail promises. */
bool inspect_is_jailed(const struct inspect *inspect);

/* One line, no newline, for people: "uid 1879050112 CapEff 0 ...". */
void inspect_line(const struct inspect *inspect, char *line, size_t line_bytes);

#endif
