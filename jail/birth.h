/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The birth of a jailed process (C3, C4): the supervisor's half.
 *
 * birth_begin() clones a child into new namespaces, gives it its user
 * id and lets it go; the child walks through the stages of stages.c, the last
 * of which is exec.  birth_wait_exec() says how that went.  Begin all
 * children first and wait for them after that: they strip in parallel.
 *
 * Context: the supervisor, which must be single-threaded: a child dies with
 * the thread that gave birth to it.
 */
#ifndef JAIL_BIRTH_H
#define JAIL_BIRTH_H

#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define BIRTH_MAX_FDS	24
#define BIRTH_UID	1000u	/* user and group id inside every jail */
#define BIRTH_WHY_MAX	384	/* bytes, with the NUL */
#define BIRTH_MAX_INDEX	63	/* children of one supervisor, less one */

struct birth_fd {
	int from;	/* in the supervisor */
	int to;		/* in the child, see ipc/inherit.h */
};

/* All that a child is given.  Borrowed during birth_begin() only. */
struct birth_spec {
	const char *title;	/* argv[0], "bulkhead: debian/vda [blk]" */
	/*
	 * The program, static, opened O_PATH or O_RDONLY, with O_CLOEXEC;
	 * its file must be executable by anybody.
	 */
	int exe_fd;
	int cgroup_fd;		/* folder of cgroup2 to be born in, or -1 */
	/*
	 * Everything open in the child; any other number is closed, 0 and 1
	 * too if they are not listed.  Numbers may overlap in any way.
	 */
	struct birth_fd fds[BIRTH_MAX_FDS];
	unsigned int nr_fds;
	/* What BIRTH_UID is on the host: birth_uid(), or geteuid(). */
	uid_t host_uid;
	gid_t host_gid;
	/*
	 * Upper limits; where the supervisor's own hard limit is lower, that.
	 * nr_tasks counts the process, its threads and its io_uring workers.
	 */
	rlim_t nr_files;
	rlim_t nr_tasks;
	rlim_t memlock_bytes;
	rlim_t file_bytes;	/* RLIM_INFINITY: what a file may grow to */
};

/* Filled by birth_begin(); birth_reap() or a failure ends it. */
struct birth_child {
	pid_t pid;		/* on the host */
	int pidfd;		/* owned; readable once the child is dead */
	int stage_fd;		/* owned until birth_wait_exec() returns */
	char why[BIRTH_WHY_MAX];	/* one line, after a failure */
};

/*
 * A host uid (and gid) that no other live VM's child has, for a supervisor
 * that is root.  Unique because pids are: supervisors in different pid
 * namespaces must not share a user namespace.  index <= BIRTH_MAX_INDEX.
 */
uid_t birth_uid(pid_t supervisor_pid, unsigned int index);

/*
 * Before the first birth: what all children inherit, no shared memory in
 * dumps, an empty session keyring and, if this process may make one, an empty
 * network.  Owns two fds from then on, until birth_close().
 * Return: 0, or -errno with why filled, BIRTH_WHY_MAX bytes.
 */
int birth_open(char *why);
void birth_close(void);

/*
 * Start a birth.  Takes about 1 ms, does not wait for the child.
 * Return: 0, or -errno with child->why filled and nothing left behind.
 */
int birth_begin(const struct birth_spec *spec, struct birth_child *child);

/*
 * Wait until the child runs its program.
 * Return: 0; -ETIMEDOUT or the -errno of the stage that failed, and then
 * child->why is filled and the child is dead and reaped; one that does not die
 * within a second is left to the kernel.
 */
int birth_wait_exec(struct birth_child *child, int timeout_ms);

/* SIGKILL; nothing happens if it is dead already. */
void birth_kill(const struct birth_child *child);

/*
 * Stop it for an instant: what its threads wait in ends with EINTR or begins
 * again.  Takes some 0.1 ms; 0.1 s at most, should it not stop.
 */
void birth_interrupt(const struct birth_child *child);

/*
 * Collect a dead child's status for death_describe(); closes pidfd.
 * timeout_ms 0: do not wait, -1: for ever.
 * Return: 0, -EAGAIN it is alive (timeout_ms 0), -ETIMEDOUT it still is, or
 * a tracer has it that does not let go.
 */
int birth_reap(struct birth_child *child, siginfo_t *info, int timeout_ms);

/*
 * Close pidfd without that: whatever it is stuck in, the kernel has it.  Its
 * trace in the process table goes with the supervisor.
 */
void birth_abandon(struct birth_child *child);

#endif
