/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's one loop: fds and what to do when they are ready.
 *
 * One event is taken per turn, so a handler may remove and free any watch.
 * Handlers never block longer than the deadline they give.
 */
#ifndef CLI_LOOP_H
#define CLI_LOOP_H

#include <stdint.h>

struct watch {
	int fd;			/* -1: not in a loop */
	void (*ready)(struct watch *watch, uint32_t epoll_events);
	void *owner;
};

#define WATCH_INIT	{ .fd = -1 }

/* Return: the loop's fd (owned), or -errno. */
int loop_open(void);

/* Add fd, which stays the caller's.  Return: 0 or -errno. */
int loop_add(int loop_fd, struct watch *watch, int fd, uint32_t epoll_events);

/* Take it out, if it is in; before its fd is closed. */
void loop_remove(int loop_fd, struct watch *watch);

/* Wait for one event, at most timeout_ms (-1: for ever), and handle it. */
int loop_turn(int loop_fd, int timeout_ms);

#endif
