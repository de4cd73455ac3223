/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebirth (C7): what the supervisor does about the death of a device.
 *
 *	NONE --death--> PUT_OFF --due--> UNDER_WAY --READY--> NONE
 *	  |                ^                 |
 *	  +--exchange--> DRAINING            +--death--> PUT_OFF ...
 *	                   |                         ... or GIVEN_UP
 *	                   +--its end--> UNDER_WAY
 *
 * With on_crash = pause a death leads to AWAITED, and a command to PUT_OFF.
 *
 * A process that was alive for a while is replaced at once; one that dies
 * soon after its birth costs the next a delay, twice as long each time.
 * max_restarts deaths within WINDOW_MS are what a device may have; after that
 * the guest is told (DEVICE_NEEDS_RESET) and runs on without it.
 *
 * Nothing here waits, but for the 1 ms that birth_begin() takes.
 */
#include "cli/rebirth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/children.h"
#include "cli/disks.h"
#include "cli/pause.h"
#include "cli/resources.h"
#include "ipc/fdmsg.h"
#include "jail/death.h"

#define READY_MS	10000	/* from birth to READY, on a slow host */
#define DRAIN_MS	5000	/* from LIFE_STOP to exit */
#define SEND_MS		500
#define FAST_MS		50	/* a death this soon after READY is a fast one */
#define DELAY_MIN_MS	10
#define DELAY_MAX_MS	5000
#define WINDOW_MS	60000
#define FOREIGN_STEP_MS	100	/* between attempts to find a back-end again */
#define FOREIGN_MS	60000	/* in all */

static const bool may_follow[REBIRTH_NR_STATES][REBIRTH_NR_STATES] = {
	[REBIRTH_NONE][REBIRTH_PUT_OFF] = true,
	[REBIRTH_NONE][REBIRTH_DRAINING] = true,
	[REBIRTH_NONE][REBIRTH_GIVEN_UP] = true,
	[REBIRTH_PUT_OFF][REBIRTH_UNDER_WAY] = true,
	[REBIRTH_PUT_OFF][REBIRTH_GIVEN_UP] = true,
	[REBIRTH_PUT_OFF][REBIRTH_PUT_OFF] = true,
	[REBIRTH_PUT_OFF][REBIRTH_NONE] = true,
	[REBIRTH_UNDER_WAY][REBIRTH_NONE] = true,
	[REBIRTH_UNDER_WAY][REBIRTH_PUT_OFF] = true,
	[REBIRTH_UNDER_WAY][REBIRTH_GIVEN_UP] = true,
	[REBIRTH_DRAINING][REBIRTH_PUT_OFF] = true,
	[REBIRTH_DRAINING][REBIRTH_GIVEN_UP] = true,
	[REBIRTH_GIVEN_UP][REBIRTH_PUT_OFF] = true,	/* by command */
	[REBIRTH_NONE][REBIRTH_AWAITED] = true,
	[REBIRTH_PUT_OFF][REBIRTH_AWAITED] = true,
	[REBIRTH_UNDER_WAY][REBIRTH_AWAITED] = true,
	[REBIRTH_DRAINING][REBIRTH_AWAITED] = true,
	[REBIRTH_AWAITED][REBIRTH_PUT_OFF] = true,	/* by command */
};

static void set_state(struct device *dev, enum rebirth_state state,
		      long long due_ms)
{
	if (!may_follow[dev->rebirth.state][state])
		log_err("%s: illegal state of its rebirth, %d to %d",
			dev->cfg->name, dev->rebirth.state, state);
	dev->rebirth.state = state;
	dev->rebirth.due_ms = due_ms;
}

static long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void drop_link(struct device *dev)
{
	if (dev->rebirth.core_fd >= 0)
		close(dev->rebirth.core_fd);
	dev->rebirth.core_fd = -1;
}

void rebirth_begin(struct device *dev)
{
	drop_link(dev);
	memset(&dev->rebirth, 0, sizeof(dev->rebirth));
	dev->rebirth.core_fd = -1;
}

void rebirth_cancel(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		rebirth_begin(&vm->device[i]);
		vm->device[i].grown = false;
		move_end(&vm->device[i]);
		snapshot_end(&vm->device[i]);
	}
}

/* --- what the core is told ---------------------------------------------------- */

static int tell_core(struct device *dev, enum life_type type)
{
	const struct life_core_relink msg = {
		.index = (uint32_t)(dev - dev->child.vm->device),
		.link = dev->rebirth.link,
		.needs_reset = dev->rebirth.needs_reset,
	};

	return life_send(dev->child.vm->core.life_fd, type, &msg,
			 &dev->rebirth.core_fd, type == LIFE_CORE_RELINK,
			 SEND_MS);
}

/* The core goes on with whoever is at the other end of core_fd. */
static void hand_over(struct device *dev)
{
	struct rebirth *rebirth = &dev->rebirth;
	int err = tell_core(dev, LIFE_CORE_RELINK);

	drop_link(dev);
	rebirth->needs_reset = false;
	set_state(dev, REBIRTH_NONE, 0);
	if (err) {
		log_err("core: does not take the new process of %s: %s",
			dev->cfg->name, strerror(-err));
		vm_kill(dev->child.vm, RUN_CORE_DIED, NULL);
		return;
	}
	event_note(dev->child.vm, "goes-on", dev->cfg->name,
		   dev->child.last_pid, "after %.1f ms",
		   (double)(now_us() - rebirth->died_us) / 1000);
	log_info("%s [%s]: %s %d goes on, after %.1f ms", dev->cfg->name,
		 role_name(dev->cfg->role),
		 dev->cfg->socket.path ? "connection" : "process",
		 dev->cfg->socket.path ? (int)rebirth->link :
					 dev->child.birth.pid,
		 (double)(now_us() - rebirth->died_us) / 1000);
	pause_end(dev->child.vm);
	disk_process_settled(dev);
}

static void give_up(struct device *dev)
{
	event_note(dev->child.vm, "given-up", dev->cfg->name, 0,
		   "died %u times within %d s", dev->rebirth.nr_window,
		   WINDOW_MS / 1000);
	log_err("%s [%s]: died %u times within %d s; given up: the guest is told to reset it, and runs on (max_restarts = %u)",
		dev->cfg->name, role_name(dev->cfg->role),
		dev->rebirth.nr_window, WINDOW_MS / 1000,
		dev->child.vm->cfg->max_restarts);
	drop_link(dev);
	set_state(dev, REBIRTH_GIVEN_UP, 0);
	if (tell_core(dev, LIFE_CORE_GIVE_UP))
		log_warn("core: cannot be told that %s was given up",
			 dev->cfg->name);
	disk_process_settled(dev);
}

/* --- births ---------------------------------------------------------------------- */

/* How long the next birth has to wait. */
static int delay_ms(const struct rebirth *rebirth)
{
	int delay = DELAY_MIN_MS;

	if (rebirth->nr_fast == 0)
		return 0;
	for (unsigned int i = 1; i < rebirth->nr_fast && delay < DELAY_MAX_MS;
	     i++)
		delay *= 2;
	return delay < DELAY_MAX_MS ? delay : DELAY_MAX_MS;
}

static void be_born(struct device *dev);

/* Now, or when it is due. */
static void put_off(struct device *dev)
{
	int delay = delay_ms(&dev->rebirth);

	set_state(dev, REBIRTH_PUT_OFF, fdmsg_now_ms() + delay);
	if (delay == 0)
		be_born(dev);
}

/* Count a death.  Return: false if it was one too many. */
static bool may_go_on(struct device *dev, long long age_ms)
{
	struct rebirth *rebirth = &dev->rebirth;
	long long now_ms = fdmsg_now_ms();

	if (!rebirth->nr_window || now_ms - rebirth->window_ms > WINDOW_MS) {
		rebirth->window_ms = now_ms;
		rebirth->nr_window = 0;
	}
	rebirth->nr_window++;
	rebirth->nr_fast = age_ms < FAST_MS ? rebirth->nr_fast + 1 : 0;
	return rebirth->nr_window <= dev->child.vm->cfg->max_restarts;
}

/* Somebody is to look at it first; not while the guest powers off. */
static bool pauses(const struct device *dev)
{
	return dev->cfg->on_crash == CONFIG_CRASH_PAUSE &&
	       dev->child.vm->state == VM_RUNNING;
}

static void await(struct device *dev)
{
	drop_link(dev);
	set_state(dev, REBIRTH_AWAITED, 0);
	pause_begin(dev);
	disk_process_settled(dev);
}

/* After a death: another process, or what else the configuration says. */
static void follow(struct device *dev, long long age_ms)
{
	if (pauses(dev))
		await(dev);
	else if (may_go_on(dev, age_ms))
		put_off(dev);
	else
		give_up(dev);
}

/* No process came of it, which counts as its death. */
static void birth_failed(struct device *dev, const char *why)
{
	log_err("%s", why);
	drop_link(dev);
	follow(dev, 0);
}

/* Whoever listens at the same path now is the next back-end. */
static void find_foreign(struct device *dev)
{
	struct rebirth *rebirth = &dev->rebirth;
	char why[VM_WHY_MAX];
	int none;

	if (link_make(dev, 0, &rebirth->core_fd, &none, why) == 0) {
		set_state(dev, REBIRTH_UNDER_WAY, 0);
		rebirth->link++;
		hand_over(dev);
		return;
	}
	set_state(dev, REBIRTH_PUT_OFF, fdmsg_now_ms() + FOREIGN_STEP_MS);
	if (now_us() - rebirth->died_us < FOREIGN_MS * 1000LL)
		return;
	log_err("%s", why);
	if (pauses(dev))
		await(dev);
	else
		give_up(dev);
}

static void be_born(struct device *dev)
{
	char why[VM_WHY_MAX] = "out of memory";
	int device_fd;
	int ret;

	if (dev->cfg->socket.path) {
		find_foreign(dev);
		return;
	}
	set_state(dev, REBIRTH_UNDER_WAY, fdmsg_now_ms() + READY_MS);
	dev->rebirth.link++;
	if (spare_adopt(dev)) {
		hand_over(dev);
		chardev_end_attach(dev);
		return;
	}
	ret = link_make(dev, 0, &dev->rebirth.core_fd, &device_fd, why);
	if (!ret) {
		ret = child_spawn(&dev->child, device_fd, why);
		close(device_fd);
	}
	if (ret)
		birth_failed(dev, why);
	else
		chardev_end_attach(dev);
}

void rebirth_ready(struct device *dev)
{
	char why[VM_WHY_MAX];

	if (dev->rebirth.state != REBIRTH_UNDER_WAY)
		return;
	if (child_wait_exec(&dev->child, why)) {
		birth_failed(dev, why);
		return;
	}
	hand_over(dev);
}

/* --- deaths ---------------------------------------------------------------------- */

static void report_death(const struct device *dev, const char *how,
			 long long age_ms)
{
	const struct child *child = &dev->child;
	const char *words = child->last_words;

	log_warn("%s [%s]: %s, %lld.%03lld s after its birth, requests in flight: %llu%s%s",
		 child->name, role_name(child->role), how, age_ms / 1000,
		 age_ms % 1000, (unsigned long long)child->left_in_flight,
		 words[0] ? ": " : "", words);
}

bool rebirth_of_dead(struct device *dev, const char *how,
		     const siginfo_t *info)
{
	struct rebirth *rebirth = &dev->rebirth;
	const struct vm *vm = dev->child.vm;
	long long age_ms = fdmsg_now_ms() - dev->child.born_ms;
	bool exchange = rebirth->state == REBIRTH_DRAINING;

	if (vm->state != VM_RUNNING && vm->state != VM_STOPPING)
		return false;
	if (!exchange && dev->cfg->on_crash == CONFIG_CRASH_STOP)
		return false;
	rebirth->died_us = now_us();
	rebirth->pinged_ms = 0;
	drop_link(dev);
	disk_lost_process(dev, exchange && death_is_clean(info));
	if (exchange && death_is_clean(info)) {
		rebirth->nr_fast = 0;
		put_off(dev);
		return true;
	}
	report_death(dev, how, age_ms);
	if (dev->cfg->on_crash == CONFIG_CRASH_RESET)
		rebirth->needs_reset = true;
	follow(dev, age_ms);
	return true;
}

bool rebirth_of_foreign(struct device *dev, const char *text, bool in_flight)
{
	const struct vm *vm = dev->child.vm;

	if ((vm->state != VM_RUNNING && vm->state != VM_STOPPING) ||
	    dev->cfg->on_crash == CONFIG_CRASH_STOP)
		return false;
	log_warn("%s: the back-end at %s failed: %s; %s", dev->cfg->name,
		 dev->cfg->socket.path, text, in_flight ?
		 "requests are lost with it, so the guest has to reset the device" :
		 "nothing is lost with it");
	dev->rebirth.needs_reset =
		in_flight || dev->cfg->on_crash == CONFIG_CRASH_RESET;
	dev->rebirth.died_us = now_us();
	follow(dev, FAST_MS);
	return true;
}

/* All devices of a role run one program. */
static void renew_spares(struct vm *vm, enum life_role role)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (vm->device[i].cfg->role == role)
			spare_renew(&vm->device[i]);
}

int rebirth_exchange(struct device *dev, char *why)
{
	struct vm *vm = dev->child.vm;
	int fd;

	if (vm->state != VM_RUNNING ||
	    (dev->rebirth.state != REBIRTH_NONE &&
	     dev->rebirth.state != REBIRTH_GIVEN_UP &&
	     dev->rebirth.state != REBIRTH_AWAITED)) {
		snprintf(why, VM_WHY_MAX, "%s: not while the VM is %s%s",
			 dev->cfg->name, vm_state_name(vm),
			 dev->rebirth.state == REBIRTH_NONE ? "" :
			 " and the device between two processes");
		return -EBUSY;
	}
	fd = program_open(dev->cfg->role, why);
	if (fd < 0)
		return fd;
	close(vm->exe_fd[dev->cfg->role]);
	vm->exe_fd[dev->cfg->role] = fd;
	renew_spares(vm, dev->cfg->role);
	if (dev->rebirth.state != REBIRTH_NONE) {
		rebirth_resume(dev);
		return 0;
	}
	dev->rebirth.nr_window = 0;
	dev->rebirth.nr_fast = 0;
	set_state(dev, REBIRTH_DRAINING, fdmsg_now_ms() + DRAIN_MS);
	child_stop(&dev->child);
	return 0;
}

void rebirth_resume(struct device *dev)
{
	dev->rebirth.nr_window = 0;
	dev->rebirth.nr_fast = 0;
	dev->rebirth.died_us = now_us();
	put_off(dev);
}

void rebirth_resume_all(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		if (vm->device[i].rebirth.state == REBIRTH_AWAITED)
			rebirth_resume(&vm->device[i]);
}

const char *rebirth_state_name(const struct device *dev)
{
	switch (dev->rebirth.state) {
	case REBIRTH_PUT_OFF:
		return "waiting";
	case REBIRTH_GIVEN_UP:
		return "failed";
	case REBIRTH_AWAITED:
		return "dead";
	default:
		return NULL;
	}
}

/* --- heartbeat -------------------------------------------------------------------- */

void rebirth_pong(struct device *dev, uint64_t cookie)
{
	if (cookie == dev->rebirth.cookie)
		dev->rebirth.pinged_ms = 0;
}

static void kill_silent(struct device *dev, const char *what)
{
	event_note(dev->child.vm, "silent", dev->cfg->name,
		   dev->child.last_pid, "%s", what);
	log_warn("%s [%s]: process %d %s; killed", dev->cfg->name,
		 role_name(dev->cfg->role), dev->child.birth.pid, what);
	child_kill(&dev->child);
	dev->rebirth.due_ms = 0;
	dev->rebirth.pinged_ms = 0;
}

/* One device's turn.  fair: we are on time, so silence is its own. */
static void beat(struct device *dev, long long now_ms, bool fair)
{
	struct rebirth *rebirth = &dev->rebirth;
	struct child *child = &dev->child;
	struct life_ping ping;

	if (child->state != CHILD_READY || rebirth->state != REBIRTH_NONE)
		return;
	/* What has come already counts. */
	events_take(&child->life, 0);
	if (child->state != CHILD_READY)
		return;
	if (rebirth->pinged_ms && !fair)
		rebirth->pinged_ms = now_ms;
	if (rebirth->pinged_ms &&
	    now_ms - rebirth->pinged_ms >= child->vm->cfg->heartbeat_ms) {
		kill_silent(dev, "does not answer its heartbeat");
		return;
	}
	if (rebirth->pinged_ms)
		return;
	ping.cookie = ++rebirth->cookie;
	rebirth->pinged_ms = now_ms;
	/* A channel that is full is one more sign of silence. */
	(void)life_send(child->life_fd, LIFE_PING, &ping, NULL, 0, 0);
}

static long long heartbeat_step_ms(const struct vm *vm)
{
	/* Rounded up: three of them are a heartbeat at least. */
	return (vm->cfg->heartbeat_ms + 2) / 3;
}

static void beat_all(struct vm *vm, long long now_ms)
{
	long long step_ms = heartbeat_step_ms(vm);
	bool fair = now_ms - vm->beat_due_ms < step_ms;

	vm->beat_due_ms = now_ms + step_ms;
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		beat(&vm->device[i], now_ms, fair);
}

/* --- deadlines -------------------------------------------------------------------- */

static bool devices_are_watched(const struct vm *vm)
{
	return vm->state == VM_RUNNING || vm->state == VM_STOPPING;
}

long long rebirth_due_ms(const struct vm *vm)
{
	long long due_ms = 0;

	if (!devices_are_watched(vm))
		return 0;
	if (vm->cfg->heartbeat_ms)
		due_ms = vm->beat_due_ms ? vm->beat_due_ms : fdmsg_now_ms();
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		long long one_ms = vm->device[i].rebirth.due_ms;

		if (one_ms && (!due_ms || one_ms < due_ms))
			due_ms = one_ms;
	}
	return due_ms;
}

static void expire(struct device *dev)
{
	switch (dev->rebirth.state) {
	case REBIRTH_PUT_OFF:
		be_born(dev);
		return;
	case REBIRTH_UNDER_WAY:
		kill_silent(dev, "did not get ready in time");
		return;
	case REBIRTH_DRAINING:
		kill_silent(dev, "did not finish in time");
		return;
	default:
		dev->rebirth.due_ms = 0;
	}
}

void rebirth_expire(struct vm *vm)
{
	long long now_ms = fdmsg_now_ms();

	if (devices_are_watched(vm) && vm->cfg->heartbeat_ms &&
	    now_ms >= vm->beat_due_ms)
		beat_all(vm, now_ms);
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		if (devices_are_watched(vm) && dev->rebirth.due_ms &&
		    now_ms >= dev->rebirth.due_ms)
			expire(dev);
	}
}
