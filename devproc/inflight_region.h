/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight region as a whole: one memfd, one part per queue
 * (vhost-user.rst, "Inflight I/O tracking").  What the parts mean is
 * inflight.h.
 */
#ifndef DEVPROC_INFLIGHT_REGION_H
#define DEVPROC_INFLIGHT_REGION_H

#include <stdint.h>

#include "ipc/vhost_user.h"

/*
 * Make the memfd that GET_INFLIGHT_FD may hand out, large enough for any
 * front-end of nr_queues.  Before confinement.  Return: 0 or -errno.
 */
int inflight_region_open(unsigned int nr_queues);

/*
 * vhost-user: GET_INFLIGHT_FD.  A fresh region; wanted gives queues and
 * size, and is completed.  *fd stays this module's.
 * Return: 0; -EINVAL more than this device has; -errno of mmap(2).
 */
int inflight_region_get(struct vhost_user_inflight *wanted,
			unsigned int max_queues, int *fd);

/*
 * vhost-user: SET_INFLIGHT_FD.  Closes fd.
 * Return: 0; -EINVAL sizes that do not fit each other; -errno of mmap(2).
 */
int inflight_region_set(const struct vhost_user_inflight *peer,
			unsigned int max_queues, int fd);

/* A queue's part and its descriptors; NULL: no region, or not for it. */
void *inflight_region_queue(unsigned int index, uint16_t *size);

/* Forget the region.  No queue may be attached. */
void inflight_region_drop(void);

#endif
