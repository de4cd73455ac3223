/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that writes, reads, discards, zeroes and flushes a disk all the time. */
#ifndef TESTS_WIRE_STORM_H
#define TESTS_WIRE_STORM_H

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define STORM_DEPTH	16
#define STORM_ROOM	(32u << 10)	/* bytes of data, per request at most */

/* The caller's, who sets the first four; no request may fail. */
struct storm {
	struct front *front;
	struct front_queue *queue;
	struct front_blk *blk;		/* STORM_DEPTH, of STORM_ROOM each */
	uint64_t disk_bytes;
	unsigned int seed;
};

/* STORM_DEPTH requests. */
void storm_begin(struct storm *storm);
/* Take answers, and go on with as many requests, or not.  Return: were there any? */
bool storm_take(struct storm *storm, bool again);
/* The same for a while: so many milliseconds, at least. */
void storm_on(struct storm *storm, unsigned int ms);
/* Until the device tells of a move's end.  Return: its errno. */
uint32_t storm_until_moved(struct storm *storm, struct child *child);

#endif
