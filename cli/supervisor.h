/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor of one VM knows: the VM, its devices, and the process
 * that each of them has at the moment.  Private to `bulkhead run`.
 *
 * A device (struct device) outlives its process (struct child): it keeps the
 * open resource, the statistics and in-flight pages and the way to make a new
 * link, so that child_spawn() can be called for it any number of times.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "cli/config.h"
#include "cli/event_log.h"
#include "cli/loop.h"
#include "cli/move.h"
#include "cli/rebirth.h"
#include "cli/snapshot.h"
#include "cli/spare.h"
#include "ipc/fault.h"
#include "ipc/life.h"
#include "ipc/log.h"
#include "jail/birth.h"

#define VM_WHY_MAX	512	/* bytes of an error line, with the NUL */

/* Exit statuses of `bulkhead run`; docs/bulkhead.1 says the same. */
enum run_status {
	RUN_OK = 0,
	RUN_NOT_STARTED = 1,	/* a resource or a right is missing */
	RUN_USAGE = EXIT_USAGE,	/* command line or configuration */
	RUN_PANIC = 3,		/* on_panic = stop */
	RUN_VCPU_FAILED = 4,
	RUN_DEVICE_DIED = 5,
	RUN_CORE_DIED = 6,
	RUN_KILLED = 7,		/* kill, escape, or stop's deadline */
	RUN_SIGNAL = 128,	/* + signal, during start-up */
};

enum child_state {
	CHILD_UNBORN,		/* no process */
	CHILD_BORN,		/* cloned; READY is due */
	CHILD_READY,		/* jailed, able to serve */
	CHILD_STOPPING,		/* told to finish, or killed */
	CHILD_NR_STATES,
};

/* Lines of one child's log pipe, not trusted. */
struct child_log {
	char line[LOG_LINE_MAX];
	unsigned int len;
	struct log_limit limit;
	uint32_t dropped;
};

struct vm;

struct child {
	struct vm *vm;
	enum life_role role;
	const char *name;	/* "core", "vda" */
	unsigned int index;	/* core 0, device n: n + 1 */
	unsigned int uid_index;	/* of its uid: birth_uid() */
	bool spare;		/* it waits to take over, see spare.h */
	enum child_state state;
	struct birth_child birth;
	long long born_ms;
	pid_t last_pid;		/* of the process that it has or had */
	unsigned int births;
	bool killed_by_us;
	int cgroup_fd;		/* its leaf, for all its processes; -1: none */
	int stats_fd;		/* kept from process to process */
	int fault_fd;		/* the same; -1: none, the back-end is foreign */
	struct fault_page *faults;	/* its mapping; NULL: none */
	int life_fd;
	int log_fd;
	struct watch death;
	struct watch life;
	struct watch log_pipe;
	struct child_log log;
	struct log_limit events;	/* of the core */
	struct log_limit messages;	/* of all kinds, from it */
	char last_words[LIFE_TEXT_MAX];	/* LIFE_FAILED */
	uint64_t left_in_flight;	/* requests, when it died */
};

/* The host's end of a device: what its section names, open. */
struct host_end {
	int fd;			/* image; pty master; input of a terminal */
	int out_fd;		/* file; output of a terminal */
	int keep_fd;		/* the writer that keeps a
				 * silent input from ending */
	int listen_fd;		/* connect = socket: */
	int peer_fd;		/* its peer, kept for the next process */
	struct watch listener;
	struct watch peer;
	bool unlink_socket;
	/* What is behind the image, nearest first. */
	int backing_fd[CONFIG_MAX_BACKING];
	unsigned int nr_backing;
	uint16_t raw_backing;	/* bit n: that one is raw, not qcow2 */
	int format;		/* of the image, enum life_blk_format */
	uint64_t size_bytes;	/* image */
	bool direct;		/* image opened with O_DIRECT */
	bool block_device;
	char where[256];	/* for ps: path, or the pty's slave */
};

struct device {
	const struct config_device *cfg;
	struct host_end end;
	uint32_t nr_queues;
	int inflight_fd;	/* -1: none */
	struct rebirth rebirth;
	struct move move;	/* of a disk */
	struct snapshot snapshot;	/* the same */
	bool held;		/* of a disk: after an error, until a resume */
	bool grown;		/* of a disk: the guest is to hear of it */
	int throttle_fd;	/* of a disk of ours; -1: none */
	struct throttle_settings throttle;	/* of a disk: in force */
	struct child child;	/* unborn for ever if the back-end is foreign */
	struct spare spare;
	struct child waiting;	/* the spare's process */
};

enum vm_state {
	VM_STARTING,		/* births, READY of each */
	VM_RUNNING,
	VM_STOPPING,		/* power button pressed, deadline running */
	VM_ENDING,		/* children finish, or are being killed */
	VM_OVER,		/* no child left */
	VM_NR_STATES,
};

/* The terminal that this process was started from, if a device has it. */
struct terminal {
	int fd;			/* own open description; -1: none */
	bool raw;
	struct termios saved;
};

struct control;	/* control.c */
struct cgroup;	/* cgroup.c */

struct vm {
	const struct config *cfg;
	enum log_level log_level;
	enum vm_state state;
	int status;		/* enum run_status, once ENDING */
	bool reboot;		/* ENDING leads to STARTING again */
	bool killed;		/* ENDING by force */
	bool paused;		/* RUNNING, but no vCPU does: pause.h */
	long long deadline_ms;	/* of the present state; 0: none */
	long long started_ms;	/* the supervisor; for ps */
	long long booted_ms;	/* this life of the guest */
	bool own_ids;		/* each child can have its own uid */
	long long beat_due_ms;	/* next heartbeat of the devices */
	int loop_fd;
	int signal_fd;
	struct watch signals;
	int lock_fd;
	int kvm_fd;
	int kernel_fd;
	int initrd_fd;
	int ram_fd;
	int exe_fd[LIFE_ROLE_RNG + 1];	/* by role; -1: not needed */
	struct terminal terminal;
	struct control *control;
	struct cgroup *cgroup;	/* NULL: none is wanted */
	struct event_log events;
	struct child core;
	struct device device[LIFE_MAX_DEVICES];
	uint64_t fault_seed;	/* of rules to come */
	uint64_t nr_fault_seeds;	/* taken from it so far */
	uint32_t last_fault_id;
	unsigned int nr_devices;
};

/* --- supervisor.c: the life of a VM ---------------------------------------- */

/*
 * Run the VM to its end.  Signals are taken over; everything that was made
 * is gone on return.  Return: exit status, enum run_status.
 */
int supervisor_run(const struct config *cfg, enum log_level log_level);

/* Press the power button; at the deadline, kill.  timeout_ms 0: at once. */
void vm_stop(struct vm *vm, uint32_t timeout_ms, const char *why);

/* Tell all children to finish.  The first status given counts. */
void vm_end(struct vm *vm, int status);

/* Kill all children.  As vm_end(), without waiting for them to finish. */
void vm_kill(struct vm *vm, int status, const char *why);

/*
 * A child is READY: when it was the last, the guest starts; a reborn one is
 * given to the core.
 */
void vm_child_ready(struct child *child);

/* The core says that its vCPUs run. */
void vm_guest_started(struct vm *vm);

/* A child is gone: report it, and end what ends with it. */
void vm_child_died(struct child *child, const char *how, const siginfo_t *info);

const char *vm_state_name(const struct vm *vm);

/* Visit core, then every device that has a process of its own, and its spare. */
struct child *vm_next_child(struct vm *vm, struct child *after);

struct device *device_of(const struct child *child);	/* NULL for the core */

/* The disk that dev is a further process of; dev itself, if it is none. */
struct device *disk_of(const struct device *dev);

/* --- events.c: what children say -------------------------------------------- */

void events_take(struct watch *life, uint32_t epoll_events);

#endif
