/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throttling of disks: what is asked for, and the page that holds how much of
 * it is used up.  The supervisor says the settings (ipc/life.h) and keeps the
 * page, a memfd that outlives the device's process and that the disks of a
 * group share.
 *
 * Any member of a group may write anything to the page at any time.  What is
 * in it is times only, and readers bound how long they believe one: a member
 * that lies makes the group's disks slower or lets them use its budget at
 * once, which is no more than it could do by not throttling itself.
 */
#ifndef IPC_THROTTLE_H
#define IPC_THROTTLE_H

#include <stdint.h>

#define THROTTLE_PAGE_BYTES	4096

/* Which requests count, and in what. */
enum throttle_kind {
	THROTTLE_IOPS,
	THROTTLE_IOPS_READ,
	THROTTLE_IOPS_WRITE,
	THROTTLE_BYTES,
	THROTTLE_BYTES_READ,
	THROTTLE_BYTES_WRITE,
	THROTTLE_NR_KINDS,
};

#define THROTTLE_MAX_IOPS	1000000000ull
#define THROTTLE_MIN_BYTES	(64ull << 10)	/* a second */
#define THROTTLE_MAX_BYTES	(1ull << 40)	/* a second */
#define THROTTLE_MAX_BURST_S	3600u
#define THROTTLE_MIN_IOPS_SIZE	512u
#define THROTTLE_MAX_IOPS_SIZE	(1u << 30)

struct throttle_limit {
	uint64_t rate;		/* a second, in the long run; 0: no limit */
	uint64_t burst;		/* a second, after idleness; 0: as rate */
};

struct throttle_settings {
	struct throttle_limit limit[THROTTLE_NR_KINDS];
	uint32_t burst_s;	/* how long an idle disk can burst; 1 or more */
	uint32_t iops_size;	/* bytes that count as one I/O; 0: any */
};

_Static_assert(sizeof(struct throttle_settings) == 104, "throttle_settings");

/*
 * When each limit, and each burst's, has leaked empty: CLOCK_MONOTONIC in
 * THROTTLE_TICKS_PER_NS.
 */
struct throttle_page {
	uint64_t empty_at[THROTTLE_NR_KINDS];
	uint64_t burst_empty_at[THROTTLE_NR_KINDS];
};

#define THROTTLE_TICKS_PER_NS	16ull	/* wraps after 36 years */

#endif
