/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics in the OpenMetrics text format, version 1.0.0, see
 * stats_format.h.  Run by clients.
 *
 * A family is all its samples in a row, so each is a walk over all VMs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/stats_format.h"

/* Copies of all pages, so that all families are of one moment. */
struct snapshot {
	const struct stats_vm *vm;
	const struct stats_process *process;
	struct stats_device_copy *device;	/* one of these two */
	struct stats_core_copy *core;
};

struct snapshots {
	FILE *to;
	struct snapshot *list;
	unsigned int nr;
};

static void take(struct snapshots *all, const struct stats_vm *vm,
		 const struct stats_process *process)
{
	struct snapshot *one = &all->list[all->nr];

	*one = (struct snapshot){ .vm = vm, .process = process };
	if (!strcmp(process->role, "core"))
		one->core = calloc(1, sizeof(*one->core));
	else
		one->device = calloc(1, sizeof(*one->device));
	if ((one->core && stats_read_core(&process->map, one->core)) ||
	    (one->device && stats_read_device(&process->map, one->device))) {
		all->nr++;
		return;
	}
	free(one->core);
	free(one->device);
}

/* --- families of queues ----------------------------------------------------- */

struct counter {
	const char *name;
	const char *help;
	bool gauge;
	uint64_t (*get)(const struct stats_queue *queue);
};

static uint64_t get_requests(const struct stats_queue *q)
{
	return q->requests;
}

static uint64_t get_read(const struct stats_queue *q)
{
	return q->bytes_read;
}

static uint64_t get_written(const struct stats_queue *q)
{
	return q->bytes_written;
}

static uint64_t get_errors(const struct stats_queue *q)
{
	return q->errors;
}

static uint64_t get_kicks(const struct stats_queue *q)
{
	return q->kicks;
}

static uint64_t get_interrupts(const struct stats_queue *q)
{
	return q->interrupts;
}

static uint64_t get_polls(const struct stats_queue *q)
{
	return q->polls;
}

static uint64_t get_in_flight(const struct stats_queue *q)
{
	return q->in_flight;
}

static const struct counter counters[] = {
	{ "requests", "Requests completed.", false, get_requests },
	{ "read_bytes", "Bytes from the device to the guest.", false, get_read },
	{ "written_bytes", "Bytes from the guest to the device.", false,
	  get_written },
	{ "errors", "Requests completed with an error.", false, get_errors },
	{ "kicks", "Wake-ups by the guest.", false, get_kicks },
	{ "interrupts", "Interrupts sent to the guest.", false,
	  get_interrupts },
	{ "polls", "Looks that found requests without a kick.", false,
	  get_polls },
	{ "in_flight", "Requests taken and not completed.", true,
	  get_in_flight },
};

static void head(FILE *to, const char *name, const char *type,
		 const char *help)
{
	fprintf(to, "# TYPE bulkhead_%s %s\n# HELP bulkhead_%s %s\n", name,
		type, name, help);
}

/* Names of VMs and devices have no character that a label must escape. */
static void labels(FILE *to, const struct snapshot *one, unsigned int queue)
{
	fprintf(to, "vm=\"%s\",device=\"%s\",queue=\"%u\"", one->vm->name,
		one->process->name, queue);
}

static void print_counter(const struct snapshots *all,
			  const struct counter *counter)
{
	head(all->to, counter->name, counter->gauge ? "gauge" : "counter",
	     counter->help);
	for (unsigned int i = 0; i < all->nr; i++) {
		const struct snapshot *one = &all->list[i];

		for (unsigned int q = 0;
		     one->device && q < one->device->nr_queues; q++) {
			fprintf(all->to, "bulkhead_%s%s{", counter->name,
				counter->gauge ? "" : "_total");
			labels(all->to, one, q);
			fprintf(all->to, "} %" PRIu64 "\n",
				counter->get(&one->device->queue[q]));
		}
	}
}

/* --- latency ------------------------------------------------------------------- */

/* One line per power of two that has counted: a monitor needs no more. */
static void print_buckets(FILE *to, const struct snapshot *one,
			  unsigned int queue, unsigned int kind)
{
	const struct stats_latency *latency =
		&one->device->queue[queue].latency[kind];
	uint64_t sum = 0;

	for (unsigned int i = 0; i < STATS_BUCKETS; i++) {
		bool last = i + 1 == STATS_BUCKETS;

		sum += latency->bucket[i];
		if ((i + 1) % (1u << STATS_SUB_BITS))
			continue;
		fprintf(to, "bulkhead_latency_seconds_bucket{");
		labels(to, one, queue);
		fprintf(to, ",kind=\"%s\",le=\"", stats_kind_name(kind));
		if (last)
			fprintf(to, "+Inf");
		else
			fprintf(to, "%.9g",
				(double)stats_bucket_ns(i + 1) / 1e9);
		fprintf(to, "\"} %" PRIu64 "\n", sum);
	}
	/* The specification wants the count to be the last bucket's. */
	fprintf(to, "bulkhead_latency_seconds_count{");
	labels(to, one, queue);
	fprintf(to, ",kind=\"%s\"} %" PRIu64 "\nbulkhead_latency_seconds_sum{",
		stats_kind_name(kind), sum);
	labels(to, one, queue);
	fprintf(to, ",kind=\"%s\"} %.9f\n", stats_kind_name(kind),
		(double)latency->sum_ns / 1e9);
}

static void print_latencies(const struct snapshots *all)
{
	head(all->to, "latency_seconds", "histogram",
	     "From taking a request to showing it to the guest as done.");
	for (unsigned int i = 0; i < all->nr; i++) {
		const struct snapshot *one = &all->list[i];

		for (unsigned int q = 0;
		     one->device && q < one->device->nr_queues; q++)
			for (unsigned int k = 0; k < STATS_NR_KINDS; k++)
				if (one->device->queue[q].latency[k].requests)
					print_buckets(all->to, one, q, k);
	}
}

/* --- devices and vCPUs ------------------------------------------------------------ */

static void print_device(const struct snapshots *all, const char *name,
			 const char *help,
			 uint64_t (*get)(const struct stats_device_copy *copy))
{
	head(all->to, name, "counter", help);
	for (unsigned int i = 0; i < all->nr; i++)
		if (all->list[i].device)
			fprintf(all->to,
				"bulkhead_%s_total{vm=\"%s\",device=\"%s\"} %" PRIu64 "\n",
				name, all->list[i].vm->name,
				all->list[i].process->name,
				get(all->list[i].device));
}

static uint64_t get_rebirths(const struct stats_device_copy *copy)
{
	return stats_since(copy->births, 1);
}

static uint64_t get_faults(const struct stats_device_copy *copy)
{
	return copy->faults_fired;
}

static uint64_t get_delayed(const struct stats_device_copy *copy)
{
	return copy->delayed;
}

static void print_exits(const struct snapshots *all)
{
	head(all->to, "exits", "counter",
	     "Exits of a virtual processor: heavy ones came to user space, light ones did not.");
	for (unsigned int i = 0; i < all->nr; i++) {
		const struct snapshot *one = &all->list[i];

		for (unsigned int v = 0; one->core && v < one->core->nr_vcpus;
		     v++) {
			const struct stats_vcpu *vcpu = &one->core->vcpu[v];

			fprintf(all->to,
				"bulkhead_exits_total{vm=\"%s\",vcpu=\"%u\",weight=\"light\"} %" PRIu64 "\n",
				one->vm->name, v,
				stats_light(one->core, vcpu));
			fprintf(all->to,
				"bulkhead_exits_total{vm=\"%s\",vcpu=\"%u\",weight=\"heavy\"} %" PRIu64 "\n",
				one->vm->name, v, stats_heavy(vcpu));
		}
	}
}

static void print_accesses(const struct snapshots *all)
{
	head(all->to, "accesses", "counter",
	     "Accesses that a heavy exit was for, by who answered.");
	for (unsigned int i = 0; i < all->nr; i++) {
		const struct snapshot *one = &all->list[i];

		for (unsigned int v = 0; one->core && v < one->core->nr_vcpus;
		     v++)
			for (unsigned int w = 0; w < STATS_NR_OWNERS; w++)
				if (one->core->vcpu[v].owner[w])
					fprintf(all->to,
						"bulkhead_accesses_total{vm=\"%s\",vcpu=\"%u\",by=\"%s\"} %" PRIu64 "\n",
						one->vm->name, v,
						stats_owner_name(one->vm, w),
						one->core->vcpu[v].owner[w]);
	}
}

void stats_print_metrics(struct stats_vm *vm, FILE *to)
{
	struct snapshot list[STATS_MAX_PROCESSES];
	struct snapshots all = { .to = to, .list = list };

	for (unsigned int i = 0; i < vm->nr_processes; i++)
		take(&all, vm, &vm->process[i]);
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		print_counter(&all, &counters[i]);
	print_latencies(&all);
	print_device(&all, "rebirths", "Processes that followed one that ended.",
		     get_rebirths);
	print_device(&all, "faults_fired", "Faults on purpose.", get_faults);
	print_device(&all, "delayed", "Requests that throttling made wait.",
		     get_delayed);
	print_exits(&all);
	print_accesses(&all);
	fprintf(to, "# EOF\n");
	for (unsigned int i = 0; i < all.nr; i++) {
		free(list[i].core);
		free(list[i].device);
	}
}
