/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What children tell the supervisor over the life channel, and what follows
 * from it (C7).  Every message has passed the table of ipc/life.c; what it
 * says is still the word of a process that a guest may have taken over, so
 * each handler asks whether this child may say that.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/children.h"
#include "cli/disks.h"
#include "cli/supervisor.h"

#define MESSAGES_PER_TURN	16
#define DEATH_GRACE_MS		300	/* the core sees a lost link first */

/* A guest that drives all 31 devices wrong gets fewer out of a sound core. */
#define EVENTS_PER_SECOND	256
/* Those, and what is not logged: it wakes us all the same. */
#define MESSAGES_PER_SECOND	512

/* Guest and peer text, made fit for a line of the log. */
static void copy_printable(char *to, const char *from, size_t len)
{
	size_t i;

	for (i = 0; i + 1 < len && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}

static void misbehaved(struct child *child, const char *what)
{
	event_note(child->vm, "misbehaved", child->name, child->birth.pid,
		   "%s", what);
	log_err("%s: %s; the process is killed", child->name, what);
	snprintf(child->last_words, sizeof(child->last_words), "%s", what);
	child_kill(child);
	child->killed_by_us = false;	/* its death is its own fault */
}

static struct device *event_device(struct vm *vm, uint32_t index)
{
	return index < vm->nr_devices ? &vm->device[index] : NULL;
}

/*
 * The link broke.  Mostly because the process died: then its death, which is
 * under way, says more.  A process that lives broke the protocol.
 */
static void device_failed(struct vm *vm, const struct life_core_event *event,
			  const char *text)
{
	struct device *dev = event_device(vm, event->index);

	if (!dev || vm->state == VM_ENDING)
		return;
	/* Its predecessor, whose death was seen first. */
	if (event->link != dev->rebirth.link)
		return;
	if (dev->cfg->socket.path) {
		if (rebirth_of_foreign(dev, text, event->in_flight))
			return;
		log_err("%s: the back-end at %s failed: %s; stopping the VM",
			dev->cfg->name, dev->cfg->socket.path, text);
		vm_end(vm, RUN_DEVICE_DIED);
		return;
	}
	if (!child_alive(&dev->child))
		return;		/* reported when it died */
	if (child_is_dead(&dev->child, DEATH_GRACE_MS))
		child_take_death(&dev->child);
	else
		misbehaved(&dev->child, text);
}

static void vcpu_failed(struct vm *vm, const char *text)
{
	event_note(vm, "vcpu-failed", NULL, 0, "%s", text);
	log_err("the guest's processor stopped: %s", text);
	vm_end(vm, RUN_VCPU_FAILED);
}

static void guest_reset(struct vm *vm)
{
	bool restart = vm->cfg->on_reboot == CONFIG_REBOOT_RESTART &&
		       (vm->state == VM_RUNNING || vm->state == VM_STOPPING);

	event_note(vm, "reset", NULL, 0, "%s", "");
	log_info("the guest asked for a reset; %s",
		 restart ? "restarting" : "stopping (on_reboot = stop)");
	if (vm->state == VM_RUNNING || vm->state == VM_STOPPING)
		vm->reboot = restart;
	vm_end(vm, RUN_OK);
}

static void guest_panic(struct vm *vm, const char *text)
{
	bool stop = vm->cfg->on_panic == CONFIG_PANIC_STOP;

	event_note(vm, "panicked", NULL, 0, "%s", text);
	log_err("the guest panicked%s%s%s", text[0] ? ": " : "", text,
		stop ? "; stopping the VM (on_panic = stop)" : "");
	if (stop)
		vm_end(vm, RUN_PANIC);
}

static void core_event(struct child *child, const struct life_core_event *event)
{
	struct vm *vm = child->vm;
	struct device *dev = event_device(vm, event->index);
	char text[LIFE_TEXT_MAX];

	if (child->role != LIFE_ROLE_CORE) {
		misbehaved(child, "it spoke for the core");
		return;
	}
	if (!log_allowed(&child->events, EVENTS_PER_SECOND)) {
		if (child->state != CHILD_STOPPING)
			misbehaved(child, "it sends too many events");
		return;
	}
	copy_printable(text, event->text, sizeof(text));
	switch (event->kind) {
	case LIFE_EVENT_STARTED:
		vm_guest_started(vm);
		return;
	case LIFE_EVENT_POWEROFF:
		event_note(vm, "powered-off", NULL, 0, "%s", "");
		log_info("the guest powered off");
		vm_end(vm, RUN_OK);
		return;
	case LIFE_EVENT_RESET:
		guest_reset(vm);
		return;
	case LIFE_EVENT_PANIC:
		guest_panic(vm, text);
		return;
	case LIFE_EVENT_VCPU_FAILED:
		vcpu_failed(vm, text);
		return;
	case LIFE_EVENT_DEVICE_FAILED:
		device_failed(vm, event, text);
		return;
	case LIFE_EVENT_DEVICE_NEEDS_RESET:
		event_note(vm, "needs-reset", dev ? dev->cfg->name : NULL, 0,
			   "%s", text);
		log_warn("%s: the guest's driver drove it wrong%s%s; it needs a reset",
			 dev ? dev->cfg->name : "a device", text[0] ? ": " : "",
			 text);
		return;
	case LIFE_EVENT_PAUSED:
		if (vm->paused)
			child_interrupt(child);
		return;
	case LIFE_EVENT_CLOCK_JUMPED:
		log_info("the guest's clocks have jumped %s", text);
		child_interrupt(child);
		return;
	}
	misbehaved(child, "it sent an unknown event");
}

/* Ctrl-A x: only who has the terminal can have seen it typed. */
static void escape_typed(struct child *child)
{
	const struct device *dev = device_of(child);

	if (!dev || dev->cfg->connect.kind != LIFE_CHARDEV_TERMINAL) {
		misbehaved(child, "it spoke for the terminal");
		return;
	}
	vm_kill(child->vm, RUN_KILLED, "Ctrl-A x");
}

/* A sound disk says so once, and then waits for an operator. */
#define HELD_PER_SECOND	16

static void disk_held(struct child *child, const struct life_blk_held *event)
{
	if (child->role != LIFE_ROLE_BLK)
		misbehaved(child, "it spoke for a disk");
	else if (!log_allowed(&child->events, HELD_PER_SECOND))
		misbehaved(child, "it sends too many events");
	else
		disk_is_held(device_of(child), event);
}

static void disk_moved(struct child *child, const struct life_blk_moved *moved)
{
	if (child->role != LIFE_ROLE_BLK)
		misbehaved(child, "it spoke for a disk");
	else
		move_is_through(device_of(child), moved);
}

static void take_message(struct child *child, const struct life_msg *msg)
{
	if (child->spare && msg->type != LIFE_READY &&
	    msg->type != LIFE_FAILED) {
		misbehaved(child, "a spare spoke out of turn");
		return;
	}
	switch (msg->type) {
	case LIFE_READY:
		if (child->state == CHILD_STOPPING)
			return;
		if (child_set_ready(child))
			misbehaved(child, "it was ready twice");
		else
			vm_child_ready(child);
		return;
	case LIFE_FAILED:
		copy_printable(child->last_words, msg->u.text.text,
			       sizeof(child->last_words));
		return;
	case LIFE_ESCAPE:
		escape_typed(child);
		return;
	case LIFE_CORE_EVENT:
		core_event(child, &msg->u.core_event);
		return;
	case LIFE_BLK_HELD:
		disk_held(child, &msg->u.blk_held);
		return;
	case LIFE_BLK_MOVED:
		disk_moved(child, &msg->u.blk_moved);
		return;
	case LIFE_PONG:
		if (device_of(child))
			rebirth_pong(device_of(child), msg->u.ping.cookie);
		return;
	default:
		return;		/* life_recv() lets nothing else pass */
	}
}

void events_take(struct watch *watch, uint32_t epoll_events)
{
	struct child *child = watch->owner;
	struct life_msg msg;
	int ret = -EAGAIN;

	(void)epoll_events;
	for (int i = 0; i < MESSAGES_PER_TURN && child->life_fd >= 0; i++) {
		ret = life_recv(child->life_fd, LIFE_SIDE_SUPERVISOR, &msg, 0);
		if (ret <= 0)
			break;
		if (log_allowed(&child->messages, MESSAGES_PER_SECOND))
			take_message(child, &msg);
		else if (child->state != CHILD_STOPPING)
			misbehaved(child, "it sends too many messages");
	}
	if (ret > 0 || ret == -EAGAIN)
		return;
	/* Its end of the channel is closed: its death follows, or is due. */
	loop_remove(child->vm->loop_fd, &child->life);
	if (ret == -EPROTO && child_alive(child))
		misbehaved(child, "its message broke the life protocol");
}
