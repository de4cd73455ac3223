/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a disk while its VM runs, see cli/disks.h. */
#include "cli/disks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEND_MS	500

void disk_is_held(struct device *dev, const struct life_blk_held *event)
{
	dev->held = true;
	log_warn("%s: a %s at byte %" PRIu64
		 " failed: %s; the disk is held until 'bulkhead device %s resume %s'",
		 dev->cfg->name, event->write ? "write" : "read",
		 event->offset, strerror((int)(event->err & 0xfff)),
		 dev->child.vm->cfg->name, dev->cfg->name);
}

void disk_lost_process(struct device *dev)
{
	dev->held = false;
}

int disk_resume(struct device *dev, char why[VM_WHY_MAX])
{
	int ret;

	if (!dev->held) {
		snprintf(why, VM_WHY_MAX, "%s is not held", dev->cfg->name);
		return -EINVAL;
	}
	ret = life_send(dev->child.life_fd, LIFE_BLK_RESUME, NULL, NULL, 0,
			SEND_MS);
	if (ret) {
		snprintf(why, VM_WHY_MAX, "%s: its process does not answer",
			 dev->cfg->name);
		return ret;
	}
	dev->held = false;
	log_info("%s: resumed", dev->cfg->name);
	return 0;
}
