/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statistics page, a memfd that outlives a process.  The supervisor
 * creates and keeps it; a reborn process goes on where the last one was.  The
 * other pages: in-flight (vhost-user), faults (ipc/fault.h).
 *
 * Each counter has one writer, the process the page belongs to, and is read
 * by others with relaxed atomic loads: a reader may see counters of slightly
 * different moments, never a torn one.  Readers bound every index they take.
 */
#ifndef IPC_PAGES_H
#define IPC_PAGES_H

#include <stdint.h>

#include "ipc/fault.h"
#include "policy/lastword.h"

#define STATS_PAGE_BYTES	4096
#define STATS_MAGIC		0x31545342u	/* "BST1" */
#define STATS_MAX_QUEUES	32

struct stats_queue {
	uint64_t requests;	/* completed */
	uint64_t bytes_read;	/* device -> guest */
	uint64_t bytes_written;	/* guest -> device */
	uint64_t errors;	/* completed with an error status */
	uint64_t kicks;		/* wake-ups by the guest */
	uint64_t interrupts;	/* call eventfd written */
	uint64_t in_flight;	/* taken, not yet completed */
	uint64_t pad;
};

/* Of one rule of the fault page; same place in both arrays. */
struct stats_fault {
	uint32_t id;		/* the rule's; another: these are not its */
	uint32_t pad;
	uint64_t seen;		/* requests that matched */
	uint64_t fired;
};

/* Of a disk, beyond its queues. */
struct stats_disk {
	uint64_t delayed;	/* requests that throttling made wait */
	uint64_t delay_us;	/* all of them together */
	uint64_t waiting;	/* of those, now */
	uint64_t held;		/* requests that wait for a resume, now */
	uint64_t moved_bytes;	/* of a move: copied so far */
	uint64_t pad[3];
};

struct stats_page {
	uint32_t magic;		/* STATS_MAGIC */
	uint32_t nr_queues;
	uint64_t births;	/* processes that have owned this page */
	struct last_word last_word;	/* seccomp's victim, see policy/ */
	uint64_t register_reads;	/* heavy exits answered (register channel) */
	uint64_t register_writes;
	struct stats_queue queue[STATS_MAX_QUEUES];
	struct stats_fault fault[FAULT_MAX_RULES];
	struct stats_disk disk;
};

_Static_assert(sizeof(struct stats_page) <= STATS_PAGE_BYTES, "stats_page");

#endif
