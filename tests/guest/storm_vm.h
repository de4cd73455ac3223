/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole VM for tests and benchmarks of rebirth: `bulkhead run` with the
 * guest blk_storm, a disk and a serial port on a socket.  The devices'
 * statistics pages are read through the supervisor's fds.
 */
#ifndef TESTS_GUEST_STORM_VM_H
#define TESTS_GUEST_STORM_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/pages.h"
#include "tests/tap.h"

#define STORM_TIMEOUT_MS	20000

/* What the guest says at its end. */
struct storm_result {
	uint64_t done;		/* requests that ended */
	uint64_t bad;		/* with an error, or the wrong data */
	uint64_t strange;	/* twice, or never asked for */
	uint64_t lost;		/* not at all */
};

struct storm_vm {
	pid_t supervisor;
	int com1;		/* connected socket */
	char dir[64];		/* scratch folder */
	/* Of the process that serves the queue; NULL before storm_vm_start() */
	volatile struct stats_page *blk;
	unsigned int queue;	/* which the guest drives */
	const char *comm;	/* of that process: "blk-vda" */
};

/* more: lines for [vm], "" for none.  Ends the program if it cannot be. */
void storm_vm_start(struct storm_vm *vm, const char *more);
/* The same, with lines for the disk. */
void storm_vm_start_with(struct storm_vm *vm, const char *more,
			 const char *disk_more);

/* Its process, no spare, whose name (comm) is that, "blk-vda"; 0: none now. */
pid_t storm_vm_process(const struct storm_vm *vm, const char *comm);

/* The same, waited for; ends the program if it does not come. */
pid_t storm_vm_wait_for(const struct storm_vm *vm, const char *comm);

/*
 * signal to the disk's process, when there is one.  Return: microseconds
 * until its successor has completed a request, or -1 after STORM_TIMEOUT_MS.
 */
long long storm_vm_strike(struct storm_vm *vm, int signal);

/* Does the disk complete requests?  Waits at most STORM_TIMEOUT_MS. */
bool storm_vm_moves(const struct storm_vm *vm);

/* `bulkhead device VM VERB DEVICE`.  Return: did it end with status 0? */
bool storm_vm_device(const struct storm_vm *vm, const char *verb,
		     const char *device);

/* Is text in the supervisor's log?  Waits at most timeout_ms for it. */
bool storm_vm_says(const struct storm_vm *vm, const char *text,
		   int timeout_ms);

/*
 * Ask the guest for its end.  Return: exit status of `bulkhead run`, or -1
 * if it did not come to that.
 */
int storm_vm_finish(struct storm_vm *vm, struct storm_result *result);

/* Kill what is left, remove the folder; log and serial text as comments. */
void storm_vm_drop(struct storm_vm *vm, bool show);

#endif
