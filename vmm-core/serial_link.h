/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COM1 (ports 0x3f8-0x3ff, GSI 4) answered by a serial device process over
 * the register channel (ipc/regchan.h).  An access that finds the process
 * dead waits for its successor, within a deadline; after it, and when there
 * is none, the ports read as an empty bus.
 */
#ifndef VMM_CORE_SERIAL_LINK_H
#define VMM_CORE_SERIAL_LINK_H

#include "vmm-core/relink.h"

/* Make the eventfd of its interrupt; before the last narrowing. */
int serial_link_prepare(void);

/* Takes link_fd.  Main thread, before the vCPUs run.  Return: 0 or -errno. */
int serial_link_add(unsigned int device_index, int link_fd);

/* The link, for the main loop to watch for EPOLLRDHUP; -1 if there is none. */
int serial_link_fd(void);

/* fd may be the link, and closed by its device process.  Main thread. */
void serial_link_dispatch(int fd);

/*
 * The process has a successor behind relink->fd, which the main loop watches
 * now, or will have none.  Takes the fd.  Main thread.
 */
void serial_link_relink(const struct relink *relink);

#endif
