/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's loop, see cli/loop.h (C7). */
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "cli/loop.h"

int loop_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int loop_add(int loop_fd, struct watch *watch, int fd, uint32_t epoll_events)
{
	struct epoll_event ev = { .events = epoll_events, .data.ptr = watch };

	if (epoll_ctl(loop_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	watch->fd = fd;
	return 0;
}

void loop_remove(int loop_fd, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	epoll_ctl(loop_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

int loop_turn(int loop_fd, int timeout_ms)
{
	struct epoll_event ev;
	struct watch *watch;
	int n = epoll_wait(loop_fd, &ev, 1, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return 0;
	watch = ev.data.ptr;
	watch->ready(watch, ev.events);
	return 0;
}
