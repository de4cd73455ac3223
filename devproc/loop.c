/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one loop of a device process, see loop.h.  Every device process, D2.
 *
 * The epoll set carries a pointer to the caller's source.  A handler may
 * remove another source whose event was fetched in the same round; such
 * events are struck out of the batch, so no handler sees a stale one.
 */
#include "devproc/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "devproc/stats.h"
#include "ipc/inherit.h"
#include "ipc/kernel_calls.h"
#include "ipc/log.h"

#define LOOP_BATCH	32	/* events fetched by one epoll_pwait(2) */
#define HOOK_REPEATS	8	/* before the fds get their turn again */

static struct {
	struct epoll_event batch[LOOP_BATCH];
	int nr_fetched;		/* valid entries of batch in this round */
	bool (*round_hook)(void);
	int sleep_ms;		/* of the next epoll_pwait(2); -1: no limit */
	bool quit;
	int status;
} loop = { .sleep_ms = -1 };

int loop_init(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fd == EPOLL_FD)
		return 0;
	if (dup3(fd, EPOLL_FD, O_CLOEXEC) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	close(fd);
	return 0;
}

static int loop_control(int op, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(EPOLL_FD, op, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop_source *source, int fd, uint32_t events)
{
	int ret;

	source->fd = fd;
	ret = loop_control(EPOLL_CTL_ADD, source, events);
	if (ret)
		source->fd = -1;
	return ret;
}

int loop_modify(struct loop_source *source, uint32_t events)
{
	return loop_control(EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop_source *source)
{
	if (source->fd < 0)
		return;
	/* The kernel drops closed fds by itself; ours is still open. */
	if (loop_control(EPOLL_CTL_DEL, source, 0))
		log_warn("loop: fd %d was not in the set", source->fd);
	source->fd = -1;
	for (int i = 0; i < loop.nr_fetched; i++)
		if (loop.batch[i].data.ptr == source)
			loop.batch[i].data.ptr = NULL;
}

void loop_set_round_hook(bool (*hook)(void))
{
	loop.round_hook = hook;
}

void loop_sleep_at_most(int ms)
{
	if (loop.sleep_ms < 0 || ms < loop.sleep_ms)
		loop.sleep_ms = ms;
}

void loop_quit(int status)
{
	/* The first reason to end is the one that is told. */
	if (!loop.quit)
		loop.status = status;
	loop.quit = true;
}

static void loop_dispatch(void)
{
	for (int i = 0; i < loop.nr_fetched; i++) {
		struct loop_source *source = loop.batch[i].data.ptr;

		if (source)
			source->handle(source, loop.batch[i].events);
	}
	loop.nr_fetched = 0;
}

/* Return: true, the hook has more to do but the fds' turn has come. */
static bool loop_end_round(void)
{
	for (int i = 0; i < HOOK_REPEATS; i++)
		if (!loop.round_hook || !loop.round_hook() || loop.quit)
			return false;
	return true;
}

int loop_run(void)
{
	while (!loop.quit) {
		bool more = loop_end_round();
		int nr;

		if (loop.quit)
			break;
		/* More to do: look at the fds, but do not sleep. */
		nr = kernel_epoll_wait(EPOLL_FD, loop.batch, LOOP_BATCH,
				       more ? 0 : loop.sleep_ms);
		loop.sleep_ms = -1;
		stats_batch_end();
		if (nr < 0 && errno != EINTR) {
			log_perr(errno, "loop: epoll_pwait");
			return 1;
		}
		/*
		 * EINTR is a round like any other: it is how io_uring wakes
		 * a sleeping thread to post completions (task work).
		 */
		loop.nr_fetched = nr < 0 ? 0 : nr;
		loop_dispatch();
	}
	return loop.status;
}
