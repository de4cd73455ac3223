/* SPDX-License-Identifier: Apache-2.0 */
/* The table of `bulkhead top`, 80 columns wide. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/figures.h"
#include "cli/top.h"

#define HEAD_LINES	3

static const struct {
	char key;
	const char *name;
} orders[TOP_NR_ORDERS] = {
	[TOP_BY_NAME] = { 'n', "name" },
	[TOP_BY_CPU] = { 'c', "CPU" },
	[TOP_BY_MEMORY] = { 'm', "memory" },
	[TOP_BY_IOPS] = { 'i', "IOPS" },
	[TOP_BY_BYTES] = { 'b', "bytes" },
	[TOP_BY_LATENCY] = { 'l', "latency" },
	[TOP_BY_EXITS] = { 'e', "exits" },
};

enum top_order top_order_of(int key)
{
	unsigned int i = 0;

	while (i < TOP_NR_ORDERS && orders[i].key != key)
		i++;
	return (enum top_order)i;
}

const char *top_order_name(enum top_order order)
{
	return orders[order].name;
}

static double value_of(const struct top_row *row, enum top_order order)
{
	switch (order) {
	case TOP_BY_CPU:
		return row->cpu_percent;
	case TOP_BY_MEMORY:
		return (double)row->private_kib;
	case TOP_BY_IOPS:
		return row->iops;
	case TOP_BY_BYTES:
		return row->bytes_per_s;
	case TOP_BY_LATENCY:
		return (double)row->p99_ns;
	case TOP_BY_EXITS:
		return row->exits_per_s;
	default:
		return 0;
	}
}

/* The largest first; where they are equal, by name. */
static int compare(const void *a, const void *b, void *opaque)
{
	enum top_order order = *(const enum top_order *)opaque;
	double x = value_of(a, order), y = value_of(b, order);

	if (x != y)
		return x < y ? 1 : -1;
	return strcmp(((const struct top_row *)a)->name,
		      ((const struct top_row *)b)->name);
}

static void print_row(const struct top_row *row, const char *end, FILE *to)
{
	char memory[FIGURE_MAX], iops[FIGURE_MAX], bytes[FIGURE_MAX];
	char p50[FIGURE_MAX] = "-", p99[FIGURE_MAX] = "-", exits[FIGURE_MAX];
	char pid[16];

	/* Without a process, its state is what there is to know. */
	if (row->pid)
		snprintf(pid, sizeof(pid), "%d", (int)row->pid);
	else
		snprintf(pid, sizeof(pid), "%.7s", row->state);
	if (row->p99_ns) {
		figure_ns(row->p50_ns, p50);
		figure_ns(row->p99_ns, p99);
	}
	fprintf(to, "%-23.23s %7s %5.1f %6s %6s %6s %6s %6s %6s%s", row->name,
		pid, row->cpu_percent, figure_kib(row->private_kib, memory),
		figure_count(row->iops, iops),
		figure_count(row->bytes_per_s, bytes), p50, p99,
		figure_count(row->exits_per_s, exits), end);
}

static void print_total(const struct top_table *table, const char *end,
			FILE *to)
{
	char memory[FIGURE_MAX], iops[FIGURE_MAX], exits[FIGURE_MAX];
	double cpu = 0, all_iops = 0, all_exits = 0;
	uint64_t kib = 0;

	for (unsigned int i = 0; i < table->nr_rows; i++) {
		const struct top_row *row = &table->row[i];

		cpu += row->cpu_percent;
		kib += row->private_kib;
		all_iops += row->iops;
		/* Those of devices are among those of the cores. */
		if (strstr(row->name, "/core"))
			all_exits += row->exits_per_s;
	}
	fprintf(to, "total: CPU %.1f %%, memory %s without guest RAM, IOPS %s, exits/s %s%s",
		cpu, figure_kib(kib, memory), figure_count(all_iops, iops),
		figure_count(all_exits, exits), end);
}

void top_print(struct top_table *table, enum top_order order,
	       unsigned int nr_lines, const char *end, FILE *to)
{
	time_t now = time(NULL);
	char clock[16];
	struct tm tm;

	qsort_r(table->row, table->nr_rows, sizeof(*table->row), compare,
		&order);
	strftime(clock, sizeof(clock), "%T", localtime_r(&now, &tm));
	fprintf(to, "bulkhead top %s: VMs %u, processes %u, over %.1f s, by %s%s",
		clock, table->nr_vms, table->nr_rows, table->seconds,
		top_order_name(order), end);
	print_total(table, end, to);
	fprintf(to, "%-23s %7s %5s %6s %6s %6s %6s %6s %6s%s", "NAME", "PID",
		"%CPU", "MEM", "IOPS", "B/S", "P50", "P99", "EXIT/S", end);
	for (unsigned int i = 0; i < table->nr_rows &&
				 i + HEAD_LINES < nr_lines; i++)
		print_row(&table->row[i], end, to);
}
