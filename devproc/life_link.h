/* SPDX-License-Identifier: Apache-2.0 */
/* LIFE_FD, the device's side; for device.c only. */
#ifndef DEVPROC_LIFE_LINK_H
#define DEVPROC_LIFE_LINK_H

#include "devproc/device.h"

/*
 * Receive LIFE_BIRTH, the first message of all, for this role.  Blocks, with
 * a deadline; ends the process with one line if it does not come.
 */
void life_link_birth(const struct device_ops *ops, struct life_birth *birth);

/*
 * A spare's wait: say READY, return once it is to serve.  Ends the process if
 * the supervisor has no more use for it.
 */
void life_link_adoption(void);

/* Serve LIFE_FD in the loop and say READY, if that was not said.  Return: 0 or -errno. */
int life_link_start(const struct device_ops *ops);

/* One message, or last words.  No-op without supervisor. */
void life_link_tell(enum life_type type, const void *payload);
void life_link_failed(const char *text);

#endif
