/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real bulkhead-blk, confined, on a disk whose every sector says where it
 * is; with a guest that is this test.  One of each in a program; every
 * function fails the test if it does not succeed.
 */
#ifndef TESTS_WIRE_BLK_RIG_H
#define TESTS_WIRE_BLK_RIG_H

#include <linux/virtio_blk.h>

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define DISK_BYTES	(16u << 20)
#define SECTOR		512u

extern struct child child;
extern struct front front;
extern struct front_queue *queue;	/* of read_and_check(); front's first */
extern bool was_direct;	/* the last device had O_DIRECT */
extern int disk_fd;	/* of the image, which has no name */

extern const struct life_birth_blk usual;
/* The driver does not flush: the device does, after each write. */
extern const struct front_options no_flush;

/* The fixture: 64-bit words, each the number of its sector. */
void make_disk(void);
void remove_disk(void);

/* A device, with O_DIRECT if wanted and to be had. */
void bear(const struct life_birth_blk *wanted);
/* The same, and its rings; options NULL: the usual ones. */
void start_with(const struct life_birth_blk *blk,
		const struct front_options *options);
void start(void);

/* Through the device: every word is its sector's number. */
void read_and_check(struct front_blk *blk, uint64_t sector, uint32_t len);
/* Past it. */
void read_disk(void *buf, size_t len, off_t offset);

#endif
