/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of `bulkhead top`: top_rows.c measures, top_print.c writes a table,
 * top_screen.c has the terminal, cmd_top.c the loop and the keys.
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <stdio.h>
#include <termios.h>

#include "cli/stats_vm.h"

/* By what the rows are sorted; its letter is its key. */
enum top_order {
	TOP_BY_NAME,
	TOP_BY_CPU,
	TOP_BY_MEMORY,
	TOP_BY_IOPS,
	TOP_BY_BYTES,
	TOP_BY_LATENCY,
	TOP_BY_EXITS,
	TOP_NR_ORDERS,
};

/* One process, over the last interval. */
struct top_row {
	char name[64];		/* "debian/vda" */
	char state[16];
	pid_t pid;
	double cpu_percent;	/* of one processor */
	uint64_t private_kib;
	double iops;
	double bytes_per_s;
	uint64_t p50_ns, p99_ns;	/* 0: no request ended */
	double exits_per_s;
};

struct top_table {
	struct top_row *row;	/* owned */
	unsigned int nr_rows, room;
	unsigned int nr_vms;
	double seconds;		/* of the interval */
};

struct top_vm;		/* one VM's pages and its last sample */

struct top {
	const char *only;	/* that VM alone, or NULL: all */
	struct top_vm **vm;	/* owned */
	unsigned int nr_vms;
	uint64_t sampled_ns;
	struct top_table table;
};

/*
 * Find VMs, read all, compare with the last time.
 * Return: 0; -ENOENT `only` does not run, with a line in why.
 */
int top_sample(struct top *top, char why[CLIENT_WHY_MAX]);
void top_drop(struct top *top);

/* The order of that key; TOP_NR_ORDERS if there is none. */
enum top_order top_order_of(int key);
const char *top_order_name(enum top_order order);

/* Sort, and print at most nr_lines lines, each ended by `end`. */
void top_print(struct top_table *table, enum top_order order,
	       unsigned int nr_lines, const char *end, FILE *to);

/* --- top_screen.c ------------------------------------------------------------ */

/* Take standard input and output over.  Return: 0 or -errno. */
int screen_open(void);
/* As it was before; no-op if not open. */
void screen_close(void);
unsigned int screen_lines(void);
/* Show a frame: text of len bytes, lines ended by SCREEN_EOL. */
void screen_show(const char *text, size_t len);
#define SCREEN_EOL	"\033[K\r\n"

#endif
