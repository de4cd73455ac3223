/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays the supervisor for one core process: gives birth to it without a
 * jail, answers its COM1, collects its events, its log and what the guest
 * printed.  For tests and benchmarks; single-threaded.
 */
#ifndef TESTS_GUEST_HARNESS_H
#define TESTS_GUEST_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/life.h"
#include "ipc/pages.h"
#include "tests/tap.h"

#define VM_TEXT_MAX	65536	/* bytes kept of serial output, and of the log */
#define VM_MAX_EVENTS	64

/* How the harness answers reads of COM1. */
enum vm_serial {
	VM_SERIAL_GOOD,
	VM_SERIAL_MUTE,		/* not at all */
	VM_SERIAL_LIAR,		/* with the answer to a question to come */
};

/* A back-end that the test has connected: its end for the core. */
struct vm_device {
	enum life_role role;
	const char *name;
	unsigned int nr_queues;
	int link_fd;		/* taken by vm_start() */
};

struct vm_options {
	const char *kernel;	/* path; required */
	const char *initrd;	/* path, or NULL */
	const char *cmdline;	/* NULL: empty */
	uint64_t ram_bytes;	/* 0: 32 MiB */
	unsigned int nr_vcpus;	/* 0: 1 */
	bool no_serial;
	enum vm_serial serial;
	bool echo;		/* serial output and log to stdout, as comments */
	const struct fault_rule *faults;	/* of the core, from the start */
	unsigned int nr_faults;
	struct vm_device devices[LIFE_MAX_DEVICES - 1];
	unsigned int nr_devices;
};

struct vm {
	pid_t pid;		/* 0: reaped */
	int wait_status;	/* of waitpid(2), once reaped */
	int life_fd;
	int serial_fd;		/* harness's end of COM1's channel, or -1 */
	enum vm_serial serial_kind;
	int serial_irq_fd;	/* eventfd that raises GSI 4, or -1 */
	uint64_t serial_accesses;	/* of COM1, as the harness saw them */
	int log_fd;
	bool echo;
	struct stats_page *stats;
	struct fault_page *faults;	/* of the core */
	struct life_core_event events[VM_MAX_EVENTS];
	unsigned int nr_events;
	bool ready;
	uint64_t pong;		/* cookie of the last one */
	char failed[LIFE_TEXT_MAX];	/* LIFE_FAILED, or empty */
	char serial[VM_TEXT_MAX];
	unsigned int serial_len;
	char log[VM_TEXT_MAX];
	unsigned int log_len;
};

/*
 * Start the core of $BULKHEAD_BUILD (default "build") with all that it needs
 * to run the guest.  A failure of the harness itself ends the program.
 */
struct vm *vm_start(const struct vm_options *options);

/* NULL when it does not come within timeout_ms or the core ends before. */
const struct life_core_event *vm_wait_event(struct vm *vm,
					    enum life_core_event_kind kind,
					    int timeout_ms);
/* The guest prints text, anywhere since its start. */
bool vm_wait_text(struct vm *vm, const char *text, int timeout_ms);
/* Exit status, 128 + signal, or -1 if it is still alive after timeout_ms. */
int vm_wait_exit(struct vm *vm, int timeout_ms);

/* Send a message without payload or fds. */
void vm_send(struct vm *vm, enum life_type type);
/* Stopped for an instant: the vCPUs leave the guest.  Nothing if it ended. */
void vm_interrupt(struct vm *vm);
/* COM1's interrupt, one edge. */
void vm_serial_irq(struct vm *vm);

/* Kill what is left, reap, free. */
void vm_end(struct vm *vm);

/* What the VM said, as TAP comments, after a failure. */
void vm_show(const struct vm *vm);

/* Whether /dev/kvm can be opened; why not goes into *why. */
bool kvm_usable(const char **why);

/* $BULKHEAD_BUILD/name; in a buffer of its own that the next call reuses. */
const char *build_path(const char *name);

#endif
