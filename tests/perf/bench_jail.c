/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jails cost: five births at once, as a VM with four devices has them,
 * from the first clone to the last exec.  Milliseconds: the supervisor's part
 * (all births begun), wall, and CPU of everybody up to exec.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/jail/harness.h"

#define NR_CHILDREN	5
#define NR_ROUNDS	40

struct round {
	double begun_ms;
	double wall_ms;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double rusage_ms(int who)
{
	struct rusage r;

	getrusage(who, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e3 +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e3;
}

static int by_wall(const void *a, const void *b)
{
	const struct round *x = a, *y = b;

	return (x->wall_ms > y->wall_ms) - (x->wall_ms < y->wall_ms);
}

static void bury(struct birth_child *child)
{
	siginfo_t info;

	birth_kill(child);
	birth_reap(child, &info, -1);
}

static void run(struct round *round)
{
	struct birth_child children[NR_CHILDREN];
	double start = now_ms();
	struct birth_spec spec;

	harness_spec(PROBE_POLICY_RNG, &spec);
	for (int i = 0; i < NR_CHILDREN; i++) {
		if (birth_begin(&spec, &children[i]) != 0)
			tap_bail_out("%s", children[i].why);
	}
	round->begun_ms = now_ms() - start;
	for (int i = 0; i < NR_CHILDREN; i++) {
		if (birth_wait_exec(&children[i], HARNESS_TIMEOUT_MS) != 0)
			tap_bail_out("%s", children[i].why);
	}
	round->wall_ms = now_ms() - start;
	for (int i = 0; i < NR_CHILDREN; i++)
		bury(&children[i]);
}

int main(void)
{
	struct round rounds[NR_ROUNDS];
	double cpu_ms;

	harness_open();
	harness_page(PROBE_WAIT, PROBE_POLICY_RNG);
	cpu_ms = -rusage_ms(RUSAGE_SELF) - rusage_ms(RUSAGE_CHILDREN);
	for (int i = 0; i < NR_ROUNDS; i++)
		run(&rounds[i]);
	cpu_ms += rusage_ms(RUSAGE_SELF) + rusage_ms(RUSAGE_CHILDREN);
	qsort(rounds, NR_ROUNDS, sizeof(rounds[0]), by_wall);
	printf("%d jails: wall %.1f ms median (%.1f to %.1f), of it %.1f ms "
	       "to begin them all; CPU %.1f ms with their burial\n",
	       NR_CHILDREN, rounds[NR_ROUNDS / 2].wall_ms, rounds[0].wall_ms,
	       rounds[NR_ROUNDS - 1].wall_ms, rounds[NR_ROUNDS / 2].begun_ms,
	       cpu_ms / NR_ROUNDS);
	harness_log();
	harness_close();
	return EXIT_SUCCESS;
}
