/* SPDX-License-Identifier: Apache-2.0 */
/* New links between the threads of the core (C7), see relink.h. */
#include "vmm-core/relink.h"

#include <errno.h>
#include <time.h>

#include "ipc/fdmsg.h"

void relink_init(struct relink_box *box)
{
	pthread_mutex_init(&box->lock, NULL);
	pthread_cond_init(&box->arrived, NULL);
	box->full = false;
}

void relink_post(struct relink_box *box, const struct relink *relink)
{
	pthread_mutex_lock(&box->lock);
	fdmsg_close_all(&box->newest.fd, box->full && box->newest.fd >= 0);
	box->newest = *relink;
	box->full = true;
	pthread_cond_signal(&box->arrived);
	pthread_mutex_unlock(&box->lock);
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

bool relink_wait(struct relink_box *box, struct relink *relink,
		 long long deadline_ms)
{
	const struct timespec until = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};
	bool taken;
	int err = 0;

	pthread_mutex_lock(&box->lock);
	while (!box->full && err != ETIMEDOUT)
		err = pthread_cond_clockwait(&box->arrived, &box->lock,
					     CLOCK_MONOTONIC, &until);
	taken = take(box, relink);
	pthread_mutex_unlock(&box->lock);
	return taken;
}
