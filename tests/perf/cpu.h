/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks for benches: this machine's, and those of processes. */
#ifndef TESTS_PERF_CPU_H
#define TESTS_PERF_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

uint64_t clock_ns(clockid_t clock);

/*
 * CPU nanoseconds of a process and all its descendants, dead or alive, all
 * their threads.  Those of dead ones are counted in clock ticks.
 */
uint64_t tree_cpu_ns(pid_t pid);

/* All threads of those, up to max.  Return: how many. */
unsigned int tree_threads(pid_t pid, pid_t *threads, unsigned int max);

/* That thread, or this one if 0, runs there only.  Return: true, it does. */
bool stay_on_processor(pid_t thread, unsigned int number);

#endif
