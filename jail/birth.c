/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Births (C3, C4) and burials (C7): the supervisor's half.
 *
 * Theory of operation.  One clone3 makes the child and its namespaces.  The
 * two talk over one socket pair: the supervisor maps the child's ids and
 * writes BIRTH_GO; the child writes a struct birth_failure if a stage fails.
 * Its end is close-on-exec, so the supervisor reads end-of-file as soon as
 * the new program runs, and only then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "jail/birth_priv.h"

/*
 * Above the ranges of systemd's dynamic users and containers, below 2^31.
 * pid_max is at most 2^22, so the last one is 0x7fffffff.
 */
#define UID_BASE		0x70000000u
#define UIDS_PER_SUPERVISOR	(BIRTH_MAX_INDEX + 1u)

/* How often, and how many times, birth_interrupt() looks for the stop. */
#define INTERRUPT_LOOK_NS	100000
#define INTERRUPT_LOOKS		500

#define BURIAL_MS	1000	/* for a child of a failed birth */
#define REAP_STEP_MS	2	/* between looks at a death that a tracer has */

uid_t birth_uid(pid_t supervisor_pid, unsigned int index)
{
	return UID_BASE + (uid_t)supervisor_pid * UIDS_PER_SUPERVISOR + index;
}

/* Return: 0 readable, or -ETIMEDOUT, -errno. */
static int wait_readable(int fd, int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	long long left_ms = timeout_ms;
	int nr;

	for (;;) {
		nr = poll(&pollfd, 1, timeout_ms < 0 ? -1 : (int)left_ms);
		if (nr > 0)
			return 0;
		if (nr == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
		left_ms = deadline_ms - fdmsg_now_ms();
		if (left_ms < 0)
			left_ms = 0;
	}
}

void birth_abandon(struct birth_child *child)
{
	close(child->pidfd);
	child->pidfd = -1;
	child->pid = 0;
}

/* The end of a birth that failed; the child's last trace is its text. */
static int birth_failed(struct birth_child *child, enum birth_stage stage,
			int err)
{
	siginfo_t info;

	birth_describe(stage, err, child->why, sizeof(child->why));
	if (child->stage_fd >= 0)
		close(child->stage_fd);
	child->stage_fd = -1;
	if (child->pid > 0) {
		birth_kill(child);
		/* It may be stuck in the kernel, or held by a tracer. */
		if (birth_reap(child, &info, BURIAL_MS))
			birth_abandon(child);
	}
	return -err;
}

/* Everything that a spec can have wrong is a bug of the caller. */
static int spec_check(const struct birth_spec *spec)
{
	if (!spec->title || spec->exe_fd < 0 || spec->nr_fds > BIRTH_MAX_FDS ||
	    spec->nr_tasks < 1)
		return -EINVAL;
	for (unsigned int i = 0; i < spec->nr_fds; i++) {
		if (spec->fds[i].from < 0 || spec->fds[i].to < 0)
			return -EINVAL;
		for (unsigned int k = 0; k < i; k++) {
			if (spec->fds[k].to == spec->fds[i].to)
				return -EINVAL;
		}
	}
	return 0;
}

int proc_write(const char *who, const char *name, const char *text)
{
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/%s/%s", who, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/*
 * Own namespaces of every kind that confines; the network is the one of
 * heritage.c, or stage_network()'s.  No CLONE_VM: the child runs C of its own
 * beside the supervisor.
 */
static pid_t birth_clone(int *pidfd, int cgroup_fd)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS |
			 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
			 CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* user_namespaces(7): the maps are one line each and written once. */
static int birth_map(const struct birth_spec *spec, pid_t pid, bool privileged)
{
	char who[16], uids[48], gids[48];
	int err;

	snprintf(who, sizeof(who), "%d", (int)pid);
	snprintf(uids, sizeof(uids), "%u %u 1", BIRTH_UID, spec->host_uid);
	snprintf(gids, sizeof(gids), "%u %u 1", BIRTH_UID, spec->host_gid);
	/* Who is not privileged may not map groups that could be dropped. */
	if (!privileged) {
		err = proc_write(who, "setgroups", "deny");
		if (err)
			return err;
	}
	err = proc_write(who, "uid_map", uids);
	if (err)
		return err;
	return proc_write(who, "gid_map", gids);
}

/*
 * Take what the child says on stage_fd, which is readable.
 * Return: 0 end-of-file, it runs its program; or the errno of a failure, and
 * then stage is set if the child named one.
 */
static int stage_take_failure(int stage_fd, enum birth_stage *stage)
{
	struct birth_failure failure;
	ssize_t len;

	len = read(stage_fd, &failure, sizeof(failure));
	/* It ended before it read BIRTH_GO; what it wrote is still there. */
	if (len < 0 && errno == ECONNRESET) {
		len = read(stage_fd, &failure, sizeof(failure));
		if (len == 0)
			return ECONNRESET;
	}
	if (len == 0)
		return 0;
	/* Our own code wrote it, but it is a message from a child. */
	if (len != sizeof(failure) || failure.stage >= BIRTH_NR_STAGES ||
	    failure.err <= 0)
		return EPROTO;
	*stage = failure.stage;
	return failure.err;
}

/*
 * The ids could not be mapped.  If that is because the child ended, what it
 * has written before tells the cause.
 */
static int birth_map_failed(struct birth_child *child, int err)
{
	enum birth_stage stage = BIRTH_STAGE_MAP;
	int child_err = 0;

	if (wait_readable(child->stage_fd, 0) == 0)
		child_err = stage_take_failure(child->stage_fd, &stage);
	return birth_failed(child, stage, child_err ? child_err : err);
}

/* clone3(2): what only the cgroup can be the cause of. */
static enum birth_stage clone_stage(const struct birth_spec *spec, int err)
{
	bool by_cgroup = err == EACCES || err == EBUSY || err == ENODEV ||
			 err == EOPNOTSUPP || err == EBADF;

	return spec->cgroup_fd >= 0 && by_cgroup ? BIRTH_STAGE_CGROUP :
						   BIRTH_STAGE_CLONE;
}

/* Clone, and in the child go on to the stages. */
static int birth_fork(const struct birth_spec *spec, struct birth_child *child,
		      bool privileged, int child_fd, int parent_pidfd)
{
	struct birth_scene scene = {
		.spec = spec,
		.exe_fd = spec->exe_fd,
		.stage_fd = child_fd,
		.parent_pidfd = parent_pidfd,
		.may_set_groups = privileged,
		.leave_network = !network_is_made(),
	};

	child->pid = birth_clone(&child->pidfd, spec->cgroup_fd);
	if (child->pid == 0)
		stages_run(&scene);
	return child->pid < 0 ? -errno : 0;
}

/* That, in the empty network.  stage: what failed. */
static int birth_fork_apart(const struct birth_spec *spec,
			    struct birth_child *child, bool privileged,
			    int child_fd, int parent_pidfd,
			    enum birth_stage *stage)
{
	int err = network_enter(), left_err;

	*stage = BIRTH_STAGE_NETWORK;
	if (err)
		return err;
	err = birth_fork(spec, child, privileged, child_fd, parent_pidfd);
	if (err)
		*stage = clone_stage(spec, -err);
	left_err = network_return();
	return err ? err : left_err;
}

int birth_begin(const struct birth_spec *spec, struct birth_child *child)
{
	const char go = BIRTH_GO;
	bool privileged = spec->host_uid != geteuid() ||
			  spec->host_gid != getegid();
	int pair[2], parent_pidfd, err;
	enum birth_stage stage;

	*child = (struct birth_child){ .pidfd = -1, .stage_fd = -1 };
	err = spec_check(spec);
	if (err)
		return birth_failed(child, BIRTH_STAGE_PREPARE, -err);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return birth_failed(child, BIRTH_STAGE_PREPARE, errno);
	child->stage_fd = pair[0];
	parent_pidfd = pidfd_open(getpid(), 0);
	if (parent_pidfd < 0) {
		err = errno;
		close(pair[1]);
		return birth_failed(child, BIRTH_STAGE_PREPARE, err);
	}
	err = birth_fork_apart(spec, child, privileged, pair[1], parent_pidfd,
			       &stage);
	close(parent_pidfd);
	close(pair[1]);
	if (err)
		return birth_failed(child, stage, -err);
	err = birth_map(spec, child->pid, privileged);
	if (err)
		return birth_map_failed(child, -err);
	/* A child that is gone already is birth_wait_exec()'s to find. */
	(void)send(child->stage_fd, &go, sizeof(go), MSG_NOSIGNAL);
	return 0;
}

int birth_wait_exec(struct birth_child *child, int timeout_ms)
{
	enum birth_stage stage = BIRTH_STAGE_RELEASE;
	int err;

	err = wait_readable(child->stage_fd, timeout_ms);
	if (err)
		return birth_failed(child, stage, -err);
	err = stage_take_failure(child->stage_fd, &stage);
	if (err)
		return birth_failed(child, stage, err);
	close(child->stage_fd);
	child->stage_fd = -1;
	return 0;
}

void birth_kill(const struct birth_child *child)
{
	/* ESRCH: dead already, which is what was wanted. */
	(void)pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
}

/* A stop that is taken back before it has happened interrupts nobody. */
void birth_interrupt(const struct birth_child *child)
{
	const struct timespec pause = { .tv_nsec = INTERRUPT_LOOK_NS };
	siginfo_t info = { 0 };

	if (pidfd_send_signal(child->pidfd, SIGSTOP, NULL, 0) != 0)
		return;
	for (int i = 0; i < INTERRUPT_LOOKS && info.si_pid == 0; i++) {
		if (waitid(P_PIDFD, (id_t)child->pidfd, &info,
			   WSTOPPED | WNOHANG) != 0)
			break;
		if (info.si_pid == 0)
			nanosleep(&pause, NULL);
	}
	(void)pidfd_send_signal(child->pidfd, SIGCONT, NULL, 0);
}

/*
 * A child that somebody traces is dead, but not yet ours to collect, until its
 * tracer has (ptrace(2)): a debugger at its prompt must not stop us.
 * Return: 1 collected, 0 not yet, -errno.
 */
static int collect(const struct birth_child *child, siginfo_t *info)
{
	memset(info, 0, sizeof(*info));
	if (waitid(P_PIDFD, (id_t)child->pidfd, info, WEXITED | WNOHANG) != 0)
		return -errno;
	return info->si_pid != 0;
}

int birth_reap(struct birth_child *child, siginfo_t *info, int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;
	int err = wait_readable(child->pidfd, timeout_ms);
	int got;

	if (err == -ETIMEDOUT && timeout_ms == 0)
		return -EAGAIN;
	if (err)
		return err;
	while ((got = collect(child, info)) == 0) {
		if (timeout_ms == 0)
			return -EAGAIN;
		if (timeout_ms > 0 && fdmsg_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, REAP_STEP_MS);
	}
	if (got < 0)
		return got;
	close(child->pidfd);
	child->pidfd = -1;
	child->pid = 0;
	return 0;
}
