/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads from /proc what a process still holds.  Runs in `bulkhead ps`, the
 * demo and the tests; never in a jail.
 *
 * A process can end while it is read: everything then says -ESRCH.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "jail/inspect.h"

#define PATH_BYTES	64

static const char *const namespaces[INSPECT_NR_NAMESPACES] = {
	"user", "pid", "mnt", "net", "ipc", "uts", "cgroup",
};

static void proc_path(pid_t pid, const char *name, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "/proc/%d/%s", (int)pid, name);
}

/* ENOENT below /proc/PID means that PID is gone. */
static int proc_errno(void)
{
	return errno == ENOENT ? -ESRCH : -errno;
}

static FILE *proc_open(pid_t pid, const char *name)
{
	char path[PATH_BYTES];

	proc_path(pid, name, path);
	return fopen(path, "re");
}

/* proc(5), /proc/pid/status: "Name:\tvalue"; unknown names are passed over. */
static void status_take_line(const char *line, struct inspect *inspect)
{
	const char *value = strchr(line, ':');

	if (!value)
		return;
	value++;
	if (strncmp(line, "Uid:", 4) == 0)
		inspect->uid = (uid_t)strtoul(value, NULL, 10);
	else if (strncmp(line, "CapPrm:", 7) == 0)
		inspect->cap_permitted = strtoull(value, NULL, 16);
	else if (strncmp(line, "CapEff:", 7) == 0)
		inspect->cap_effective = strtoull(value, NULL, 16);
	else if (strncmp(line, "CapBnd:", 7) == 0)
		inspect->cap_bounding = strtoull(value, NULL, 16);
	else if (strncmp(line, "NoNewPrivs:", 11) == 0)
		inspect->no_new_privs = strtoul(value, NULL, 10) == 1;
	else if (strncmp(line, "Seccomp:", 8) == 0)
		inspect->seccomp = (unsigned int)strtoul(value, NULL, 10);
	else if (strncmp(line, "Threads:", 8) == 0)
		inspect->nr_threads = (unsigned int)strtoul(value, NULL, 10);
}

static int inspect_status(struct inspect *inspect)
{
	FILE *file = proc_open(inspect->pid, "status");
	char line[256];

	if (!file)
		return proc_errno();
	while (fgets(line, sizeof(line), file))
		status_take_line(line, inspect);
	fclose(file);
	return 0;
}

/* Kinds of shared memory: core(5), /proc/pid/coredump_filter. */
#define DUMPED_SHARED	(1u << 1 | 1u << 3 | 1u << 6 | 1u << 8)

static int inspect_dumps(struct inspect *inspect)
{
	FILE *file = proc_open(inspect->pid, "coredump_filter");
	int got;

	if (!file)
		return proc_errno();
	got = fscanf(file, "%x", &inspect->dumped_kinds);
	fclose(file);
	return got == 1 ? 0 : -ESRCH;
}

static int inspect_namespaces(struct inspect *inspect)
{
	char name[24], path[PATH_BYTES], theirs[64], ours[64];
	ssize_t len, our_len;

	for (int i = 0; i < INSPECT_NR_NAMESPACES; i++) {
		snprintf(name, sizeof(name), "ns/%s", namespaces[i]);
		proc_path(inspect->pid, name, path);
		len = readlink(path, theirs, sizeof(theirs));
		if (len < 0)
			return proc_errno();
		proc_path(getpid(), name, path);
		our_len = readlink(path, ours, sizeof(ours));
		if (our_len < 0)
			return proc_errno();
		if (len != our_len || memcmp(theirs, ours, (size_t)len) != 0)
			inspect->nr_namespaces++;
	}
	return 0;
}

static int inspect_root(struct inspect *inspect)
{
	char path[PATH_BYTES], cwd[8];
	struct statvfs vfs;
	struct dirent *entry;
	ssize_t len;
	DIR *dir;

	proc_path(inspect->pid, "cwd", path);
	len = readlink(path, cwd, sizeof(cwd));
	inspect->cwd_is_root = len == 1 && cwd[0] == '/';
	proc_path(inspect->pid, "root", path);
	if (statvfs(path, &vfs) != 0)
		return proc_errno();
	inspect->root_read_only = vfs.f_flag & ST_RDONLY;
	dir = opendir(path);
	if (!dir)
		return proc_errno();
	inspect->root_empty = true;
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			inspect->root_empty = false;
	}
	closedir(dir);
	return 0;
}

static int int_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int inspect_fds(struct inspect *inspect)
{
	unsigned int kept = 0;
	char path[PATH_BYTES];
	struct dirent *entry;
	DIR *dir;

	proc_path(inspect->pid, "fd", path);
	dir = opendir(path);
	if (!dir)
		return proc_errno();
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		inspect->nr_fds++;
		if (kept < INSPECT_MAX_FDS)
			inspect->fds[kept++] = atoi(entry->d_name);
	}
	closedir(dir);
	qsort(inspect->fds, kept, sizeof(inspect->fds[0]), int_compare);
	return 0;
}

static int inspect_mappings(struct inspect *inspect)
{
	FILE *file = proc_open(inspect->pid, "maps");
	uint64_t start, end;
	char line[512], perms[5];

	if (!file)
		return proc_errno();
	/* proc(5), /proc/pid/maps: "start-end rwxp offset dev inode path" */
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s",
			   &start, &end, perms) != 3)
			continue;
		inspect->nr_mappings++;
		inspect->nr_exec_mappings += perms[2] == 'x';
		inspect->nr_write_exec_mappings += perms[1] == 'w' &&
						   perms[2] == 'x';
		if (perms[3] == 's')
			inspect->shared_bytes += end - start;
		else
			inspect->private_bytes += end - start;
	}
	fclose(file);
	return 0;
}

int inspect_read(pid_t pid, struct inspect *inspect)
{
	static int (*const parts[])(struct inspect *) = {
		inspect_status, inspect_dumps, inspect_namespaces, inspect_root,
		inspect_fds, inspect_mappings,
	};
	int err;

	*inspect = (struct inspect){ .pid = pid };
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		err = parts[i](inspect);
		if (err)
			return err;
	}
	return 0;
}

bool inspect_is_jailed(const struct inspect *inspect)
{
	return inspect->cap_permitted == 0 && inspect->cap_effective == 0 &&
	       inspect->cap_bounding == 0 && inspect->no_new_privs &&
	       inspect->seccomp == 2 &&
	       inspect->nr_namespaces == INSPECT_NR_NAMESPACES &&
	       inspect->root_empty && inspect->root_read_only &&
	       inspect->cwd_is_root && inspect->nr_write_exec_mappings == 0 &&
	       !(inspect->dumped_kinds & DUMPED_SHARED);
}

/* "0-3,5": runs of numbers, as many as fit. */
static void fds_format(const struct inspect *inspect, char *text, size_t bytes)
{
	unsigned int nr = inspect->nr_fds < INSPECT_MAX_FDS ?
			  inspect->nr_fds : INSPECT_MAX_FDS;
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int i = 0, last; i < nr; i = last + 1) {
		int len;

		for (last = i; last + 1 < nr && inspect->fds[last + 1] ==
				inspect->fds[last] + 1; last++)
			;
		if (last == i)
			len = snprintf(text + used, bytes - used, "%s%d",
				       i ? "," : "", inspect->fds[i]);
		else
			len = snprintf(text + used, bytes - used, "%s%d-%d",
				       i ? "," : "", inspect->fds[i],
				       inspect->fds[last]);
		if (len < 0 || (size_t)len >= bytes - used)
			return;
		used += (size_t)len;
	}
}

void inspect_line(const struct inspect *inspect, char *line, size_t line_bytes)
{
	char fds[160];

	fds_format(inspect, fds, sizeof(fds));
	snprintf(line, line_bytes,
		 "uid %u, CapEff %" PRIx64 ", CapBnd %" PRIx64
		 ", NoNewPrivs %d, Seccomp %u, own namespaces %u/%d, root %s%s,"
		 " dumps %s shared memory,"
		 " fds %s, %u mappings (%" PRIu64 " KiB shared, %" PRIu64
		 " KiB private)",
		 inspect->uid, inspect->cap_effective, inspect->cap_bounding,
		 inspect->no_new_privs, inspect->seccomp,
		 inspect->nr_namespaces, INSPECT_NR_NAMESPACES,
		 inspect->root_empty ? "empty" : "not empty",
		 inspect->root_read_only ? " read-only" : "",
		 inspect->dumped_kinds & DUMPED_SHARED ? "with" : "without",
		 fds[0] ? fds : "none", inspect->nr_mappings,
		 inspect->shared_bytes / 1024, inspect->private_bytes / 1024);
}
