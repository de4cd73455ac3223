/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of a birth (C3, C4): the child's half, between clone and exec.
 *
 * Theory of operation.  The child is a copy of the supervisor in namespaces
 * of its own, where it has every capability and no power outside.  It uses
 * them to take things away, in the order of stages_run(): first what others
 * wait for, last what earlier stages need.  A stage that fails writes its
 * name and errno to the supervisor and ends the child.  After exec nothing of
 * the supervisor's memory is left, and confine.c goes on from there.
 *
 * No stage allocates, except libcap; none uses stdio.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/birth_priv.h"
#include "jail/capabilities.h"

#define HOSTNAME	"bulkhead"

/* fds beside the listed ones that live until exec. */
#define NR_SCENE_FDS	3

static noreturn void stage_failed(const struct birth_scene *scene,
				  enum birth_stage stage)
{
	const struct birth_failure failure = { .stage = stage, .err = errno };

	/* If nobody reads it, there is nobody to be told. */
	if (write(scene->stage_fd, &failure, sizeof(failure)) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

static int int_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Close every fd but keep[0..nr-1]; sorts keep. */
static int fds_close_others(int *keep, unsigned int nr)
{
	unsigned int next = 0;

	qsort(keep, nr, sizeof(*keep), int_compare);
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int fd = (unsigned int)keep[i];

		if (fd > next && close_range(next, fd - 1, 0) != 0)
			return -1;
		next = fd + 1;
	}
	return close_range(next, ~0u, 0);
}

/* The lowest number above all that the spec and the scene name. */
static int fds_free_base(const struct birth_scene *scene)
{
	const struct birth_spec *spec = scene->spec;
	int highest = STDERR_FILENO;

	for (unsigned int i = 0; i < spec->nr_fds; i++) {
		if (spec->fds[i].from > highest)
			highest = spec->fds[i].from;
		if (spec->fds[i].to > highest)
			highest = spec->fds[i].to;
	}
	if (scene->exe_fd > highest)
		highest = scene->exe_fd;
	if (scene->stage_fd > highest)
		highest = scene->stage_fd;
	if (scene->parent_pidfd > highest)
		highest = scene->parent_pidfd;
	return highest + 1;
}

/* Move the scene's fds to base and up, close-on-exec. */
static int fds_move_scene(struct birth_scene *scene, int base)
{
	/* stage_fd last: a failure before is still reported on the old one. */
	if (dup3(scene->exe_fd, base, O_CLOEXEC) < 0 ||
	    dup3(scene->parent_pidfd, base + 1, O_CLOEXEC) < 0 ||
	    dup3(scene->stage_fd, base + 2, O_CLOEXEC) < 0)
		return -1;
	scene->exe_fd = base;
	scene->parent_pidfd = base + 1;
	scene->stage_fd = base + 2;
	return 0;
}

/*
 * Gone after it: every fd of the supervisor but the listed ones.
 *
 * A number may be wanted by one fd and held by another that is listed too,
 * so all listed ones are first copied to numbers that nobody names.
 *
 * Should: come first.  Siblings that are born now hold copies of this one's
 *         stage_fd, and its end is told by the last copy.
 * Mustn't: close exe_fd, stage_fd, parent_pidfd.
 */
static void stage_fds(struct birth_scene *scene)
{
	const struct birth_spec *spec = scene->spec;
	int base = fds_free_base(scene);
	int keep[BIRTH_MAX_FDS + NR_SCENE_FDS];
	int nr = (int)spec->nr_fds;

	if (fds_move_scene(scene, base) != 0)
		stage_failed(scene, BIRTH_STAGE_FDS);
	for (int i = 0; i < NR_SCENE_FDS; i++)
		keep[nr + i] = base + i;
	base += NR_SCENE_FDS;
	for (int i = 0; i < nr; i++) {
		keep[i] = spec->fds[i].to;
		if (dup3(spec->fds[i].from, base + i, O_CLOEXEC) < 0)
			stage_failed(scene, BIRTH_STAGE_FDS);
	}
	for (int i = 0; i < nr; i++) {
		if (dup2(base + i, spec->fds[i].to) < 0)
			stage_failed(scene, BIRTH_STAGE_FDS);
	}
	if (fds_close_others(keep, (unsigned int)(nr + NR_SCENE_FDS)) != 0)
		stage_failed(scene, BIRTH_STAGE_FDS);
}

/*
 * Gone after it: the host's network; what is left is a loopback that is down.
 *
 * Where heritage.c could not make one for all.  Made here and not by clone, so
 * that several births pay for it at the same time.
 *
 * Should: come before the wait, as it needs no ids.
 */
static void stage_network(const struct birth_scene *scene)
{
	if (scene->leave_network && unshare(CLONE_NEWNET) != 0)
		stage_failed(scene, BIRTH_STAGE_NETWORK);
}

/*
 * Wait until the supervisor has mapped the ids; without a map every later
 * stage would act as nobody.  If the supervisor is gone, so is this child.
 */
static void stage_release(const struct birth_scene *scene)
{
	char go;

	if (read(scene->stage_fd, &go, 1) != 1 || go != BIRTH_GO)
		_exit(EXIT_FAILURE);
}

/*
 * Gone after it: the supervisor's user, group and, if it was root, groups.
 * An ordinary user's supplementary groups stay: the kernel lets nobody drop
 * groups that could serve to refuse him something.  They open nothing, as
 * there is no file to open.
 *
 * Should: come before whatever makes an object, so that it gets the new owner.
 * Mustn't: lose capabilities: uid 0 is not mapped in here, so it does not.
 */
static void stage_identity(const struct birth_scene *scene)
{
	if ((scene->may_set_groups && setgroups(0, NULL) != 0) ||
	    setresgid(BIRTH_UID, BIRTH_UID, BIRTH_UID) != 0 ||
	    setresuid(BIRTH_UID, BIRTH_UID, BIRTH_UID) != 0)
		stage_failed(scene, BIRTH_STAGE_IDENTITY);
}

/*
 * From here on the child dies with the supervisor, however that dies.
 *
 * Should: come after the last change of ids, which clears the setting.
 *         exec of a program without set-user-id keeps it.
 */
static void stage_parent(const struct birth_scene *scene)
{
	struct pollfd parent = {
		.fd = scene->parent_pidfd,
		.events = POLLIN,
	};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		stage_failed(scene, BIRTH_STAGE_PARENT);
	/* It may have died before; getppid() says 0 in any case here. */
	if (poll(&parent, 1, 0) != 0)
		_exit(EXIT_FAILURE);
}

/*
 * Gone after it: the controlling terminal, the process group, the host's
 * name, and whatever umask the user had.
 */
static void stage_session(const struct birth_scene *scene)
{
	umask(077);
	if (setsid() < 0 ||
	    sethostname(HOSTNAME, strlen(HOSTNAME)) != 0)
		stage_failed(scene, BIRTH_STAGE_SESSION);
}

/*
 * Gone after it: user namespaces inside of this one, in which the process
 * would have every capability again, and the kernel code behind those.
 *
 * Should: come before the root, which has no /proc.  The file shows the limit
 *         of the user namespace of who opens it (namespaces(7)).
 */
static void stage_nesting(const struct birth_scene *scene)
{
	int fd = open("/proc/sys/user/max_user_namespaces",
		      O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		stage_failed(scene, BIRTH_STAGE_NESTING);
	close(fd);
}

/* A detached tmpfs for one inode, its root, that nobody can write to. */
static int root_make(void)
{
	int fs, mnt = -1;

	fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -1;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mnt = fsmount(fs, FSMOUNT_CLOEXEC,
			      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
			      MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	close(fs);
	return mnt;
}

/*
 * Gone after it: every file system of the host.
 *
 * The empty one is mounted over "/", which exists everywhere; no directory
 * of the host is needed.  The fd leads to it, as the path "/" still means
 * what is below.  pivot_root(2), "pivot_root(".", ".")".
 *
 * Should: come while there are capabilities.
 * Mustn't: care for propagation: mounts are slaves here, as the mount
 *          namespace belongs to a new user namespace (mount_namespaces(7)).
 */
static void stage_root(const struct birth_scene *scene)
{
	int mnt = root_make();

	if (mnt < 0 ||
	    move_mount(mnt, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0 ||
	    fchdir(mnt) != 0 ||
	    syscall(SYS_pivot_root, ".", ".") != 0 ||
	    umount2(".", MNT_DETACH) != 0 ||
	    chdir("/") != 0)
		stage_failed(scene, BIRTH_STAGE_ROOT);
	close(mnt);
}

static int limit_lower(__rlimit_resource_t resource, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0)
		return -1;
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit);
}

/*
 * Gone after it: growth.  NPROC counts per user namespace, so each jail has
 * its own count, also where all jails share one host uid.
 *
 * Should: come after the fds have their numbers, which may exceed NOFILE.
 */
static void stage_limits(const struct birth_scene *scene)
{
	const struct birth_spec *spec = scene->spec;

	/* 1 byte, not 0: see stage_core_dumps() of confine.c, which also
	 * knows what to do where the hard limit is 0 already. */
	if (limit_lower(RLIMIT_CORE, 1) != 0 ||
	    limit_lower(RLIMIT_NOFILE, spec->nr_files) != 0 ||
	    limit_lower(RLIMIT_NPROC, spec->nr_tasks) != 0 ||
	    limit_lower(RLIMIT_MEMLOCK, spec->memlock_bytes) != 0 ||
	    limit_lower(RLIMIT_FSIZE, spec->file_bytes) != 0 ||
	    limit_lower(RLIMIT_MSGQUEUE, 0) != 0 ||
	    limit_lower(RLIMIT_RTPRIO, 0) != 0 ||
	    limit_lower(RLIMIT_NICE, 0) != 0)
		stage_failed(scene, BIRTH_STAGE_LIMITS);
}

/*
 * Gone after it: signals that the supervisor ignores or blocks.  Its handlers
 * went with clone (CLONE_CLEAR_SIGHAND).
 */
static void stage_signals(const struct birth_scene *scene)
{
	const struct sigaction deflt = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		/* 32 and 33 are glibc's own; it refuses them. */
		if (sig == SIGKILL || sig == SIGSTOP ||
		    (sig >= __SIGRTMIN && sig < SIGRTMIN))
			continue;
		if (sigaction(sig, &deflt, NULL) != 0)
			stage_failed(scene, BIRTH_STAGE_SIGNALS);
	}
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		stage_failed(scene, BIRTH_STAGE_SIGNALS);
}

/*
 * Gone after it: all capabilities, and every way back to one: bounding and
 * ambient set, securebits locked, privileges by exec.
 *
 * Should: come last before exec; all stages above need some capability.
 */
static void stage_capabilities(const struct birth_scene *scene)
{
	int err = capabilities_lock();

	if (!err)
		err = capabilities_clear();
	if (err) {
		errno = -err;
		stage_failed(scene, BIRTH_STAGE_CAPABILITIES);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		stage_failed(scene, BIRTH_STAGE_CAPABILITIES);
}

/*
 * Gone after it: the supervisor's memory and address layout, its environment
 * and its arguments, and the fds of the scene.
 */
static noreturn void stage_exec(const struct birth_scene *scene)
{
	/* execve(2) only reads the string; its prototype is older than const. */
	union {
		const char *ro;
		char *rw;
	} title = { .ro = scene->spec->title };
	char *const argv[] = { title.rw, NULL };
	char *const envp[] = { NULL };

	execveat(scene->exe_fd, "", argv, envp, AT_EMPTY_PATH);
	stage_failed(scene, BIRTH_STAGE_EXEC);
}

noreturn void stages_run(struct birth_scene *scene)
{
	stage_fds(scene);
	stage_network(scene);
	stage_release(scene);
	stage_identity(scene);
	stage_parent(scene);
	stage_session(scene);
	stage_nesting(scene);
	stage_root(scene);
	stage_limits(scene);
	stage_signals(scene);
	stage_capabilities(scene);
	stage_exec(scene);
}
