/* SPDX-License-Identifier: Apache-2.0 */
/* Control requests to actions and replies; run in the supervisor (C7). */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/children.h"
#include "cli/control.h"
#include "cli/control_commands.h"
#include "ipc/fdmsg.h"

#define TIMEOUT_MAX_MS	86400000

/* What text quotes may be cut within a character; JSON takes whole ones. */
static json_t *whole_text(char *text)
{
	json_t *string = json_string(text);

	if (string)
		return string;
	for (char *at = text; *at; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	return json_string(text);
}

json_t *control_error(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return json_pack("{s:i, s:b, s:o}", "version", CONTROL_VERSION, "ok", 0,
			 "error", whole_text(text));
}

json_t *control_ok(void)
{
	return json_pack("{s:i, s:b}", "version", CONTROL_VERSION, "ok", 1);
}

static const char *resource_of(struct child *child)
{
	const struct device *dev = device_of(child);

	return dev ? dev->end.where : "/dev/kvm";
}

static json_t *describe_child(struct child *child)
{
	bool alive = child_alive(child);
	const struct device *dev = device_of(child);
	const char *state = dev ? rebirth_state_name(dev) : NULL;

	if (!dev && child->vm->paused)
		state = "paused";
	if (dev && !state && dev->move.state != MOVE_NONE)
		state = "moving";
	if (dev && !state && dev->snapshot.draining)
		state = "draining";
	if (dev && dev->held)
		state = "held";
	if (child->spare)
		state = "spare";
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:i, s:s}", "role",
			 role_name(child->role), "device", child->name, "state",
			 state ? state : child_state_name(child->state), "pid",
			 alive ? child->birth.pid : 0, "uptime_ms",
			 (json_int_t)(alive ? fdmsg_now_ms() - child->born_ms :
					      0),
			 "births", child->births, "resource",
			 resource_of(child));
}

static json_t *describe_foreign(const struct device *dev)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:i, s:s}", "role",
			 role_name(dev->cfg->role), "device", dev->cfg->name,
			 "state", "foreign", "pid", 0, "uptime_ms",
			 (json_int_t)0, "births", 0, "resource",
			 dev->end.where);
}

static json_t *describe_supervisor(const struct vm *vm)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:i, s:s}", "role",
			 "supervisor", "device", "supervisor", "state",
			 "running", "pid", getpid(), "uptime_ms",
			 (json_int_t)(fdmsg_now_ms() - vm->started_ms),
			 "births", 1, "resource", vm->cfg->file);
}

static json_t *describe_processes(struct vm *vm)
{
	json_t *list = json_array();

	json_array_append_new(list, describe_supervisor(vm));
	json_array_append_new(list, describe_child(&vm->core));
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		json_array_append_new(list, dev->cfg->socket.path ?
						    describe_foreign(dev) :
						    describe_child(&dev->child));
	}
	/* At the end: whoever counts devices by their place goes on to do so. */
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (child_alive(&vm->device[i].waiting))
			json_array_append_new(list,
				describe_child(&vm->device[i].waiting));
	return list;
}

static json_t *command_status(struct vm *vm, const json_t *request, bool *waits)
{
	const json_t *refresh = json_object_get(request, "refresh_stats");

	(void)waits;
	if (refresh && !json_is_boolean(refresh))
		return control_error("refresh_stats must be true or false");
	if (json_is_true(refresh))
		control_refresh_stats(vm);
	return json_pack("{s:i, s:b, s:s, s:s, s:i, s:I, s:I, s:o}", "version",
			 CONTROL_VERSION, "ok", 1, "name", vm->cfg->name,
			 "state", vm_state_name(vm), "cpus",
			 vm->cfg->nr_cpus, "memory_bytes",
			 (json_int_t)vm->cfg->memory_bytes, "uptime_ms",
			 (json_int_t)(fdmsg_now_ms() - vm->booted_ms),
			 "processes", describe_processes(vm));
}

static json_t *command_stop(struct vm *vm, const json_t *request, bool *waits)
{
	const json_t *timeout = json_object_get(request, "timeout_ms");
	json_int_t timeout_ms = vm->cfg->stop_timeout_ms;

	if (timeout) {
		timeout_ms = json_integer_value(timeout);
		if (!json_is_integer(timeout) || timeout_ms < 0 ||
		    timeout_ms > TIMEOUT_MAX_MS)
			return control_error("timeout_ms must be a whole number from 0 to %d",
					     TIMEOUT_MAX_MS);
	}
	*waits = true;
	vm_stop(vm, (uint32_t)timeout_ms, "bulkhead stop");
	return control_ok();
}

static json_t *command_kill(struct vm *vm, const json_t *request, bool *waits)
{
	(void)request;
	*waits = true;
	vm_kill(vm, RUN_KILLED, "bulkhead kill");
	return control_ok();
}

static json_t *command_restart_device(struct vm *vm, const json_t *request,
				      bool *waits)
{
	const char *name =
		json_string_value(json_object_get(request, "device"));
	char why[VM_WHY_MAX];

	(void)waits;
	if (!name)
		return control_error("the request has no device");
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		if (strcmp(dev->cfg->name, name))
			continue;
		if (dev->cfg->socket.path)
			return control_error("%s is a back-end of somebody else",
					     name);
		return rebirth_exchange(dev, why) ? control_error("%s", why) :
						    control_ok();
	}
	return control_error("there is no such device");
}

static json_t *command_wait(struct vm *vm, const json_t *request, bool *waits)
{
	(void)vm;
	(void)request;
	*waits = true;
	return control_ok();
}

static const struct {
	const char *name;
	json_t *(*obey)(struct vm *vm, const json_t *request, bool *waits);
} commands[] = {
	{ "status", command_status },
	{ "fault", control_fault },
	{ "stats-page", control_stats_page },
	{ "events", control_events },
	{ "walk", control_walk },
	{ "stop", command_stop },
	{ "kill", command_kill },
	{ "restart-device", command_restart_device },
	{ "throttle", control_throttle },
	{ "resume-device", control_resume },
	{ "resize", control_resize },
	{ "move", control_move },
	{ "snapshot", control_snapshot },
	{ "wait", command_wait },
};

static json_t *obey(struct vm *vm, const json_t *request, bool *waits)
{
	const json_t *version = json_object_get(request, "version");
	const char *name =
		json_string_value(json_object_get(request, "command"));

	if (!json_is_object(request))
		return control_error("a request is a JSON object");
	if (!json_is_integer(version) ||
	    json_integer_value(version) != CONTROL_VERSION)
		return control_error("this supervisor speaks version %d",
				     CONTROL_VERSION);
	if (!name)
		return control_error("the request has no command");
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].obey(vm, request, waits);
	return control_error("unknown command");
}

json_t *control_obey(struct vm *vm, const char *line, size_t len, bool *waits)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	json_t *reply;

	if (!request)
		return control_error("not JSON: %.160s", error.text);
	reply = obey(vm, request, waits);
	json_decref(request);
	return reply;
}
