/* SPDX-License-Identifier: Apache-2.0 */
/* Signals as events of the supervisor's loop. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include "cli/supervisor.h"

/*
 * Block SIGINT, SIGTERM, SIGHUP, SIGQUIT and read them in the loop: the first
 * stops the VM, the second kills it.  Return: 0 or -errno.
 */
int signals_take(struct vm *vm);

void signals_give_back(struct vm *vm);

#endif
