/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spares (C3, C7): processes in waiting, see spare.h.
 *
 * Theory of operation.  A spare is born like any device process, with the
 * same fds, in a jail of its own kind and with a uid of its own.  It says READY and
 * waits for LIFE_ADOPT; until then it reads nothing from its link, its image
 * or its host end, and no byte of the guest has come near it.  When the
 * device's process dies, the supervisor sends ADOPT to the spare and the link
 * to the core in one breath: what a birth costs was paid before.
 *
 * One spare is born per turn of the loop, and none while its device is
 * between two processes.
 */
#include "cli/spare.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/children.h"
#include "cli/resources.h"
#include "ipc/fdmsg.h"

#define FIRST_MS	300	/* after the guest's start, which has the processor */
#define NEXT_MS		15	/* after an adoption, while the guest catches up */
#define READY_MS	10000
#define RETRY_MIN_MS	1000	/* after a spare that died by itself */
#define RETRY_MAX_MS	60000
#define SEND_MS		500

static bool vm_runs(const struct vm *vm)
{
	return vm->state == VM_RUNNING || vm->state == VM_STOPPING;
}

/*
 * Not for a disk with a record: where its next entry goes is found at birth,
 * and moves until the adoption.
 */
static bool is_wanted(const struct device *dev)
{
	const struct vm *vm = dev->child.vm;

	return vm->cfg->spare && vm_runs(vm) && !dev->cfg->socket.path &&
	       dev->cfg->on_crash != CONFIG_CRASH_STOP &&
	       (dev->cfg->role != LIFE_ROLE_BLK || dev->end.out_fd < 0);
}

static void due_in(struct device *dev, int ms)
{
	dev->spare.due_ms = is_wanted(dev) ? fdmsg_now_ms() + ms : 0;
}

static void drop_link(struct spare *spare)
{
	if (spare->core_fd >= 0)
		close(spare->core_fd);
	spare->core_fd = -1;
}

void spare_init(struct device *dev)
{
	dev->spare = (struct spare){ .core_fd = -1 };
	child_init(&dev->waiting, dev->child.vm, dev->cfg->role,
		   dev->cfg->name, dev->child.index);
	dev->waiting.spare = true;
	dev->waiting.uid_index += LIFE_MAX_DEVICES + 1;
}

void spare_begin(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		due_in(&vm->device[i], FIRST_MS);
}

static void drop(struct device *dev)
{
	drop_link(&dev->spare);
	dev->spare.due_ms = 0;
	child_kill(&dev->waiting);
}

void spare_end(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		drop(&vm->device[i]);
}

void spare_renew(struct device *dev)
{
	drop(dev);
	if (!child_alive(&dev->waiting))
		due_in(dev, NEXT_MS);
}

/* --- birth ------------------------------------------------------------------ */

/* The next one later, and later each time. */
static void retry(struct device *dev)
{
	int delay = RETRY_MIN_MS;

	for (unsigned int i = 0; i < dev->spare.nr_failed &&
				 delay < RETRY_MAX_MS; i++)
		delay *= 2;
	dev->spare.nr_failed++;
	due_in(dev, delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS);
}

/* Which file the device works on; a number may mean another one meanwhile. */
static void note_image(const struct device *dev, struct spare *spare)
{
	struct stat st = { 0 };

	if (dev->end.fd >= 0 && fstat(dev->end.fd, &st) < 0)
		memset(&st, 0xff, sizeof(st));
	spare->image_dev = st.st_dev;
	spare->image_ino = st.st_ino;
}

static void be_born(struct device *dev)
{
	struct spare *spare = &dev->spare;
	char why[VM_WHY_MAX];
	int device_fd;
	int ret = link_make(dev, 0, &spare->core_fd, &device_fd, why);

	if (!ret) {
		dev->waiting.stats_fd = dev->child.stats_fd;
		dev->waiting.cgroup_fd = dev->child.cgroup_fd;
		ret = child_spawn(&dev->waiting, device_fd, why);
		close(device_fd);
	}
	if (ret) {
		log_warn("spare: %s", why);
		drop_link(spare);
		retry(dev);
		return;
	}
	child_describe(&dev->waiting, &spare->birth);
	note_image(dev, spare);
	spare->due_ms = fdmsg_now_ms() + READY_MS;
}

void spare_ready(struct device *dev)
{
	char why[VM_WHY_MAX];

	if (child_wait_exec(&dev->waiting, why)) {
		log_warn("spare: %s", why);
		drop_link(&dev->spare);
		retry(dev);
		return;
	}
	dev->spare.due_ms = 0;
	dev->spare.nr_failed = 0;
}

void spare_died(struct device *dev, const char *how)
{
	drop_link(&dev->spare);
	if (dev->waiting.killed_by_us && !dev->spare.nr_failed) {
		due_in(dev, NEXT_MS);
		return;
	}
	if (vm_runs(dev->child.vm) && !dev->waiting.killed_by_us)
		log_warn("%s [%s]: its spare: %s%s%s", dev->cfg->name,
			 role_name(dev->cfg->role), how,
			 dev->waiting.last_words[0] ? ": " : "",
			 dev->waiting.last_words);
	retry(dev);
}

/* --- adoption ----------------------------------------------------------------- */

/* Nothing that it was born with has changed. */
static bool is_fit(const struct device *dev)
{
	static struct spare now;	/* large, and used here only */

	if (dev->waiting.state != CHILD_READY)
		return false;
	note_image(dev, &now);
	child_describe(&dev->waiting, &now.birth);
	return now.image_dev == dev->spare.image_dev &&
	       now.image_ino == dev->spare.image_ino &&
	       memcmp(&now.birth, &dev->spare.birth, sizeof(now.birth)) == 0;
}

bool spare_adopt(struct device *dev)
{
	if (!child_alive(&dev->waiting))
		return false;
	if (!is_fit(dev) || child_is_dead(&dev->waiting, 0) ||
	    life_send(dev->waiting.life_fd, LIFE_ADOPT, NULL, NULL, 0,
		      SEND_MS) || child_take_over(&dev->child, &dev->waiting)) {
		spare_renew(dev);
		return false;
	}
	dev->rebirth.core_fd = dev->spare.core_fd;
	dev->spare.core_fd = -1;
	due_in(dev, NEXT_MS);
	return true;
}

/* --- deadlines ------------------------------------------------------------------ */

long long spare_due_ms(const struct vm *vm)
{
	long long due_ms = 0;

	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		long long its_ms = vm->device[i].spare.due_ms;

		if (its_ms && (!due_ms || its_ms < due_ms))
			due_ms = its_ms;
	}
	return due_ms;
}

static void expire(struct device *dev)
{
	if (child_alive(&dev->waiting)) {
		log_warn("%s [%s]: its spare did not get ready in time; killed",
			 dev->cfg->name, role_name(dev->cfg->role));
		dev->spare.nr_failed++;
		drop(dev);
	} else if (!is_wanted(dev)) {
		dev->spare.due_ms = 0;
	} else if (dev->rebirth.state != REBIRTH_NONE) {
		due_in(dev, rebirth_state_name(dev) ? RETRY_MIN_MS : NEXT_MS);
	} else {
		be_born(dev);
	}
}

void spare_expire(struct vm *vm)
{
	long long now_ms = fdmsg_now_ms();

	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		if (dev->spare.due_ms && now_ms >= dev->spare.due_ms) {
			expire(dev);
			return;
		}
	}
}
