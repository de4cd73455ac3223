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

#include "policy/policy.h"

#define MAX_INSNS	4096	/* BPF_MAXINSNS */

static const struct policy *const policies[] = {
	&policy_core, &policy_blk, &policy_console, &policy_rng, &policy_serial,
};

static const struct policy *find_policy(const char *name)
{
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	return NULL;
}

/* Number index of the filters of a stopped thread: 0 is the newest. */
static long get_filter(pid_t tid, long index, struct sock_filter *insns)
{
	return ptrace((enum __ptrace_request)PTRACE_SECCOMP_GET_FILTER, tid,
		      (void *)index, insns);
}

static int look(pid_t tid, const struct policy *policy)
{
	static struct sock_filter insns[MAX_INSNS];
	long nr = get_filter(tid, 0, insns);

	if (nr < 0) {
		printf("thread %d: PTRACE_SECCOMP_GET_FILTER: %s\n", (int)tid,
		       strerror(errno));
		return errno == ENOENT ? 1 : 2;
	}
	if (nr != policy->nr_insns ||
	    memcmp(insns, policy->filter, (size_t)nr * sizeof(*insns)) != 0) {
		printf("thread %d: a filter of %ld instructions, not %s's %u\n",
		       (int)tid, nr, policy->name, policy->nr_insns);
		return 1;
	}
	if (get_filter(tid, 1, insns) >= 0) {
		printf("thread %d: there is another one\n", (int)tid);
		return 1;
	}
	return 0;
}

static int look_at_thread(pid_t tid, const struct policy *policy)
{
	int result = 2;
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ||
	    waitpid(tid, &status, __WALL) != tid)
		printf("thread %d: cannot be traced: %s\n", (int)tid,
		       strerror(errno));
	else if (WIFSTOPPED(status))
		result = look(tid, policy);
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	return result;
}

static int look_at_all(pid_t pid, const struct policy *policy)
{
	char path[64];
	struct dirent *entry;
	int worst = 2;
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
	const struct policy *policy = argc == 3 ? find_policy(argv[2]) : NULL;

	if (!policy) {
		fprintf(stderr, "show_filter PID core|blk|console|rng|serial\n");
		return 2;
	}
	return look_at_all((pid_t)atoi(argv[1]), policy);
}
