/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measurement of a vhost-user-blk back-end, any one, through the driver
 * of the wire tests:
 *
 *	bench_blk SOCKET PID read|write DEPTH MILLISECONDS
 *
 * 4 KiB at random places, DEPTH of them at a time, one queue, completions
 * taken by polling on processor 1; the back-end, process PID and its
 * descendants, is the caller's to keep on another.  Prints "IOPS P50 P99 CPU": per second, latencies in
 * microseconds, and CPU microseconds of the back-end per request.
 */
#include <linux/virtio_blk.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/perf/cpu.h"
#include "tests/wire/front_blk.h"

#define IO_BYTES	4096u
#define IO_SECTORS	(IO_BYTES / 512)
#define MAX_DEPTH	64
#define WARM_UP_NS	200000000u	/* not counted */
#define MAX_SAMPLES	(1u << 22)	/* latencies kept; later ones are not */

struct bench {
	uint32_t type;
	uint64_t nr_blocks;
	uint64_t random;
	uint64_t begin_ns;	/* what ends before is not counted */
	uint64_t end_ns;
	pid_t backend;
	uint64_t backend_begin_ns;
	uint64_t nr_done;
	uint64_t nr_failed;
	bool counting;
};

static uint32_t samples[MAX_SAMPLES];	/* nanoseconds */

/* xorshift64* */
static uint64_t next_random(struct bench *bench)
{
	bench->random ^= bench->random >> 12;
	bench->random ^= bench->random << 25;
	bench->random ^= bench->random >> 27;
	return bench->random * 0x2545f4914f6cdd1du;
}

static bool next(void *ctx, struct front_blk *blk, uint32_t *type,
		 uint64_t *sector, uint32_t *len)
{
	struct bench *bench = ctx;

	blk->user = clock_ns(CLOCK_MONOTONIC);
	*type = bench->type;
	*sector = next_random(bench) % bench->nr_blocks * IO_SECTORS;
	*len = IO_BYTES;
	return blk->user < bench->end_ns;
}

static void done(void *ctx, struct front_blk *blk, uint8_t status)
{
	struct bench *bench = ctx;
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	if (status != VIRTIO_BLK_S_OK)
		bench->nr_failed++;
	if (now_ns < bench->begin_ns || now_ns > bench->end_ns)
		return;
	if (!bench->counting) {
		bench->counting = true;
		bench->backend_begin_ns = tree_cpu_ns(bench->backend);
	}
	if (bench->nr_done < MAX_SAMPLES)
		samples[bench->nr_done] = (uint32_t)(now_ns - blk->user);
	bench->nr_done++;
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile_us(uint64_t nr, unsigned int percent)
{
	return (double)samples[(nr - 1) * percent / 100] / 1e3;
}

static void report(const struct bench *bench, uint64_t backend_ns)
{
	uint64_t nr = bench->nr_done < MAX_SAMPLES ? bench->nr_done :
						     MAX_SAMPLES;
	double seconds = (double)(bench->end_ns - bench->begin_ns) / 1e9;

	if (bench->nr_failed || nr == 0)
		front_bail("%llu requests failed, %llu done",
			   (unsigned long long)bench->nr_failed,
			   (unsigned long long)bench->nr_done);
	qsort(samples, nr, sizeof(samples[0]), by_value);
	printf("%.0f %.1f %.1f %.2f\n", (double)bench->nr_done / seconds,
	       percentile_us(nr, 50), percentile_us(nr, 99),
	       (double)(backend_ns - bench->backend_begin_ns) / 1e3 /
	       (double)bench->nr_done);
}

static void stay_on_processor_1(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		front_bail("processor 1 is not to be had");
}

static void measure(struct front *front, struct bench *bench,
		    unsigned int depth, unsigned int run_ms)
{
	static struct front_blk blks[MAX_DEPTH];
	const struct front_blk_job job = {
		.next = next, .done = done, .ctx = bench,
	};
	uint64_t now_ns;

	for (unsigned int i = 0; i < depth; i++)
		front_blk_init(front, &blks[i], IO_BYTES, 0);
	/* Present, so that no page fault is part of a latency. */
	memset(samples, 1, sizeof(samples));
	now_ns = clock_ns(CLOCK_MONOTONIC);
	bench->begin_ns = now_ns + WARM_UP_NS;
	bench->end_ns = bench->begin_ns + run_ms * 1000000ull;
	front_blk_run(&front->queue[0], blks, depth, &job);
	report(bench, tree_cpu_ns(bench->backend));
}

int main(int argc, char *argv[])
{
	static struct front front;
	const struct front_options options = {
		.nr_queues = 1, .queue_size = 128, .no_calls = true,
		.indirect = true,
	};
	struct bench bench = { .random = 88172645463325252u };
	struct virtio_blk_config config;
	int depth, run_ms;

	if (argc != 6)
		front_bail("usage: bench_blk SOCKET PID read|write DEPTH MILLISECONDS");
	depth = atoi(argv[4]);
	run_ms = atoi(argv[5]);
	bench.backend = atoi(argv[2]);
	if (depth < 1 || depth > MAX_DEPTH || run_ms < 1 ||
	    bench.backend < 1)
		front_bail("depth is 1 to %d; PID is a process", MAX_DEPTH);
	bench.type = strcmp(argv[3], "write") ? VIRTIO_BLK_T_IN :
						VIRTIO_BLK_T_OUT;
	stay_on_processor_1();
	front_start(&front, front_connect(argv[1]), &options);
	front_get_config(&front, &config, offsetof(struct virtio_blk_config,
						   unused1));
	bench.nr_blocks = config.capacity / IO_SECTORS;
	measure(&front, &bench, (unsigned int)depth, (unsigned int)run_ms);
	front_end(&front);
	return 0;
}
