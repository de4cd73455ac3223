/* SPDX-License-Identifier: Apache-2.0 */
/* Control commands of disks (ipc/README.md).  In the supervisor, C7. */
#include <jansson.h>
#include <string.h>

#include "cli/control.h"
#include "cli/control_commands.h"
#include "cli/disks.h"
#include "cli/throttle_parse.h"
#include "cli/throttles.h"

/* The device that a request names; else *error. */
static struct device *find_device(struct vm *vm, const json_t *request,
				  json_t **error)
{
	const char *name =
		json_string_value(json_object_get(request, "device"));

	for (unsigned int i = 0; name && i < vm->nr_devices; i++)
		if (!strcmp(vm->device[i].cfg->name, name))
			return &vm->device[i];
	*error = control_error("%s", name ? "there is no such device" :
					   "the request has no device");
	return NULL;
}

/* The same, if it is a disk of ours. */
static struct device *find_disk(struct vm *vm, const json_t *request,
				json_t **error)
{
	struct device *dev = find_device(vm, request, error);

	if (!dev || (dev->cfg->role == LIFE_ROLE_BLK && !dev->cfg->socket.path))
		return dev;
	*error = control_error("%s is %s", dev->cfg->name,
			       dev->cfg->socket.path ?
			       "a back-end of somebody else" : "no disk");
	return NULL;
}

static json_t *describe_throttle(const struct device *dev)
{
	struct stats_disk counts = throttles_delays(dev);
	char text[THROTTLE_TEXT_MAX];
	json_t *reply;

	throttle_format(&dev->throttle, text);
	reply = json_pack("{s:i, s:b, s:s, s:I, s:I, s:I}", "version",
			  CONTROL_VERSION, "ok", 1, "throttle", text,
			  "delayed", (json_int_t)counts.delayed, "delay_us",
			  (json_int_t)counts.delay_us, "waiting",
			  (json_int_t)counts.waiting);
	if (dev->cfg->throttle_group)
		json_object_set_new(reply, "group",
				    json_string(dev->cfg->throttle_group));
	return reply;
}

static json_t *throttle(struct device *dev, const json_t *request)
{
	const json_t *set = json_object_get(request, "set");
	char why[VM_WHY_MAX];

	if (set && !json_is_string(set))
		return control_error("set must be text");
	if (set && throttles_change(dev, json_string_value(set), why))
		return control_error("%s", why);
	return describe_throttle(dev);
}

json_t *control_resume(struct vm *vm, const json_t *request, bool *waits)
{
	char why[VM_WHY_MAX];
	struct device *dev;
	json_t *error;

	(void)waits;
	dev = find_device(vm, request, &error);
	if (!dev)
		return error;
	if (dev->rebirth.state == REBIRTH_AWAITED) {
		rebirth_resume(dev);
		return control_ok();
	}
	dev = find_disk(vm, request, &error);
	if (!dev)
		return error;
	return disk_resume(dev, why) ? control_error("%s", why) : control_ok();
}

static json_t *resize(struct device *dev, const json_t *request)
{
	const json_t *bytes = json_object_get(request, "bytes");
	char why[VM_WHY_MAX];

	if (!json_is_integer(bytes) || json_integer_value(bytes) <= 0)
		return control_error("bytes must be a whole number above 0");
	return disk_resize(dev, (uint64_t)json_integer_value(bytes), why) ?
		control_error("%s", why) : control_ok();
}

static json_t *describe_move(const struct device *dev)
{
	static const char *const names[] = {
		[MOVE_NONE] = "none",
		[MOVE_COPYING] = "copying",
		[MOVE_PIVOTING] = "pivoting",
	};
	uint64_t bytes = throttles_counts(dev).moved_bytes;

	/* The process's word. */
	if (dev->move.state == MOVE_NONE || bytes > dev->move.disk_bytes)
		bytes = 0;
	return json_pack("{s:i, s:b, s:s, s:s, s:I, s:I, s:b, s:s}", "version",
			 CONTROL_VERSION, "ok", 1, "state",
			 names[dev->move.state], "to", dev->move.to, "bytes",
			 (json_int_t)bytes, "of",
			 (json_int_t)dev->move.disk_bytes, "failed",
			 dev->move.failed, "end", dev->move.end);
}

static json_t *move(struct device *dev, const json_t *request)
{
	const json_t *path = json_object_get(request, "path");
	const json_t *format = json_object_get(request, "format");
	const json_t *leave_off = json_object_get(request, "cancel");
	bool cancel = json_is_true(leave_off);
	char why[VM_WHY_MAX];

	if (leave_off && !json_is_boolean(leave_off))
		return control_error("cancel must be true or false");
	if (path && (cancel || !json_is_string(path)))
		return control_error("path must be text, and without cancel");
	if (format && (!path || !json_is_string(format)))
		return control_error("format must be text, and of a path");
	if (path && move_begin(dev, json_string_value(path),
			       json_string_value(format), why))
		return control_error("%s", why);
	if (cancel && move_cancel(dev, why))
		return control_error("%s", why);
	return describe_move(dev);
}

static json_t *snapshot(struct device *dev, const json_t *request)
{
	const json_t *path = json_object_get(request, "path");
	char why[VM_WHY_MAX];

	if (path && !json_is_string(path))
		return control_error("path must be text");
	if (path && snapshot_begin(dev, json_string_value(path), why))
		return control_error("%s", why);
	return json_pack("{s:i, s:b, s:s, s:b, s:s}", "version",
			 CONTROL_VERSION, "ok", 1, "state",
			 dev->snapshot.draining ? "draining" : "none",
			 "failed", dev->snapshot.failed, "end",
			 dev->snapshot.end);
}

/* --- the commands --------------------------------------------------------- */

/* What obeys, once it is known which disk is meant. */
typedef json_t *disk_command(struct device *dev, const json_t *request);

static json_t *of_disk(struct vm *vm, const json_t *request,
		       disk_command *command)
{
	json_t *error;
	struct device *dev = find_disk(vm, request, &error);

	return dev ? command(dev, request) : error;
}

json_t *control_throttle(struct vm *vm, const json_t *request, bool *waits)
{
	(void)waits;
	return of_disk(vm, request, throttle);
}

json_t *control_resize(struct vm *vm, const json_t *request, bool *waits)
{
	(void)waits;
	return of_disk(vm, request, resize);
}

json_t *control_move(struct vm *vm, const json_t *request, bool *waits)
{
	(void)waits;
	return of_disk(vm, request, move);
}

json_t *control_snapshot(struct vm *vm, const json_t *request, bool *waits)
{
	(void)waits;
	return of_disk(vm, request, snapshot);
}
