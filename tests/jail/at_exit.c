/* SPDX-License-Identifier: Apache-2.0 */
/*
 * at_exit POLICY COMMAND [ARGUMENT...]: what the processes that a command
 * starts have at their very end, which is the least that they had after their
 * last narrowing: the filter in force, read back from the kernel, rights, and
 * fds.  For those that live too short to be looked at while they work.
 *
 * Prints "PID: the filter is POLICY's", the line of show_jail and
 * "PID: fd N FILE" for each.
 * Exit status: 0 there was one, and each has that filter, the only one, no
 * capability and no new privileges; 1 not so; 2 the kernel does not say.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/inspect.h"
#include "tests/jail/filter.h"

#define RUN_S	60	/* for the command and all of its processes */

static int worse(int a, int b)
{
	if (a == FILTER_OTHER || b == FILTER_OTHER)
		return FILTER_OTHER;
	return a > b ? a : b;
}

static void show_fds(pid_t pid)
{
	char path[64], name[PATH_MAX];
	struct dirent *entry;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	while (fds && (entry = readdir(fds))) {
		ssize_t len = readlinkat(dirfd(fds), entry->d_name, name,
					 sizeof(name) - 1);

		if (len >= 0)
			printf("%d: fd %s %.*s\n", (int)pid, entry->d_name,
			       (int)len, name);
	}
	if (fds)
		closedir(fds);
}

static int look_at_rights(pid_t pid)
{
	char line[INSPECT_LINE_MAX];
	struct inspect inspect;
	int err = inspect_read(pid, &inspect);

	if (err) {
		printf("%d: %s\n", (int)pid, strerror(-err));
		return FILTER_OTHER;
	}
	inspect_line(&inspect, line, sizeof(line));
	printf("%d: %s\n", (int)pid, line);
	return inspect.cap_permitted == 0 && inspect.cap_effective == 0 &&
	       inspect.cap_bounding == 0 && inspect.no_new_privs &&
	       inspect.nr_threads == 1 && inspect.nr_write_exec_mappings == 0 ?
	       FILTER_SAME : FILTER_OTHER;
}

/* Stopped in exit(2): its memory, files and filters are still there. */
static int look(pid_t pid, const struct policy *policy)
{
	int result = filter_look(pid, policy);

	if (result == FILTER_SAME)
		printf("%d: the filter is %s's\n", (int)pid, policy->name);
	show_fds(pid);
	return worse(result, look_at_rights(pid));
}

static pid_t start(char *argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL,
		   PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT |
		   PTRACE_O_EXITKILL) ||
	    ptrace(PTRACE_CONT, pid, NULL, NULL)) {
		perror("at_exit");
		exit(FILTER_UNKNOWN);
	}
	return pid;
}

/* What is passed on: signals, but for those that are only ptrace(2)'s. */
static long signal_of(int status)
{
	int signal = WSTOPSIG(status);

	return status >> 16 || signal == SIGTRAP || signal == SIGSTOP ? 0 :
								      signal;
}

int main(int argc, char *argv[])
{
	const struct policy *policy = argc > 2 ? filter_policy(argv[1]) : NULL;
	int result = FILTER_SAME, status;
	unsigned int nr = 0;
	pid_t first, pid;

	if (!policy) {
		fprintf(stderr, "at_exit POLICY COMMAND [ARGUMENT...]\n");
		return FILTER_UNKNOWN;
	}
	setlinebuf(stdout);
	alarm(RUN_S);
	first = start(argv + 2);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status))
			continue;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8) &&
		    pid != first) {
			result = worse(result, look(pid, policy));
			nr++;
		}
		ptrace(PTRACE_CONT, pid, NULL, signal_of(status));
	}
	return nr ? result : FILTER_OTHER;
}
