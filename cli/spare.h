/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spares (C3, C7; [vm] spare = yes): for each device a second process that is
 * born, jailed and READY already, and waits to take the first one's place.
 * Part of struct device.
 */
#ifndef CLI_SPARE_H
#define CLI_SPARE_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "ipc/life.h"

struct device;
struct vm;

struct spare {
	long long due_ms;	/* of its birth, or of its READY; 0: nothing is */
	unsigned int nr_failed;	/* in a row */
	int core_fd;		/* the core's end of its link; -1 */
	/* What it was born with: a device that has changed needs another. */
	struct life_birth birth;
	dev_t image_dev;	/* and its image, if it is a disk */
	ino_t image_ino;
};

/* No process, nothing due. */
void spare_init(struct device *dev);

/* The guest runs: spares are born in a while, one after the other. */
void spare_begin(struct vm *vm);

/* The VM ends. */
void spare_end(struct vm *vm);

/*
 * Let the spare be the device's process, which is buried, with its link in
 * dev->rebirth.core_fd.  Return: false, there is none that is fit for it.
 */
bool spare_adopt(struct device *dev);

/* The program or the device is another one now: so must the spare be. */
void spare_renew(struct device *dev);

/* It said READY; it died.  how: as death_describe() says. */
void spare_ready(struct device *dev);
void spare_died(struct device *dev, const char *how);

/* Next thing to do, fdmsg_now_ms() scale; 0: none.  Do what is due. */
long long spare_due_ms(const struct vm *vm);
void spare_expire(struct vm *vm);

#endif
