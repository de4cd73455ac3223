/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statistics page, a memfd that outlives a process.  The supervisor
 * creates and keeps it; a reborn process goes on where the last one was.  The
 * other pages: in-flight (vhost-user), faults (ipc/fault.h).
 *
 * A device's is a struct stats_page, the core's a struct stats_core.  Each
 * counter has one writer, the process (the core: the thread) that it belongs
 * to, and is read by others with relaxed atomic loads: a reader may see
 * counters of slightly different moments, never a torn one.  Whoever took the
 * writer over can write anything here: readers bound every index they take
 * (cli/stats_page.h).
 *
 * Large in numbers, small in memory: what was never counted is a hole.
 */
#ifndef IPC_PAGES_H
#define IPC_PAGES_H

#include <stdint.h>

#include "ipc/fault.h"
#include "ipc/life.h"
#include "policy/lastword.h"

#define STATS_MAGIC		0x31545342u	/* "BST1" */
#define STATS_VERSION		3	/* fields only move with a new one */
#define STATS_MAX_QUEUES	32

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
	uint64_t polls;		/* waits for the disk that were spent awake */
	uint64_t polls_in_vain;	/* of those, nothing came in time */
	uint64_t capacity_bytes;	/* what the guest sees */
	uint64_t batch_begins;	/* became SCHED_BATCH, devproc/blk/batch.h */
	uint64_t batch_ends;	/* and was so no more */
	uint64_t registered_bytes;	/* of guest RAM, devproc/blk/fixed.h */
	uint64_t registered_ios;	/* operations that used them */
};

/* What both begin with; the writer fills it before its last narrowing. */
struct stats_head {
	uint32_t magic;		/* STATS_MAGIC */
	uint32_t version;	/* STATS_VERSION */
	uint32_t bytes;		/* of the struct that follows, head included */
	uint32_t role;		/* enum life_role: whose */
	uint64_t births;	/* processes that have owned this page */
	struct last_word last_word;	/* seccomp's victim, see policy/ */
	uint64_t faults_fired;	/* of all rules that ever were */
	struct stats_fault fault[FAULT_MAX_RULES];
};

/* The page is one of that role; before the last narrowing. */
void stats_begin(struct stats_head *head, enum life_role role, uint32_t bytes);
/* This process serves from now on, and writes. */
void stats_born(struct stats_head *head);

/* --- latency --------------------------------------------------------------- */

/*
 * Log-linear, as HDR histograms are: 16 buckets of equal width to each power
 * of two.  Bucket 0 begins at 0 ns; below 256 ns a bucket is 16 ns wide, above
 * at most 1/16 of its lower bound.  So the middle of its bucket is at most
 * 1/32 (3.2 %) off a latency of 256 ns or more, 8 ns off one below that.
 * What takes longer than 2^39 ns (9 minutes) counts in the last bucket.
 */
#define STATS_BUCKETS		512
#define STATS_SUB_BITS		4	/* log2 of buckets to a power of two */
#define STATS_UNIT_BITS		4	/* log2 of the first ones' width, ns */

static inline unsigned int stats_bucket(uint64_t ns)
{
	uint64_t units = ns >> STATS_UNIT_BITS;
	unsigned int shift;

	if (units >> (STATS_SUB_BITS + STATS_BUCKETS / 16 - 1))
		return STATS_BUCKETS - 1;
	if (units < 1u << STATS_SUB_BITS)
		return (unsigned int)units;
	shift = 63 - (unsigned int)__builtin_clzll(units) - STATS_SUB_BITS;
	return ((shift + 1) << STATS_SUB_BITS) +
	       (unsigned int)(units >> shift) - (1u << STATS_SUB_BITS);
}

/* The least number of nanoseconds that bucket counts; of 512: the end. */
static inline uint64_t stats_bucket_ns(unsigned int bucket)
{
	unsigned int group = bucket >> STATS_SUB_BITS;
	uint64_t sub = bucket & ((1u << STATS_SUB_BITS) - 1);

	if (group == 0)
		return sub << STATS_UNIT_BITS;
	return ((1u << STATS_SUB_BITS) + sub) << (group - 1 + STATS_UNIT_BITS);
}

enum stats_kind {
	STATS_READ,		/* data for the guest */
	STATS_WRITE,		/* data from it */
	STATS_OTHER,		/* flush, discard, ... */
	STATS_NR_KINDS,
};

/*
 * From taking a request out of the ring to showing it in the used ring.  One
 * that is done again counts from when the new process took it.
 */
struct stats_latency {
	uint64_t requests;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t bucket[STATS_BUCKETS];
};

/* --- devices ---------------------------------------------------------------- */

struct stats_queue {
	uint64_t requests;	/* completed */
	uint64_t bytes_read;	/* device -> guest */
	uint64_t bytes_written;	/* guest -> device */
	uint64_t errors;	/* completed with an error status */
	uint64_t kicks;		/* wake-ups by the guest */
	uint64_t interrupts;	/* call eventfd written */
	uint64_t in_flight;	/* taken, not yet completed */
	uint64_t polls;		/* looks that found requests without a kick */
	struct stats_latency latency[STATS_NR_KINDS];
};

/* A request that was followed; CLOCK_MONOTONIC, ns; 0: did not happen. */
struct stats_walk {
	uint64_t serial;	/* 1, 2, ...; written last */
	uint32_t queue;
	uint32_t kind;		/* enum stats_kind */
	uint64_t idle_ns;	/* the ring was last seen without it */
	uint64_t woken_ns;	/* by a kick; 0: found by looking */
	uint64_t taken_ns;	/* descriptors latched and checked */
	uint64_t issued_ns;	/* host I/O handed to the kernel */
	uint64_t done_ns;	/* ... and its result back */
	uint64_t used_ns;	/* in the used ring, visible to the guest */
	uint64_t called_ns;	/* interrupt sent; 0: the guest wanted none */
	uint64_t answered_ns;	/* the guest touched the ring again */
};
#define STATS_MAX_WALKS	64	/* kept, serial modulo this is the place */

struct stats_page {
	struct stats_head head;
	uint32_t nr_queues;
	uint32_t pad;
	uint64_t walk_serial;	/* of the last in walk[] */
	uint64_t register_reads;	/* heavy exits answered (register channel) */
	uint64_t register_writes;
	struct stats_disk disk;
	struct stats_walk walk[STATS_MAX_WALKS];
	struct stats_queue queue[STATS_MAX_QUEUES];
};

/* --- the core ---------------------------------------------------------------- */

/* Returns of KVM_RUN, the heavy exits. */
enum stats_exit {
	STATS_EXIT_IO,
	STATS_EXIT_MMIO,
	STATS_EXIT_MSR,		/* one that is not on the list */
	STATS_EXIT_SIGNAL,	/* interrupted by the host */
	STATS_EXIT_OTHER,	/* shutdown, failure: the last one of a guest */
	STATS_NR_EXITS,
};

/* Who answered one of IO or MMIO; below LIFE_MAX_DEVICES: that device. */
enum stats_owner {
	STATS_OWNER_PCI = LIFE_MAX_DEVICES,	/* configuration space */
	STATS_OWNER_ACPI,	/* power management, reset, panic */
	STATS_OWNER_NOBODY,	/* nothing there */
	STATS_NR_OWNERS,
};

#define STATS_MAX_KVM	64	/* of KVM's own counters of a vCPU */
#define STATS_KVM_NAME	32	/* bytes of a name, NUL included */

struct stats_vcpu {
	uint64_t heavy[STATS_NR_EXITS];
	uint64_t owner[STATS_NR_OWNERS];
	uint64_t pad[6];
	/*
	 * As of the last refresh; of all lives of the guest, but for values
	 * that are no counters.
	 */
	uint64_t kvm[STATS_MAX_KVM];
} __attribute__((aligned(64)));	/* each is written by a thread of its own */

struct stats_core {
	struct stats_head head;
	uint32_t nr_vcpus;
	uint32_t nr_kvm;	/* names that are used */
	uint64_t refreshes;	/* of kvm[], LIFE_CORE_STATS; written last */
	char kvm_name[STATS_MAX_KVM][STATS_KVM_NAME];
	struct stats_vcpu vcpu[LIFE_MAX_VCPUS];
};

/* Of the memfd, whosever it is. */
#define STATS_PAGE_BYTES	(400u << 10)

_Static_assert(sizeof(struct stats_page) <= STATS_PAGE_BYTES, "stats_page");
_Static_assert(sizeof(struct stats_core) <= STATS_PAGE_BYTES, "stats_core");

#endif
