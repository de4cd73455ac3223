/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a disk while its VM runs, see cli/disks.h. */
#include "cli/disks.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/event_log.h"
#include "cli/throttles.h"

#define SEND_MS		500
#define SECTOR_BYTES	512u	/* virtio 1.2, 5.2.4: capacity's unit */

void disk_is_held(struct device *dev, const struct life_blk_held *event)
{
	dev->held = true;
	event_note(dev->child.vm, "held", dev->cfg->name, dev->child.birth.pid,
		   "%s at byte %" PRIu64 ": %s", event->write ? "write" : "read",
		   event->offset, strerror((int)(event->err & 0xfff)));
	log_warn("%s: a %s at byte %" PRIu64
		 " failed: %s; the disk is held until 'bulkhead device %s resume %s'",
		 dev->cfg->name, event->write ? "write" : "read",
		 event->offset, strerror((int)(event->err & 0xfff)),
		 dev->child.vm->cfg->name, dev->cfg->name);
}

void disk_lost_process(struct device *dev, bool drained)
{
	dev->held = false;
	move_lost_process(dev, drained);
	snapshot_lost_process(dev, drained);
}

static int resume(struct device *dev, char *why)
{
	int ret = life_send(dev->child.life_fd, LIFE_BLK_RESUME, NULL, NULL, 0,
			    SEND_MS);

	if (ret) {
		snprintf(why, VM_WHY_MAX, "%s: its process does not answer",
			 dev->cfg->name);
		return ret;
	}
	dev->held = false;
	event_note(dev->child.vm, "resumed", dev->cfg->name,
		   dev->child.birth.pid, "%s", "");
	log_info("%s: resumed", dev->cfg->name);
	return 0;
}

int disk_resume(struct device *dev, char why[VM_WHY_MAX])
{
	struct vm *vm = dev->child.vm;
	bool any = false;
	int failed = 0;

	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *one = &vm->device[i];
		int ret;

		if (!one->held || (one != dev && disk_of(one) != dev))
			continue;
		any = true;
		ret = resume(one, why);
		failed = ret ? ret : failed;
	}
	if (any)
		return failed;
	snprintf(why, VM_WHY_MAX, "%s is not held", dev->cfg->name);
	return -EINVAL;
}

static int not_now(const struct device *dev, const char *what, char *why)
{
	snprintf(why, VM_WHY_MAX, "%s: not %s", dev->cfg->name, what);
	return -EBUSY;
}

int disk_may_change(const struct device *dev, char *why)
{
	if (dev->child.vm->state != VM_RUNNING)
		return not_now(dev, "while the VM does not run", why);
	if (dev->rebirth.state != REBIRTH_NONE)
		return not_now(dev, "between two processes", why);
	if (dev->move.state != MOVE_NONE)
		return not_now(dev, "while it is being moved", why);
	if (dev->snapshot.draining)
		return not_now(dev, "while a snapshot is taken", why);
	if (dev->cfg->read_only)
		return not_now(dev, "with read_only = yes", why);
	if (!dev->cfg->process)
		return 0;
	snprintf(why, VM_WHY_MAX, "%s is a process of %s: name the disk",
		 dev->cfg->name, disk_of(dev)->cfg->name);
	return -EINVAL;
}

int disk_has_one_process(const struct device *dev, char *why)
{
	return dev->cfg->nr_processes == 1 ? 0 :
		not_now(dev, "with several processes", why);
}

int disk_may_change_unrecorded(const struct device *dev, char *why)
{
	int ret = disk_may_change(dev, why);

	/* A record begins with its file, and is of that file. */
	if (!ret && dev->cfg->record.path)
		ret = not_now(dev, "with a record", why);
	return ret;
}

void disk_renew(struct device *dev)
{
	char why[VM_WHY_MAX];

	/* Without one that serves, the next has them anyway. */
	if (dev->rebirth.state == REBIRTH_NONE && rebirth_exchange(dev, why))
		log_warn("%s", why);
}

uint64_t disk_capacity(const struct device *dev)
{
	uint64_t bytes = throttles_counts(dev).capacity_bytes;

	/* What a raw one has more, its guest could fill. */
	if (dev->end.format == LIFE_BLK_RAW && bytes > dev->end.size_bytes)
		return 0;
	return bytes % SECTOR_BYTES ? 0 : bytes;
}

static int grow_file(const struct device *dev, uint64_t bytes, char *why)
{
	if (bytes % SECTOR_BYTES || bytes <= dev->end.size_bytes) {
		snprintf(why, VM_WHY_MAX,
			 "%s has %" PRIu64
			 " bytes; it can be made larger only, by whole sectors of 512",
			 dev->cfg->name, dev->end.size_bytes);
		return -EINVAL;
	}
	if (ftruncate(dev->end.fd, (off_t)bytes) == 0)
		return 0;
	snprintf(why, VM_WHY_MAX, "%s: %s", dev->end.where, strerror(errno));
	return -errno;
}

static int look_at_block_device(const struct device *dev, uint64_t bytes,
				char *why)
{
	uint64_t now;

	if (ioctl(dev->end.fd, BLKGETSIZE64, &now) == 0 && now == bytes)
		return 0;
	snprintf(why, VM_WHY_MAX,
		 "%s: %s is a block device: make that as large first",
		 dev->cfg->name, dev->end.where);
	return -EINVAL;
}

static bool is_between(const struct device *dev)
{
	return dev->rebirth.state == REBIRTH_PUT_OFF ||
	       dev->rebirth.state == REBIRTH_UNDER_WAY ||
	       dev->rebirth.state == REBIRTH_DRAINING;
}

static int processes_may_change(const struct device *dev, char *why)
{
	const struct vm *vm = dev->child.vm;

	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (disk_of(&vm->device[i]) == dev &&
		    vm->device[i].rebirth.state != REBIRTH_NONE)
			return not_now(&vm->device[i], "between two processes",
				       why);
	return 0;
}

void disk_process_settled(struct device *dev)
{
	struct device *disk = disk_of(dev);

	if (!disk->grown || disk == dev)
		return;
	for (unsigned int i = 0; i < dev->child.vm->nr_devices; i++) {
		const struct device *one = &dev->child.vm->device[i];

		if (one != disk && disk_of(one) == disk && is_between(one))
			return;
	}
	disk->grown = false;
	disk_renew(disk);
}

/* Who was not exchanged keeps the old size, and the guest does not hear. */
static void leave_as_it_was(struct device *disk, uint64_t bytes)
{
	struct vm *vm = disk->child.vm;

	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (disk_of(&vm->device[i]) == disk &&
		    vm->device[i].rebirth.state == REBIRTH_NONE)
			vm->device[i].end.size_bytes = bytes;
	disk->grown = false;
}

/*
 * A process keeps its image from growing (RLIMIT_FSIZE), and measures it
 * before it is confined: so the size is the next one's, and the core tells the
 * guest that the config space of process 0 has changed; which therefore comes
 * last.
 */
static int exchange_for_size(struct device *dev, uint64_t bytes, char *why)
{
	struct vm *vm = dev->child.vm;
	uint64_t old = dev->end.size_bytes;
	int ret = 0;

	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (disk_of(&vm->device[i]) == dev)
			vm->device[i].end.size_bytes = bytes;
	dev->grown = dev->cfg->nr_processes > 1;
	if (!dev->grown)
		return rebirth_exchange(dev, why);
	for (unsigned int i = 0; !ret && i < vm->nr_devices; i++)
		if (&vm->device[i] != dev && disk_of(&vm->device[i]) == dev)
			ret = rebirth_exchange(&vm->device[i], why);
	if (ret)
		leave_as_it_was(dev, old);
	return ret;
}

int disk_resize(struct device *dev, uint64_t bytes, char why[VM_WHY_MAX])
{
	uint64_t old = dev->end.size_bytes;
	int ret = dev->end.format == LIFE_BLK_RAW ?
		disk_may_change_unrecorded(dev, why) :
		not_now(dev, "with format = qcow2", why);

	if (!ret)
		ret = processes_may_change(dev, why);
	if (!ret)
		ret = dev->end.block_device ?
			look_at_block_device(dev, bytes, why) :
			grow_file(dev, bytes, why);
	if (ret)
		return ret;
	ret = exchange_for_size(dev, bytes, why);
	if (ret)
		return ret;
	event_note(dev->child.vm, "resized", dev->cfg->name, 0,
		   "%" PRIu64 " bytes", bytes);
	log_info("%s: resized from %" PRIu64 " to %" PRIu64 " bytes",
		 dev->cfg->name, old, bytes);
	return 0;
}
