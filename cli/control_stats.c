/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control commands "stats-page" and "events" (ipc/README.md).  In the
 * supervisor, C7, which hands pages out and never looks into one: who reads
 * has all the work, and all the risk.
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/control.h"
#include "cli/control_commands.h"

#define SEND_MS		100

static const struct child *find_child(struct vm *vm, const char *name)
{
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/* Another description of the same memfd, one that cannot be mapped to write. */
static int open_to_read(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

json_t *control_stats_page(struct vm *vm, const json_t *request, bool *waits)
{
	const char *name =
		json_string_value(json_object_get(request, "process"));
	const struct child *child;
	int fd;

	(void)waits;
	if (!name)
		return control_error("the request has no process");
	child = find_child(vm, name);
	if (!child)
		return control_error("there is no such process");
	fd = open_to_read(child->stats_fd);
	if (fd < 0)
		return control_error("its page cannot be opened");
	control_give_fd(vm, fd);
	return json_pack("{s:i, s:b}", "version", CONTROL_VERSION, "ok", 1);
}

/* Only the core can read KVM's counters; it puts them into its page. */
void control_refresh_stats(struct vm *vm)
{
	if (vm->state == VM_RUNNING || vm->state == VM_STOPPING)
		(void)life_send(vm->core.life_fd, LIFE_CORE_STATS, NULL, NULL,
				0, SEND_MS);
}

json_t *control_events(struct vm *vm, const json_t *request, bool *waits)
{
	const json_t *from = json_object_get(request, "from");
	const json_t *follow = json_object_get(request, "follow");

	(void)waits;
	if (from && (!json_is_integer(from) || json_integer_value(from) < 0))
		return control_error("from must be a whole number, 0 or more");
	if (follow && !json_is_boolean(follow))
		return control_error("follow must be true or false");
	if (json_is_true(follow))
		control_follow(vm);
	return json_pack("{s:i, s:b, s:I, s:o}", "version", CONTROL_VERSION,
			 "ok", 1, "next", (json_int_t)vm->events.next,
			 "events",
			 event_list(&vm->events,
				    (uint64_t)json_integer_value(from)));
}
