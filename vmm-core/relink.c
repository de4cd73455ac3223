/* SPDX-License-Identifier: Apache-2.0 */
/* New links between the threads of the core (C7), see relink.h. */
#include "vmm-core/relink.h"

#include <poll.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"
#include "vmm-core/msix.h"

void relink_init(struct relink_box *box, int bell_fd)
{
	pthread_mutex_init(&box->lock, NULL);
	box->bell_fd = bell_fd;
	box->full = false;
}

void relink_post(struct relink_box *box, const struct relink *relink)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&box->lock);
	fdmsg_close_all(&box->newest.fd, box->full && box->newest.fd >= 0);
	box->newest = *relink;
	box->full = true;
	pthread_mutex_unlock(&box->lock);
	if (box->bell_fd >= 0 &&
	    write(box->bell_fd, &one, sizeof(one)) != sizeof(one))
		log_warn("a new link is not heard of at once");
}

static bool take(struct relink_box *box, struct relink *relink)
{
	bool full = box->full;

	if (full)
		*relink = box->newest;
	box->full = false;
	return full;
}

bool relink_take(struct relink_box *box, struct relink *relink)
{
	bool taken;

	pthread_mutex_lock(&box->lock);
	taken = take(box, relink);
	pthread_mutex_unlock(&box->lock);
	return taken;
}

/*
 * At an eventfd, not at a condition: a futex with a deadline goes on after a
 * stop by way of restart_syscall, which is in no policy.
 */
bool relink_wait(struct relink_box *box, struct relink *relink,
		 long long deadline_ms)
{
	struct pollfd bell = { .fd = box->bell_fd, .events = POLLIN };
	long long left_ms;

	for (;;) {
		struct timespec left;

		if (relink_take(box, relink))
			return true;
		left_ms = deadline_ms - fdmsg_now_ms();
		if (left_ms <= 0)
			return false;
		left.tv_sec = left_ms / 1000;
		left.tv_nsec = left_ms % 1000 * 1000000;
		if (ppoll(&bell, 1, &left, NULL) > 0)
			(void)msix_drain(box->bell_fd);
	}
}
