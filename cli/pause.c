/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pausing a VM, see pause.h.
 *
 * Theory of operation.  The core is told to let no vCPU into the guest; it
 * says LIFE_EVENT_PAUSED, and then birth_interrupt() brings those out that are
 * in it (cli/events.c), as it does when the clocks jump.  The core's main
 * thread goes on: a reborn device shakes hands with it before RESUME comes, as
 * both use one channel.
 */
#include "cli/pause.h"

#include "cli/children.h"
#include "cli/event_log.h"
#include "cli/supervisor.h"

#define SEND_MS	500

static bool tell_core(struct vm *vm, enum life_type type)
{
	if (life_send(vm->core.life_fd, type, NULL, NULL, 0, SEND_MS) == 0)
		return true;
	log_err("core: does not take the word to pause or go on");
	vm_kill(vm, RUN_CORE_DIED, NULL);
	return false;
}

void pause_begin(struct device *dev)
{
	struct vm *vm = dev->child.vm;

	if (!vm->paused && !tell_core(vm, LIFE_CORE_PAUSE))
		return;
	vm->paused = true;
	event_note(vm, "paused", dev->cfg->name, dev->child.last_pid, "%s",
		   "on_crash = pause");
	log_warn("%s [%s]: the VM is paused (on_crash = pause) until 'bulkhead device %s resume %s', or restart",
		 dev->cfg->name, role_name(dev->cfg->role), vm->cfg->name,
		 dev->cfg->name);
}

void pause_end(struct vm *vm)
{
	if (!vm->paused)
		return;
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (vm->device[i].rebirth.state == REBIRTH_AWAITED)
			return;
	if (!tell_core(vm, LIFE_CORE_RESUME))
		return;
	vm->paused = false;
	event_note(vm, "unpaused", NULL, 0, "%s", "");
	log_info("the VM goes on");
}
