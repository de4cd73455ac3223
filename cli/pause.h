/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A paused VM (C7): a device with on_crash = pause has died, no vCPU runs, and
 * all other processes are as they were.  In the supervisor.
 */
#ifndef CLI_PAUSE_H
#define CLI_PAUSE_H

struct device;
struct vm;

/* dev has died, and is REBIRTH_AWAITED: the guest stands still. */
void pause_begin(struct device *dev);

/* A device serves again: the guest goes on, if none is awaited any more. */
void pause_end(struct vm *vm);

#endif
