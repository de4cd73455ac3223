/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jails cost: five births at once, as a VM with four devices has them,
 * from the first clone to the last exec.  Milliseconds: the supervisor's part
 * (all births begun), wall, and CPU of supervisor and children up to exec.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/jail/harness.h"

#define NR_CHILDREN	5
#define NR_ROUNDS	40

struct round {
	double begun_ms;
	double wall_ms;
	double cpu_ms;
};

static double clock_ms(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double child_cpu_ms(const struct birth_child *child)
{
	clockid_t clock;

	return clock_getcpuclockid(child->pid, &clock) == 0 ?
	       clock_ms(clock) : 0;
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
	double start = clock_ms(CLOCK_MONOTONIC);
	struct birth_spec spec;

	round->cpu_ms = -clock_ms(CLOCK_PROCESS_CPUTIME_ID);
	harness_spec(PROBE_POLICY_RNG, &spec);
	for (int i = 0; i < NR_CHILDREN; i++) {
		if (birth_begin(&spec, &children[i]) != 0)
			tap_bail_out("%s", children[i].why);
	}
	round->begun_ms = clock_ms(CLOCK_MONOTONIC) - start;
	for (int i = 0; i < NR_CHILDREN; i++) {
		if (birth_wait_exec(&children[i], HARNESS_TIMEOUT_MS) != 0)
			tap_bail_out("%s", children[i].why);
	}
	round->wall_ms = clock_ms(CLOCK_MONOTONIC) - start;
	round->cpu_ms += clock_ms(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < NR_CHILDREN; i++)
		round->cpu_ms += child_cpu_ms(&children[i]);
	for (int i = 0; i < NR_CHILDREN; i++)
		bury(&children[i]);
}

int main(void)
{
	struct round rounds[NR_ROUNDS];

	harness_open();
	harness_page(PROBE_WAIT, PROBE_POLICY_RNG);
	for (int i = 0; i < NR_ROUNDS; i++)
		run(&rounds[i]);
	qsort(rounds, NR_ROUNDS, sizeof(rounds[0]), by_wall);
	printf("%d jails: wall %.1f ms median (%.1f to %.1f), of it %.1f ms "
	       "to begin them all; CPU %.1f ms\n",
	       NR_CHILDREN, rounds[NR_ROUNDS / 2].wall_ms, rounds[0].wall_ms,
	       rounds[NR_ROUNDS - 1].wall_ms, rounds[NR_ROUNDS / 2].begun_ms,
	       rounds[NR_ROUNDS / 2].cpu_ms);
	harness_log();
	harness_close();
	return EXIT_SUCCESS;
}
