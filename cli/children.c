/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a VM: birth (C3), farewell and burial (C7).
 *
 *     UNBORN --child_spawn()--> BORN --READY--> READY
 *        ^                       |                |
 *        |                       +--stop, kill----+--> STOPPING
 *        +-------------------- burial, from any state
 *
 *     UNBORN --child_take_over()--> READY: another one's process, which was it
 *
 * A buried child is UNBORN again, and may be spawned again: all that a
 * process needs is in struct device, struct child and struct vm.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/children.h"
#include "cli/procfs.h"
#include "cli/resources.h"
#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "ipc/pages.h"
#include "jail/death.h"

#define BIRTH_MS	5000	/* from clone to exec */
#define SEND_MS		500	/* for room in a life channel */
#define TRACER_MS	1000	/* to let go of a process that is dead */
#define CORE_GRACE_MS	300	/* see take_causes() */
#define CORE_END_MS	5000	/* for KVM to give back what a dying core had */
#define DEVICE_GRACE_MS	10	/* each */

#define DEVICE_FILES	256	/* eventfds of all queues, memory regions */
#define DEVICE_TASKS	8
#define BLK_TASKS	64	/* io_uring's workers are tasks too */
#define CORE_SPARE_TASKS 8

static const char *const state_name[CHILD_NR_STATES] = {
	[CHILD_UNBORN] = "unborn",
	[CHILD_BORN] = "starting",
	[CHILD_READY] = "running",
	[CHILD_STOPPING] = "stopping",
};

static const bool may_follow[CHILD_NR_STATES][CHILD_NR_STATES] = {
	[CHILD_UNBORN][CHILD_BORN] = true,
	[CHILD_UNBORN][CHILD_READY] = true,	/* a spare takes over */
	[CHILD_BORN][CHILD_READY] = true,
	[CHILD_BORN][CHILD_STOPPING] = true,
	[CHILD_READY][CHILD_STOPPING] = true,
	[CHILD_BORN][CHILD_UNBORN] = true,
	[CHILD_READY][CHILD_UNBORN] = true,
	[CHILD_STOPPING][CHILD_UNBORN] = true,
};

const char *child_state_name(enum child_state state)
{
	return state_name[state];
}

const char *role_name(enum life_role role)
{
	return life_role_name(role);
}

static int set_state(struct child *child, enum child_state state)
{
	if (!may_follow[child->state][state]) {
		log_err("%s: illegal state change, %s to %s", child->name,
			state_name[child->state], state_name[state]);
		return -EPROTO;
	}
	child->state = state;
	return 0;
}

bool child_alive(const struct child *child)
{
	return child->state != CHILD_UNBORN;
}

int child_set_ready(struct child *child)
{
	int ret = set_state(child, CHILD_READY);

	if (!ret)
		event_note(child->vm, "ready", child->name, child->last_pid,
			   "%s", child->spare ? "a spare" : "");
	return ret;
}

struct device *device_of(const struct child *child)
{
	if (child->role == LIFE_ROLE_CORE)
		return NULL;
	return &child->vm->device[child->index - 1];
}

struct device *disk_of(const struct device *dev)
{
	return &dev->child.vm->device[dev->cfg->of];
}

void child_init(struct child *child, struct vm *vm, enum life_role role,
		const char *name, unsigned int index)
{
	memset(child, 0, sizeof(*child));
	child->cgroup_fd = -1;
	child->vm = vm;
	child->role = role;
	child->name = name;
	child->index = index;
	child->uid_index = index;
	child->stats_fd = child->fault_fd = -1;
	child->life_fd = child->log_fd = -1;
	child->birth.pid = -1;
	child->birth.pidfd = child->birth.stage_fd = -1;
	child->death.fd = child->life.fd = child->log_pipe.fd = -1;
}

/* --- what a child is given ---------------------------------------------------- */

static void give(struct birth_spec *spec, int from, int to)
{
	if (from < 0)
		return;
	spec->fds[spec->nr_fds].from = from;
	spec->fds[spec->nr_fds].to = to;
	spec->nr_fds++;
}

static void give_core(struct vm *vm, struct birth_spec *spec)
{
	/* The loader reads from the start, in every life of the guest. */
	lseek(vm->kernel_fd, 0, SEEK_SET);
	if (vm->initrd_fd >= 0)
		lseek(vm->initrd_fd, 0, SEEK_SET);
	give(spec, vm->kvm_fd, KVM_FD);
	give(spec, vm->ram_fd, RAM_FD);
	give(spec, vm->kernel_fd, KERNEL_FD);
	give(spec, vm->initrd_fd, INITRD_FD);
	give(spec, vm->core.fault_fd, CORE_FAULT_FD);
	spec->nr_files = INHERIT_CORE_FILES;
	spec->nr_tasks = vm->cfg->nr_cpus + CORE_SPARE_TASKS;
	spec->memlock_bytes = 0;
	spec->file_bytes = 0;
}

static void give_device(const struct device *dev, int link_fd,
			struct birth_spec *spec)
{
	bool blk = dev->cfg->role == LIFE_ROLE_BLK;

	give(spec, link_fd, LINK_FD);
	give(spec, dev->child.fault_fd, FAULT_FD);
	give(spec, dev->throttle_fd, THROTTLE_FD);
	give(spec, dev->end.fd, RES_FD);
	give(spec, dev->end.out_fd, RES2_FD);
	for (unsigned int i = 0; i < dev->end.nr_backing; i++)
		give(spec, dev->end.backing_fd[i], EXTRA_FD + (int)i);
	give(spec, dev->move.fd, EXTRA_FD + (int)dev->end.nr_backing);
	spec->nr_files = DEVICE_FILES;
	spec->nr_tasks = blk ? BLK_TASKS : DEVICE_TASKS;
	/*
	 * Rings and registered buffers.  The kernel holds what all processes of a
	 * user have locked against the limit of the one that asks, so a lower one
	 * than ours would let one disk keep another from its ring.
	 */
	spec->memlock_bytes = blk ? RLIM_INFINITY : 0;
	/*
	 * No raw image grows, whatever becomes of its process; except that a record
	 * has to, and that what it is moved to may be longer.  What is printed to
	 * a file does not fill the host's disk.
	 */
	spec->file_bytes = RLIM_INFINITY;
	if (blk && !dev->end.block_device && dev->end.out_fd < 0 &&
	    dev->end.format == LIFE_BLK_RAW)
		spec->file_bytes = dev->end.size_bytes > dev->move.file_bytes ?
			dev->end.size_bytes : dev->move.file_bytes;
	if (dev->cfg->connect.kind == LIFE_CHARDEV_FILE)
		spec->file_bytes = dev->cfg->max_size_bytes;
}

static void make_title(const struct child *child, char *title, size_t len)
{
	const char *vm = child->vm->cfg->name;

	if (child->role == LIFE_ROLE_CORE)
		snprintf(title, len, "bulkhead: %s [core]", vm);
	else
		snprintf(title, len, "bulkhead: %s/%s [%s%s", vm, child->name,
			 role_name(child->role),
			 child->spare ? LIFE_SPARE_MARK : LIFE_SERVING_MARK);
}

static void set_ids(const struct child *child, struct birth_spec *spec)
{
	uid_t own = birth_uid(getpid(), child->uid_index);

	spec->host_uid = child->vm->own_ids ? own : geteuid();
	spec->host_gid = child->vm->own_ids ? own : getegid();
}

/* --- the first message -------------------------------------------------------- */

static void describe_core(const struct vm *vm, struct life_birth_core *core)
{
	core->ram_bytes = vm->cfg->memory_bytes;
	core->nr_vcpus = vm->cfg->nr_cpus;
	core->nr_devices = vm->nr_devices;
	core->nr_further = vm->cfg->nr_further;
	core->has_initrd = vm->initrd_fd >= 0;
	core->huge_pages = vm->cfg->huge_pages;
	snprintf(core->cmdline, sizeof(core->cmdline), "%s", vm->cfg->cmdline);
}

static void describe_blk(const struct device *dev, struct life_birth_blk *blk)
{
	blk->size_bytes = dev->end.size_bytes;
	blk->nr_queues = dev->nr_queues;
	blk->read_only = dev->cfg->read_only;
	blk->direct = dev->end.direct;
	blk->cache = (uint8_t)dev->cfg->cache;
	blk->discard = dev->cfg->discard;
	blk->poll_us = (uint16_t)dev->cfg->poll_us;
	blk->sched_batch = dev->cfg->sched_batch;
	blk->registered_buffers = dev->cfg->registered_buffers;
	blk->block_device = dev->end.block_device;
	blk->shared = dev->cfg->nr_processes > 1;
	blk->record = dev->end.out_fd >= 0;
	blk->on_read_error = (uint8_t)dev->cfg->on_error[0];
	blk->on_write_error = (uint8_t)dev->cfg->on_error[1];
	blk->throttle = dev->throttle;
	blk->format = (uint8_t)dev->end.format;
	blk->nr_backing = (uint8_t)dev->end.nr_backing;
	blk->raw_backing = dev->end.raw_backing;
	blk->nr_extra = blk->nr_backing;
	if (dev->move.fd >= 0) {
		blk->move = ++blk->nr_extra;
		blk->move_format = (uint8_t)dev->move.format;
	}
	snprintf(blk->serial, sizeof(blk->serial), "%s",
		 dev->cfg->serial ? dev->cfg->serial :
				    disk_of(dev)->cfg->name);
}

void child_describe(const struct child *child, struct life_birth *birth)
{
	const struct vm *vm = child->vm;
	const struct device *dev = device_of(child);

	memset(birth, 0, sizeof(*birth));
	birth->version = LIFE_VERSION;
	birth->role = child->role;
	birth->log_level = vm->log_level;
	birth->spare = child->spare;
	snprintf(birth->vm, sizeof(birth->vm), "%s", vm->cfg->name);
	snprintf(birth->device, sizeof(birth->device), "%s", child->name);
	if (child->role == LIFE_ROLE_CORE)
		describe_core(vm, &birth->u.core);
	else if (child->role == LIFE_ROLE_BLK)
		describe_blk(dev, &birth->u.blk);
	else if (child->role != LIFE_ROLE_RNG)
		birth->u.chardev.backend = dev->cfg->connect.kind;
}

static int send_birth(const struct child *child)
{
	struct life_birth birth;

	child_describe(child, &birth);
	return life_send(child->life_fd, LIFE_BIRTH, &birth, NULL, 0, SEND_MS);
}

/* --- birth ---------------------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_channels(struct child *child)
{
	loop_remove(child->vm->loop_fd, &child->death);
	loop_remove(child->vm->loop_fd, &child->life);
	loop_remove(child->vm->loop_fd, &child->log_pipe);
	close_fd(&child->life_fd);
	close_fd(&child->log_fd);
}

/* Buried, a child may be born again. */
static void bury(struct child *child, siginfo_t *info)
{
	close_channels(child);
	if (child->birth.pidfd >= 0 &&
	    birth_reap(&child->birth, info, TRACER_MS))
		birth_abandon(&child->birth);
	close_fd(&child->birth.stage_fd);
	child->birth.pid = -1;
	set_state(child, CHILD_UNBORN);
}

bool child_is_dead(const struct child *child, int timeout_ms)
{
	struct pollfd death = { .fd = child->birth.pidfd, .events = POLLIN };

	return child_alive(child) && child->birth.pidfd >= 0 &&
	       poll(&death, 1, timeout_ms) == 1;
}

/* Whether it ended in any way but by itself with status 0; not yet buried. */
static bool died_badly(const struct child *child, int timeout_ms)
{
	siginfo_t info = { 0 };

	return child_is_dead(child, timeout_ms) &&
	       waitid(P_PIDFD, (id_t)child->birth.pidfd, &info,
		      WEXITED | WNOWAIT | WNOHANG) == 0 &&
	       !death_is_clean(&info);
}

/* Or about to be; its links end before KVM has given back what it had. */
static bool core_is_dead(const struct child *core)
{
	return child_is_dead(core, CORE_GRACE_MS) ||
	       (child_alive(core) && proc_is_dying(core->birth.pid) &&
		child_is_dead(core, CORE_END_MS));
}

/*
 * Cause before effect.  A link ends a moment before its process does, and the
 * process at the other end may be seen dead first: a device ends by itself
 * when the core is gone, the core fails when it loses a device too early.
 */
static void take_causes(struct child *child)
{
	struct vm *vm = child->vm;
	struct child *other = &vm->core;

	if (vm->state == VM_ENDING)
		return;
	if (child != &vm->core) {
		/* An end that was asked for has no other cause. */
		if (child->state != CHILD_STOPPING && !died_badly(child, 0) &&
		    core_is_dead(&vm->core))
			child_take_death(&vm->core);
		return;
	}
	while ((other = vm_next_child(vm, other)))
		if (died_badly(other, DEVICE_GRACE_MS))
			child_take_death(other);
}

/* Its own words: whatever it wrote there is no more than a number to print. */
static uint64_t count_in_flight(struct child *child)
{
	const struct device *dev = device_of(child);
	uint64_t sum = 0, one;

	for (unsigned int i = 0; dev && i < dev->nr_queues; i++) {
		off_t place = (off_t)(offsetof(struct stats_page, queue) +
				      i * sizeof(struct stats_queue) +
				      offsetof(struct stats_queue, in_flight));

		if (pread(child->stats_fd, &one, sizeof(one), place) ==
		    sizeof(one))
			sum += one;
	}
	return sum;
}

/* Hear its last words first, then say what happened. */
void child_take_death(struct child *child)
{
	char how[VM_WHY_MAX];
	struct stats_head head;
	siginfo_t info = { 0 };
	bool has_head;

	events_take(&child->life, 0);
	take_causes(child);
	if (!child_alive(child))
		return;
	child_log_read(child, true);
	/* It may have died on the way to its program. */
	if (child->birth.stage_fd >= 0 && child_wait_exec(child, how)) {
		vm_child_died(child, child->birth.why, &info);
		return;
	}
	has_head = pread(child->stats_fd, &head, sizeof(head), 0) ==
		   sizeof(head);
	child->left_in_flight = count_in_flight(child);
	bury(child, &info);
	death_describe(&info, has_head ? &head.last_word : NULL, how,
		       sizeof(how));
	vm_child_died(child, how, &info);
}

/* The pidfd fires. */
static void death_ready(struct watch *watch, uint32_t epoll_events)
{
	(void)epoll_events;
	child_take_death(watch->owner);
}

static int watch_child(struct child *child)
{
	int loop_fd = child->vm->loop_fd;
	int ret;

	child->death = (struct watch){ -1, death_ready, child };
	child->life = (struct watch){ -1, events_take, child };
	child->log_pipe = (struct watch){ -1, child_log_ready, child };
	ret = loop_add(loop_fd, &child->death, child->birth.pidfd, EPOLLIN);
	if (!ret)
		ret = loop_add(loop_fd, &child->life, child->life_fd, EPOLLIN);
	if (!ret)
		ret = loop_add(loop_fd, &child->log_pipe, child->log_fd,
			       EPOLLIN);
	return ret;
}

static int begin_birth(struct child *child, int link_fd, int life_fd,
		       int log_fd)
{
	struct birth_spec spec = { 0 };
	char title[80];
	int ret;

	make_title(child, title, sizeof(title));
	spec.title = title;
	spec.exe_fd = child->vm->exe_fd[child->role];
	spec.cgroup_fd = child->cgroup_fd;
	set_ids(child, &spec);
	give(&spec, log_fd, LOG_FD);
	give(&spec, life_fd, LIFE_FD);
	give(&spec, child->stats_fd, STATS_FD);
	if (child->role == LIFE_ROLE_CORE)
		give_core(child->vm, &spec);
	else
		give_device(device_of(child), link_fd, &spec);
	ret = birth_begin(&spec, &child->birth);
	if (ret)
		return ret;
	child->born_ms = fdmsg_now_ms();
	child->births++;
	child->last_pid = child->birth.pid;
	event_note(child->vm, "born", child->name, child->last_pid, "%s",
		   child->spare ? "a spare" : "");
	child->killed_by_us = false;
	child->last_words[0] = '\0';
	memset(&child->log, 0, sizeof(child->log));
	return set_state(child, CHILD_BORN);
}

static void forget_birth(struct child *child)
{
	siginfo_t info;

	if (child_alive(child)) {
		birth_kill(&child->birth);
		birth_reap(&child->birth, &info, BIRTH_MS);
		bury(child, &info);
	}
	close_channels(child);
}

int child_spawn(struct child *child, int link_fd, char why[VM_WHY_MAX])
{
	int life[2] = { -1, -1 };
	int log[2] = { -1, -1 };
	int ret = 0;

	child->birth.why[0] = '\0';
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, life) < 0 ||
	    pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0)
		ret = -errno;
	child->life_fd = life[0];
	child->log_fd = log[0];
	if (!ret)
		ret = begin_birth(child, link_fd, life[1], log[1]);
	close_fd(&life[1]);
	close_fd(&log[1]);
	if (!ret)
		ret = send_birth(child);
	/* Nobody there to take it: the birth has failed, and knows why. */
	if (ret == -EPIPE && child_alive(child) && child_wait_exec(child, why))
		return ret;
	if (!ret)
		ret = watch_child(child);
	if (ret) {
		snprintf(why, VM_WHY_MAX, "%s: cannot be started: %s",
			 child->name,
			 child->birth.why[0] ? child->birth.why :
					       strerror(-ret));
		forget_birth(child);
	}
	return ret;
}

/* Nobody's process any more: it has another owner, or none. */
static void let_go(struct child *child)
{
	child->birth.pid = -1;
	child->birth.pidfd = child->birth.stage_fd = -1;
	child->life_fd = child->log_fd = -1;
	set_state(child, CHILD_UNBORN);
}

static void move_process(struct child *to, struct child *from)
{
	unsigned int uid_index = to->uid_index;
	unsigned int births = to->births + 1;

	to->birth = from->birth;
	to->life_fd = from->life_fd;
	to->log_fd = from->log_fd;
	to->log = from->log;
	to->killed_by_us = false;
	to->last_words[0] = '\0';
	to->births = births;
	to->last_pid = to->birth.pid;
	/* It serves from now on; that is its age. */
	to->born_ms = fdmsg_now_ms();
	to->uid_index = from->uid_index;
	from->uid_index = uid_index;
	set_state(to, CHILD_READY);
	let_go(from);
}

int child_take_over(struct child *child, struct child *spare)
{
	int loop_fd = child->vm->loop_fd;

	loop_remove(loop_fd, &spare->death);
	loop_remove(loop_fd, &spare->life);
	loop_remove(loop_fd, &spare->log_pipe);
	move_process(child, spare);
	if (watch_child(child) == 0)
		return 0;
	/* No room in the loop: whom nobody watches may not live. */
	forget_birth(child);
	return -ENOSPC;
}

int child_wait_exec(struct child *child, char why[VM_WHY_MAX])
{
	int ret = birth_wait_exec(&child->birth, BIRTH_MS);

	if (!ret)
		return 0;
	snprintf(why, VM_WHY_MAX, "%s: cannot be started: %s", child->name,
		 child->birth.why);
	/* It is dead and reaped already. */
	bury(child, NULL);
	return ret;
}

/* --- farewell --------------------------------------------------------------------- */

void child_stop(struct child *child)
{
	if (child->state != CHILD_BORN && child->state != CHILD_READY)
		return;
	set_state(child, CHILD_STOPPING);
	/* Who does not hear it meets the deadline. */
	life_send(child->life_fd, LIFE_STOP, NULL, NULL, 0, 0);
}

void child_kill(struct child *child)
{
	if (!child_alive(child))
		return;
	if (child->state != CHILD_STOPPING)
		set_state(child, CHILD_STOPPING);
	child->killed_by_us = true;
	birth_kill(&child->birth);
}

void child_interrupt(struct child *child)
{
	if (child->state == CHILD_READY)
		birth_interrupt(&child->birth);
}

void child_fini(struct child *child)
{
	if (child_alive(child))
		forget_birth(child);
	/* A spare writes to the page of its device's process. */
	if (!child->spare)
		close_fd(&child->stats_fd);
}
