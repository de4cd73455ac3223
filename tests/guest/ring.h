/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: requests through the disk's queue, whichever form of ring it has
 * (virtio 1.2, 2.7 and 2.8): submitted under a number, and taken back in any
 * order.  The first RING_PIECES * n descriptors are number n's.
 */
#ifndef TESTS_GUEST_RING_H
#define TESTS_GUEST_RING_H

#include "tests/guest/virtio.h"

#define RING_PIECES	3u	/* of a request, at most */
#define RING_NUMBERS	32u

struct ring_piece {
	uint64_t addr;
	uint32_t len;
	uint16_t device_writes;
};

/* The driver's start, with a queue that has room for RING_NUMBERS. */
void ring_start(int packed);

/* Shown to the device, which gets a kick.  number is below RING_NUMBERS. */
void ring_submit(uint32_t number, const struct ring_piece *pieces,
		 uint32_t nr);

/*
 * Return: 1, *number came back; 0 nothing did; -1 something that nobody has
 * submitted, or not since it came back last.
 */
int ring_take(uint32_t *number);

#endif
