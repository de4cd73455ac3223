/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one process of the host can do to another one: tries all that the
 * kernel has for that, and prints what worked, a word each.
 *
 *	neighbour PID			as who it is
 *	neighbour --inside FROM PID	from within FROM's namespaces, with all
 *					capabilities there: more than FROM has
 *
 * Exit status: 0 nothing worked, 1 something did, 2 it could not be tried.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned int nr_worked;

static void note(const char *what, bool worked)
{
	if (!worked)
		return;
	printf("%s ", what);
	nr_worked++;
}

/* Some files open for everybody and then say nothing. */
static bool can_read(pid_t pid, const char *name)
{
	char path[64], byte;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* mem: its first page is nobody's, so an error of read says nothing */
	got = strcmp(name, "mem") ? read(fd, &byte, 1) : 1;
	close(fd);
	return got > 0;
}

static bool can_follow(pid_t pid, const char *name)
{
	char path[64], target[256];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return readlink(path, target, sizeof(target)) > 0;
}

static bool can_list_fds(pid_t pid)
{
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (dir)
		closedir(dir);
	return dir != NULL;
}

static void try_proc(pid_t pid)
{
	static const char *const files[] = {
		"mem", "maps", "smaps", "environ", "auxv", "pagemap", "io",
		"syscall", "stack", "personality", "numa_maps", "map_files",
	};
	static const char *const links[] = {
		"exe", "root", "cwd", "fd/3", "ns/user", "ns/mnt",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		note(files[i], can_read(pid, files[i]));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		note(links[i], can_follow(pid, links[i]));
	note("fd", can_list_fds(pid));
}

static void try_memory(pid_t pid)
{
	char here[8];
	struct iovec local = { here, sizeof(here) };
	struct iovec remote = { (void *)0x1000, sizeof(here) };
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	long ret;

	/* EFAULT: it may, and only the address is nobody's. */
	ret = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	note("process_vm_readv", ret >= 0 || errno == EFAULT);
	ret = process_vm_writev(pid, &local, 1, &remote, 1, 0);
	note("process_vm_writev", ret >= 0 || errno == EFAULT);
	if (pidfd < 0)
		return;
	ret = syscall(SYS_pidfd_getfd, pidfd, 2, 0);
	note("pidfd_getfd", ret >= 0);
	ret = syscall(SYS_process_madvise, pidfd, &remote, 1, 21, 0);
	note("process_madvise", ret >= 0);
	ret = syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0);
	note("pidfd_send_signal", ret >= 0);
	close(pidfd);
}

static void try_control(pid_t pid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1,
	};
	struct sched_param param = { .sched_priority = 0 };
	struct rlimit limit = { 0, 0 };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	note("kill", kill(pid, 0) == 0);
	note("perf", syscall(SYS_perf_event_open, &attr, pid, -1, -1, 0) >= 0);
	note("prlimit", prlimit(pid, RLIMIT_CORE, &limit, NULL) == 0);
	note("setpriority", setpriority(PRIO_PROCESS, (id_t)pid, 19) == 0);
	note("scheduler", sched_setscheduler(pid, SCHED_IDLE, &param) == 0);
	note("affinity", sched_setaffinity(pid, sizeof(cpus), &cpus) == 0);
	note("kcmp", syscall(SYS_kcmp, getpid(), pid, 1, 0, 0) >= 0);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
		note("ptrace", true);
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
	}
}

static int try_all(pid_t pid)
{
	try_proc(pid);
	try_memory(pid);
	try_control(pid);
	if (nr_worked)
		putchar('\n');
	return nr_worked ? 1 : 0;
}

/* Of a process in all of from's namespaces that may be entered. */
static int try_inside(pid_t from, pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, from, 0);
	int status;
	pid_t child;

	if (pidfd < 0 || setns(pidfd, CLONE_NEWUSER | CLONE_NEWPID |
			       CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			       CLONE_NEWCGROUP) < 0 ||
	    setns(pidfd, CLONE_NEWNS) < 0) {
		perror("setns");
		return 2;
	}
	child = fork();
	if (child == 0) {
		int result = try_all(pid);

		fflush(stdout);
		_exit(result);
	}
	if (child < 0 || waitpid(child, &status, 0) != child ||
	    !WIFEXITED(status))
		return 2;
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	bool inside = argc == 4 && strcmp(argv[1], "--inside") == 0;
	pid_t from = inside ? (pid_t)atoi(argv[2]) : 1;
	pid_t pid = inside || argc == 2 ? (pid_t)atoi(argv[argc - 1]) : 0;

	/* 0 would be this process itself. */
	if (from > 0 && pid > 0)
		return inside ? try_inside(from, pid) : try_all(pid);
	fprintf(stderr, "neighbour [--inside FROM] PID\n");
	return 2;
}
