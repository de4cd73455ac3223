/* SPDX-License-Identifier: Apache-2.0 */
/* See cli/procfs.h.  Supervisor, clients. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/procfs.h"

#define STAT_MAX	1024u

/* Return: stat from field 3 on, after a name that may hold anything; or NULL. */
static const char *read_stat(pid_t pid, char text[STAT_MAX])
{
	char path[40];
	const char *after;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	len = fread(text, 1, STAT_MAX - 1, f);
	fclose(f);
	text[len] = '\0';
	after = strrchr(text, ')');
	return after ? after + 1 : NULL;
}

/* proc(5): fields 14 and 15 of stat. */
static int read_cpu(pid_t pid, uint64_t *cpu_ms)
{
	char text[STAT_MAX];
	unsigned long user, system;
	const char *fields = read_stat(pid, text);

	if (!fields)
		return -ESRCH;
	if (sscanf(fields,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		   &user, &system) != 2)
		return -EPROTO;
	*cpu_ms = (uint64_t)(user + system) * 1000 /
		  (uint64_t)sysconf(_SC_CLK_TCK);
	return 0;
}

static int read_status(pid_t pid, struct proc_usage *usage)
{
	char path[40], line[256];
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -ESRCH;
	while (fgets(line, sizeof(line), f)) {
		found += sscanf(line, "Uid: %u", &usage->uid) == 1;
		found += sscanf(line, "VmRSS: %" SCNu64, &usage->rss_kib) == 1;
	}
	fclose(f);
	return found == 2 ? 0 : -ESRCH;
}

int proc_read_usage(pid_t pid, struct proc_usage *usage)
{
	int ret = read_status(pid, usage);

	return ret ? ret : read_cpu(pid, &usage->cpu_ms);
}

/* proc(5): statm, pages: resident is field 2, of it shared field 3. */
static int read_private(pid_t pid, uint64_t *private_kib)
{
	char path[40];
	unsigned long resident, shared;
	FILE *f;
	int found;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "re");
	if (!f)
		return -ESRCH;
	found = fscanf(f, "%*u %lu %lu", &resident, &shared);
	fclose(f);
	if (found != 2 || shared > resident)
		return -EPROTO;
	*private_kib = (resident - shared) *
		       ((uint64_t)sysconf(_SC_PAGESIZE) / 1024);
	return 0;
}

int proc_read_load(pid_t pid, struct proc_load *load)
{
	int ret = read_private(pid, &load->private_kib);

	return ret ? ret : read_cpu(pid, &load->cpu_ms);
}

/* proc(5): field 9 of stat, flags, and field 31, signals that are pending. */
bool proc_is_dying(pid_t pid)
{
	const unsigned int exiting = 0x4;	/* PF_EXITING, sched.h */
	char text[STAT_MAX];
	unsigned int flags;
	unsigned long pending;
	const char *fields = read_stat(pid, text);

	if (!fields ||
	    sscanf(fields,
		   " %*c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d"
		   " %*d %*d %*d %*d %*d %*u %*u %*d %*u %*u %*u %*u %*u %*u %lu",
		   &flags, &pending) != 2)
		return false;
	return flags & exiting || pending & 1ul << (SIGKILL - 1);
}
