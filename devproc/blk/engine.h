/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues <-> requests: taking what guests ask for, telling them what is done,
 * and when to look and when to sleep.  bulkhead-blk, D2, D3 and D5.
 */
#ifndef DEVPROC_BLK_ENGINE_H
#define DEVPROC_BLK_ENGINE_H

#include "devproc/blk/blk.h"

/*
 * Before confinement.  poll_us: to wait awake at a time, 0: never; batch: be
 * SCHED_BATCH where that serves more (batch.h).
 */
void engine_init(uint32_t poll_us, bool batch);

/* The request ends; the guest is told at the end of the round. */
void engine_complete(struct blk_request *req, uint8_t status);

/* struct vhost_ops */
void engine_kick(unsigned int index, struct vring *vring);
void engine_queue_stop(unsigned int index, struct vring *vring);
bool engine_round_end(void);

#endif
