/* SPDX-License-Identifier: Apache-2.0 */
/* A device started by hand, or by QEMU's user; for device.c only. */
#ifndef DEVPROC_STANDALONE_H
#define DEVPROC_STANDALONE_H

#include "devproc/device.h"

/*
 * Read the command line (vhost-user.rst, "Backend program conventions"),
 * open what it names, and wait for a front-end: LINK_FD is connected, and
 * every other fd is where ipc/inherit.h says or closed.
 *
 * With --socket-path this returns in a child process, one per connection,
 * one at a time, each of which confines itself anew; the parent stays, and
 * accepts the next front-end when the child has ended.  With --fd it returns
 * in this process, which ends with the connection.
 *
 * Ends the process on --help and the like, and, with one line and status 2
 * or 1, on errors.
 */
void standalone_birth(const struct device_ops *ops, int argc, char **argv,
		      struct life_birth *birth);

#endif
