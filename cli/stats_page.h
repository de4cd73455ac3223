/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics pages as clients read them: mapped read-only, copied, bounded.
 * Whoever writes a page may have been taken over by a guest, so a copy has
 * nothing in it but numbers: counts within the arrays, names of known
 * letters.  What the numbers say is the writer's word.
 */
#ifndef CLI_STATS_PAGE_H
#define CLI_STATS_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/pages.h"

/* A page of either kind; owned by the caller. */
struct stats_map {
	const void *page;	/* STATS_PAGE_BYTES, read-only; NULL: none */
};

/*
 * Map the page behind fd, which stays the caller's.
 * Return: 0; -EPROTO it is not one, could shrink under us, or has another
 * version than this program; another -errno.
 */
int stats_map_open(struct stats_map *map, int fd);
void stats_map_close(struct stats_map *map);

/* A latency of requests in ns, as counted.  All 0 without requests. */
struct stats_times {
	uint64_t requests;
	uint64_t mean_ns;
	uint64_t max_ns;
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns;	/* stats_bucket(): +-3.2 % */
};

/* Of a device's page. */
struct stats_device_copy {
	uint64_t births;
	uint64_t register_reads;
	uint64_t register_writes;
	uint64_t faults_fired;
	uint64_t delayed, delay_us, waiting;	/* struct stats_disk */
	uint64_t disk_polls, disk_polls_in_vain;
	uint64_t batch_begins, batch_ends, registered_bytes,
		 registered_ios;
	unsigned int nr_queues;
	struct stats_queue queue[STATS_MAX_QUEUES];
};

/* Of the core's. */
struct stats_core_copy {
	uint64_t births;
	uint64_t refreshes;
	unsigned int nr_vcpus;
	unsigned int nr_kvm;
	char kvm_name[STATS_MAX_KVM][STATS_KVM_NAME];
	struct stats_vcpu vcpu[LIFE_MAX_VCPUS];
};

/* Return: false, it is a page of the other kind, or of nobody yet. */
bool stats_read_device(const struct stats_map *map,
		       struct stats_device_copy *copy);
bool stats_read_core(const struct stats_map *map, struct stats_core_copy *copy);

/* KVM's counter of that name; 0 if it has none. */
uint64_t stats_kvm(const struct stats_core_copy *copy,
		   const struct stats_vcpu *vcpu, const char *name);

/* Exits that came to user space; those that KVM handled by itself. */
uint64_t stats_heavy(const struct stats_vcpu *vcpu);
uint64_t stats_light(const struct stats_core_copy *copy,
		     const struct stats_vcpu *vcpu);

/* The next request that was followed, with a serial above after; false: none. */
bool stats_next_walk(const struct stats_map *map, uint64_t after,
		     struct stats_walk *walk);

/* The serial of the last of them; 0: there was none. */
uint64_t stats_last_walk(const struct stats_map *map);

/* What came between two copies; never negative. */
void stats_latency_since(const struct stats_latency *now,
			 const struct stats_latency *then,
			 struct stats_latency *diff);
void stats_latency_add(struct stats_latency *sum,
		       const struct stats_latency *more);
void stats_times(const struct stats_latency *latency, struct stats_times *times);

static inline uint64_t stats_since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

#endif
