/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request costs a queue's device side, D3 and D5, without any I/O: a
 * batch of requests is popped, pushed and published, by a process that is its
 * own guest.  Built with statistics and without (uncounted.h); the difference
 * is what they cost.  Prints nanoseconds per request, of the fastest batch,
 * which is the one that nobody else on the machine disturbed.
 *
 * Usage: bench_counting REQUESTS_A_BATCH
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devproc/guest_mem.h"
#include "devproc/vring_priv.h"
#include "tests/perf/cpu.h"

#define SIZE		128
#define RAM_BYTES	(1u << 20)
#define AVAIL_GPA	0x1000
#define USED_GPA	0x2000
#define DATA_GPA	0x20000
#define BATCHES		200000

static struct vring vring;
static struct stats_queue stats;
static struct vring_available *avail;

static void fail(const char *what)
{
	fprintf(stderr, "bench_counting: %s\n", what);
	exit(EXIT_FAILURE);
}

/* A request is a span to write, at the descriptor of its own number. */
static void set_up(void)
{
	struct vhost_user_region region = { .size = RAM_BYTES };
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct vring_descriptor *desc;

	if (fd < 0 || ftruncate(fd, RAM_BYTES) < 0 ||
	    guest_mem_add(&region, fd))
		fail("no guest memory");
	vring_init(&vring, 0, &stats);
	vring.split.desc = guest_mem_from_user(0, VRING_DESC_BYTES(SIZE), 16);
	vring.split.avail = guest_mem_from_user(AVAIL_GPA, VRING_AVAIL_BYTES(SIZE),
					  2);
	vring.split.used = guest_mem_from_user(USED_GPA, VRING_USED_BYTES(SIZE), 4);
	vring.size = SIZE;
	if (vring_start(&vring))
		fail("the ring does not start");
	vring.running = true;
	avail = guest_mem_from_user(AVAIL_GPA, VRING_AVAIL_BYTES(SIZE), 2);
	avail->flags = VRING_AVAIL_NO_INTERRUPT;
	desc = guest_mem_from_user(0, VRING_DESC_BYTES(SIZE), 16);
	for (unsigned int i = 0; i < SIZE; i++) {
		desc[i] = (struct vring_descriptor){
			.addr = DATA_GPA + i * 4096, .len = 4096,
			.flags = VRING_DESC_WRITE,
		};
		avail->ring[i] = (uint16_t)i;
	}
}

static void serve(unsigned int batch)
{
	struct iovec spans[4];
	struct vring_chain chain = { .spans = spans, .max_spans = 4 };
	uint16_t heads[SIZE];

	avail->idx = (uint16_t)(avail->idx + batch);
	for (unsigned int i = 0; i < batch; i++) {
		if (vring_pop(&vring, &chain) != 1)
			fail("a request is missing");
		heads[i] = chain.head;
	}
	for (unsigned int i = 0; i < batch; i++)
		vring_push(&vring, heads[i], 4096);
	vring_publish(&vring);
}

int main(int argc, char *argv[])
{
	int batch = argc == 2 ? atoi(argv[1]) : 0;
	uint64_t least_ns = UINT64_MAX;

	if (batch < 1 || batch > SIZE)
		fail("usage: bench_counting REQUESTS_A_BATCH, 1 to 128");
	set_up();
	for (unsigned int i = 0; i < BATCHES; i++) {
		uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
		uint64_t ns;

		serve((unsigned int)batch);
		ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
		if (ns < least_ns)
			least_ns = ns;
	}
	printf("%.1f\n", (double)least_ns / batch);
	return 0;
}
