/* SPDX-License-Identifier: Apache-2.0 */
/* See stats_page.h.  Run by clients. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cli/stats_page.h"

int stats_map_open(struct stats_map *map, int fd)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	map->page = NULL;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* A file that shrinks would be our SIGBUS. */
	if (seals < 0 || (seals & needed) != needed ||
	    st.st_size != STATS_PAGE_BYTES)
		return -EPROTO;
	map->page = mmap(NULL, STATS_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (map->page != MAP_FAILED)
		return 0;
	map->page = NULL;
	return -errno;
}

void stats_map_close(struct stats_map *map)
{
	if (map->page)
		munmap((void *)(uintptr_t)map->page, STATS_PAGE_BYTES);
	map->page = NULL;
}

/* --- copies ------------------------------------------------------------------ */

static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static uint32_t load_bounded(const uint32_t *number, uint32_t most)
{
	uint32_t value = __atomic_load_n(number, __ATOMIC_RELAXED);

	return value < most ? value : most;
}

static bool head_is(const struct stats_head *head, bool core, size_t bytes)
{
	return head->magic == STATS_MAGIC && head->version == STATS_VERSION &&
	       head->bytes == bytes && (head->role == LIFE_ROLE_CORE) == core;
}

/* nr counters in a row */
static void copy_counters(uint64_t *to, const uint64_t *from, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		to[i] = load(&from[i]);
}

/* What was never counted is not touched: it is a hole in the page. */
static void copy_latency(struct stats_latency *to,
			 const struct stats_latency *from)
{
	to->requests = load(&from->requests);
	if (to->requests == 0)
		return;
	to->sum_ns = load(&from->sum_ns);
	to->max_ns = load(&from->max_ns);
	copy_counters(to->bucket, from->bucket, STATS_BUCKETS);
}

static void copy_queue(struct stats_queue *to, const struct stats_queue *from)
{
	memset(to, 0, sizeof(*to));
	copy_counters(&to->requests, &from->requests,
		      offsetof(struct stats_queue, latency) / sizeof(uint64_t));
	for (unsigned int i = 0; i < STATS_NR_KINDS; i++)
		copy_latency(&to->latency[i], &from->latency[i]);
}

bool stats_read_device(const struct stats_map *map,
		       struct stats_device_copy *copy)
{
	const struct stats_page *page = map->page;

	if (!page || !head_is(&page->head, false, sizeof(*page)))
		return false;
	copy->births = load(&page->head.births);
	copy->register_reads = load(&page->register_reads);
	copy->register_writes = load(&page->register_writes);
	copy->faults_fired = load(&page->head.faults_fired);
	copy->delayed = load(&page->disk.delayed);
	copy->delay_us = load(&page->disk.delay_us);
	copy->waiting = load(&page->disk.waiting);
	copy->disk_polls = load(&page->disk.polls);
	copy->disk_polls_in_vain = load(&page->disk.polls_in_vain);
	copy->batch_begins = load(&page->disk.batch_begins);
	copy->batch_ends = load(&page->disk.batch_ends);
	copy->registered_bytes = load(&page->disk.registered_bytes);
	copy->registered_ios = load(&page->disk.registered_ios);
	copy->nr_queues = load_bounded(&page->nr_queues, STATS_MAX_QUEUES);
	for (unsigned int i = 0; i < copy->nr_queues; i++)
		copy_queue(&copy->queue[i], &page->queue[i]);
	return true;
}

/* A name that any output may print as it is. */
static void copy_name(char *to, const char *from)
{
	unsigned int i;

	for (i = 0; i + 1 < STATS_KVM_NAME; i++) {
		char c = __atomic_load_n(&from[i], __ATOMIC_RELAXED);

		if (c == '\0')
			break;
		to[i] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c :
									   '_';
	}
	to[i] = '\0';
}

bool stats_read_core(const struct stats_map *map, struct stats_core_copy *copy)
{
	const struct stats_core *page = map->page;

	if (!page || !head_is(&page->head, true, sizeof(*page)))
		return false;
	/* Orders this before the values; see core_stats_refresh(). */
	copy->refreshes = __atomic_load_n(&page->refreshes, __ATOMIC_ACQUIRE);
	copy->births = load(&page->head.births);
	copy->nr_vcpus = load_bounded(&page->nr_vcpus, LIFE_MAX_VCPUS);
	copy->nr_kvm = load_bounded(&page->nr_kvm, STATS_MAX_KVM);
	for (unsigned int i = 0; i < copy->nr_kvm; i++)
		copy_name(copy->kvm_name[i], page->kvm_name[i]);
	for (unsigned int i = 0; i < copy->nr_vcpus; i++)
		copy_counters((uint64_t *)&copy->vcpu[i],
			      (const uint64_t *)&page->vcpu[i],
			      sizeof(struct stats_vcpu) / sizeof(uint64_t));
	return true;
}

uint64_t stats_kvm(const struct stats_core_copy *copy,
		   const struct stats_vcpu *vcpu, const char *name)
{
	for (unsigned int i = 0; i < copy->nr_kvm; i++)
		if (!strcmp(copy->kvm_name[i], name))
			return vcpu->kvm[i];
	return 0;
}

uint64_t stats_heavy(const struct stats_vcpu *vcpu)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < STATS_NR_EXITS; i++)
		sum += vcpu->heavy[i];
	return sum;
}

uint64_t stats_light(const struct stats_core_copy *copy,
		     const struct stats_vcpu *vcpu)
{
	return stats_since(stats_kvm(copy, vcpu, "exits"), stats_heavy(vcpu));
}

bool stats_next_walk(const struct stats_map *map, uint64_t after,
		     struct stats_walk *walk)
{
	const struct stats_page *page = map->page;
	const struct stats_walk *from;

	if (!page || !head_is(&page->head, false, sizeof(*page)))
		return false;
	from = &page->walk[(after + 1) % STATS_MAX_WALKS];
	/* Orders this before the times; see walk_publish(). */
	walk->serial = __atomic_load_n(&from->serial, __ATOMIC_ACQUIRE);
	if (walk->serial <= after)
		return false;
	walk->queue = load_bounded(&from->queue, STATS_MAX_QUEUES - 1);
	walk->kind = load_bounded(&from->kind, STATS_OTHER);
	copy_counters(&walk->idle_ns, &from->idle_ns,
		      (sizeof(*walk) - offsetof(struct stats_walk, idle_ns)) /
			      sizeof(uint64_t));
	return true;
}

uint64_t stats_last_walk(const struct stats_map *map)
{
	const struct stats_page *page = map->page;

	if (!page || !head_is(&page->head, false, sizeof(*page)))
		return 0;
	return load(&page->walk_serial);
}

/* --- latencies --------------------------------------------------------------- */

void stats_latency_since(const struct stats_latency *now,
			 const struct stats_latency *then,
			 struct stats_latency *diff)
{
	diff->requests = stats_since(now->requests, then->requests);
	diff->sum_ns = stats_since(now->sum_ns, then->sum_ns);
	diff->max_ns = now->max_ns;
	for (unsigned int i = 0; i < STATS_BUCKETS; i++)
		diff->bucket[i] = stats_since(now->bucket[i], then->bucket[i]);
}

void stats_latency_add(struct stats_latency *sum,
		       const struct stats_latency *more)
{
	if (more->requests == 0)
		return;
	sum->requests += more->requests;
	sum->sum_ns += more->sum_ns;
	if (more->max_ns > sum->max_ns)
		sum->max_ns = more->max_ns;
	for (unsigned int i = 0; i < STATS_BUCKETS; i++)
		sum->bucket[i] += more->bucket[i];
}

/* The middle of the bucket in which request number rank lies. */
static uint64_t value_at(const struct stats_latency *latency, uint64_t rank)
{
	uint64_t seen = 0;

	for (unsigned int i = 0; i < STATS_BUCKETS; i++) {
		seen += latency->bucket[i];
		if (seen > rank)
			return (stats_bucket_ns(i) + stats_bucket_ns(i + 1)) / 2;
	}
	return 0;
}

void stats_times(const struct stats_latency *latency, struct stats_times *times)
{
	uint64_t total = 0;

	memset(times, 0, sizeof(*times));
	/* The buckets' own sum: requests may be ahead of it, or a lie. */
	for (unsigned int i = 0; i < STATS_BUCKETS; i++)
		total += latency->bucket[i];
	times->requests = latency->requests;
	if (total == 0)
		return;
	times->mean_ns = latency->requests ? latency->sum_ns /
					     latency->requests : 0;
	times->max_ns = latency->max_ns;
	times->p50_ns = value_at(latency, total / 2);
	times->p90_ns = value_at(latency, total - total / 10 - 1);
	times->p99_ns = value_at(latency, total - total / 100 - 1);
	times->p999_ns = value_at(latency, total - total / 1000 - 1);
}
