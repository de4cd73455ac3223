/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control command "walk" (ipc/README.md): how many requests a disk is to
 * follow, by way of its fault page, the one page that the supervisor writes
 * and a device reads.  In the supervisor, C7.
 */
#include <jansson.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/control_commands.h"
#include "ipc/pages.h"

#define COUNT_MAX	100000

/* The device's own number, which goes back to nobody but to that device. */
static uint64_t serial_of(const struct device *dev)
{
	uint64_t serial = 0;

	if (pread(dev->child.stats_fd, &serial, sizeof(serial),
		  offsetof(struct stats_page, walk_serial)) != sizeof(serial))
		return 0;
	return serial;
}

static struct device *find_disk(struct vm *vm, const char *name)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (!strcmp(vm->device[i].cfg->name, name))
			return &vm->device[i];
	return NULL;
}

json_t *control_walk(struct vm *vm, const json_t *request, bool *waits)
{
	const char *name =
		json_string_value(json_object_get(request, "device"));
	const json_t *count = json_object_get(request, "count");
	json_int_t nr = json_integer_value(count);
	struct device *dev = name ? find_disk(vm, name) : NULL;

	(void)waits;
	if (!dev)
		return control_error("there is no such device");
	if (dev->cfg->role != LIFE_ROLE_BLK || !dev->child.faults)
		return control_error("only requests of a disk of ours can be followed");
	if (!json_is_integer(count) || nr < 0 || nr > COUNT_MAX)
		return control_error("count must be a whole number from 0 to %d",
				     COUNT_MAX);
	/* 0: no more are wanted. */
	__atomic_store_n(&dev->child.faults->walk_goal,
			 nr ? serial_of(dev) + (uint64_t)nr : 0,
			 __ATOMIC_RELAXED);
	return json_pack("{s:i, s:b}", "version", CONTROL_VERSION, "ok", 1);
}
