/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COM1 (ports 0x3f8-0x3ff, GSI 4) answered by a serial device process over
 * the register channel (ipc/regchan.h).  A process that does not answer
 * within its deadline leaves the ports reading as an empty bus.
 */
#ifndef VMM_CORE_SERIAL_LINK_H
#define VMM_CORE_SERIAL_LINK_H

/* Make the eventfd of its interrupt; before the last narrowing. */
int serial_link_prepare(void);

/* Takes link_fd.  Main thread, before the vCPUs run.  Return: 0 or -errno. */
int serial_link_add(unsigned int device_index, int link_fd);

/* The link, for the main loop to watch for EPOLLRDHUP; -1 if there is none. */
int serial_link_fd(void);

/*
 * The device process has closed the link: report it once, and leave an empty
 * bus behind.  Main thread.
 */
void serial_link_hangup(void);

#endif
