/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bulkhead-blk beside two that share the load, in short turns: reads at
 * random places of one disk, DEPTH of BYTES at a time in all, from one driver,
 * which sleeps while nothing is done.  Nobody is bound to a processor.
 *
 *	bench_processes SOCKET PID SOCKET PID SOCKET PID DEPTH BYTES PAIRS MILLISECONDS
 *
 * For each pair of turns prints "IOPS CPU IOPS CPU", of the first back-end and
 * of the other two together: per second, and per request CPU nanoseconds of
 * the back-ends (user and system).  Who comes first takes turns, too.
 */
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/perf/cpu.h"
#include "tests/wire/front_blk.h"

#define MAX_DEPTH	64
#define MAX_BYTES	(256 << 10)
#define NR_BACKENDS	3
#define NR_WARM_UP	4	/* pairs that are not printed */
#define SLEEP_MS	100	/* at most */

static struct backend {
	struct front front;
	struct front_blk blks[MAX_DEPTH];
	pid_t pid;
	unsigned int depth;
	unsigned int running;	/* requests under way */
} backends[NR_BACKENDS];

static struct {
	uint32_t bytes;
	uint64_t nr_places;
	uint64_t random;
	uint64_t end_ns;
	uint64_t nr_done;
} load;

/* A step of a linear congruence (Knuth's MMIX): its upper half will do. */
static uint64_t next_sector(void)
{
	load.random = load.random * 6364136223846793005u +
		      1442695040888963407u;
	return (load.random >> 32) % load.nr_places * (load.bytes / 512);
}

static void submit(struct backend *backend, struct front_blk *blk)
{
	if (front_blk_submit(&backend->front.queue[0], blk, VIRTIO_BLK_T_IN,
			     next_sector(), load.bytes) != 0)
		front_bail("no room in the ring");
	backend->running++;
}

/* What is done, and more of it until the turn is over.  Return: how many. */
static unsigned int take(struct backend *backend)
{
	struct front_queue *queue = &backend->front.queue[0];
	unsigned int nr = 0;
	void *cookie;

	while (front_take(queue, &cookie, NULL)) {
		if (front_blk_status(&backend->front, cookie) !=
		    VIRTIO_BLK_S_OK)
			front_bail("a read failed");
		backend->running--;
		nr++;
		if (clock_ns(CLOCK_MONOTONIC) < load.end_ns)
			submit(backend, cookie);
	}
	front_kick(queue);
	return nr;
}

static void wait_for_calls(struct backend *first, unsigned int nr)
{
	struct pollfd calls[NR_BACKENDS];

	for (unsigned int i = 0; i < nr; i++)
		calls[i] = (struct pollfd){ .fd = first[i].front.queue[0].call_fd,
					    .events = POLLIN };
	poll(calls, nr, SLEEP_MS);
	for (unsigned int i = 0; i < nr; i++)
		front_called(&first[i].front.queue[0]);
}

static uint64_t cpu_ns(const struct backend *first, unsigned int nr)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < nr; i++)
		sum += tree_cpu_ns(first[i].pid);
	return sum;
}

/* Of nr back-ends. */
static void take_turn(struct backend *first, unsigned int nr,
		      unsigned int run_ms, double *iops, double *cpu)
{
	uint64_t begin_cpu_ns = cpu_ns(first, nr);
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	unsigned int running;

	load.nr_done = 0;
	load.end_ns = begin_ns + run_ms * 1000000ull;
	for (unsigned int i = 0; i < nr; i++) {
		for (unsigned int n = 0; n < first[i].depth; n++)
			submit(&first[i], &first[i].blks[n]);
		front_kick(&first[i].front.queue[0]);
	}
	do {
		unsigned int taken = 0;

		running = 0;
		for (unsigned int i = 0; i < nr; i++) {
			taken += take(&first[i]);
			running += first[i].running;
		}
		load.nr_done += taken;
		if (!taken && running)
			wait_for_calls(first, nr);
	} while (running);
	*iops = (double)load.nr_done * 1e9 /
		(double)(clock_ns(CLOCK_MONOTONIC) - begin_ns);
	*cpu = (double)(cpu_ns(first, nr) - begin_cpu_ns) /
	       (double)load.nr_done;
}

static void open_backend(struct backend *backend, const char *socket,
			 const char *pid)
{
	const struct front_options options = {
		.nr_queues = 1, .queue_size = 128, .indirect = true,
	};
	struct virtio_blk_config config;

	backend->pid = atoi(pid);
	if (backend->pid < 1)
		front_bail("PID is a process");
	front_start(&backend->front, front_connect(socket), &options);
	front_get_config(&backend->front, &config,
			 offsetof(struct virtio_blk_config, unused1));
	load.nr_places = config.capacity * 512 / load.bytes;
	if (!load.nr_places)
		front_bail("a disk without a block");
	for (unsigned int i = 0; i < backend->depth; i++)
		front_blk_init(&backend->front, &backend->blks[i], load.bytes,
			       0);
}

int main(int argc, char *argv[])
{
	int depth = argc == 11 ? atoi(argv[7]) : 0;
	int bytes = argc == 11 ? atoi(argv[8]) : 0;
	int nr_pairs = argc == 11 ? atoi(argv[9]) : 0;
	int run_ms = argc == 11 ? atoi(argv[10]) : 0;

	if (depth < 2 || depth > MAX_DEPTH || bytes < 512 ||
	    bytes > MAX_BYTES || bytes % 512 || nr_pairs < 1 || run_ms < 1)
		front_bail("usage: bench_processes SOCKET PID SOCKET PID SOCKET PID DEPTH BYTES PAIRS MILLISECONDS");
	load.bytes = (uint32_t)bytes;
	for (unsigned int i = 0; i < NR_BACKENDS; i++) {
		backends[i].depth = (unsigned int)depth / (i ? 2 : 1);
		open_backend(&backends[i], argv[1 + 2 * i], argv[2 + 2 * i]);
	}
	for (int pair = -NR_WARM_UP; pair < nr_pairs; pair++) {
		double iops[2], cpu[2];

		for (unsigned int i = 0; i < 2; i++) {
			unsigned int which = (i + (unsigned int)pair) & 1;

			take_turn(&backends[which], 1 + which,
				  (unsigned int)run_ms, &iops[which],
				  &cpu[which]);
		}
		if (pair >= 0)
			printf("%.0f %.1f %.0f %.1f\n", iops[0], cpu[0],
			       iops[1], cpu[1]);
	}
	for (unsigned int i = 0; i < NR_BACKENDS; i++)
		front_end(&backends[i].front);
	return 0;
}
