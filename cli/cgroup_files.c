/* SPDX-License-Identifier: Apache-2.0 */
/* Folders and control files of cgroup2; see cgroup_priv.h.  Supervisor, doctor. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cli/cgroup_priv.h"

/* proc(5), /proc/pid/mountinfo: field 5 is where, field 4 what of it. */
static int find_mount(char path[CGROUP_PATH_MAX], char root[CGROUP_PATH_MAX])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[2048];
	int ret = -ENOENT;

	_Static_assert(CGROUP_PATH_MAX == 512, "widths in the formats");
	if (!f)
		return -errno;
	while (ret && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*s %*s %*s %511s %511s", root, path) == 2)
			ret = 0;
	fclose(f);
	return ret;
}

/* cgroups(7): the line of the unified hierarchy begins with "0::". */
static int find_own(char own[CGROUP_PATH_MAX])
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[CGROUP_PATH_MAX];
	int ret = -ENOENT;

	if (!f)
		return -errno;
	while (ret && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4))
			continue;
		snprintf(own, CGROUP_PATH_MAX, "%s", line + 3);
		ret = 0;
	}
	fclose(f);
	return ret;
}

int cgroup_own_path(char path[CGROUP_PATH_MAX])
{
	char mount[CGROUP_PATH_MAX], root[CGROUP_PATH_MAX];
	char own[CGROUP_PATH_MAX];
	const char *below = own;
	int ret = find_mount(mount, root);

	if (!ret)
		ret = find_own(own);
	if (ret)
		return ret;
	/* A mount may show a part of the tree only, a namespace too. */
	if (strcmp(root, "/")) {
		if (strncmp(own, root, strlen(root)))
			return -ENOENT;
		below = own + strlen(root);
	}
	if (strstr(own, "/..") ||
	    strlen(mount) + strlen(below) >= CGROUP_PATH_MAX)
		return -ENOENT;
	strcpy(path, mount);
	if (strcmp(below, "/"))
		strcat(path, below);
	return 0;
}

void cgroup_path(char path[CGROUP_PATH_MAX], const char *folder,
		 const char *leaf)
{
	size_t used = strlen(folder);

	memcpy(path, folder, used + 1);
	if (leaf)
		snprintf(path + used, CGROUP_PATH_MAX - used, "/%s", leaf);
}

static int open_file(const char *folder, const char *file, int flags)
{
	char path[CGROUP_PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_read(const char *folder, const char *file, char *text, size_t len)
{
	int fd = open_file(folder, file, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = read(fd, text, len - 1);
	text[got > 0 ? got : 0] = '\0';
	close(fd);
	return got < 0 ? -EIO : 0;
}

int cgroup_write(const char *folder, const char *file, const char *text)
{
	int fd = open_file(folder, file, O_WRONLY);
	int ret = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

bool cgroup_offers(const char *folder, const char *controller)
{
	char text[256], *rest;
	char *word;

	if (cgroup_read(folder, "cgroup.controllers", text, sizeof(text)))
		return false;
	for (word = strtok_r(text, " \n", &rest); word;
	     word = strtok_r(NULL, " \n", &rest))
		if (!strcmp(word, controller))
			return true;
	return false;
}

bool cgroup_is_occupied(const char *folder)
{
	char text[32];

	if (cgroup_read(folder, "cgroup.type", text, sizeof(text)))
		return false;
	return cgroup_read(folder, "cgroup.procs", text, sizeof(text)) ||
	       text[0];
}

bool cgroup_is_one(const char *folder)
{
	struct statfs fs;

	return statfs(folder, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

int cgroup_make(const char *folder, const char *leaf)
{
	char path[CGROUP_PATH_MAX];

	cgroup_path(path, folder, leaf);
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int cgroup_remove(const char *folder, const char *leaf)
{
	char path[CGROUP_PATH_MAX];

	cgroup_path(path, folder, leaf);
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* cgroup-v2.rst, cgroup.events: who is dying is still counted. */
static int find_populated(const char *folder, const char *leaf)
{
	char path[CGROUP_PATH_MAX], text[64];
	int ret;

	cgroup_path(path, folder, leaf);
	ret = cgroup_read(path, "cgroup.events", text, sizeof(text));
	if (ret)
		return ret == -ENOENT ? 0 : ret;	/* removed meanwhile */
	return strstr(text, "populated 1") ? -EBUSY : 0;
}

static int for_each_leaf(const char *folder,
			 int (*visit)(const char *folder, const char *leaf))
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			ret = visit(folder, entry->d_name);
	closedir(dir);
	return ret;
}

int cgroup_remove_below(const char *folder)
{
	int ret = for_each_leaf(folder, find_populated);

	return ret ? ret : for_each_leaf(folder, cgroup_remove);
}

int cgroup_enter(const char *folder, const char *leaf)
{
	char path[CGROUP_PATH_MAX];

	cgroup_path(path, folder, leaf);
	/* cgroup-v2.rst, cgroup.procs: 0 is who writes. */
	return cgroup_write(path, "cgroup.procs", "0");
}
