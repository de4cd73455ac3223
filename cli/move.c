/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a running disk to another file, see cli/move.h. */
#include "cli/move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/disks.h"
#include "cli/event_log.h"
#include "cli/supervisor.h"

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
	dev->move.state = MOVE_NONE;
}

static int fail(int err, const char *to, char *why)
{
	snprintf(why, VM_WHY_MAX, "%s: %s", to, err == EEXIST ?
		 "exists already; a disk is moved to a new file" :
		 strerror(err));
	return -err;
}

/*
 * As large as the disk, and locked as image.c would.  Not with O_DIRECT yet:
 * the guest's buffers may lie anyhow.
 */
static int make_file(struct device *dev, const char *to, char *why)
{
	const struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		      0600);
	int err = 0;

	if (fd < 0)
		return fail(errno, to, why);
	if (ftruncate(fd, (off_t)dev->end.size_bytes) < 0 ||
	    fcntl(fd, F_OFD_SETLK, &lock) < 0)
		err = errno;
	if (err) {
		close(fd);
		unlink(to);
		return fail(err, to, why);
	}
	dev->move.fd = fd;
	return 0;
}

int move_begin(struct device *dev, const char *to, char *why)
{
	int ret = disk_may_change_raw(dev, why);

	if (ret)
		return ret;
	if (to[0] != '/' || strlen(to) >= sizeof(dev->move.to)) {
		snprintf(why, VM_WHY_MAX,
			 "the new file needs an absolute path of less than %zu characters",
			 sizeof(dev->move.to));
		return -EINVAL;
	}
	ret = make_file(dev, to, why);
	if (ret)
		return ret;
	snprintf(dev->move.to, sizeof(dev->move.to), "%s", to);
	ret = rebirth_exchange(dev, why);
	if (ret) {
		drop(dev);
		return ret;
	}
	dev->move.state = MOVE_COPYING;
	dev->move.end[0] = '\0';
	event_note(dev->child.vm, "moving", dev->cfg->name, 0, "to %s", to);
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

	if (dev->move.state != MOVE_COPYING)
		return;
	if (moved->err) {
		give_up(dev, (int)(moved->err & 0xfff));
		return;
	}
	/* Nobody can be exchanged while the VM stops: it ends where it was. */
	if (rebirth_exchange(dev, why))
		log_warn("%s", why);
	else
		dev->move.state = MOVE_PIVOTING;
}

/* O_DIRECT from now on, if the disk had it and the new file system does. */
static void set_direct(struct device *dev)
{
	if (dev->end.direct && fcntl(dev->end.fd, F_SETFL, O_DIRECT) < 0) {
		dev->end.direct = false;
		log_warn("%s: %s: the file system has no O_DIRECT; going through the page cache",
			 dev->cfg->name, dev->end.where);
	}
}

static void pivot(struct device *dev)
{
	log_info("%s: moved from %s to %s; write that to the configuration",
		 dev->cfg->name, dev->end.where, dev->move.to);
	note_end(dev, false, "moved to %s", dev->move.to);
	close(dev->end.fd);
	dev->end.fd = dev->move.fd;
	dev->end.block_device = false;
	snprintf(dev->end.where, sizeof(dev->end.where), "%s", dev->move.to);
	set_direct(dev);
	dev->move.fd = -1;
	dev->move.state = MOVE_NONE;
}

/* The next process copies anew: to a file that is all zeroes again. */
static void start_over(struct device *dev)
{
	dev->move.state = MOVE_COPYING;
	if (ftruncate(dev->move.fd, 0) == 0 &&
	    ftruncate(dev->move.fd, (off_t)dev->end.size_bytes) == 0)
		return;
	note_end(dev, true, "failed: %s", strerror(errno));
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
