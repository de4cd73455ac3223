/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one loop of a device process (D2): an epoll set at EPOLL_FD.
 *
 * Runs in every device process, on its only thread.  Handlers never block.
 * A round is: wait, call the handler of every ready fd, call the round hook.
 * The hook is where a device submits and completes what the handlers
 * gathered, in one batch.
 */
#ifndef DEVPROC_LOOP_H
#define DEVPROC_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Owned by the caller; must live, unmoved, until loop_remove(). */
struct loop_source {
	/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, ... as epoll_wait(2) gave them */
	void (*handle)(struct loop_source *source, uint32_t events);
	int fd;			/* -1: not in the loop */
	unsigned int index;	/* for the caller's use: which queue, say */
};

#define LOOP_SOURCE_INIT(fn) { .handle = (fn), .fd = -1 }

/* Make the epoll set at EPOLL_FD.  Before confine_self().  0 or -errno. */
int loop_init(void);

/*
 * Watch fd for events.  With EPOLLET a handler need not read(2) the fd: that
 * is how kick eventfds are used, each write(2) to them being an edge of its
 * own.  The fd stays the caller's.
 * Return: 0; -EPERM fd cannot be polled; another -errno of epoll_ctl(2).
 */
int loop_add(struct loop_source *source, int fd, uint32_t events);

/* Change what a source is watched for; 0: nothing but errors and hang-up. */
int loop_modify(struct loop_source *source, uint32_t events);

/*
 * Forget a source, before its fd is closed.  Its handler is not called any
 * more, not even for an event already fetched in this round.  No-op if the
 * source is not in the loop.
 */
void loop_remove(struct loop_source *source);

/*
 * Called at the end of every round; one hook per process.  Return true
 * to be called again before the loop sleeps (work was left over).
 */
void loop_set_round_hook(bool (*hook)(void));

/*
 * The next sleep, and only that one, takes at most ms, 0 or more; the round
 * hook says so again if it still needs it.
 */
void loop_sleep_at_most(int ms);

/* Run until loop_quit().  Return: the status given to it. */
int loop_run(void);

/* Leave loop_run() at the end of this round with an exit status. */
void loop_quit(int status);

#endif
