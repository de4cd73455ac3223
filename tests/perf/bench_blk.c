/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measurement of a vhost-user-blk back-end, any one, through the driver
 * of the wire tests:
 *
 *	bench_blk SOCKET PID read|write|seqread|seqwrite DEPTH MILLISECONDS
 *		[calls] [packed]
 *
 * 4 KiB at random places or 128 KiB one after the other, DEPTH of them at a
 * time, one queue, completions taken by polling on processor 1; the back-end,
 * process PID and its descendants, is the caller's to keep on another.  With
 * "calls" the driver asks for interrupts, though it does not wait for them;
 * with "packed" the queue is a packed one.
 * Prints "IOPS P50 P99 P99.9 CPU KICKS CALLS": per second, latencies in
 * microseconds, and per request CPU microseconds of the back-end, kicks and
 * interrupts.
 */
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/perf/cpu.h"
#include "tests/wire/front_blk.h"

#define RANDOM_BYTES	4096u
#define SEQUENCE_BYTES	(128u << 10)
#define MAX_DEPTH	128
#define SECTOR_BYTES	512u
#define WARM_UP_NS	200000000u	/* not counted */
#define MAX_SAMPLES	(1u << 22)	/* latencies kept; later ones are not */

struct bench {
	uint32_t type;
	uint32_t io_bytes;
	bool in_sequence;
	uint64_t position;	/* of the sequence, in blocks of io_bytes */
	uint64_t nr_blocks;
	uint64_t random;
	uint64_t begin_ns;	/* what ends before is not counted */
	uint64_t end_ns;
	pid_t backend;
	uint64_t backend_begin_ns;
	uint64_t begin_kicks;
	uint64_t nr_calls;
	uint64_t nr_done;
	uint64_t nr_failed;
	bool counting;
};

static struct front front;
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
	*sector = (bench->in_sequence ? bench->position++ :
					next_random(bench)) %
		  bench->nr_blocks * (bench->io_bytes / SECTOR_BYTES);
	*len = bench->io_bytes;
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
		bench->begin_kicks = front.queue[0].nr_kicks;
		front_count_calls(&front.queue[0]);
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

static double percentile_us(uint64_t nr, unsigned int permille)
{
	return (double)samples[(nr - 1) * permille / 1000] / 1e3;
}

static void report(const struct bench *bench, uint64_t backend_ns)
{
	uint64_t nr = bench->nr_done < MAX_SAMPLES ? bench->nr_done :
						     MAX_SAMPLES;
	double seconds = (double)(bench->end_ns - bench->begin_ns) / 1e9;

	if (bench->nr_failed)
		front_bail("%llu requests failed",
			   (unsigned long long)bench->nr_failed);
	/* The disk was busy with something else all the time. */
	if (nr == 0) {
		puts("0 0 0 0 0 0 0");
		return;
	}
	qsort(samples, nr, sizeof(samples[0]), by_value);
	printf("%.0f %.1f %.1f %.1f %.2f %.3f %.3f\n",
	       (double)bench->nr_done / seconds, percentile_us(nr, 500),
	       percentile_us(nr, 990), percentile_us(nr, 999),
	       (double)(backend_ns - bench->backend_begin_ns) / 1e3 /
	       (double)bench->nr_done,
	       (double)(front.queue[0].nr_kicks - bench->begin_kicks) /
	       (double)bench->nr_done,
	       (double)bench->nr_calls / (double)bench->nr_done);
}

static void measure(struct bench *bench, unsigned int depth,
		    unsigned int run_ms)
{
	static struct front_blk blks[MAX_DEPTH];
	const struct front_blk_job job = {
		.next = next, .done = done, .ctx = bench,
	};
	uint64_t now_ns;

	for (unsigned int i = 0; i < depth; i++)
		front_blk_init(&front, &blks[i], bench->io_bytes, 0);
	/* Present, so that no page fault is part of a latency. */
	memset(samples, 1, sizeof(samples));
	now_ns = clock_ns(CLOCK_MONOTONIC);
	bench->begin_ns = now_ns + WARM_UP_NS;
	bench->end_ns = bench->begin_ns + run_ms * 1000000ull;
	front_blk_run(&front.queue[0], blks, depth, &job);
	bench->nr_calls = front_count_calls(&front.queue[0]);
	report(bench, tree_cpu_ns(bench->backend));
}

static void parse_operation(struct bench *bench, const char *operation)
{
	bench->in_sequence = !strncmp(operation, "seq", 3);
	if (bench->in_sequence)
		operation += 3;
	bench->io_bytes = bench->in_sequence ? SEQUENCE_BYTES : RANDOM_BYTES;
	bench->type = strcmp(operation, "write") ? VIRTIO_BLK_T_IN :
						   VIRTIO_BLK_T_OUT;
}

/* From word 6 on. */
static void parse_wishes(struct front_options *options, char *words[])
{
	for (; *words; words++) {
		if (!strcmp(*words, "calls"))
			options->no_calls = false;
		else if (!strcmp(*words, "packed"))
			options->packed = true;
		else
			front_bail("%s: calls or packed", *words);
	}
}

int main(int argc, char *argv[])
{
	struct front_options options = {
		.nr_queues = 1, .queue_size = 128, .no_calls = true,
		.indirect = true,
	};
	struct bench bench = { .random = 88172645463325252u };
	struct virtio_blk_config config;
	int depth, run_ms;

	if (argc < 6)
		front_bail("usage: bench_blk SOCKET PID read|write|seqread|seqwrite DEPTH MILLISECONDS [calls] [packed]");
	parse_wishes(&options, &argv[6]);
	depth = atoi(argv[4]);
	run_ms = atoi(argv[5]);
	bench.backend = atoi(argv[2]);
	if (depth < 1 || depth > MAX_DEPTH || run_ms < 1 ||
	    bench.backend < 1)
		front_bail("depth is 1 to %d; PID is a process", MAX_DEPTH);
	parse_operation(&bench, argv[3]);
	if (!stay_on_processor(0, 1))
		front_bail("processor 1 is not to be had");
	front_start(&front, front_connect(argv[1]), &options);
	if (options.packed != front.queue[0].packed)
		front_bail("the back-end offers no packed rings");
	front_get_config(&front, &config, offsetof(struct virtio_blk_config,
						   unused1));
	bench.nr_blocks = config.capacity / (bench.io_bytes / SECTOR_BYTES);
	measure(&bench, (unsigned int)depth, (unsigned int)run_ms);
	front_end(&front);
	return 0;
}
