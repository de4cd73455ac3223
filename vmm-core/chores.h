/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may block for as long as a foreign back-end likes, done by a thread of
 * the core that nobody waits for (C6, C7).  Two things can:
 *
 *  - close(2) of an fd that it sent: a file of its own file system, a socket
 *    that lingers; also of the link, as what it sent may be in there;
 *  - write(2) to an eventfd that it holds too: it may have filled it, and
 *    taken away O_NONBLOCK, which belongs to both.
 *
 * None of Bulkhead's own devices has the system calls for either.
 */
#ifndef VMM_CORE_CHORES_H
#define VMM_CORE_CHORES_H

#include "ipc/inherit.h"

#define CHORES_MAX_WAKES 256	/* waiting; one more is left undone */
/* No close is: an fd that stays open is one less for all devices. */
#define CHORES_MAX	(CHORES_MAX_WAKES + INHERIT_CORE_FILES)

/*
 * Start the thread, "chores"; it is there on return.  Before confine_calls().
 * Return: 0 or -errno.
 */
int chores_start(void);

/* Close fd, soon. */
void chores_close(int fd);

/* Add 1 to an eventfd, soon; not at all if too much is waiting. */
void chores_wake(int event_fd);

#endif
