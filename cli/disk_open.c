/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images for `bulkhead disk`, opened and locked as those of a VM: one that a VM
 * has, or another tool that locks, is refused.
 */
#include <errno.h>
#include <unistd.h>

#include "cli/disk.h"
#include "cli/resources.h"

int disk_open_as(const char *path, int format, bool writable,
		 struct host_end *end, char why[DISK_WHY_MAX])
{
	/* image_open() only reads them. */
	const struct config_device image = {
		.image = {
			.path = (char *)(uintptr_t)path,
			.origin = (char *)(uintptr_t)"disk",
		},
		.format = format, .read_only = !writable,
		.cache = LIFE_CACHE_WRITEBACK,
	};
	int ret;

	*end = (struct host_end) { .fd = -1 };
	ret = image_open(&image, end, why);
	if (ret && end->fd >= 0)
		close(end->fd);
	return ret ? ret : end->fd;
}

int disk_open(const char *path, bool writable, char why[DISK_WHY_MAX])
{
	struct host_end end;

	return disk_open_as(path, LIFE_BLK_QCOW2, writable, &end, why);
}
