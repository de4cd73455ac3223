/* SPDX-License-Identifier: Apache-2.0 */
/* See cli/procfs.h.  Run by clients. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/procfs.h"

/* proc(5): fields 14 and 15 of stat, after a name that may hold anything. */
static int read_cpu(pid_t pid, uint64_t *cpu_ms)
{
	char path[40], text[1024];
	unsigned long user, system;
	const char *after;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -ESRCH;
	len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = '\0';
	after = strrchr(text, ')');
	if (!after ||
	    sscanf(after + 1,
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
