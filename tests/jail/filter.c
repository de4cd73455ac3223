/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of running threads, see filter.h. */
#include "tests/jail/filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>

#define MAX_INSNS	4096	/* BPF_MAXINSNS */

static const struct policy *const policies[] = {
	&policy_core, &policy_blk, &policy_console, &policy_disk, &policy_rng,
	&policy_serial,
};

const struct policy *filter_policy(const char *name)
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

int filter_look(pid_t tid, const struct policy *policy)
{
	static struct sock_filter insns[MAX_INSNS];
	long nr = get_filter(tid, 0, insns);

	if (nr < 0) {
		printf("thread %d: PTRACE_SECCOMP_GET_FILTER: %s\n", (int)tid,
		       strerror(errno));
		return errno == ENOENT ? FILTER_OTHER : FILTER_UNKNOWN;
	}
	if (nr != policy->nr_insns ||
	    memcmp(insns, policy->filter, (size_t)nr * sizeof(*insns)) != 0) {
		printf("thread %d: a filter of %ld instructions, not %s's %u\n",
		       (int)tid, nr, policy->name, policy->nr_insns);
		return FILTER_OTHER;
	}
	if (get_filter(tid, 1, insns) >= 0) {
		printf("thread %d: there is another one\n", (int)tid);
		return FILTER_OTHER;
	}
	return FILTER_SAME;
}
