/* SPDX-License-Identifier: Apache-2.0 */
/* Throttling of a VM's disks, see cli/throttles.h. */
#include "cli/throttles.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/event_log.h"
#include "cli/resources.h"
#include "cli/throttle_parse.h"

#define SEND_MS	500

static bool is_ours(const struct device *dev)
{
	return dev->cfg->role == LIFE_ROLE_BLK && !dev->cfg->socket.path;
}

/* One disk's processes keep its limits together, a group's those of the group. */
static bool same_group(const struct device *a, const struct device *b)
{
	if (a->cfg->of == b->cfg->of)
		return true;
	return a->cfg->throttle_group && b->cfg->throttle_group &&
	       !strcmp(a->cfg->throttle_group, b->cfg->throttle_group);
}

static int dup_page(int page_fd)
{
	int fd = fcntl(page_fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Disks of a group have one page under several fds. */
static int open_page(const struct vm *vm, const struct device *dev)
{
	for (const struct device *other = vm->device; other < dev; other++)
		if (same_group(dev, other))
			return dup_page(other->throttle_fd);
	return memory_make_page("bulkhead-throttle", THROTTLE_PAGE_BYTES);
}

int throttles_open(struct vm *vm, char why[VM_WHY_MAX])
{
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		if (!is_ours(dev))
			continue;
		dev->throttle = dev->cfg->throttle;
		dev->throttle_fd = open_page(vm, dev);
		if (dev->throttle_fd < 0) {
			snprintf(why, VM_WHY_MAX, "cannot make a memfd: %s",
				 strerror(-dev->throttle_fd));
			return dev->throttle_fd;
		}
	}
	return 0;
}

void throttles_close(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		if (vm->device[i].throttle_fd >= 0)
			close(vm->device[i].throttle_fd);
		vm->device[i].throttle_fd = -1;
	}
}

static void apply(struct device *dev, const struct throttle_settings *settings)
{
	dev->throttle = *settings;
	/* A spare was born with what was before. */
	spare_renew(dev);
	if (dev->child.state != CHILD_BORN && dev->child.state != CHILD_READY)
		return;		/* its birth will tell it */
	if (life_send(dev->child.life_fd, LIFE_BLK_THROTTLE, settings, NULL, 0,
		      SEND_MS))
		log_warn("%s: does not take its new throttle; the next process will",
			 dev->cfg->name);
}

int throttles_change(struct device *dev, const char *text,
		     char why[VM_WHY_MAX])
{
	struct vm *vm = dev->child.vm;
	struct throttle_settings next = dev->throttle;
	char wrong[THROTTLE_WHY_MAX], now[THROTTLE_TEXT_MAX];

	if (!text[0])
		return 0;
	if (throttle_parse(text, &next, wrong)) {
		snprintf(why, VM_WHY_MAX, "%s", wrong);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (same_group(&vm->device[i], dev))
			apply(&vm->device[i], &next);
	throttle_format(&next, now);
	event_note(vm, "throttled", dev->cfg->name, 0, "%s", now);
	log_info("%s: throttle is now: %s%s%s", dev->cfg->name, now,
		 dev->cfg->throttle_group ? ", for group " : "",
		 dev->cfg->throttle_group ? dev->cfg->throttle_group : "");
	return 0;
}

struct stats_disk throttles_counts(const struct device *dev)
{
	struct stats_disk counts = { 0 };

	if (pread(dev->child.stats_fd, &counts, sizeof(counts),
		  offsetof(struct stats_page, disk)) != sizeof(counts))
		counts = (struct stats_disk){ 0 };
	return counts;
}

struct stats_disk throttles_delays(const struct device *dev)
{
	const struct vm *vm = dev->child.vm;
	struct stats_disk sum = { 0 };

	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		const struct device *one = &vm->device[i];
		struct stats_disk counts;

		if (one != dev && disk_of(one) != dev)
			continue;
		counts = throttles_counts(one);
		sum.delayed += counts.delayed;
		sum.delay_us += counts.delay_us;
		sum.waiting += counts.waiting;
	}
	return sum;
}
