/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a serial port or console ends on the host: nothing, the terminal, a
 * pty, a file or a Unix socket (data path, D4).  One per process; runs in
 * bulkhead-serial and bulkhead-console, in the loop.
 *
 * Output passes a bounded buffer.  A host side that is there but slow makes
 * chardev_put_room() shrink to 0, and the device holds the guest back.  A
 * host side that is not there (no peer on the socket, nobody has the pty
 * open, the terminal hung up) loses the output: a guest never waits for
 * somebody to look at it.  So does one that fails, as a full disk does.
 *
 * All fds are non-blocking: the supervisor makes them so, as the policies
 * have no fcntl.  On a pty the supervisor makes the line raw.
 */
#ifndef DEVPROC_CHARDEV_H
#define DEVPROC_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/life.h"

#define CHARDEV_OUT_BYTES	65536	/* power of two */
#define CHARDEV_IN_BYTES	4096
#define CHARDEV_FINISH_MS	500	/* below 1000 */

/* Started by hand: device_ops.option, .acquire and lines for --help. */
int chardev_option(struct life_birth *birth, const char *name,
		   const char *value);
int chardev_acquire(struct life_birth *birth);
#define CHARDEV_HELP \
	"  --terminal            standard input and output\n" \
	"  --pty                 a new pty, its name on standard output\n" \
	"  --file=PATH           append output to PATH, no input\n" \
	"                        (without one of these: output is dropped)\n"

/* device_ops.open: before confinement.  Return: 0 or -errno. */
int chardev_open(const struct life_birth *birth);

/* device_ops.start: put the backend's fds in the loop.  0 or -errno. */
int chardev_start(const struct life_birth *birth);

/*
 * device_ops.attach: fd is the new peer of a socket backend, in place of the
 * one before.  Takes fd.
 */
void chardev_attach(int fd);

/* Bytes that chardev_put() takes now. */
size_t chardev_put_room(void);

/* Queue guest output; len <= chardev_put_room(). */
void chardev_put(const void *buf, size_t len);

/*
 * Write what is queued, as far as the host takes it without waiting.  Once
 * per loop round; an EPOLLOUT of the host side brings about a round.
 */
void chardev_flush(void);

/*
 * The device ends: write what is queued, waiting for the host at most
 * CHARDEV_FINISH_MS in all.
 */
void chardev_finish(void);

/* Bytes of host input that chardev_get() has at once; may read(2). */
size_t chardev_get_ready(void);

/*
 * Take at most max bytes of host input.  Return: how many, 0 for none there;
 * more input brings about a loop round.
 */
size_t chardev_get(void *buf, size_t max);

#endif
