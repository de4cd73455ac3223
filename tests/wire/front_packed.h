/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a packed virtqueue (virtio 1.2, 2.8), for tests: what
 * front_ring.c does if front_queue.packed, and front.c at a queue's birth.
 */
#ifndef TESTS_WIRE_FRONT_PACKED_H
#define TESTS_WIRE_FRONT_PACKED_H

#include "tests/wire/front.h"

/* VRING_BASE of a ring that nobody has used yet: both wrap counters are 1. */
#define FRONT_PACKED_FRESH	0x80008000u

/* Rings are zero, and mapped; the driver has nothing in them. */
void front_packed_init(struct front_queue *queue);

/*
 * As front_add(), front_show(), front_kick() and front_take().  Chains go through a table
 * where front_queue.indirect says so.
 */
int front_packed_add(struct front_queue *queue, const struct front_buf *out,
		     unsigned int nr_out, const struct front_buf *in,
		     unsigned int nr_in, void *cookie);
void front_packed_show(struct front_queue *queue);
void front_packed_kick(struct front_queue *queue);
bool front_packed_take(struct front_queue *queue, void **cookie,
		       uint32_t *written);

#endif
