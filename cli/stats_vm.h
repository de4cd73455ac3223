/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running VM as `bulkhead stats`, `top` and `walk` see it: who its
 * processes are by the control socket, what they count by their pages.
 */
#ifndef CLI_STATS_VM_H
#define CLI_STATS_VM_H

#include <jansson.h>
#include <sys/types.h>

#include "cli/client.h"
#include "cli/stats_page.h"
#include "ipc/life.h"

/* Supervisor, core, devices. */
#define STATS_MAX_PROCESSES	(LIFE_MAX_DEVICES + 2)
#define STATS_OWNER_FIRST	2	/* place of device 0 among them */

struct stats_process {
	char name[32];		/* "supervisor", "core", "vda" */
	char role[16];
	char state[16];
	pid_t pid;		/* 0: none, or not ours */
	unsigned int births;
	bool asked;		/* for its page */
	struct stats_map map;	/* none: supervisor, foreign back-end */
};

struct stats_vm {
	char name[LIFE_VM_NAME_MAX];
	struct client_conn conn;
	json_t *status;		/* the last one; owned */
	unsigned int nr_processes;
	struct stats_process process[STATS_MAX_PROCESSES];
};

/*
 * Connect and take stock.
 * Return: 0 or -errno with a line in why; -ENOENT no such VM runs.
 */
int stats_vm_open(struct stats_vm *vm, const char *name,
		  char why[CLIENT_WHY_MAX]);
void stats_vm_close(struct stats_vm *vm);

/*
 * Take stock again, and let the core bring KVM's counters up to date; waits
 * for that for some milliseconds.  Return: as stats_vm_open().
 */
int stats_vm_refresh(struct stats_vm *vm, char why[CLIENT_WHY_MAX]);
/* The same without the wait: for who has many to ask. */
int stats_vm_ask(struct stats_vm *vm, char why[CLIENT_WHY_MAX]);

/* Of that name; NULL: there is none. */
struct stats_process *stats_vm_find(struct stats_vm *vm, const char *name);

/* "vda", "pci", "acpi", "nobody": who answered an exit. */
const char *stats_owner_name(const struct stats_vm *vm, unsigned int owner);

#endif
