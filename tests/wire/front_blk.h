/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio-blk driver on tests/wire/front.h: slots with header, data and
 * status, submitted and completed by polling.  For wire tests and benches.
 */
#ifndef TESTS_WIRE_FRONT_BLK_H
#define TESTS_WIRE_FRONT_BLK_H

#include "tests/wire/front.h"

/* One request in flight; owned by the caller, not moved meanwhile. */
struct front_blk {
	uint64_t header_gpa;	/* 16 bytes */
	uint64_t status_gpa;	/* 1 byte */
	uint64_t data_gpa;	/* data_room bytes */
	uint32_t data_room;
	uint32_t written;	/* what the device said it wrote */
	uint64_t user;		/* the caller's: a time stamp, say */
};

#define FRONT_BLK_PENDING	0xee	/* status before the device's */

/* data: 4096-aligned, shifted by skew bytes. */
void front_blk_init(struct front *front, struct front_blk *blk,
		    uint32_t data_room, uint32_t skew);

/*
 * Add a request; front_kick() shows it.  len bytes of data, out of the guest
 * for writes and ranges, into it for IN and GET_ID.
 * Return: 0 or -ENOSPC.
 */
int front_blk_submit(struct front_queue *queue, struct front_blk *blk,
		     uint32_t type, uint64_t sector, uint32_t len);

uint8_t front_blk_status(struct front *front, const struct front_blk *blk);

static inline void *front_blk_data(struct front *front,
				   const struct front_blk *blk)
{
	return front_ptr(front, blk->data_gpa);
}

/* Submit, kick, wait.  Return: the status byte. */
uint8_t front_blk_do(struct front_queue *queue, struct front_blk *blk,
		     uint32_t type, uint64_t sector, uint32_t len);

/*
 * Keep depth requests going (blks[0 .. depth - 1]) until next() says false
 * and all are done.  next(): fill type, sector and len for blk.  done(): may
 * be NULL.  Polls; never sleeps.
 */
struct front_blk_job {
	bool (*next)(void *ctx, struct front_blk *blk, uint32_t *type,
		     uint64_t *sector, uint32_t *len);
	void (*done)(void *ctx, struct front_blk *blk, uint8_t status);
	void *ctx;
};

void front_blk_run(struct front_queue *queue, struct front_blk *blks,
		   unsigned int depth, const struct front_blk_job *job);

#endif
