/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's new link on its way from the main thread, which received it, to
 * whichever thread has the device (C7).  A box holds the newest one only: a
 * successor that died before anybody looked is no successor.
 *
 * Context: any thread of the core.
 */
#ifndef VMM_CORE_RELINK_H
#define VMM_CORE_RELINK_H

#include <pthread.h>
#include <stdbool.h>

struct relink {
	int fd;			/* the new link; -1: none will come */
	unsigned int link;	/* its number, as the supervisor counts */
	bool needs_reset;	/* the guest must reset before it serves */
};

struct relink_box {
	pthread_mutex_t lock;
	int bell_fd;
	bool full;		/* under lock, as the next */
	struct relink newest;
};

/*
 * Before the box is used.  bell_fd: an eventfd of the box's own, which somebody
 * may wait at; -1: nobody will.
 */
void relink_init(struct relink_box *box, int bell_fd);

/* Takes over relink->fd. */
void relink_post(struct relink_box *box, const struct relink *relink);

/* Return: true, *relink is the caller's; false: there is none. */
bool relink_take(struct relink_box *box, struct relink *relink);

/*
 * As relink_take(), but wait for one until deadline_ms (fdmsg_now_ms()).
 * Context: one thread at a time; the box has a bell.
 */
bool relink_wait(struct relink_box *box, struct relink *relink,
		 long long deadline_ms);

#endif
