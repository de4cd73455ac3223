/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: measures its disk, for tests/perf/bench_guest.c, which types what to
 * do on COM1, one line each, numbers in hex:
 *
 *	OPERATION DEPTH WARM-UP DURATION
 *
 * Operations: r and w, 4 KiB at random places; R and W, 128 KiB one after the
 * other; DEPTH of them at a time; times in cycles.  It prints "begin" when
 * what is counted begins, "end" when it is over, and then what it has counted.
 *
 * It drives its queue as Linux does: an indirect descriptor for each request,
 * doorbells only where the device's event index asks for them, and an event
 * index of its own that asks for an interrupt after all that it has seen.  It
 * does not take that interrupt, but looks at the used ring all the time: on a
 * KVM that emulates ring 0 a handler would cost more than the request.  For
 * the same reason the loop runs at CPL 3, and requests are prepared once.
 */
#include "tests/guest/virtio.h"

#define LSR		(PORT_COM1 + 5)
#define LSR_DATA	1u

#define DATA_BYTES	(1u << 20)
#define RANDOM_BYTES	4096u
#define SEQUENCE_BYTES	(128u << 10)
#define VECTOR		0x50

/* Latencies: 64 steps to each power of two. */
#define STEP_BITS	6u
#define NR_STEPS	(64u << STEP_BITS)

static struct request {
	struct desc table[3];
	struct blk_header header;
	uint64_t begin;
	uint8_t status;
} requests[MAX_SIZE] __attribute__((aligned(16)));

static uint8_t data[DATA_BYTES] __attribute__((aligned(4096)));
static uint32_t latencies[NR_STEPS];

static struct {
	int in_sequence;
	uint64_t nr_blocks;
	uint32_t block_sectors;
	uint64_t random;
	uint64_t position;	/* of the sequence */
	uint64_t done, failed, kicks;
} run = { .random = 88172645463325252u };

static uint64_t capacity;	/* sectors */
static int has_events;		/* event indices */
static uint16_t avail, seen;	/* our ends of the two rings */

/* The barrier orders a store before a load, which the processor may swap. */
static inline void full_barrier(void)
{
	__asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
}

/* xorshift64 */
static uint64_t next_block(void)
{
	if (run.in_sequence)
		return run.position++ % run.nr_blocks;
	run.random ^= run.random << 13;
	run.random ^= run.random >> 7;
	run.random ^= run.random << 17;
	return run.random % run.nr_blocks;
}

static void show(uint32_t i, uint64_t now)
{
	requests[i].header.sector = next_block() * run.block_sectors;
	requests[i].begin = now;
	driver.ring[avail++ % MAX_SIZE] = (uint16_t)i;
}

/* virtio 1.2, 2.7.13.4: all that was shown since old becomes available */
static void publish(uint16_t old)
{
	uint16_t event;
	int wanted;

	barrier();
	*(volatile uint16_t *)&driver.idx = avail;
	full_barrier();
	event = *(volatile uint16_t *)&device.avail_event;
	wanted = !(*(volatile uint16_t *)&device.flags & 1);
	if (has_events)
		wanted = (uint16_t)(avail - event - 1) <
			 (uint16_t)(avail - old);
	if (!wanted)
		return;
	run.kicks++;
	mmio_write16(notify, 0);
}

static void count(uint64_t took)
{
	uint32_t high = 63u - (uint32_t)__builtin_clzll(took | 1);
	uint32_t shift = high > STEP_BITS ? high - STEP_BITS : 0;

	latencies[(shift << STEP_BITS) + (uint32_t)(took >> shift)]++;
}

/* Take what has ended; again: submit as much anew. */
static void look(int again)
{
	uint16_t used = *(volatile uint16_t *)&device.idx;
	uint16_t old = avail;
	uint64_t now;

	if (used == seen)
		return;
	barrier();
	now = cycles();
	for (; seen != used; seen++) {
		uint32_t i = device.ring[seen % MAX_SIZE].id % MAX_SIZE;

		run.done++;
		if (*(volatile uint8_t *)&requests[i].status != 0)
			run.failed++;
		count(now - requests[i].begin);
		if (again)
			show(i, now);
	}
	/* virtio 1.2, 2.7.10: an interrupt for the next */
	*(volatile uint16_t *)&driver.used_event = seen;
	if (avail != old)
		publish(old);
}

static void prepare(uint32_t i, uint32_t type, uint32_t bytes)
{
	struct request *request = &requests[i];

	request->header.type = type;
	request->table[0] = (struct desc){
		(uint64_t)&request->header, 16, DESC_NEXT, 1 };
	request->table[1] = (struct desc){
		(uint64_t)&data[i * bytes], bytes,
		(uint16_t)(DESC_NEXT | (type == T_IN ? DESC_WRITE : 0)), 2 };
	request->table[2] = (struct desc){
		(uint64_t)&request->status, 1, DESC_WRITE, 0 };
	desc[i] = (struct desc){ (uint64_t)request->table,
				 sizeof(request->table), DESC_INDIRECT, 0 };
}

static void forget(void)
{
	run.done = run.failed = run.kicks = 0;
	for (uint32_t i = 0; i < NR_STEPS; i++)
		latencies[i] = 0;
}

/* The middle of the step that has it. */
static uint64_t percentile(uint64_t permille)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < NR_STEPS; i++) {
		uint32_t shift = i >> STEP_BITS ? (i >> STEP_BITS) - 1 : 0;

		before += latencies[i];
		if (before * 1000 > run.done * permille)
			return ((uint64_t)(i - (shift << STEP_BITS)) << shift) +
			       (1ull << shift) / 2;
	}
	return 0;
}

static void report(uint64_t took)
{
	put_value("cycles", took);
	put_value("done", run.done);
	put_value("failed", run.failed);
	put_value("kicks", run.kicks);
	put_value("p50", percentile(500));
	put_value("p99", percentile(990));
	put_value("p999", percentile(999));
	put("ready\n");
}

static void measure(uint8_t operation, uint32_t depth, uint64_t warm_up,
		    uint64_t duration)
{
	uint32_t type = operation == 'r' || operation == 'R' ? T_IN : T_OUT;
	uint32_t bytes;
	uint64_t begin, end;
	uint16_t old = avail;

	run.in_sequence = operation == 'R' || operation == 'W';
	bytes = run.in_sequence ? SEQUENCE_BYTES : RANDOM_BYTES;
	if (depth > MAX_SIZE)
		depth = MAX_SIZE;
	if (depth * bytes > DATA_BYTES)
		depth = DATA_BYTES / bytes;
	run.block_sectors = bytes / SECTOR;
	run.nr_blocks = capacity / run.block_sectors;
	for (uint32_t i = 0; i < depth; i++) {
		prepare(i, type, bytes);
		show(i, cycles());
	}
	publish(old);
	for (end = cycles() + warm_up; cycles() < end; )
		look(1);
	put("begin\n");
	look(1);
	forget();
	begin = cycles();
	for (end = begin + duration; cycles() < end; )
		look(1);
	end = cycles();
	put("end\n");
	report(end - begin);
	while (seen != avail)
		look(0);
}

static uint8_t typed(void)
{
	while (!(in8(LSR) & LSR_DATA))
		;
	return in8(PORT_COM1);
}

/* A number in hex, and the one character behind it. */
static uint64_t typed_number(void)
{
	uint64_t value = 0;

	for (;;) {
		uint8_t c = typed();

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (c - 'a' + 10u);
		else
			return value;
	}
}

void guest_main(const char *cmdline)
{
	(void)cmdline;
	lapic_enable();
	if (!find_disk()) {
		put("no disk\n");
		power_off();
	}
	find_caps();
	set_vector(VECTOR);
	capacity = mmio_read64(disk_config);
	/* Who does not take FLUSH gets each write on stable storage. */
	has_events = (driver_start_with(MAX_SIZE, F_BLK_FLUSH |
					F_BLK_CONFIG_WCE | F_INDIRECT_DESC |
					F_EVENT_IDX) & F_EVENT_IDX) != 0;
	user_enter();
	put("ready\n");
	for (;;) {
		uint8_t operation = typed();
		uint32_t depth;
		uint64_t warm_up;

		(void)typed();
		depth = (uint32_t)typed_number();
		warm_up = typed_number();
		measure(operation, depth, warm_up, typed_number());
	}
}
