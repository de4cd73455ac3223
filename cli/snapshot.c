/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot of a running disk, see cli/snapshot.h. */
#include "cli/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/disk.h"
#include "cli/disks.h"
#include "cli/event_log.h"
#include "cli/resources.h"
#include "ipc/no_atime.h"

#define CLUSTER_BITS	16	/* as `bulkhead disk create` */

void snapshot_init(struct device *dev)
{
	dev->snapshot = (struct snapshot){ .fd = -1, .old_fd = -1 };
}

static int refuse(const struct device *dev, int err, const char *what,
		  char *why)
{
	snprintf(why, VM_WHY_MAX, "%s: %.400s", dev->cfg->name, what);
	return -err;
}

/* How it ended, for who asks later. */
static void note_end(struct device *dev, bool failed, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void note_end(struct device *dev, bool failed, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(dev->snapshot.end, sizeof(dev->snapshot.end), fmt, ap);
	va_end(ap);
	dev->snapshot.failed = failed;
	event_note(dev->child.vm, failed ? "no-snapshot" : "snapshot",
		   dev->cfg->name, 0, "%s", dev->snapshot.end);
}

static void close_both(struct snapshot *snapshot)
{
	if (snapshot->fd >= 0)
		close(snapshot->fd);
	if (snapshot->old_fd >= 0)
		close(snapshot->old_fd);
	snapshot->fd = snapshot->old_fd = -1;
	snapshot->draining = false;
}

/* Nothing was written to the new image yet. */
static void drop(struct device *dev)
{
	close_both(&dev->snapshot);
	unlink(dev->snapshot.to);
}

/* The new image calls the old one by its path: it has to be there. */
static int check_path(const struct device *dev, char *why)
{
	struct stat open_one, named;

	if (fstat(dev->end.fd, &open_one) == 0 &&
	    stat(dev->end.where, &named) == 0 &&
	    open_one.st_dev == named.st_dev &&
	    open_one.st_ino == named.st_ino)
		return 0;
	return refuse(dev, ENOENT,
		      "its image is not at its path any more, so nothing can be put on top of it",
		      why);
}

static int make_image(struct device *dev, const char *to, char *why)
{
	const struct disk_shape shape = {
		.bytes = disk_capacity(dev),
		.cluster_bits = CLUSTER_BITS,
		.backing = dev->end.where,
		.backing_format = config_format_name(dev->end.format),
	};

	if (!shape.bytes)
		return refuse(dev, EPROTO,
			      "its process does not say how large it is", why);
	return disk_create(to, &shape, why);
}

/* Opened and locked as the disk's image was; its old one for reading only. */
static int open_both(struct device *dev, const char *to, char *why)
{
	const struct config_device image = {
		.image = {
			.path = (char *)(uintptr_t)to,
			.origin = (char *)(uintptr_t)"snapshot",
		},
		.format = LIFE_BLK_QCOW2, .cache = dev->cfg->cache,
	};
	struct host_end end = { .fd = -1 };
	char path[32];
	int ret = image_open(&image, &end, why);

	dev->snapshot.fd = end.fd;
	dev->snapshot.file_bytes = end.size_bytes;
	if (ret)
		return ret;
	if (end.direct != dev->end.direct)
		return refuse(dev, EINVAL,
			      "one of both file systems has no O_DIRECT; put the new image beside the old one",
			      why);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dev->end.fd);
	dev->snapshot.old_fd = open(path, O_RDONLY | O_CLOEXEC |
				    (end.direct ? O_DIRECT : 0));
	if (dev->snapshot.old_fd < 0)
		return refuse(dev, errno, strerror(errno), why);
	no_atime(dev->snapshot.old_fd);
	return 0;
}

static int prepare(struct device *dev, const char *to, char *why)
{
	int ret = disk_may_change_unrecorded(dev, why);

	if (!ret)
		ret = disk_has_one_process(dev, why);
	if (!ret && (to[0] != '/' || strlen(to) >= sizeof(dev->snapshot.to)))
		ret = refuse(dev, EINVAL,
			     "the new image needs an absolute path of less than 256 characters",
			     why);
	if (!ret && dev->end.nr_backing == CONFIG_MAX_BACKING)
		ret = refuse(dev, E2BIG,
			     "there are 8 images behind it already; 'bulkhead disk commit' makes them fewer",
			     why);
	return ret ? ret : check_path(dev, why);
}

int snapshot_begin(struct device *dev, const char *to, char *why)
{
	int ret = prepare(dev, to, why);

	if (!ret)
		ret = make_image(dev, to, why);
	if (ret)
		return ret;
	snprintf(dev->snapshot.to, sizeof(dev->snapshot.to), "%s", to);
	ret = open_both(dev, to, why);
	if (!ret)
		ret = rebirth_exchange(dev, why);
	if (ret) {
		drop(dev);
		return ret;
	}
	dev->snapshot.draining = true;
	dev->snapshot.end[0] = '\0';
	return 0;
}

/* --- the change -------------------------------------------------------------- */

static int set_lock(int fd, short type)
{
	const struct flock whole = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &whole) < 0 ? -errno : 0;
}

/* From the writer's lock to the one of those who only read. */
static int hand_lock_down(struct device *dev)
{
	int ret = set_lock(dev->end.fd, F_RDLCK);

	if (!ret)
		ret = set_lock(dev->snapshot.old_fd, F_RDLCK);
	if (ret)
		(void)set_lock(dev->end.fd, F_WRLCK);
	return ret;
}

static void put_on_top(struct device *dev)
{
	struct host_end *end = &dev->end;
	struct snapshot *snapshot = &dev->snapshot;

	for (unsigned int i = end->nr_backing; i > 0; i--)
		end->backing_fd[i] = end->backing_fd[i - 1];
	end->backing_fd[0] = snapshot->old_fd;
	end->raw_backing = (uint16_t)(end->raw_backing << 1 |
				      (end->format == LIFE_BLK_RAW));
	end->nr_backing++;
	close(end->fd);
	end->fd = snapshot->fd;
	end->format = LIFE_BLK_QCOW2;
	end->size_bytes = snapshot->file_bytes;
	end->block_device = false;
	snprintf(end->where, sizeof(end->where), "%s", snapshot->to);
	snapshot->fd = snapshot->old_fd = -1;
}

static void give_up(struct device *dev, const char *what)
{
	drop(dev);
	note_end(dev, true, "none taken: %.80s; the disk stays at %.120s",
		 what, dev->end.where);
	log_err("%s: snapshot: %s", dev->cfg->name, dev->snapshot.end);
}

void snapshot_lost_process(struct device *dev, bool drained)
{
	char old[sizeof(dev->end.where)];
	int format = dev->end.format;
	int ret;

	if (!dev->snapshot.draining)
		return;
	if (!drained) {
		give_up(dev, "its process died on the way");
		return;
	}
	ret = hand_lock_down(dev);
	if (ret) {
		give_up(dev, strerror(-ret));
		return;
	}
	snprintf(old, sizeof(old), "%s", dev->end.where);
	put_on_top(dev);
	close_both(&dev->snapshot);
	note_end(dev, false, "the disk is %s now", dev->snapshot.to);
	log_info("%s: %s is on top of %s; write to the configuration: path = %s, format = qcow2, backing = %s:%s%s",
		 dev->cfg->name, dev->snapshot.to, old, dev->snapshot.to, old,
		 config_format_name(format),
		 dev->end.nr_backing > 1 ? ", and then what 'backing' was" :
					   "");
}

void snapshot_end(struct device *dev)
{
	if (dev->snapshot.draining)
		give_up(dev, "the guest ended");
}
