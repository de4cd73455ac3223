/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a queue: for vring.c, inflight.c, vhost_device.c (which sets it
 * up) and their tests.  Devices use vring.h.
 */
#ifndef DEVPROC_VRING_PRIV_H
#define DEVPROC_VRING_PRIV_H

#include "devproc/inflight.h"
#include "devproc/vring.h"
#include "ipc/log.h"
#include "ipc/pages.h"

/* virtio 1.2, 2.7.5: descriptor table, little-endian as this host is */
struct vring_descriptor {
	uint64_t addr;		/* guest-physical */
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

#define VRING_DESC_NEXT		(1u << 0)
#define VRING_DESC_WRITE	(1u << 1)
#define VRING_DESC_INDIRECT	(1u << 2)

/* virtio 1.2, 2.7.6; after ring[size]: uint16_t used_event */
struct vring_available {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

#define VRING_AVAIL_NO_INTERRUPT	(1u << 0)

/* virtio 1.2, 2.7.8; after ring[size]: uint16_t avail_event */
struct vring_used_entry {
	uint32_t id;
	uint32_t len;
};

struct vring_used_ring {
	uint16_t flags;
	uint16_t idx;
	struct vring_used_entry ring[];
};

_Static_assert(sizeof(struct vring_descriptor) == 16, "vring_descriptor");
_Static_assert(sizeof(struct vring_used_entry) == 8, "vring_used_entry");

/* Bytes and alignment of the three parts (virtio 1.2, 2.7, table). */
#define VRING_DESC_BYTES(size)	(16ull * (size))
#define VRING_AVAIL_BYTES(size)	(6 + 2ull * (size))
#define VRING_USED_BYTES(size)	(6 + 8ull * (size))
#define VRING_DESC_ALIGN	16
#define VRING_AVAIL_ALIGN	2
#define VRING_USED_ALIGN	4

struct vring {
	/* Guest RAM; all three set, or all NULL. */
	const volatile struct vring_descriptor *desc;	/* driver writes */
	const volatile struct vring_available *avail;	/* driver writes */
	volatile struct vring_used_ring *used;		/* device writes */

	unsigned int index;	/* of the queue in its device */
	uint16_t size;		/* power of two, 1..VRING_MAX_SIZE; 0: unset */
	bool event_idx;		/* VIRTIO_F_EVENT_IDX */
	bool indirect;		/* VIRTIO_F_INDIRECT_DESC */
	bool running;		/* pop is allowed */
	bool broken;		/* driver broke a rule; until it is set up anew */
	int call_fd;		/* -1: none */
	int err_fd;		/* -1: none */

	uint16_t last_avail;	/* next entry of avail->ring to take */
	uint16_t seen_avail;	/* avail->idx when it was last read */
	uint16_t next_used;	/* next entry of used->ring to fill */
	uint16_t shown_used;	/* used->idx as the guest sees it */
	uint16_t called_used;	/* used->idx at the last call decision */
	bool called_valid;
	unsigned int in_flight;	/* popped, not pushed */
	bool kicked;		/* and not looked into the ring since */

	/* Heads that the device has; a driver may not offer them again. */
	uint64_t taken[VRING_MAX_SIZE / 64];
	unsigned int nr_batch;	/* in batch[] */

	/* Faults on purpose: VRING_FAULT_ bits, each for the next of its kind. */
	uint8_t faults;

	struct inflight_queue inflight;
	unsigned int nr_again;	/* in again[] */
	unsigned int next_again;
	bool took_again;	/* the last pop was of one of them */

	struct stats_queue *stats;
	struct log_limit log_limit;

	/* What is below is written before it is read; vring_init() leaves it. */

	/* Left over by the process before: popped first. */
	uint16_t again[VRING_MAX_SIZE];
	/* Of heads that the device has. */
	uint64_t taken_ns[VRING_MAX_SIZE];
	uint8_t kind[VRING_MAX_SIZE];	/* enum stats_kind */
	/* Heads pushed since the last publish; their own taken_ns and kind. */
	uint16_t batch[VRING_MAX_SIZE];
	uint64_t batch_taken_ns[VRING_MAX_SIZE];
	uint8_t batch_kind[VRING_MAX_SIZE];
};

#define VRING_FAULT_BAD_USED	(1u << 0)	/* push: an id that cannot be */
#define VRING_FAULT_NO_CALL	(1u << 1)	/* publish: no interrupt */
#define VRING_FAULT_CRASH	(1u << 2)	/* publish: die before the interrupt */

/* A queue without rings, fds or numbers. */
void vring_init(struct vring *vring, unsigned int index,
		struct stats_queue *stats);

/*
 * Begin: rings are mapped, size and last_avail are set.  Takes up used->idx
 * and what the in-flight region says.
 * Return: 0; -EPROTO the in-flight region contradicts itself.
 */
int vring_start(struct vring *vring);

/* Stop for good; the caller has seen vring_in_flight() == 0. */
void vring_stop(struct vring *vring);

/* Interrupt the guest, needed or not. */
void vring_call(struct vring *vring);

/* The driver broke a rule (logged with the reason): no more pops. */
void vring_break(struct vring *vring, const char *reason);

#endif
