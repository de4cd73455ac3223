/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics as JSON, see stats_format.h.  Run by clients. */
#include <string.h>

#include "cli/stats_format.h"

static json_t *number(uint64_t value)
{
	/* What a writer that was taken over says may be larger than JSON's. */
	return json_integer((json_int_t)(value >> 63 ? INT64_MAX :
					 (int64_t)value));
}

static void set(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, number(value));
}

/* [[least ns, requests], ...] of the buckets that counted something. */
static json_t *buckets_of(const struct stats_latency *latency)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < STATS_BUCKETS; i++) {
		json_t *pair;

		if (!latency->bucket[i])
			continue;
		pair = json_array();
		json_array_append_new(pair, number(stats_bucket_ns(i)));
		json_array_append_new(pair, number(latency->bucket[i]));
		json_array_append_new(list, pair);
	}
	return list;
}

static json_t *latency_of(const struct stats_latency *latency)
{
	json_t *object = json_object();
	struct stats_times times;

	stats_times(latency, &times);
	set(object, "requests", times.requests);
	set(object, "mean_ns", times.mean_ns);
	set(object, "max_ns", times.max_ns);
	set(object, "p50_ns", times.p50_ns);
	set(object, "p90_ns", times.p90_ns);
	set(object, "p99_ns", times.p99_ns);
	set(object, "p999_ns", times.p999_ns);
	json_object_set_new(object, "buckets", buckets_of(latency));
	return object;
}

static json_t *queue_of(const struct stats_queue *queue)
{
	json_t *latency = json_object();
	json_t *object = json_object();

	set(object, "requests", queue->requests);
	set(object, "bytes_read", queue->bytes_read);
	set(object, "bytes_written", queue->bytes_written);
	set(object, "errors", queue->errors);
	set(object, "in_flight", queue->in_flight);
	set(object, "kicks", queue->kicks);
	set(object, "interrupts", queue->interrupts);
	set(object, "polls", queue->polls);
	for (unsigned int i = 0; i < STATS_NR_KINDS; i++)
		json_object_set_new(latency, stats_kind_name(i),
				    latency_of(&queue->latency[i]));
	json_object_set_new(object, "latency", latency);
	return object;
}

static void add_device(json_t *object, const struct stats_process *process)
{
	static struct stats_device_copy copy;
	json_t *queues;

	if (!stats_read_device(&process->map, &copy))
		return;
	set(object, "rebirths", stats_since(copy.births, 1));
	set(object, "faults_fired", copy.faults_fired);
	set(object, "delayed", copy.delayed);
	set(object, "delay_us", copy.delay_us);
	set(object, "waiting", copy.waiting);
	set(object, "disk_polls", copy.disk_polls);
	set(object, "disk_polls_in_vain", copy.disk_polls_in_vain);
	set(object, "batch_begins", copy.batch_begins);
	set(object, "batch_ends", copy.batch_ends);
	set(object, "registered_bytes", copy.registered_bytes);
	set(object, "registered_ios", copy.registered_ios);
	set(object, "register_reads", copy.register_reads);
	set(object, "register_writes", copy.register_writes);
	queues = json_array();
	for (unsigned int i = 0; i < copy.nr_queues; i++)
		json_array_append_new(queues, queue_of(&copy.queue[i]));
	json_object_set_new(object, "queues", queues);
}

static json_t *vcpu_of(const struct stats_vm *vm,
		       const struct stats_core_copy *copy,
		       const struct stats_vcpu *vcpu)
{
	json_t *heavy = json_object(), *by = json_object();
	json_t *kvm = json_object(), *object = json_object();

	for (unsigned int i = 0; i < STATS_NR_EXITS; i++)
		set(heavy, stats_exit_name(i), vcpu->heavy[i]);
	for (unsigned int i = 0; i < STATS_NR_OWNERS; i++)
		if (vcpu->owner[i])
			set(by, stats_owner_name(vm, i), vcpu->owner[i]);
	for (unsigned int i = 0; i < copy->nr_kvm; i++)
		set(kvm, copy->kvm_name[i], vcpu->kvm[i]);
	set(object, "exits_heavy", stats_heavy(vcpu));
	set(object, "exits_light", stats_light(copy, vcpu));
	json_object_set_new(object, "heavy", heavy);
	json_object_set_new(object, "accesses", by);
	json_object_set_new(object, "kvm", kvm);
	return object;
}

static void add_core(json_t *object, const struct stats_vm *vm,
		     const struct stats_process *process)
{
	static struct stats_core_copy copy;
	json_t *vcpus;

	if (!stats_read_core(&process->map, &copy))
		return;
	vcpus = json_array();
	for (unsigned int i = 0; i < copy.nr_vcpus; i++)
		json_array_append_new(vcpus, vcpu_of(vm, &copy, &copy.vcpu[i]));
	json_object_set_new(object, "vcpus", vcpus);
}

json_t *stats_to_json(struct stats_vm *vm)
{
	json_t *object = json_deep_copy(vm->status);
	json_t *processes = json_object_get(object, "processes");
	json_t *one;
	size_t i;

	json_object_del(object, "ok");
	json_object_del(object, "version");
	json_array_foreach(processes, i, one) {
		const struct stats_process *process = &vm->process[i];

		if (i >= vm->nr_processes)
			break;
		if (!strcmp(process->role, "core"))
			add_core(one, vm, process);
		else
			add_device(one, process);
	}
	return object;
}
