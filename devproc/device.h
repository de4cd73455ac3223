/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a device process, the same for every device (C3-C7):
 *
 *	birth -> name -> open -> confine_self() -> start -> READY -> loop
 *
 * of a spare, which waits to take another one's place:
 *
 *	birth -> name -> open -> confine_self() -> READY -> ADOPT -> start -> loop
 *
 * A device's main.c is one call of device_main() with its ops.  Virtio
 * devices add struct vhost_ops (vhost_device.h) and call vhost_start() from
 * ops->start; the serial port puts its register channel in the loop there.
 */
#ifndef DEVPROC_DEVICE_H
#define DEVPROC_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "devproc/stats.h"
#include "ipc/inherit.h"
#include "ipc/life.h"
#include "ipc/log.h"
#include "ipc/pages.h"
#include "policy/policy.h"

struct device_ops {
	const char *role;		/* "blk": of argv[0], help, comm; short */
	enum life_role life_role;	/* LIFE_BIRTH must say the same */
	const struct policy *policy;

	/*
	 * Started by hand: NAME and VALUE of one --NAME=VALUE (VALUE "" if
	 * there is no "=").  Notes it in birth or in own statics.
	 * Return: 0; -ENOENT no such option; -EINVAL bad value.
	 */
	int (*option)(struct life_birth *birth, const char *name,
		      const char *value);
	/*
	 * Started by hand, after the options: open what they name, put it at
	 * RES_FD (RES2_FD), complete birth.  Logs why it failed.
	 */
	int (*acquire)(struct life_birth *birth);
	const char *help;		/* lines for --help, "" if none */
	const char *capabilities;	/* JSON of --print-capabilities */

	/*
	 * Before confinement: what takes system calls that the policy does
	 * not have.  Nothing from guest, image or peer is looked at here, nor
	 * anything that may change before start(): a spare waits between.
	 */
	int (*open)(const struct life_birth *birth);
	/* After confinement: look at the resource, put LINK_FD in the loop. */
	int (*start)(const struct life_birth *birth);
	/* LIFE_STOP: finish what is in hand, then loop_quit(0). */
	void (*stop)(void);
	/* LIFE_ATTACH, fd is the device's from now on; NULL: refused. */
	void (*attach)(int fd);
	/*
	 * The loop ended in good order; may block.  Return: 0; -errno, then it has
	 * logged why, and the process ends with status 1.  NULL: nothing to do.
	 */
	int (*finish)(void);
	/*
	 * A message of the supervisor that is for this role only, without fds.
	 * Return: false, it is not.  NULL: there are none.
	 */
	bool (*order)(const struct life_msg *msg);
};

/* Context: main() of a device.  Returns only if the loop was never reached. */
int device_main(const struct device_ops *ops, int argc, char **argv);

/*
 * This process cannot go on: one line to the log, LIFE_FAILED with the same
 * text, loop_quit(1).  For broken peers and lost resources, never for what a
 * guest can do.  Handlers return after it; the loop ends with the round.
 */
void device_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Tell the supervisor something; payload: as the type says, NULL if none. */
void device_tell(enum life_type type, const void *payload);

/*
 * The peer on LINK_FD closed it: the VM, or the front-end, is over, and so is
 * this process, in good order (ops->stop).
 */
void device_link_closed(void);

/* This process's statistics; always there.  Written by this process only. */
extern struct stats_page *device_stats;

#endif
