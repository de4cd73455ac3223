/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show_filter PID NAME: is the seccomp filter in force in each thread of the
 * process, as the kernel gives it back, the compiled policy of that name, and
 * the only one?  Needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE.
 * Exit status: 0 yes, 1 no, 2 the kernel does not say.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/jail/filter.h"

static int look_at_thread(pid_t tid, const struct policy *policy)
{
	int result = FILTER_UNKNOWN;
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ||
	    waitpid(tid, &status, __WALL) != tid)
		printf("thread %d: cannot be traced: %s\n", (int)tid,
		       strerror(errno));
	else if (WIFSTOPPED(status))
		result = filter_look(tid, policy);
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	return result;
}

static int look_at_all(pid_t pid, const struct policy *policy)
{
	char path[64];
	struct dirent *entry;
	int worst = FILTER_UNKNOWN;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		pid_t tid = (pid_t)atoi(entry->d_name);

		if (tid <= 0)
			continue;
		worst = look_at_thread(tid, policy);
		if (worst)
			break;
	}
	if (tasks)
		closedir(tasks);
	return worst;
}

int main(int argc, char **argv)
{
	const struct policy *policy = argc == 3 ? filter_policy(argv[2]) : NULL;

	if (!policy) {
		fprintf(stderr, "show_filter PID core|blk|console|disk|rng|serial\n");
		return FILTER_UNKNOWN;
	}
	return look_at_all((pid_t)atoi(argv[1]), policy);
}
