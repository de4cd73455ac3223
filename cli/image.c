/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [blk] path: open, check and lock a disk image (C1).  Its contents are the
 * device process's business; nothing here reads them.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/procfs.h"
#include "cli/resources.h"
#include "ipc/fdmsg.h"
#include "ipc/no_atime.h"

#define SECTOR_BYTES		512	/* virtio 1.2, 5.2.4: capacity's unit */
#define LOCK_WAIT_MS		3000
#define LOCK_STEP_MS		20
#define LOCK_GRACE_MS		40	/* before anybody is looked for */
#define HOLDER_MAX_FDS		1024	/* of one process, looked through */

static int fail(const struct config_device *cfg, int err, const char *what,
		char why[VM_WHY_MAX])
{
	snprintf(why, VM_WHY_MAX, "%s: path = %s: %s", cfg->image.origin,
		 cfg->image.path, what);
	return -err;
}

static int open_image(const struct config_device *cfg, bool *direct)
{
	int flags = (cfg->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY;
	int fd;

	*direct = life_cache_is_direct(cfg->cache);
	/* O_NONBLOCK: a path that is a FIFO must not hang us. */
	fd = open(cfg->image.path,
		  flags | O_NONBLOCK | (*direct ? O_DIRECT : 0));
	if (fd < 0 && errno == EINVAL && *direct) {
		*direct = false;
		fd = open(cfg->image.path, flags | O_NONBLOCK);
	}
	if (fd < 0)
		return -errno;
	no_atime(fd);
	return fd;
}

/* Whether fd_dir/number is the file st, with a lock on it. */
static bool holds_lock(const char *pid, const char *number,
		       const struct stat *st)
{
	char path[64], line[256];
	struct stat other;
	bool locked = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.10s/fd/%.10s", pid, number);
	if (stat(path, &other) || other.st_dev != st->st_dev ||
	    other.st_ino != st->st_ino)
		return false;
	snprintf(path, sizeof(path), "/proc/%.10s/fdinfo/%.10s", pid, number);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!locked && fgets(line, sizeof(line), f))
		locked = !strncmp(line, "lock:", 5);
	fclose(f);
	return locked;
}

/* One that is dying is waited for, not named. */
static bool process_holds_lock(const char *pid, const struct stat *st)
{
	char path[64];
	const struct dirent *entry;
	bool found = false;
	DIR *dir;

	if (proc_is_dying(atoi(pid)))
		return false;
	snprintf(path, sizeof(path), "/proc/%.10s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	for (int i = 0; !found && i < HOLDER_MAX_FDS && (entry = readdir(dir));
	     i++)
		found = isdigit((unsigned char)entry->d_name[0]) &&
			holds_lock(pid, entry->d_name, st);
	closedir(dir);
	return found;
}

/*
 * Who has the lock?  F_OFD_GETLK knows the pid of a classic lock only; an
 * OFD lock has none, but /proc shows it to those who may look.
 */
static pid_t lock_holder(const struct stat *st, const struct flock *lock)
{
	const struct dirent *entry;
	pid_t pid = 0;
	DIR *dir;

	if (lock->l_pid > 0)
		return lock->l_pid;
	dir = opendir("/proc");
	if (!dir)
		return 0;
	while (!pid && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    process_holds_lock(entry->d_name, st))
			pid = atoi(entry->d_name);
	closedir(dir);
	return pid;
}

static void read_title(pid_t pid, char *title, size_t len)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	f = fopen(path, "re");
	title[0] = '\0';
	if (!f)
		return;
	title[fread(title, 1, len - 1, f)] = '\0';
	fclose(f);
}

/*
 * Take the lock.  A process that died lets go of it only when the kernel has
 * ended its io_uring, a moment after it was reaped: a lock is waited for that
 * moment, and one without a visible holder longer.
 * Return: 0, -EBUSY with *holder, or another -errno.
 */
static int try_lock(const struct config_device *cfg, int fd,
		    const struct stat *st, pid_t *holder)
{
	long long begin_ms = fdmsg_now_ms();
	pid_t seen = 0;	/* who had it when we last looked */
	bool look = false;
	struct flock lock;

	do {
		lock = (struct flock){
			.l_type = cfg->read_only ? F_RDLCK : F_WRLCK,
			.l_whence = SEEK_SET,	/* and l_len 0: all of it */
		};
		/* OFD: the lock is the open file's, not this process's. */
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
			lock.l_pid = 0;
		*holder = look ? lock_holder(st, &lock) : 0;
		/* Between its signal and its end, one that dies looks alive. */
		if (*holder && *holder == seen)
			break;
		seen = *holder;
		poll(NULL, 0, look ? LOCK_STEP_MS : 1);
		look = fdmsg_now_ms() - begin_ms > LOCK_GRACE_MS;
	} while (fdmsg_now_ms() - begin_ms < LOCK_WAIT_MS);
	return -EBUSY;
}

static int lock_image(const struct config_device *cfg, int fd,
		      const struct stat *st, char why[VM_WHY_MAX])
{
	char what[200], title[80];
	pid_t holder = 0;
	int ret = try_lock(cfg, fd, st, &holder);

	if (!ret)
		return 0;
	if (ret != -EBUSY) {
		snprintf(what, sizeof(what), "cannot lock it: %s",
			 strerror(-ret));
	} else if (holder) {
		read_title(holder, title, sizeof(title));
		snprintf(what, sizeof(what),
			 "in use by process %d (%s); stop that first", holder,
			 title);
	} else {
		snprintf(what, sizeof(what),
			 "in use by another process, which holds a lock on it; stop that first");
	}
	return fail(cfg, -ret, what, why);
}

static int image_size(const struct config_device *cfg, int fd,
		      const struct stat *st, uint64_t *bytes,
		      char why[VM_WHY_MAX])
{
	if (S_ISBLK(st->st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, bytes) < 0)
			return fail(cfg, errno, "cannot tell its size", why);
	} else if (S_ISREG(st->st_mode)) {
		*bytes = st->st_size;
	} else {
		return fail(cfg, EINVAL,
			    "neither a file nor a block device; a disk image is needed",
			    why);
	}
	if (*bytes < SECTOR_BYTES)
		return fail(cfg, EINVAL,
			    "the image is empty; make it as large as the disk is to be, as in 'truncate -s 4G IMAGE'",
			    why);
	if (*bytes % SECTOR_BYTES && cfg->format == LIFE_BLK_RAW)
		log_warn("%s: %s: %" PRIu64
			 " bytes are no whole number of sectors; the guest does not see the last %" PRIu64,
			 cfg->image.origin, cfg->image.path, *bytes,
			 *bytes % SECTOR_BYTES);
	return 0;
}

static int check_image(const struct config_device *cfg, struct host_end *end,
		       char why[VM_WHY_MAX])
{
	struct stat st;
	int ret;

	if (fstat(end->fd, &st) < 0)
		return fail(cfg, errno, strerror(errno), why);
	ret = image_size(cfg, end->fd, &st, &end->size_bytes, why);
	if (ret)
		return ret;
	if (!end->direct && life_cache_is_direct(cfg->cache))
		log_warn("%s: %s: the file system has no O_DIRECT; going through the page cache (cache = %s says so too)",
			 cfg->image.origin, cfg->image.path,
			 cfg->cache == LIFE_CACHE_NONE ? "writeback" :
							 "writethrough");
	end->block_device = S_ISBLK(st.st_mode);
	return lock_image(cfg, end->fd, &st, why);
}

/* As an image of its own, which is only read. */
int image_open_backing(const struct config_device *cfg, unsigned int n,
		       struct host_end *end, char why[VM_WHY_MAX])
{
	const struct config_backing *backing = &cfg->chain.backing[n];
	struct config_device layer = {
		.image = backing->file, .format = backing->format,
		.read_only = true, .cache = cfg->cache,
	};
	struct host_end its_end = { .fd = -1 };
	int ret = image_open(&layer, &its_end, why);

	/* O_DIRECT for all or for none: the device has one rule for them. */
	if (!ret && its_end.direct != end->direct)
		ret = fail(&layer, EINVAL,
			   "its file system has O_DIRECT, or the image's has, but not both; say cache = writeback",
			   why);
	end->backing_fd[n] = its_end.fd;
	end->nr_backing = n + 1;
	if (backing->format == LIFE_BLK_RAW)
		end->raw_backing |= (uint16_t)(1u << n);
	return ret;
}

int image_open(const struct config_device *cfg, struct host_end *end,
	       char why[VM_WHY_MAX])
{
	char what[200];
	int fd = open_image(cfg, &end->direct);

	snprintf(end->where, sizeof(end->where), "%s", cfg->image.path);
	if (fd == -EACCES || fd == -EROFS || fd == -EPERM) {
		snprintf(what, sizeof(what),
			 "no right to open it for %s: %s; %s",
			 cfg->read_only ? "reading" : "writing", strerror(-fd),
			 cfg->read_only ? "change its mode" :
					  "change its mode, or say read_only = yes");
		return fail(cfg, -fd, what, why);
	}
	if (fd == -EISDIR)
		return fail(cfg, EISDIR,
			    "a folder; a disk image is needed", why);
	if (fd < 0) {
		snprintf(what, sizeof(what), "cannot open it: %s",
			 strerror(-fd));
		return fail(cfg, -fd, what, why);
	}
	end->fd = fd;
	return check_image(cfg, end, why);
}
