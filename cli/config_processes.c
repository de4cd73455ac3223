/* SPDX-License-Identifier: Apache-2.0 */
/* [blk] processes: a disk whose queues are served by several processes (C1). */
#include <stdio.h>
#include <string.h>

#include "cli/config_priv.h"

/* What the core gives a function at most; a console needs two. */
static uint32_t queues_of(const struct config *cfg,
			  const struct config_device *dev)
{
	uint32_t most = cfg->nr_cpus < 2 ? 2 : cfg->nr_cpus;

	return dev->nr_queues < most ? dev->nr_queues : most;
}

/*
 * A raw image is the same to all who have it open.  Whoever has state of his
 * own beside it, tables or the order of a record, is alone with it.
 */
static const char *what_forbids(const struct config_device *dev)
{
	if (dev->socket.path)
		return "a foreign back-end, whose processes are not ours to start";
	if (dev->format != LIFE_BLK_RAW)
		return "format = qcow2, whose tables one process has to itself";
	if (dev->record.path)
		return "a record, whose order one process has to know";
	return NULL;
}

static int check(const struct config *cfg, const struct config_device *dev,
		 char *err)
{
	const char *forbids = what_forbids(dev);

	if (forbids)
		return config_error(err,
				    "%s: [blk %s] has processes = %u and %s; take one of them away",
				    dev->origin, dev->name, dev->nr_processes,
				    forbids);
	if (dev->nr_processes > queues_of(cfg, dev))
		return config_error(err,
				    "%s: [blk %s] has processes = %u for %u queues; raise 'queues' and 'cpus', or have fewer",
				    dev->origin, dev->name, dev->nr_processes,
				    queues_of(cfg, dev));
	if (cfg->nr_devices + dev->nr_processes - 1 > LIFE_MAX_DEVICES)
		return config_error(err,
				    "%s: [blk %s]: more than %d devices and processes of disks",
				    dev->origin, dev->name, LIFE_MAX_DEVICES);
	return 0;
}

static int add(struct config *cfg, unsigned int of, uint32_t process,
	       char *err)
{
	const struct config_device *disk = &cfg->device[of];
	struct config_device *dev = &cfg->device[cfg->nr_devices];
	int len;

	*dev = *disk;
	dev->process = process;
	len = snprintf(dev->name, sizeof(dev->name), "%s.%u", disk->name,
		       process);
	if (len >= (int)sizeof(dev->name))
		return config_error(err,
				    "%s: [blk %s]: a name for process %u of it would be too long; shorten the disk's",
				    dev->origin, disk->name, process);
	for (unsigned int i = 0; i < cfg->nr_devices; i++)
		if (!strcmp(cfg->device[i].name, dev->name))
			return config_error(err,
					    "%s: [blk %s] is the name of a process of [blk %s], which has processes = %u",
					    cfg->device[i].origin, dev->name,
					    disk->name, disk->nr_processes);
	cfg->nr_devices++;
	cfg->nr_further++;
	return 0;
}

int config_add_processes(struct config *cfg, char *err)
{
	unsigned int nr = cfg->nr_devices;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < nr; i++) {
		const struct config_device *dev = &cfg->device[i];

		if (dev->nr_processes > 1)
			ret = check(cfg, dev, err);
		for (uint32_t n = 1; !ret && n < dev->nr_processes; n++)
			ret = add(cfg, i, n, err);
	}
	return ret;
}
