/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's memory with a ring in it, see ring.h. */
#include "tests/fuzz/ring.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devproc/guest_mem.h"

enum { EVENT_IDX = 1, INDIRECT = 2, TRACKED = 4, PACKED = 8 };

/* The in-flight region, hostile too: the fuzzer fills it. */
static _Alignas(INFLIGHT_ALIGN) uint8_t
	inflight[sizeof(struct inflight_packed_queue) +
		 RING_SIZE * sizeof(struct inflight_packed_entry)];
static bool tracked;
static bool packed;

static void add(uint64_t gpa, uint64_t bytes, uint64_t offset, int fd)
{
	const struct vhost_user_region region = {
		.gpa = gpa, .size = bytes, .user_addr = gpa,
		.mmap_offset = offset,
	};

	if (guest_mem_add(&region, dup(fd)))
		abort();
}

void ring_open(struct ring *ring)
{
	int fd = fuzz_memfd(NULL, 0, RING_LOW_BYTES + RING_HIGH_BYTES);

	add(0, RING_HALF, 0, fd);
	add(RING_HALF, RING_LOW_BYTES - RING_HALF, RING_HALF, fd);
	add(RING_HIGH_GPA, RING_HIGH_BYTES, RING_LOW_BYTES, fd);
	close(fd);
	ring->low = guest_mem_from_user(0, RING_HALF, 1);
	ring->high = guest_mem_from_user(RING_HIGH_GPA, RING_HIGH_BYTES, 1);
	ring->vring.call_fd = -1;
	ring->vring.err_fd = -1;
}

int ring_restart(struct ring *ring)
{
	const struct vhost_user_vring_addr areas = {
		.desc = 0, .avail = RING_AVAIL, .used = RING_USED,
	};
	struct vring *vring = &ring->vring;
	int err;

	/* Requests in flight die with the process that had them. */
	vring_init(vring, 0, &ring->stats);
	if (packed)
		vring->form = &vring_form_packed;
	vring->size = RING_SIZE;
	vring->base = packed ? 0x80008000 : 0;
	err = vring_map(vring, &areas);
	if (!err)
		err = vring_track(vring, tracked ? inflight : NULL, RING_SIZE);
	if (!err)
		err = vring_start(vring);
	vring->running = !err;
	return err;
}

void ring_begin(struct ring *ring, struct fuzz_input *in)
{
	uint8_t how = (uint8_t)fuzz_take(in, 1);
	size_t low_bytes = (size_t)fuzz_take(in, 2) % RING_HALF;

	memset(&ring->stats, 0, sizeof(ring->stats));
	memset(inflight, 0, sizeof(inflight));
	tracked = how & TRACKED;
	packed = how & PACKED;
	if (tracked)
		fuzz_take_bytes(in, inflight, packed ? sizeof(inflight) :
				sizeof(struct inflight_split_queue) + RING_SIZE *
				sizeof(struct inflight_split_entry));
	memset(ring->low, 0, RING_HALF);
	memset(ring->high, 0, RING_HIGH_BYTES);
	fuzz_take_bytes(in, ring->low, low_bytes);
	ring_restart(ring);
	ring->vring.event_idx = how & EVENT_IDX;
	ring->vring.indirect = how & INDIRECT;
}

static bool is_guest_memory(const struct ring *ring, const uint8_t *at,
			    size_t len)
{
	const uint8_t *second = guest_mem_from_user(RING_HALF, 1, 1);

	return (at >= ring->low && at + len <= ring->low + RING_HALF) ||
	       (at >= second && at + len <= second + RING_HALF) ||
	       (at >= ring->high && at + len <= ring->high + RING_HIGH_BYTES);
}

void ring_check(const struct ring *ring, const struct vring_chain *chain)
{
	uint64_t sum[2] = { 0, 0 };
	unsigned int nr = (unsigned int)chain->nr_out + chain->nr_in;

	fuzz_check(chain->head < RING_SIZE);
	fuzz_check(nr <= chain->max_spans);
	for (unsigned int i = 0; i < nr; i++) {
		const struct iovec *span = &chain->spans[i];

		fuzz_check(span->iov_len > 0);
		fuzz_check(is_guest_memory(ring, span->iov_base,
					   span->iov_len));
		sum[i >= chain->nr_out] += span->iov_len;
	}
	if (chain->cut)
		return;
	fuzz_check(sum[0] == chain->out_bytes);
	fuzz_check(sum[1] == chain->in_bytes);
}
