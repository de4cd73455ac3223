/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that keeps a disk busy, see storm.h. */
#include "tests/wire/storm.h"

#include <check.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_SECTORS	2048u	/* the first MiB, where requests meet */

static void submit(struct storm *storm, struct front_blk *blk)
{
	uint64_t sector = (uint64_t)rand_r(&storm->seed) %
			  ((storm->disk_bytes - STORM_ROOM) / 512);
	uint32_t len = 512u * (1 + (uint32_t)rand_r(&storm->seed) %
			       (STORM_ROOM / 512));
	uint32_t type = VIRTIO_BLK_T_OUT;
	int what = rand_r(&storm->seed) % 64;
	struct virtio_blk_discard_write_zeroes *range =
		front_blk_data(storm->front, blk);

	if (rand_r(&storm->seed) % 2)
		sector %= BUSY_SECTORS;
	memset(range, rand_r(&storm->seed), STORM_ROOM);
	if (what == 0) {
		type = VIRTIO_BLK_T_FLUSH;
		len = 0;
	} else if (what <= 8) {
		*range = (struct virtio_blk_discard_write_zeroes){
			.sector = sector, .num_sectors = len / 512,
		};
		type = what <= 4 ? VIRTIO_BLK_T_DISCARD :
				   VIRTIO_BLK_T_WRITE_ZEROES;
		len = sizeof(*range);
		sector = 0;
	} else if (what <= 12) {
		type = VIRTIO_BLK_T_IN;
	}
	ck_assert_int_eq(front_blk_submit(storm->queue, blk, type, sector,
					  len), 0);
}

void storm_begin(struct storm *storm)
{
	for (unsigned int i = 0; i < STORM_DEPTH; i++)
		submit(storm, &storm->blk[i]);
	front_kick(storm->queue);
}

bool storm_take(struct storm *storm, bool again)
{
	bool any = false;
	void *cookie;

	while (front_take(storm->queue, &cookie, NULL)) {
		ck_assert_int_eq(front_blk_status(storm->front, cookie),
				 VIRTIO_BLK_S_OK);
		if (again)
			submit(storm, cookie);
		any = true;
	}
	if (any)
		front_kick(storm->queue);
	return any;
}

void storm_on(struct storm *storm, unsigned int ms)
{
	for (unsigned int i = 0; i < ms; i++) {
		storm_take(storm, true);
		usleep(1000);
	}
}

uint32_t storm_until_moved(struct storm *storm, struct child *child)
{
	struct life_msg msg;
	int got = -EAGAIN;

	while (got == -EAGAIN || got == -ETIMEDOUT) {
		int wait_ms = storm_take(storm, true) ? 0 : 1;

		got = life_recv(child->life, LIFE_SIDE_SUPERVISOR, &msg,
				wait_ms);
	}
	ck_assert_int_eq(got, 1);
	ck_assert_int_eq(msg.type, LIFE_BLK_MOVED);
	return msg.u.blk_moved.err;
}
