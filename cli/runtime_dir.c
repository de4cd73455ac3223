/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of running VMs as files: see cli/runtime_dir.h.
 * Run by the supervisor (claim, release) and by clients (paths) in C1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/runtime_dir.h"

#define CLAIM_TRIES	8	/* races with VMs that end */

static int format_ok(int len)
{
	return len < 0 || len >= RUNTIME_PATH_MAX ? -ENAMETOOLONG : 0;
}

int runtime_dir_path(char path[RUNTIME_PATH_MAX])
{
	const char *dir = getenv("BULKHEAD_RUNTIME_DIR");
	int len;

	if (dir && dir[0])
		len = snprintf(path, RUNTIME_PATH_MAX, "%s", dir);
	else if (geteuid() == 0)
		len = snprintf(path, RUNTIME_PATH_MAX, "/run/bulkhead");
	else if ((dir = getenv("XDG_RUNTIME_DIR")) && dir[0])
		len = snprintf(path, RUNTIME_PATH_MAX, "%s/bulkhead", dir);
	else
		len = snprintf(path, RUNTIME_PATH_MAX, "/tmp/bulkhead-%u",
			       geteuid());
	return format_ok(len);
}

int runtime_file_path(const char *name, const char *suffix,
		      char path[RUNTIME_PATH_MAX])
{
	char dir[RUNTIME_PATH_MAX];
	int ret = runtime_dir_path(dir);

	if (ret)
		return ret;
	return format_ok(snprintf(path, RUNTIME_PATH_MAX, "%s/%s%s", dir, name,
				  suffix));
}

/* The folder is ours alone, or somebody else could plant sockets in it. */
static int ensure_dir(char *why, size_t why_bytes)
{
	char path[RUNTIME_PATH_MAX];
	struct stat st;
	int ret = runtime_dir_path(path);

	if (ret) {
		snprintf(why, why_bytes,
			 "the runtime folder's path is too long; set BULKHEAD_RUNTIME_DIR to a shorter one");
		return ret;
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		ret = -errno;
		snprintf(why, why_bytes,
			 "%s: cannot make the runtime folder: %s; set BULKHEAD_RUNTIME_DIR to a folder of your own",
			 path, strerror(-ret));
		return ret;
	}
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) ||
	    st.st_uid != geteuid() || (st.st_mode & 0022)) {
		snprintf(why, why_bytes,
			 "%s: not a folder that only you can write to; remove it, or set BULKHEAD_RUNTIME_DIR",
			 path);
		return -EPERM;
	}
	return 0;
}

static pid_t read_pid(int fd)
{
	char text[16] = "";
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	return len > 0 ? atoi(text) : 0;
}

/* Whether path still is the file behind fd: its owner may have removed it. */
static int same_file(const char *path, int fd)
{
	struct stat by_path, by_fd;

	return !stat(path, &by_path) && !fstat(fd, &by_fd) &&
	       by_path.st_dev == by_fd.st_dev && by_path.st_ino == by_fd.st_ino;
}

/* Return: fd; -EAGAIN the file vanished meanwhile; -errno. */
static int try_claim(const char *name, const char *path, char *why,
		     size_t why_bytes)
{
	char text[16];
	int len, ret;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		ret = -errno;
		snprintf(why, why_bytes, "%s: %s", path, strerror(-ret));
		return ret;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		snprintf(why, why_bytes,
			 "a VM named '%s' is running (pid %d); stop it with 'bulkhead stop %s', or give this one another name",
			 name, read_pid(fd), name);
		ret = -EBUSY;
		goto out;
	}
	ret = -EAGAIN;
	if (!same_file(path, fd))
		goto out;
	len = snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, len, 0) != len) {
		ret = -EIO;
		snprintf(why, why_bytes, "%s: cannot write: %s", path,
			 strerror(errno));
		goto out;
	}
	return fd;
out:
	close(fd);
	return ret;
}

int runtime_claim(const char *name, char *why, size_t why_bytes)
{
	char path[RUNTIME_PATH_MAX];
	int ret = ensure_dir(why, why_bytes);

	if (ret)
		return ret;
	/* The socket's path is no longer than the lock's. */
	if (runtime_file_path(name, ".lock", path)) {
		snprintf(why, why_bytes,
			 "the runtime folder's path is too long for the VM's name; set BULKHEAD_RUNTIME_DIR to a shorter one");
		return -ENAMETOOLONG;
	}
	for (int i = 0; i < CLAIM_TRIES; i++) {
		ret = try_claim(name, path, why, why_bytes);
		if (ret != -EAGAIN)
			return ret;
	}
	snprintf(why, why_bytes, "%s: keeps changing", path);
	return ret;
}

void runtime_release(const char *name, int lock_fd)
{
	char path[RUNTIME_PATH_MAX];

	if (lock_fd < 0)
		return;
	if (!runtime_file_path(name, ".sock", path))
		unlink(path);
	if (!runtime_file_path(name, ".lock", path))
		unlink(path);
	close(lock_fd);
}
