/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a guest with 32 requests in flight waits when its disk's process
 * is killed: from kill -9 to the first request that the next process has
 * completed.
 *
 * Usage: bench_rebirth [KILLS [LINE]]: 100 if not given; LINE for [vm], as
 * "spare = yes"
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/guest/harness.h"
#include "tests/guest/storm_vm.h"

#define MAX_KILLS	100000
#define PAUSE_US	60000	/* from one to the next; a fast death costs a delay */

static int by_value(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

static double ms(const long long *sorted_us, int nr, int percent)
{
	int at = (nr * percent + 99) / 100 - 1;

	return (double)sorted_us[at < 0 ? 0 : at] / 1000;
}

int main(int argc, char **argv)
{
	int nr = argc > 1 ? atoi(argv[1]) : 100;
	struct storm_result result;
	struct storm_vm vm;
	char lines[256];
	long long *us;
	int lost = 0;
	int status;

	if (nr < 1 || nr > MAX_KILLS) {
		fprintf(stderr, "bench_rebirth: KILLS is 1 to %d\n", MAX_KILLS);
		return EXIT_FAILURE;
	}
	us = calloc((size_t)nr, sizeof(*us));
	if (!us)
		return EXIT_FAILURE;
	snprintf(lines, sizeof(lines), "max_restarts = 1000000\n%s",
		 argc > 2 ? argv[2] : "");
	storm_vm_start(&vm, lines);
	for (int i = 0; i < nr; i++) {
		usleep((useconds_t)(PAUSE_US + rand() % 20000));
		us[i] = storm_vm_strike(&vm, SIGKILL);
		lost += us[i] < 0;
	}
	status = storm_vm_finish(&vm, &result);
	qsort(us, (size_t)nr, sizeof(*us), by_value);
	printf("%d kills of a disk at depth 32: first new completion after %.1f ms median, %.1f ms p90, %.1f ms p99, %.1f ms at worst; guest's requests %llu, bad %llu, strange %llu, lost %llu\n",
	       nr, ms(us, nr, 50), ms(us, nr, 90), ms(us, nr, 99),
	       ms(us, nr, 100), (unsigned long long)result.done,
	       (unsigned long long)result.bad,
	       (unsigned long long)result.strange,
	       (unsigned long long)result.lost);
	free(us);
	status = status != 0 || lost || result.bad || result.strange ||
		 result.lost;
	storm_vm_drop(&vm, status);
	return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
