/* SPDX-License-Identifier: Apache-2.0 */
/* The host's disks, for `bulkhead doctor`: who would hold requests back? */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"

#define MAX_DISKS	4096	/* looked at */
#define NAMES_MAX	100	/* bytes of their names, with the NUL */

/* The first line of a disk's file, or what it has of it.  Return: false, none. */
static bool read_line(const char *dir, const char *disk, const char *name,
		      char line[128])
{
	char path[PATH_MAX];
	bool got;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s/queue/%s", dir, disk, name) >=
	    (int)sizeof(path))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	got = fgets(line, 128, f);
	fclose(f);
	return got;
}

/*
 * Linux's block/bfq-iosched.rst, "slice_idle": BFQ lets the disk idle for so
 * long, in the hope of one more request of who had the last.  A guest's
 * requests come from one process and are sorted by the guest, so they wait for
 * nothing.  No other scheduler of Linux 6.1 or newer waits.
 */
static bool holds_back(const char *dir, const char *disk)
{
	char line[128];

	if (!read_line(dir, disk, "scheduler", line) || !strstr(line, "[bfq]"))
		return false;
	return !read_line(dir, disk, "iosched/slice_idle", line) ||
	       strtoul(line, NULL, 10) > 0;
}

static void add_name(char names[NAMES_MAX], const char *disk)
{
	size_t len = strlen(names);

	if (len + strlen(disk) + sizeof(", ...") < NAMES_MAX)
		snprintf(names + len, NAMES_MAX - len, "%s%s",
			 len ? ", " : "", disk);
	else if (!strstr(names, "..."))
		snprintf(names + len, NAMES_MAX - len, "%s...",
			 len ? ", " : "");
}

void doctor_schedulers_in(struct doctor_result *r, const char *dir)
{
	char names[NAMES_MAX] = "";
	const struct dirent *entry;
	DIR *disks = opendir(dir);

	if (!disks) {
		doctor_say(r, DOCTOR_WARN, "mount sysfs on /sys", "%s: %s",
			   dir, strerror(errno));
		return;
	}
	for (int i = 0; i < MAX_DISKS && (entry = readdir(disks)); i++)
		if (entry->d_name[0] != '.' && holds_back(dir, entry->d_name))
			add_name(names, entry->d_name);
	closedir(disks);
	if (names[0])
		doctor_say(r, DOCTOR_WARN,
			   "if guests' images are there, write mq-deadline or none to /sys/block/DISK/queue/scheduler, or 0 to queue/iosched/slice_idle",
			   "the scheduler bfq may hold requests back on %s",
			   names);
	else
		doctor_say(r, DOCTOR_OK, "",
			   "no I/O scheduler here holds requests back");
}

void doctor_schedulers(struct doctor_result *r)
{
	doctor_schedulers_in(r, "/sys/block");
}
