/* SPDX-License-Identifier: Apache-2.0 */
/* See stats_vm.h.  Run by clients. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/stats_vm.h"

#define REFRESH_STEPS	100	/* of a millisecond, for the core to answer */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A word for a terminal or a label: root asks other users' supervisors too. */
static void take_word(char *to, size_t len, const json_t *from, const char *key)
{
	snprintf(to, len, "%s", text_of(from, key));
	for (; *to; to++)
		if (!isalnum((unsigned char)*to) && !strchr("._-", *to))
			*to = '?';
}

static void take_process(struct stats_process *process, const json_t *from)
{
	take_word(process->name, sizeof(process->name), from, "device");
	take_word(process->role, sizeof(process->role), from, "role");
	take_word(process->state, sizeof(process->state), from, "state");
	process->pid = (pid_t)json_integer_value(json_object_get(from, "pid"));
	process->births = (unsigned int)json_integer_value(
		json_object_get(from, "births"));
}

/* Pages outlive processes: each is asked for once. */
static int map_page(struct stats_vm *vm, struct stats_process *process,
		    char why[CLIENT_WHY_MAX])
{
	json_t *request, *reply;
	int fd = -1, ret;

	if (process->asked || !strcmp(process->role, "supervisor") ||
	    !strcmp(process->state, "foreign"))
		return 0;
	process->asked = true;
	request = client_request("stats-page");
	json_object_set_new(request, "process", json_string(process->name));
	reply = client_ask_fd(&vm->conn, request, &fd, why);
	if (!reply)
		return -EIO;
	json_decref(reply);
	ret = fd < 0 ? -EPROTO : stats_map_open(&process->map, fd);
	if (fd >= 0)
		close(fd);
	if (ret)
		snprintf(why, CLIENT_WHY_MAX, "page of %s: %s", process->name,
			 strerror(-ret));
	return ret;
}

static const json_t *processes_of(const json_t *status)
{
	return json_object_get(status, "processes");
}

static int take_status(struct stats_vm *vm, json_t *status,
		       char why[CLIENT_WHY_MAX])
{
	const json_t *process;
	size_t i;
	int ret = 0;

	json_decref(vm->status);
	vm->status = status;
	vm->nr_processes = 0;
	json_array_foreach(processes_of(status), i, process) {
		/* Spares come last, and have no page of their own. */
		if (i >= STATS_MAX_PROCESSES ||
		    !strcmp(text_of(process, "state"), "spare"))
			break;
		take_process(&vm->process[i], process);
		vm->nr_processes++;
	}
	for (i = 0; !ret && i < vm->nr_processes; i++)
		ret = map_page(vm, &vm->process[i], why);
	return ret;
}

static uint64_t count_refreshes(struct stats_vm *vm)
{
	static struct stats_core_copy core;
	struct stats_process *process = stats_vm_find(vm, "core");

	return process && stats_read_core(&process->map, &core) ?
	       core.refreshes : 0;
}

static void wait_for_core(struct stats_vm *vm, uint64_t before)
{
	const struct timespec step = { .tv_nsec = 1000000 };

	for (int i = 0; i < REFRESH_STEPS; i++) {
		if (count_refreshes(vm) != before)
			return;
		nanosleep(&step, NULL);
	}
}

static int take_stock(struct stats_vm *vm, bool refresh,
		      char why[CLIENT_WHY_MAX])
{
	json_t *request = client_request("status");
	json_t *status;

	json_object_set_new(request, "refresh_stats", json_boolean(refresh));
	status = client_ask(&vm->conn, request, why);
	return status ? take_status(vm, status, why) : -EIO;
}

int stats_vm_ask(struct stats_vm *vm, char why[CLIENT_WHY_MAX])
{
	if (take_stock(vm, true, why) == 0)
		return 0;
	/* Supervisors hang up on who has been silent; the pages stay. */
	client_close(&vm->conn);
	if (client_connect(vm->name, &vm->conn, why))
		return -EIO;
	return take_stock(vm, true, why);
}

int stats_vm_refresh(struct stats_vm *vm, char why[CLIENT_WHY_MAX])
{
	uint64_t before = count_refreshes(vm);
	int ret = stats_vm_ask(vm, why);

	/* Before the guest runs, and after, there is nobody to wait for. */
	if (!ret && !strcmp(text_of(vm->status, "state"), "running"))
		wait_for_core(vm, before);
	return ret;
}

int stats_vm_open(struct stats_vm *vm, const char *name,
		  char why[CLIENT_WHY_MAX])
{
	int ret;

	memset(vm, 0, sizeof(*vm));
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	ret = client_connect(name, &vm->conn, why);
	if (!ret)
		ret = take_stock(vm, false, why);
	if (!ret)
		ret = stats_vm_refresh(vm, why);
	if (ret)
		stats_vm_close(vm);
	return ret;
}

void stats_vm_close(struct stats_vm *vm)
{
	for (unsigned int i = 0; i < STATS_MAX_PROCESSES; i++)
		stats_map_close(&vm->process[i].map);
	json_decref(vm->status);
	vm->status = NULL;
	client_close(&vm->conn);
}

struct stats_process *stats_vm_find(struct stats_vm *vm, const char *name)
{
	for (unsigned int i = 0; i < vm->nr_processes; i++)
		if (!strcmp(vm->process[i].name, name))
			return &vm->process[i];
	return NULL;
}

const char *stats_owner_name(const struct stats_vm *vm, unsigned int owner)
{
	switch (owner) {
	case STATS_OWNER_PCI:
		return "pci";
	case STATS_OWNER_ACPI:
		return "acpi";
	case STATS_OWNER_NOBODY:
		return "nobody";
	}
	return owner + STATS_OWNER_FIRST < vm->nr_processes ?
	       vm->process[owner + STATS_OWNER_FIRST].name : "device";
}
