/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device process under test, born as the supervisor bears it: fds of
 * ipc/inherit.h, LIFE_BIRTH, confined by itself.  No namespaces: those are
 * the jail tests'.  Every function fails the test if it does not succeed.
 */
#ifndef TESTS_WIRE_CHILD_H
#define TESTS_WIRE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "ipc/fault.h"
#include "ipc/life.h"
#include "ipc/pages.h"

#define CHILD_TIMEOUT_MS	5000

struct child {
	pid_t pid;
	int life;		/* the supervisor's end */
	int link;		/* the core's end */
	struct stats_page *stats;
	struct fault_page *faults;	/* the supervisor's mapping */
	int throttle_fd;	/* its page of ipc/throttle.h */
};

/* What a child is born with; res_fd and res2_fd are taken, -1: none. */
struct child_spec {
	const char *role;		/* $BULKHEAD_BUILD/bulkhead-ROLE */
	enum life_role life_role;
	enum life_chardev backend;
	const struct life_birth_blk *blk;	/* role blk, in place of backend */
	int link_type;			/* SOCK_STREAM or SOCK_SEQPACKET */
	int res_fd;
	int res2_fd;
	const struct child *group;	/* the throttle page is that one's; or NULL */
	const int *extra_fd;	/* at EXTRA_FD, stays the caller's; NULL: none */
	const int *extra_fds;	/* nr_extra of them, taken too */
	unsigned int nr_extra;
};

/* Start it and wait for READY. */
void child_start(struct child *child, const struct child_spec *spec);

/* Start it; it may refuse (LIFE_FAILED), and then has ended.  Return: READY. */
bool child_try(struct child *child, const struct child_spec *spec,
	       char why[LIFE_TEXT_MAX]);

/* Start it with a command line instead (NULL at its end), --fd=4 the link. */
void child_start_by_hand(struct child *child, const struct child_spec *spec,
			 const char *const *options);

void child_send(struct child *child, enum life_type type, int fd);
void child_expect(struct child *child, enum life_type type,
		  struct life_msg *msg);

/* Wait for LIFE_BLK_MOVED, 20 s at most.  Return: its errno, 0 for success. */
uint32_t child_wait_moved(struct child *child);

/* Wait for the end.  It must be this signal's. */
void child_wait_signal(struct child *child, int sig);

/* Wait for the end.  Return: exit status; a signal fails the test. */
int child_wait(struct child *child);

/* LIFE_STOP, and it must end with status 0. */
void child_stop(struct child *child);

/* Return once the device has seen all that was sent to it before. */
void child_synchronise(struct child *child);

/* LIFE_ATTACH of one end of a socket pair, seen.  Return: the other end. */
int child_attach(struct child *child);

/* An unlinked file to append to; *back reads it. */
int child_temporary(int *back);

/* A pipe, its read end for the test: both ends non-blocking. */
void child_pipe(int ends[2]);

#endif
