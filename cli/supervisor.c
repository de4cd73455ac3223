/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a VM, seen by the process that outlives all others (C1-C7).
 *
 * Theory of operation.  supervisor_run() is the table of contents:
 *
 *   prepare   signals, runtime folder, every host resource.  A failure here
 *             has started nothing.
 *   begin     one life of the guest: fresh RAM, all births at once, then the
 *             core is told its devices; READY of each is awaited in the loop.
 *   loop      children, log pipes, control clients, signals; one event a
 *             turn.  vm->state and its table say what may follow what.
 *             A device that dies here is reborn, see rebirth.c.
 *   finish    everything that prepare made is taken back, on every path.
 *
 * A guest's reset is an end and another begin, with the resources kept.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cgroup.h"
#include "cli/children.h"
#include "cli/control.h"
#include "cli/ids.h"
#include "cli/notify.h"
#include "cli/resources.h"
#include "cli/runtime_dir.h"
#include "cli/signals.h"
#include "cli/supervisor.h"
#include "cli/title.h"
#include "ipc/fdmsg.h"
#include "jail/death.h"

#define READY_MS	30000	/* births and confinement on a slow host */
#define CONNECT_MS	3000	/* a back-end that takes longer hangs */
#define FINISH_MS	5000	/* from LIFE_STOP to exit */
#define REAP_MS		5000	/* from SIGKILL to reaped */
#define SEND_MS		500
#define REBOOT_MIN_MS	1000	/* a guest that resets at once is slowed */

static const char *const state_name[VM_NR_STATES] = {
	[VM_STARTING] = "starting",
	[VM_RUNNING] = "running",
	[VM_STOPPING] = "stopping",
	[VM_ENDING] = "ending",
	[VM_OVER] = "over",
};

static const bool may_follow[VM_NR_STATES][VM_NR_STATES] = {
	[VM_STARTING][VM_RUNNING] = true,
	[VM_STARTING][VM_ENDING] = true,
	[VM_RUNNING][VM_STOPPING] = true,
	[VM_RUNNING][VM_ENDING] = true,
	[VM_STOPPING][VM_ENDING] = true,
	[VM_ENDING][VM_OVER] = true,
	[VM_OVER][VM_STARTING] = true,	/* reboot */
};

const char *vm_state_name(const struct vm *vm)
{
	if (vm->state == VM_RUNNING && vm->paused)
		return "paused";
	return state_name[vm->state];
}

/* deadline_ms: of the new state, from now; 0: none. */
static bool set_state(struct vm *vm, enum vm_state state, int deadline_ms)
{
	if (!may_follow[vm->state][state]) {
		log_err("illegal state change, %s to %s", state_name[vm->state],
			state_name[state]);
		return false;
	}
	vm->state = state;
	vm->deadline_ms = deadline_ms ? fdmsg_now_ms() + deadline_ms : 0;
	return true;
}

struct child *vm_next_child(struct vm *vm, struct child *after)
{
	unsigned int next = after ? after->index : 0;

	if (!after)
		return &vm->core;
	if (after != &vm->core && !after->spare) {
		struct device *dev = device_of(after);

		if (child_alive(&dev->waiting))
			return &dev->waiting;
	}
	for (; next < vm->nr_devices; next++)
		if (!vm->device[next].cfg->socket.path)
			return &vm->device[next].child;
	return NULL;
}

static bool any_alive(struct vm *vm)
{
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		if (child_alive(c))
			return true;
	return false;
}

/* --- begin: one life of the guest ----------------------------------------------- */

/* The core knows a device by its place in the configuration. */
static int tell_core(struct vm *vm, unsigned int index, int core_fd)
{
	const struct device *dev = &vm->device[index];
	struct life_core_device msg = {
		.index = index,
		.role = dev->cfg->role,
		.foreign = dev->cfg->socket.path != NULL,
		.packed = dev->cfg->packed,
		.nr_queues = dev->nr_queues,
		.process = (uint16_t)dev->cfg->process,
		.nr_processes = (uint16_t)dev->cfg->nr_processes,
		.of = dev->cfg->of,
	};
	int fds[2] = { core_fd, dev->inflight_fd };

	snprintf(msg.name, sizeof(msg.name), "%s", dev->cfg->name);
	return life_send(vm->core.life_fd, LIFE_CORE_DEVICE, &msg, fds,
			 dev->inflight_fd >= 0 ? 2 : 1, SEND_MS);
}

static int begin_device(struct vm *vm, unsigned int index,
			char why[VM_WHY_MAX])
{
	struct device *dev = &vm->device[index];
	int core_fd, device_fd;
	int ret;

	rebirth_begin(dev);
	ret = link_make(dev, CONNECT_MS, &core_fd, &device_fd, why);

	if (ret)
		return ret;
	if (!dev->cfg->socket.path) {
		ret = child_spawn(&dev->child, device_fd, why);
		close(device_fd);
	}
	if (!ret) {
		ret = tell_core(vm, index, core_fd);
		if (ret)
			snprintf(why, VM_WHY_MAX,
				 "core: cannot be told of %s: %s",
				 dev->cfg->name, strerror(-ret));
	}
	close(core_fd);
	if (!ret)
		chardev_end_attach(dev);
	return ret;
}

/*
 * All are begun before the first is waited for: they strip in parallel.
 * A birth that failed says more than a message that found nobody.
 */
static int begin_children(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret = child_spawn(&vm->core, -1, why);

	for (unsigned int i = 0; !ret && i < vm->nr_devices; i++)
		ret = begin_device(vm, i, why);
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c)) {
		int exec_ret = child_alive(c) ? child_wait_exec(c, why) : 0;

		if (exec_ret)
			return exec_ret;
	}
	return ret;
}

static void begin(struct vm *vm)
{
	char why[VM_WHY_MAX] = "out of memory";
	int ret;

	vm->reboot = false;
	vm->killed = false;
	vm->paused = false;
	vm->booted_ms = fdmsg_now_ms();
	event_note(vm, "starting", NULL, 0, "%s", "");
	vm->deadline_ms = vm->booted_ms + READY_MS;
	ret = resources_make_memory(vm, why);
	if (!ret)
		ret = begin_children(vm, why);
	if (ret) {
		log_err("%s", why);
		vm_kill(vm, RUN_NOT_STARTED, NULL);
	}
}

/* READY has come from all: let the guest go. */
void vm_child_ready(struct child *child)
{
	struct vm *vm = child->vm;

	if (child->spare) {
		spare_ready(device_of(child));
		return;
	}
	if (vm->state != VM_STARTING) {
		if (child != &vm->core)
			rebirth_ready(device_of(child));
		return;
	}
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		if (c->state != CHILD_READY)
			return;
	terminal_set_raw(&vm->terminal);
	if (life_send(vm->core.life_fd, LIFE_CORE_START, NULL, NULL, 0,
		      SEND_MS)) {
		log_err("core: does not take the word to start");
		vm_kill(vm, RUN_NOT_STARTED, NULL);
	}
}

void vm_guest_started(struct vm *vm)
{
	if (vm->state != VM_STARTING || !set_state(vm, VM_RUNNING, 0))
		return;
	spare_begin(vm);
	event_note(vm, "running", NULL, 0, "%s", "");
	log_info("running: vCPUs %u, memory %llu MiB, devices %u; started in %lld ms",
		 vm->cfg->nr_cpus,
		 (unsigned long long)vm->cfg->memory_bytes >> 20,
		 vm->nr_devices - vm->cfg->nr_further,
		 fdmsg_now_ms() - vm->booted_ms);
	notify_ready();
}

/* --- the end ---------------------------------------------------------------------- */

/* What would have begun anew does not. */
static void call_off_reboot(struct vm *vm, int status)
{
	if (!vm->reboot)
		return;
	vm->reboot = false;
	vm->status = status;
}

/* The first reason to end counts; a reboot may still be called off. */
static bool enter_ending(struct vm *vm, int status, int deadline_ms)
{
	if (vm->state == VM_OVER) {
		call_off_reboot(vm, status);
		return false;
	}
	if (vm->state == VM_ENDING) {
		if (status == RUN_OK)
			return false;
		call_off_reboot(vm, status);
		if (vm->status == RUN_OK)
			vm->status = status;
		return true;
	}
	if (!set_state(vm, VM_ENDING, deadline_ms))
		return false;
	vm->status = status;
	rebirth_cancel(vm);
	spare_end(vm);
	event_note(vm, "ending", NULL, 0, "exit status %d", status);
	return true;
}

void vm_end(struct vm *vm, int status)
{
	if (!enter_ending(vm, status, FINISH_MS))
		return;
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		child_stop(c);
}

static void kill_children(struct vm *vm)
{
	vm->killed = true;
	vm->deadline_ms = fdmsg_now_ms() + REAP_MS;
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		child_kill(c);
}

void vm_kill(struct vm *vm, int status, const char *why)
{
	if (!enter_ending(vm, status, REAP_MS))
		return;
	if (why)
		log_info("%s: killing all processes of the VM", why);
	kill_children(vm);
}

void vm_stop(struct vm *vm, uint32_t timeout_ms, const char *why)
{
	if (vm->state == VM_STARTING) {
		log_info("%s: stopped before the guest ran", why);
		vm_end(vm, RUN_KILLED);
		return;
	}
	/* A guest that resets is down already. */
	if (vm->state == VM_ENDING || vm->state == VM_OVER)
		call_off_reboot(vm, RUN_OK);
	if (vm->state != VM_RUNNING)
		return;
	if (!timeout_ms) {
		vm_kill(vm, RUN_KILLED, why);
		return;
	}
	log_info("%s: power button pressed; the guest has %u s to power off",
		 why, (timeout_ms + 999) / 1000);
	set_state(vm, VM_STOPPING, timeout_ms);
	event_note(vm, "stopping", NULL, 0, "%s", why);
	rebirth_resume_all(vm);
	life_send(vm->core.life_fd, LIFE_CORE_POWER_BUTTON, NULL, NULL, 0,
		  SEND_MS);
}

static void log_late_children(struct vm *vm)
{
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		if (child_alive(c))
			log_warn("%s: process %d did not %s in time; %s",
				 c->name, c->birth.pid,
				 vm->state == VM_STARTING ? "get ready" :
				 vm->killed		  ? "die" :
							    "finish",
				 vm->killed ? "left to the kernel" : "killed");
}

static void deadline_passed(struct vm *vm)
{
	vm->deadline_ms = 0;
	switch (vm->state) {
	case VM_STARTING:
		log_late_children(vm);
		vm_kill(vm, RUN_NOT_STARTED, "start-up took too long");
		return;
	case VM_STOPPING:
		vm_kill(vm, RUN_KILLED, "the guest did not power off in time");
		return;
	case VM_ENDING:
		log_late_children(vm);
		if (vm->killed)
			set_state(vm, VM_OVER, 0);
		else
			kill_children(vm);
		return;
	default:
		return;
	}
}

/* --- deaths ------------------------------------------------------------------------ */

static int status_of_death(const struct vm *vm, const struct child *child)
{
	if (vm->state == VM_STARTING)
		return RUN_NOT_STARTED;
	return child->role == LIFE_ROLE_CORE ? RUN_CORE_DIED : RUN_DEVICE_DIED;
}

/* Once the VM ends with an error, others exit too: they say nothing new. */
static bool death_is_news(const struct child *child, const siginfo_t *info)
{
	const struct vm *vm = child->vm;

	if (child->killed_by_us)
		return false;
	if (vm->state != VM_ENDING)
		return true;
	return !death_is_clean(info) &&
	       (vm->status == RUN_OK || info->si_code != CLD_EXITED);
}

void vm_child_died(struct child *child, const char *how, const siginfo_t *info)
{
	struct vm *vm = child->vm;
	long long age_ms = fdmsg_now_ms() - child->born_ms;
	const char *words = child->last_words;

	event_note(vm, "died", child->name, child->last_pid, "%s%s",
		   child->spare ? "a spare: " : "", how);
	if (child->spare) {
		spare_died(device_of(child), how);
		return;
	}
	if (child != &vm->core && rebirth_of_dead(device_of(child), how, info))
		return;
	if (!death_is_news(child, info))
		return;
	log_err("%s [%s]: %s, %lld.%03lld s after its birth%s%s%s", child->name,
		role_name(child->role), how, age_ms / 1000, age_ms % 1000,
		words[0] ? ": " : "", words,
		vm->state == VM_ENDING ? "" : "; stopping the VM");
	vm_end(vm, status_of_death(vm, child));
}

/* --- prepare, loop, finish ------------------------------------------------------------ */

static int prepare(struct vm *vm)
{
	char why[VM_WHY_MAX] = "out of memory";
	int ret;

	vm->loop_fd = loop_open();
	ret = vm->loop_fd < 0 ? vm->loop_fd : signals_take(vm);
	if (!ret) {
		vm->lock_fd = runtime_claim(vm->cfg->name, why, sizeof(why));
		ret = vm->lock_fd < 0 ? vm->lock_fd : 0;
	}
	if (!ret)
		ret = birth_open(why);
	if (!ret)
		ret = resources_open(vm, why);
	if (!ret)
		ret = cgroup_open(vm, why);
	if (!ret)
		ret = control_open(vm, why);
	for (unsigned int i = 0; !ret && i < vm->nr_devices; i++)
		ret = chardev_end_listen(vm, &vm->device[i]);
	if (ret)
		log_err("%s", why);
	return ret;
}

/* The earlier of two times, where 0 is never. */
static long long earlier(long long a, long long b)
{
	return !a || (b && b < a) ? b : a;
}

static int time_left_ms(const struct vm *vm)
{
	long long left = earlier(control_deadline_ms(vm->control),
				 earlier(vm->deadline_ms, rebirth_due_ms(vm)));

	left = earlier(left, spare_due_ms(vm));

	if (!left)
		return -1;
	left -= fdmsg_now_ms();
	return left < 0 ? 0 : (int)left;
}

static void live(struct vm *vm)
{
	begin(vm);
	while (vm->state != VM_OVER) {
		if (vm->state == VM_ENDING && !any_alive(vm)) {
			set_state(vm, VM_OVER, 0);
			break;
		}
		loop_turn(vm->loop_fd, time_left_ms(vm));
		if (vm->deadline_ms && fdmsg_now_ms() >= vm->deadline_ms)
			deadline_passed(vm);
		rebirth_expire(vm);
		spare_expire(vm);
		control_expire(vm->control);
	}
	resources_drop_memory(vm);
}

/* Wait before a reboot that comes too soon; clients and signals are heard. */
static void slow_down(struct vm *vm)
{
	long long until_ms = vm->booted_ms + REBOOT_MIN_MS;

	while (vm->reboot && fdmsg_now_ms() < until_ms)
		loop_turn(vm->loop_fd, (int)(until_ms - fdmsg_now_ms()) + 1);
}

static void finish(struct vm *vm)
{
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		child_fini(c);
	cgroup_close(vm);
	resources_close(vm);
	birth_close();
	runtime_release(vm->cfg->name, vm->lock_fd);
	/* Those who wait are told when nothing is left. */
	control_close(vm, vm->status);
	event_log_drop(&vm->events);
	signals_give_back(vm);
	if (vm->loop_fd >= 0)
		close(vm->loop_fd);
}

static struct vm *vm_new(const struct config *cfg, enum log_level log_level)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->cfg = cfg;
	vm->log_level = log_level;
	vm->started_ms = fdmsg_now_ms();
	vm->own_ids = ids_available(birth_uid(getpid(), 0)) &&
		      ids_available(birth_uid(getpid(), BIRTH_MAX_INDEX));
	vm->loop_fd = vm->signal_fd = vm->lock_fd = -1;
	vm->signals.fd = -1;
	resources_init(vm);
	return vm;
}

int supervisor_run(const struct config *cfg, enum log_level log_level)
{
	struct vm *vm = vm_new(cfg, log_level);
	int status = RUN_NOT_STARTED;

	if (!vm) {
		log_err("out of memory");
		return status;
	}
	log_init(cfg->name, log_level);
	title_set("bulkhead: %s [supervisor]", cfg->name);
	vm->status = RUN_NOT_STARTED;
	if (prepare(vm) == 0) {
		live(vm);
		while (vm->reboot) {
			slow_down(vm);
			if (!vm->reboot || !set_state(vm, VM_STARTING, 0))
				break;
			live(vm);
		}
	}
	finish(vm);
	status = vm->status;
	free(vm);
	return status;
}
