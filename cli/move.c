/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a running disk to another file, see cli/move.h. */
#include "cli/move.h"

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
#include "ipc/dio_align.h"
#include "ipc/no_atime.h"

#define SECTOR_BYTES		512u	/* virtio 1.2, 5.2.4: capacity's unit */
#define STRICTEST_ALIGN		4096u	/* of O_DIRECT, where nobody says */

void move_init(struct device *dev)
{
	dev->move = (struct move){ .fd = -1 };
}

/* How it ended, for who asks later. */
static void note_end(struct device *dev, bool failed, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void note_end(struct device *dev, bool failed, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(dev->move.end, sizeof(dev->move.end), fmt, ap);
	va_end(ap);
	dev->move.failed = failed;
	event_note(dev->child.vm, failed ? "not-moved" : "moved",
		   dev->cfg->name, 0, "%s", dev->move.end);
}

/* The new file is worth nothing. */
static void drop(struct device *dev)
{
	close(dev->move.fd);
	unlink(dev->move.to);
	dev->move.fd = -1;
	dev->move.file_bytes = 0;
	dev->move.state = MOVE_NONE;
}

static int fail(int err, const char *to, char *why)
{
	snprintf(why, VM_WHY_MAX, "%s: %s", to, err == EEXIST ?
		 "exists already; a disk is moved to a new file" :
		 strerror(err));
	return -err;
}

static int refuse(const struct device *dev, int err, const char *what,
		  char *why)
{
	snprintf(why, VM_WHY_MAX, "%s: %s", dev->cfg->name, what);
	return -err;
}

/* All zeroes, or an image that is; what was in it is gone. */
static int make_empty(struct device *dev)
{
	struct move *move = &dev->move;
	struct qcow2_flat flat;
	int ret;

	if (move->format == LIFE_BLK_RAW) {
		move->file_bytes = move->disk_bytes;
		return ftruncate(move->fd, 0) < 0 ||
		       ftruncate(move->fd, (off_t)move->file_bytes) < 0 ?
			-errno : 0;
	}
	ret = qcow2_flat_plan(move->disk_bytes, &flat);
	if (ret)
		return ret;
	move->file_bytes = flat.file_bytes;
	return disk_flat_fill(move->fd, &flat);
}

/*
 * Locked as image.c would.  Not with O_DIRECT yet: the guest's buffers may lie
 * anyhow.
 */
static int make_file(struct device *dev, const char *to, char *why)
{
	const struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ret = 0;

	dev->move.fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC |
			    O_NOFOLLOW, 0600);
	if (dev->move.fd < 0)
		return fail(errno, to, why);
	snprintf(dev->move.to, sizeof(dev->move.to), "%s", to);
	if (fcntl(dev->move.fd, F_OFD_SETLK, &lock) < 0)
		ret = -errno;
	if (!ret)
		ret = make_empty(dev);
	if (!ret)
		return 0;
	drop(dev);
	return fail(-ret, to, why);
}

/* Of what, to what, and is that to be had? */
static int prepare(struct device *dev, const char *to, const char *format,
		   char *why)
{
	bool raw_only;
	int ret = disk_may_change(dev, why);

	if (!ret)
		ret = disk_has_one_process(dev, why);
	if (ret)
		return ret;
	if (to[0] != '/' || strlen(to) >= sizeof(dev->move.to))
		return refuse(dev, EINVAL,
			      "the new file needs an absolute path of less than 256 characters",
			      why);
	dev->move.format = format ? config_find_format(format) :
				    dev->end.format;
	if (dev->move.format < 0)
		return refuse(dev, EINVAL, "the formats are raw and qcow2",
			      why);
	raw_only = dev->end.format == LIFE_BLK_RAW &&
		   dev->move.format == LIFE_BLK_RAW;
	if (dev->cfg->record.path && !raw_only)
		return refuse(dev, EBUSY,
			      "not with a record, which is of the file and not of the disk in it; only from raw to raw both are the same",
			      why);
	/* A raw one whole: the guest may not see the last bytes of it. */
	dev->move.disk_bytes = raw_only ? dev->end.size_bytes :
			       disk_capacity(dev);
	if (!dev->move.disk_bytes)
		return refuse(dev, EPROTO,
			      "its process does not say how large it is", why);
	return 0;
}

int move_begin(struct device *dev, const char *to, const char *format,
	       char *why)
{
	int ret = prepare(dev, to, format, why);

	if (!ret)
		ret = make_file(dev, to, why);
	if (ret)
		return ret;
	ret = rebirth_exchange(dev, why);
	if (ret) {
		drop(dev);
		return ret;
	}
	dev->move.state = MOVE_COPYING;
	dev->move.end[0] = '\0';
	event_note(dev->child.vm, "moving", dev->cfg->name, 0, "to %s, %s",
		   to, config_format_name(dev->move.format));
	log_info("%s: moving from %s to %s", dev->cfg->name, dev->end.where,
		 to);
	return 0;
}

int move_cancel(struct device *dev, char *why)
{
	if (dev->move.state == MOVE_NONE) {
		snprintf(why, VM_WHY_MAX, "%s is not being moved",
			 dev->cfg->name);
		return -EINVAL;
	}
	drop(dev);
	note_end(dev, true, "cancelled; the disk stays at %s",
		 dev->end.where);
	log_info("%s: move %s", dev->cfg->name, dev->move.end);
	disk_renew(dev);
	return 0;
}

static void give_up(struct device *dev, int err)
{
	note_end(dev, true, "to %.100s failed: %s; the disk stays at %.80s",
		 dev->move.to, strerror(err), dev->end.where);
	log_err("%s: move %s", dev->cfg->name, dev->move.end);
	drop(dev);
	disk_renew(dev);
}

void move_is_through(struct device *dev, const struct life_blk_moved *moved)
{
	char why[VM_WHY_MAX];

	if (dev->move.state == MOVE_NONE)
		return;
	/* Also on its way to the pivot: a write was too much for the new file. */
	if (moved->err) {
		give_up(dev, (int)(moved->err & 0xfff));
		return;
	}
	if (dev->move.state != MOVE_COPYING)
		return;
	/* Nobody can be exchanged while the VM stops: it ends where it was. */
	if (rebirth_exchange(dev, why))
		log_warn("%s", why);
	else
		dev->move.state = MOVE_PIVOTING;
}

/* What O_DIRECT asks of offsets in a file, and of a raw disk's size. */
static uint32_t direct_align(int fd)
{
	uint32_t align, memory_align;

	return dio_align(fd, &align, &memory_align) ? align : STRICTEST_ALIGN;
}

/* O_DIRECT from now on, if the disk had it and the new file can have it. */
static void set_direct(struct device *dev)
{
	struct host_end *end = &dev->end;

	if (!end->direct)
		return;
	/* With part of a block at its end the disk would become smaller. */
	if ((end->size_bytes % SECTOR_BYTES == 0 &&
	     end->size_bytes % direct_align(end->fd)) ||
	    fcntl(end->fd, F_SETFL, O_DIRECT) < 0)
		end->direct = false;
	if (!end->direct)
		log_warn("%s: %s: the file system has no O_DIRECT for it; going through the page cache",
			 dev->cfg->name, end->where);
}

/* The new file alone is the disk. */
static void take_new_file(struct host_end *end, struct move *move)
{
	close(end->fd);
	for (unsigned int i = 0; i < end->nr_backing; i++) {
		close(end->backing_fd[i]);
		end->backing_fd[i] = -1;
	}
	end->nr_backing = 0;
	end->raw_backing = 0;
	end->fd = move->fd;
	end->format = move->format;
	end->size_bytes = move->file_bytes;
	end->block_device = false;
	snprintf(end->where, sizeof(end->where), "%s", move->to);
	move->fd = -1;
	move->file_bytes = 0;
	move->state = MOVE_NONE;
}

static void pivot(struct device *dev)
{
	log_info("%s: moved from %s to %s; write to the configuration: path = %s, format = %s%s",
		 dev->cfg->name, dev->end.where, dev->move.to, dev->move.to,
		 config_format_name(dev->move.format),
		 dev->end.nr_backing ? ", and no backing" : "");
	note_end(dev, false, "moved to %s", dev->move.to);
	take_new_file(&dev->end, &dev->move);
	set_direct(dev);
	no_atime(dev->end.fd);
}

/* The next process copies anew: to a file that is empty again. */
static void start_over(struct device *dev)
{
	int ret = make_empty(dev);

	dev->move.state = MOVE_COPYING;
	if (!ret)
		return;
	note_end(dev, true, "failed: %s", strerror(-ret));
	log_err("%s: move %s", dev->cfg->name, dev->move.end);
	drop(dev);
}

void move_lost_process(struct device *dev, bool drained)
{
	if (dev->move.state == MOVE_PIVOTING && drained)
		pivot(dev);
	else if (dev->move.state != MOVE_NONE)
		start_over(dev);
}

void move_end(struct device *dev)
{
	if (dev->move.state == MOVE_NONE)
		return;
	drop(dev);
	note_end(dev, true, "ended with the guest; the disk stays at %.150s",
		 dev->end.where);
	log_warn("%s: move %s", dev->cfg->name, dev->move.end);
}
