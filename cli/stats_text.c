/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics for people, 80 columns, see stats_format.h.  Run by clients. */
#include <inttypes.h>
#include <string.h>

#include "cli/figures.h"
#include "cli/stats_format.h"

const char *stats_kind_name(enum stats_kind kind)
{
	static const char *const names[STATS_NR_KINDS] = {
		"read", "write", "other",
	};

	return names[kind];
}

const char *stats_exit_name(enum stats_exit reason)
{
	static const char *const names[STATS_NR_EXITS] = {
		[STATS_EXIT_IO] = "io",
		[STATS_EXIT_MMIO] = "mmio",
		[STATS_EXIT_MSR] = "msr",
		[STATS_EXIT_SIGNAL] = "signal",
		[STATS_EXIT_OTHER] = "other",
	};

	return names[reason];
}

static void print_latency(const struct stats_latency *latency, unsigned int kind,
			  FILE *to)
{
	char p50[FIGURE_MAX], p90[FIGURE_MAX], p99[FIGURE_MAX];
	char mean[FIGURE_MAX], max[FIGURE_MAX];
	struct stats_times times;

	if (!latency->requests)
		return;
	stats_times(latency, &times);
	fprintf(to,
		"    %-6s %12" PRIu64 "  mean %-7s p50 %-7s p90 %-7s p99 %-7s max %s\n",
		stats_kind_name(kind), times.requests,
		figure_ns(times.mean_ns, mean), figure_ns(times.p50_ns, p50),
		figure_ns(times.p90_ns, p90), figure_ns(times.p99_ns, p99),
		figure_ns(times.max_ns, max));
}

static void print_queue(const struct stats_queue *queue, unsigned int index,
			FILE *to)
{
	fprintf(to,
		"  queue %-2u requests %" PRIu64 ", errors %" PRIu64 ", in flight %" PRIu64 ", bytes read %" PRIu64 ", written %" PRIu64 "\n",
		index, queue->requests, queue->errors, queue->in_flight,
		queue->bytes_read, queue->bytes_written);
	fprintf(to,
		"           kicks %" PRIu64 ", polls %" PRIu64 ", interrupts %" PRIu64,
		queue->kicks, queue->polls, queue->interrupts);
	fputc('\n', to);
	for (unsigned int i = 0; i < STATS_NR_KINDS; i++)
		print_latency(&queue->latency[i], i, to);
}

static void print_device(const struct stats_process *process, FILE *to)
{
	static struct stats_device_copy copy;
	char delay[FIGURE_MAX];

	if (!stats_read_device(&process->map, &copy))
		return;
	fprintf(to, "%s [%s]: rebirths %" PRIu64 ", faults fired %" PRIu64,
		process->name, process->role, stats_since(copy.births, 1),
		copy.faults_fired);
	if (copy.delayed)
		fprintf(to, ", delayed %" PRIu64 " for %s", copy.delayed,
			figure_ns(copy.delay_us * 1000, delay));
	if (copy.register_reads || copy.register_writes)
		fprintf(to,
			", register reads %" PRIu64 ", writes %" PRIu64,
			copy.register_reads, copy.register_writes);
	fputc('\n', to);
	for (unsigned int i = 0; i < copy.nr_queues; i++)
		print_queue(&copy.queue[i], i, to);
}

static void print_vcpu(const struct stats_vm *vm,
		       const struct stats_core_copy *copy, unsigned int index,
		       FILE *to)
{
	const struct stats_vcpu *vcpu = &copy->vcpu[index];

	fprintf(to, "  vcpu%-3u exits light %" PRIu64 ", heavy %" PRIu64 " (",
		index, stats_light(copy, vcpu), stats_heavy(vcpu));
	for (unsigned int i = 0; i < STATS_NR_EXITS; i++)
		fprintf(to, "%s%s %" PRIu64, i ? ", " : "", stats_exit_name(i),
			vcpu->heavy[i]);
	fprintf(to, ")\n           answered by");
	for (unsigned int i = 0; i < STATS_NR_OWNERS; i++)
		if (vcpu->owner[i])
			fprintf(to, " %s %" PRIu64, stats_owner_name(vm, i),
				vcpu->owner[i]);
	fprintf(to, "\n           KVM");
	for (unsigned int i = 0; i < copy->nr_kvm; i++)
		if (vcpu->kvm[i] && strstr(copy->kvm_name[i], "exits"))
			fprintf(to, " %s %" PRIu64, copy->kvm_name[i],
				vcpu->kvm[i]);
	fputc('\n', to);
}

static void print_core(const struct stats_vm *vm,
		       const struct stats_process *process, FILE *to)
{
	static struct stats_core_copy copy;

	if (!stats_read_core(&process->map, &copy))
		return;
	fprintf(to, "core\n");
	for (unsigned int i = 0; i < copy.nr_vcpus; i++)
		print_vcpu(vm, &copy, i, to);
}

void stats_print_text(struct stats_vm *vm, FILE *to)
{
	for (unsigned int i = 0; i < vm->nr_processes; i++) {
		const struct stats_process *process = &vm->process[i];

		if (!strcmp(process->role, "core"))
			print_core(vm, process, to);
		else
			print_device(process, to);
	}
}
