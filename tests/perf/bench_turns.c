/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two vhost-user-blk back-ends in short turns, so that whatever else the
 * machine does comes to both alike: 4 KiB reads at random places, DEPTH at a
 * time, completions taken by polling on processor 1 (bench_blk.c has the
 * same load for one back-end, and latencies).
 *
 *	bench_turns SOCKET PID SOCKET PID DEPTH PAIRS MILLISECONDS
 *
 * For each pair of turns prints "IOPS CPU IOPS CPU", of the first back-end and
 * of the second: per second, and per request CPU nanoseconds of the process
 * (user and system).  Who comes first takes turns, too.
 */
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/perf/cpu.h"
#include "tests/wire/front_blk.h"

#define IO_BYTES	4096u
#define IO_SECTORS	(IO_BYTES / 512)
#define MAX_DEPTH	128
#define NR_WARM_UP	4	/* pairs that are not printed */

struct side {
	struct front front;
	struct front_blk blks[MAX_DEPTH];
	pid_t backend;
	uint64_t nr_blocks;
	uint64_t random;
	uint64_t end_ns;
	uint64_t nr_done;
};

struct result {
	double iops, cpu_ns;
};

static struct side sides[2];

/* A step of a linear congruence (Knuth's MMIX): its upper half will do. */
static uint64_t next_block(struct side *side)
{
	side->random = side->random * 6364136223846793005u +
		       1442695040888963407u;
	return (side->random >> 32) % side->nr_blocks;
}

static bool next(void *ctx, struct front_blk *blk, uint32_t *type,
		 uint64_t *sector, uint32_t *len)
{
	struct side *side = ctx;

	(void)blk;
	*type = VIRTIO_BLK_T_IN;
	*sector = next_block(side) * IO_SECTORS;
	*len = IO_BYTES;
	return clock_ns(CLOCK_MONOTONIC) < side->end_ns;
}

static void done(void *ctx, struct front_blk *blk, uint8_t status)
{
	struct side *side = ctx;

	(void)blk;
	if (status != VIRTIO_BLK_S_OK)
		front_bail("a read failed");
	side->nr_done++;
}

static struct result take_turn(struct side *side, unsigned int depth,
			       unsigned int run_ms)
{
	const struct front_blk_job job = {
		.next = next, .done = done, .ctx = side,
	};
	uint64_t begin_cpu_ns = tree_cpu_ns(side->backend);
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	double seconds;

	side->nr_done = 0;
	side->end_ns = begin_ns + run_ms * 1000000ull;
	front_blk_run(&side->front.queue[0], side->blks, depth, &job);
	if (!side->nr_done)
		front_bail("a turn without a request");
	seconds = (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e9;
	return (struct result){
		.iops = (double)side->nr_done / seconds,
		.cpu_ns = (double)(tree_cpu_ns(side->backend) - begin_cpu_ns) /
			  (double)side->nr_done,
	};
}

static void open_side(struct side *side, const char *socket, const char *pid,
		      unsigned int depth)
{
	const struct front_options options = {
		.nr_queues = 1, .queue_size = 128, .no_calls = true,
		.indirect = true,
	};
	struct virtio_blk_config config;

	side->backend = atoi(pid);
	if (side->backend < 1)
		front_bail("PID is a process");
	front_start(&side->front, front_connect(socket), &options);
	front_get_config(&side->front, &config,
			 offsetof(struct virtio_blk_config, unused1));
	side->nr_blocks = config.capacity / IO_SECTORS;
	if (!side->nr_blocks)
		front_bail("a disk without a block");
	for (unsigned int i = 0; i < depth; i++)
		front_blk_init(&side->front, &side->blks[i], IO_BYTES, 0);
}

int main(int argc, char *argv[])
{
	int depth = argc == 8 ? atoi(argv[5]) : 0;
	int nr_pairs = argc == 8 ? atoi(argv[6]) : 0;
	int run_ms = argc == 8 ? atoi(argv[7]) : 0;

	if (depth < 1 || depth > MAX_DEPTH || nr_pairs < 1 || run_ms < 1)
		front_bail("usage: bench_turns SOCKET PID SOCKET PID DEPTH PAIRS MILLISECONDS");
	if (!stay_on_processor(0, 1))
		front_bail("processor 1 is not to be had");
	for (unsigned int i = 0; i < 2; i++)
		open_side(&sides[i], argv[1 + 2 * i], argv[2 + 2 * i],
			  (unsigned int)depth);
	for (int pair = -NR_WARM_UP; pair < nr_pairs; pair++) {
		struct result result[2];

		for (unsigned int i = 0; i < 2; i++) {
			unsigned int which = (i + (unsigned int)pair) & 1;

			result[which] = take_turn(&sides[which],
						  (unsigned int)depth,
						  (unsigned int)run_ms);
		}
		if (pair >= 0)
			printf("%.0f %.1f %.0f %.1f\n", result[0].iops,
			       result[0].cpu_ns, result[1].iops,
			       result[1].cpu_ns);
	}
	front_end(&sides[0].front);
	front_end(&sides[1].front);
	return 0;
}
