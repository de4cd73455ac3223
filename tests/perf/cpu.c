/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks for benches, see cpu.h. */
#include "tests/perf/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_DEPTH	8	/* generations of processes */

uint64_t clock_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Children that a process has already waited for. */
static uint64_t buried_cpu_ns(pid_t pid)
{
	unsigned long cutime = 0, cstime = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	/* proc_pid_stat(5): fields 16 and 17; no name here has a ')' */
	if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u "
		   "%*u %*u %*u %*u %lu %lu", &cutime, &cstime) != 2)
		cutime = cstime = 0;
	fclose(file);
	return (cutime + cstime) * 1000000000u /
	       (unsigned long)sysconf(_SC_CLK_TCK);
}

static uint64_t branch_cpu_ns(pid_t pid, unsigned int depth)
{
	uint64_t sum = buried_cpu_ns(pid);
	clockid_t clock;
	char path[64];
	FILE *file;
	int child;

	if (clock_getcpuclockid(pid, &clock) == 0)
		sum += clock_ns(clock);
	if (depth == 0)
		return sum;
	/* Of the first thread: no program here forks in another. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
		 (int)pid);
	file = fopen(path, "re");
	if (!file)
		return sum;
	while (fscanf(file, "%d", &child) == 1)
		sum += branch_cpu_ns(child, depth - 1);
	fclose(file);
	return sum;
}

uint64_t tree_cpu_ns(pid_t pid)
{
	return branch_cpu_ns(pid, MAX_DEPTH);
}

bool stay_on_processor(unsigned int number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}
