/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split and packed rings: a driver that writes what it likes into descriptors,
 * available ring and event indices, before and between what the device does,
 * and an in-flight region from a process that was taken over.
 */
#include <stdlib.h>
#include <string.h>

#include "ipc/log.h"
#include "tests/fuzz/ring.h"

static struct ring ring;

/* Heads popped and not yet given back. */
static uint16_t taken[RING_SIZE];
static unsigned int nr_taken;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	fuzz_reserve_fds();
	ring_open(&ring);
	return 0;
}

static void pop(bool undo)
{
	struct iovec spans[RING_SPANS];
	struct vring_chain chain = { .spans = spans, .max_spans = RING_SPANS };
	char buf[64];

	if (vring_pop(&ring.vring, &chain) <= 0)
		return;
	ring_check(&ring, &chain);
	for (unsigned int i = 0; i < nr_taken; i++)
		fuzz_check(taken[i] != chain.head);
	if (undo) {
		vring_unpop(&ring.vring, chain.head);
		return;
	}
	fuzz_check(nr_taken < RING_SIZE);
	taken[nr_taken++] = chain.head;
	if (chain.cut)
		return;
	vring_chain_read(&chain, chain.out_bytes / 2, buf, sizeof(buf));
	vring_chain_write(&chain, chain.in_bytes / 2, buf, sizeof(buf));
}

static void push(unsigned int which)
{
	uint16_t head;

	if (!nr_taken)
		return;
	which %= nr_taken;
	head = taken[which];
	taken[which] = taken[--nr_taken];
	vring_push(&ring.vring, head, which);
}

/* A packed ring's next slots become available, on the lap that the device is on. */
static void offer_slots(struct fuzz_input *in, unsigned int nr)
{
	volatile struct vring_packed_descriptor *desc = (void *)ring.low;
	struct vring_place place = ring.vring.packed.avail;

	for (unsigned int i = 0; i < nr; i++) {
		desc[place.slot].flags = vring_flags_available(
			(uint16_t)fuzz_take(in, 1) & 7, place.wrap);
		vring_place_advance(&place, 1, RING_SIZE);
	}
}

static void step(struct fuzz_input *in)
{
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	volatile struct vring_available *avail = (void *)(ring.low + RING_AVAIL);

	switch (what >> 4) {
	case 0:		/* any word of the first KiB changes */
	case 1:
		memcpy(ring.low + ((what & 31) << 5) + fuzz_take(in, 1) % 31,
		       &(uint16_t){ (uint16_t)fuzz_take(in, 2) }, 2);
		break;
	case 2:
		avail->idx = (uint16_t)(avail->idx + 1);
		break;
	case 3:
		pop(true);
		break;
	case 4:
	case 5:
		push(what & 15);
		break;
	case 6:
		vring_publish(&ring.vring);
		break;
	case 7:
		vring_rearm(&ring.vring);
		break;
	case 8:		/* the process dies, the next one takes over */
		nr_taken = 0;
		ring_restart(&ring);
		break;
	case 9:
	case 10:
		if (ring.vring.form == &vring_form_packed)
			offer_slots(in, what & 15);
		break;
	default:
		pop(false);
		break;
	}
	fuzz_check(vring_in_flight(&ring.vring) == nr_taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	nr_taken = 0;
	ring_begin(&ring, &in);
	for (int i = 0; i < 256 && in.left > 0; i++)
		step(&in);
	vring_stop(&ring.vring);
	return 0;
}
