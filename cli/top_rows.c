/* SPDX-License-Identifier: Apache-2.0 */
/* What `bulkhead top` shows: pages and /proc, now and the last time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/procfs.h"
#include "cli/top.h"

/* Sums over a process's life; of a reborn one, cpu_ms begins anew. */
struct sample {
	char name[32];
	pid_t pid;
	uint64_t cpu_ms;
	uint64_t requests;
	uint64_t bytes;
	uint64_t exits;
	struct stats_latency latency;
};

struct top_vm {
	struct stats_vm vm;
	bool found;		/* in the runtime folder, this time */
	bool sampled;		/* there is a last time */
	struct sample last[STATS_MAX_PROCESSES];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- reading ---------------------------------------------------------------- */

static void add_queue(struct sample *sample, const struct stats_queue *queue)
{
	sample->requests += queue->requests;
	sample->bytes += queue->bytes_read + queue->bytes_written;
	/* A doorbell is a light exit, and this device's. */
	sample->exits += queue->kicks;
	for (unsigned int i = 0; i < STATS_NR_KINDS; i++)
		stats_latency_add(&sample->latency, &queue->latency[i]);
}

static void read_device(struct sample *sample,
			const struct stats_process *process)
{
	static struct stats_device_copy copy;

	if (!stats_read_device(&process->map, &copy))
		return;
	sample->exits += copy.register_reads + copy.register_writes;
	for (unsigned int i = 0; i < copy.nr_queues; i++)
		add_queue(sample, &copy.queue[i]);
}

static void read_core(struct sample *sample,
		      const struct stats_process *process)
{
	static struct stats_core_copy copy;

	if (!stats_read_core(&process->map, &copy))
		return;
	for (unsigned int i = 0; i < copy.nr_vcpus; i++)
		sample->exits += stats_light(&copy, &copy.vcpu[i]) +
				 stats_heavy(&copy.vcpu[i]);
}

static void take_sample(struct sample *sample, struct top_row *row,
			const struct stats_process *process)
{
	struct proc_load load = { 0 };

	memset(sample, 0, sizeof(*sample));
	snprintf(sample->name, sizeof(sample->name), "%s", process->name);
	sample->pid = process->pid;
	if (process->pid && proc_read_load(process->pid, &load) == 0) {
		sample->cpu_ms = load.cpu_ms;
		row->private_kib = load.private_kib;
	}
	if (!strcmp(process->role, "core"))
		read_core(sample, process);
	else
		read_device(sample, process);
}

/* --- comparing -------------------------------------------------------------- */

static void compare(struct top_row *row, const struct sample *now,
		    const struct sample *then, double seconds)
{
	static struct stats_latency between;
	struct stats_times times;
	uint64_t cpu_ms = now->cpu_ms;

	if (now->pid == then->pid)
		cpu_ms = stats_since(now->cpu_ms, then->cpu_ms);
	row->cpu_percent = (double)cpu_ms / 10 / seconds;
	row->iops = (double)stats_since(now->requests, then->requests) /
		    seconds;
	row->bytes_per_s = (double)stats_since(now->bytes, then->bytes) /
			   seconds;
	row->exits_per_s = (double)stats_since(now->exits, then->exits) /
			   seconds;
	stats_latency_since(&now->latency, &then->latency, &between);
	stats_times(&between, &times);
	row->p50_ns = times.p50_ns;
	row->p99_ns = times.p99_ns;
}

static struct top_row *new_row(struct top_table *table)
{
	struct top_row *row;

	if (table->nr_rows == table->room) {
		unsigned int room = table->room ? 2 * table->room : 64;

		row = reallocarray(table->row, room, sizeof(*row));
		if (!row)
			return NULL;
		table->row = row;
		table->room = room;
	}
	row = &table->row[table->nr_rows++];
	memset(row, 0, sizeof(*row));
	return row;
}

static void sample_process(struct top *top, struct top_vm *vm,
			   unsigned int index, double seconds)
{
	const struct stats_process *process = &vm->vm.process[index];
	struct top_row *row = new_row(&top->table);
	struct sample now;

	if (!row)
		return;
	snprintf(row->name, sizeof(row->name), "%s/%s", vm->vm.name,
		 process->name);
	snprintf(row->state, sizeof(row->state), "%s", process->state);
	row->pid = process->pid;
	take_sample(&now, row, process);
	if (vm->sampled && seconds > 0)
		compare(row, &now, &vm->last[index], seconds);
	vm->last[index] = now;
}

/* --- which VMs there are ------------------------------------------------------ */

static struct top_vm *find_vm(struct top *top, const char *name)
{
	for (unsigned int i = 0; i < top->nr_vms; i++)
		if (!strcmp(top->vm[i]->vm.name, name))
			return top->vm[i];
	return NULL;
}

static void drop_vm(struct top *top, unsigned int index)
{
	stats_vm_close(&top->vm[index]->vm);
	free(top->vm[index]);
	top->vm[index] = top->vm[--top->nr_vms];
}

static int add_vm(struct top *top, const char *name, char why[CLIENT_WHY_MAX])
{
	struct top_vm **list = reallocarray(top->vm, top->nr_vms + 1,
					    sizeof(*list));
	struct top_vm *vm = calloc(1, sizeof(*vm));
	int ret = -ENOMEM;

	if (list)
		top->vm = list;
	snprintf(why, CLIENT_WHY_MAX, "out of memory");
	if (list && vm)
		ret = stats_vm_open(&vm->vm, name, why);
	if (ret) {
		free(vm);
		return ret;
	}
	vm->found = true;
	top->vm[top->nr_vms++] = vm;
	return 0;
}

/* One that cannot be asked, as it ends or is another user's, is not shown. */
static void visit(const char *name, void *opaque)
{
	struct top *top = opaque;
	struct top_vm *vm = find_vm(top, name);
	char why[CLIENT_WHY_MAX];

	if (top->only && strcmp(top->only, name))
		return;
	if (vm)
		vm->found = stats_vm_ask(&vm->vm, why) == 0;
	else
		(void)add_vm(top, name, why);
}

static int find_vms(struct top *top, char why[CLIENT_WHY_MAX])
{
	for (unsigned int i = 0; i < top->nr_vms; i++)
		top->vm[i]->found = false;
	client_each_vm(visit, top);
	for (unsigned int i = top->nr_vms; i-- > 0; )
		if (!top->vm[i]->found)
			drop_vm(top, i);
	if (!top->only || top->nr_vms)
		return 0;
	/* Asked again, for its reason. */
	return add_vm(top, top->only, why);
}

int top_sample(struct top *top, char why[CLIENT_WHY_MAX])
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	uint64_t then_ns = top->sampled_ns;
	int ret = find_vms(top, why);
	double seconds;

	if (ret)
		return ret;
	/* For the cores that were asked last to bring their pages up to date. */
	nanosleep(&moment, NULL);
	top->sampled_ns = now_ns();
	seconds = then_ns ? (double)(top->sampled_ns - then_ns) / 1e9 : 0;
	top->table.nr_rows = 0;
	top->table.nr_vms = top->nr_vms;
	top->table.seconds = seconds;
	for (unsigned int i = 0; i < top->nr_vms; i++) {
		struct top_vm *vm = top->vm[i];

		for (unsigned int k = 0; k < vm->vm.nr_processes; k++)
			sample_process(top, vm, k, seconds);
		vm->sampled = true;
	}
	return 0;
}

void top_drop(struct top *top)
{
	while (top->nr_vms)
		drop_vm(top, top->nr_vms - 1);
	free(top->vm);
	free(top->table.row);
}
