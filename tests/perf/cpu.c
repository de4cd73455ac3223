/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks for benches, see cpu.h. */
#include "tests/perf/cpu.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Of the first thread: no program here forks in another. */
static FILE *open_children(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
		 (int)pid);
	return fopen(path, "re");
}

static uint64_t branch_cpu_ns(pid_t pid, unsigned int depth)
{
	uint64_t sum = buried_cpu_ns(pid);
	clockid_t clock;
	FILE *file;
	int child;

	if (clock_getcpuclockid(pid, &clock) == 0)
		sum += clock_ns(clock);
	if (depth == 0)
		return sum;
	file = open_children(pid);
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

static unsigned int own_threads(pid_t pid, pid_t *threads, unsigned int max)
{
	const struct dirent *entry;
	unsigned int nr = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (nr < max && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			threads[nr++] = atoi(entry->d_name);
	closedir(dir);
	return nr;
}

static unsigned int branch_threads(pid_t pid, pid_t *threads,
				   unsigned int max, unsigned int depth)
{
	unsigned int nr = own_threads(pid, threads, max);
	FILE *file = depth ? open_children(pid) : NULL;
	int child;

	if (!file)
		return nr;
	while (fscanf(file, "%d", &child) == 1)
		nr += branch_threads(child, threads + nr, max - nr, depth - 1);
	fclose(file);
	return nr;
}

unsigned int tree_threads(pid_t pid, pid_t *threads, unsigned int max)
{
	return branch_threads(pid, threads, max, MAX_DEPTH);
}

bool stay_on_processor(pid_t thread, unsigned int number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number, &set);
	return sched_setaffinity(thread, sizeof(set), &set) == 0;
}
