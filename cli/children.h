/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes: birth from what the device keeps, farewell, burial (C3, C7).
 * The states and what may follow what are the table in children.c.
 */
#ifndef CLI_CHILDREN_H
#define CLI_CHILDREN_H

#include "cli/supervisor.h"

/* Make child ready to be spawned: no fds, no process. */
void child_init(struct child *child, struct vm *vm, enum life_role role,
		const char *name, unsigned int index);

/*
 * Start a process for child and send it its first message; link_fd is its
 * end of the link to the core, or -1, and stays the caller's.
 * Children begun together are born in parallel; child_wait_exec() follows.
 * Return: 0, or -errno with a line in why and nothing left behind.
 */
int child_spawn(struct child *child, int link_fd, char why[VM_WHY_MAX]);

/* Its first message, as it would be sent now. */
void child_describe(const struct child *child, struct life_birth *birth);

/*
 * The process of spare, which is READY, becomes child's, which has none.
 * Return: 0; -errno, and then neither has one.
 */
int child_take_over(struct child *child, struct child *spare);

/* Return: 0, or -errno with a line in why; the child is buried then. */
int child_wait_exec(struct child *child, char why[VM_WHY_MAX]);

/* Ask it to finish. */
void child_stop(struct child *child);

/* SIGKILL. */
void child_kill(struct child *child);

/* Its threads leave whatever they wait in, the guest too, and go on. */
void child_interrupt(struct child *child);

/* Whether there is a process. */
bool child_alive(const struct child *child);

/* Whether its process ended, or does within timeout_ms; not yet buried. */
bool child_is_dead(const struct child *child, int timeout_ms);

/* Bury and report it, after all that it still had to say. */
void child_take_death(struct child *child);

/* Drop fds and pages that outlive processes: the end of the VM. */
void child_fini(struct child *child);

const char *child_state_name(enum child_state state);
const char *role_name(enum life_role role);

/* READY has come.  Return: 0, -EPROTO it was not due. */
int child_set_ready(struct child *child);

/* child_log.c: read what its pipe holds; final: also an unfinished line. */
void child_log_read(struct child *child, bool final);
void child_log_ready(struct watch *watch, uint32_t epoll_events);

#endif
