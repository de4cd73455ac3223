/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a queue: for vring.c, which is what both forms of a ring share,
 * vring_split.c and vring_packed.c, which are the forms, vhost_queue.c (which
 * sets a queue up) and their tests.  Devices use vring.h.
 */
#ifndef DEVPROC_VRING_PRIV_H
#define DEVPROC_VRING_PRIV_H

#include "devproc/inflight.h"
#include "devproc/inflight_packed.h"
#include "devproc/vring.h"
#include "ipc/log.h"
#include "ipc/pages.h"
#include "ipc/vhost_user.h"

/* virtio 1.2, 2.7.5: descriptor table, little-endian as this host is */
struct vring_descriptor {
	uint64_t addr;		/* guest-physical */
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* The same in descriptors of both forms (2.7.5, 2.8.13). */
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
#define VRING_USED_NO_NOTIFY		(1u << 0)	/* 2.7.8 */

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

/* virtio 1.2, 2.8.13: descriptor ring of a packed virtqueue */
struct vring_packed_descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

#define VRING_DESC_AVAIL	(1u << 7)
#define VRING_DESC_USED		(1u << 15)

/* virtio 1.2, 2.8.14: event suppression structures, the driver's and ours */
struct vring_packed_event {
	uint16_t off_wrap;	/* slot; bit 15: its wrap counter */
	uint16_t flags;
};

#define VRING_EVENT_ENABLE	0u
#define VRING_EVENT_DISABLE	1u
#define VRING_EVENT_DESC	2u	/* at off_wrap; only with EVENT_IDX */

_Static_assert(sizeof(struct vring_descriptor) == 16, "vring_descriptor");
_Static_assert(sizeof(struct vring_used_entry) == 8, "vring_used_entry");
_Static_assert(sizeof(struct vring_packed_descriptor) == 16, "packed");

/* Bytes and alignment of the three parts (virtio 1.2, 2.7 and 2.8.10). */
#define VRING_DESC_BYTES(size)	(16ull * (size))
#define VRING_AVAIL_BYTES(size)	(6 + 2ull * (size))
#define VRING_USED_BYTES(size)	(6 + 8ull * (size))
#define VRING_EVENT_BYTES	4
#define VRING_DESC_ALIGN	16
#define VRING_AVAIL_ALIGN	2
#define VRING_USED_ALIGN	4
#define VRING_EVENT_ALIGN	4

/* Of a split ring (2.7): what it has beside what every ring has. */
struct vring_split {
	/* Guest RAM; all three set, or all NULL. */
	const volatile struct vring_descriptor *desc;	/* driver writes */
	const volatile struct vring_available *avail;	/* driver writes */
	volatile struct vring_used_ring *used;		/* device writes */

	uint16_t last_avail;	/* next entry of avail->ring to take */
	uint16_t seen_avail;	/* avail->idx when it was last read */
	uint16_t next_used;	/* next entry of used->ring to fill */
	uint16_t shown_used;	/* used->idx as the guest sees it */
	uint16_t called_used;	/* used->idx at the last call decision */
	bool called_valid;
	/* Heads that the device has; a driver may not offer them again. */
	uint64_t taken[VRING_MAX_SIZE / 64];
	struct inflight_queue inflight;
};

/* Of a packed ring (2.8). */
struct vring_packed {
	/* Guest RAM; all three set, or all NULL. */
	volatile struct vring_packed_descriptor *desc;	/* both write */
	const volatile struct vring_packed_event *driver; /* driver writes */
	volatile struct vring_packed_event *device;	/* device writes */

	struct vring_place avail;	/* next to take */
	struct vring_place used;	/* next to write */
	uint16_t nr_shown;	/* slots that the last publish went past */
	bool called_valid;	/* nr_shown is since the last call decision */
	bool found;		/* the slot at avail was available lately */
	struct inflight_packed inflight;
};

struct vring_form;

struct vring {
	const struct vring_form *form;	/* set with the features */
	struct vring_split split;
	struct vring_packed packed;

	unsigned int index;	/* of the queue in its device */
	uint16_t size;		/* 1..VRING_MAX_SIZE; 0: unset */
	bool event_idx;		/* VIRTIO_F_EVENT_IDX */
	bool indirect;		/* VIRTIO_F_INDIRECT_DESC */
	bool started;		/* between vring_start() and vring_stop() */
	bool running;		/* pop is allowed */
	bool broken;		/* driver broke a rule; until it is set up anew */
	int call_fd;		/* -1: none */
	int err_fd;		/* -1: none */
	uint32_t base;		/* vhost-user's VRING_BASE, while it is stopped */

	unsigned int in_flight;	/* popped, not pushed */
	unsigned int nr_batch;	/* in batch[] */
	bool kicked;		/* and not looked into the ring since */

	/* Faults on purpose: VRING_FAULT_ bits, each for the next of its kind. */
	uint8_t faults;

	bool took_again;	/* the last pop was of one of again[] */
	unsigned int nr_again;	/* in again[] */
	unsigned int next_again;

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
	uint32_t batch_bytes[VRING_MAX_SIZE];	/* written; packed only */
	/* Packed: the entries that heads are numbers of. */
	struct inflight_entry entries[VRING_MAX_SIZE];
};

/* --- what the forms do differently ----------------------------------------- */

struct vring_walk;	/* along one chain: vring_walk.h */

/*
 * Each is called by the function of vring.h or below whose name it has, which
 * does what is the same for both.  A ring that is broken or does not run is
 * not asked.
 */
struct vring_form {
	/* Return: 0; -EFAULT not in the memory table. */
	int (*map)(struct vring *vring,
		   const struct vhost_user_vring_addr *addr);
	void (*unmap)(struct vring *vring);
	/* shared: the queue's part of the in-flight region, NULL: none. */
	int (*track)(struct vring *vring, void *shared, uint16_t size);
	/*
	 * From vring->base, or from what the in-flight region says.  Return:
	 * how many requests are left over, their heads in again[]; -EINVAL
	 * the base cannot be; -EPROTO region and ring contradict each other.
	 */
	int (*start)(struct vring *vring);
	uint32_t (*base)(const struct vring *vring);

	/*
	 * The next new chain, or, again, that of chain->head, which was taken
	 * by the process before.  The chain is empty.  Return: as vring_pop().
	 */
	int (*take)(struct vring *vring, struct vring_walk *walk);
	int (*take_again)(struct vring *vring, struct vring_walk *walk);
	/* again: it was taken by take_again. */
	void (*untake)(struct vring *vring, uint16_t head, bool again);
	bool (*is_waiting)(const struct vring *vring);

	/* The head is the next of the batch. */
	void (*give)(struct vring *vring, uint16_t head,
		     uint32_t written_bytes);
	/* The batch becomes visible: nr_batch heads, 1 at least. */
	void (*show)(struct vring *vring);
	/* After show: does the driver want an interrupt for it? */
	bool (*wants_call)(struct vring *vring);
	void (*ask_for_kick)(struct vring *vring);
	void (*ask_for_no_kick)(struct vring *vring);

	/* What changes if the driver has seen what was shown, or goes on. */
	uint32_t (*driver_words)(const struct vring *vring);
};

extern const struct vring_form vring_form_split;
extern const struct vring_form vring_form_packed;

#define VRING_FAULT_BAD_USED	(1u << 0)	/* push: an id that cannot be */
#define VRING_FAULT_NO_CALL	(1u << 1)	/* publish: no interrupt */
#define VRING_FAULT_CRASH	(1u << 2)	/* publish: die before the interrupt */

/* A queue without rings, fds or numbers, of the split form. */
void vring_init(struct vring *vring, unsigned int index,
		struct stats_queue *stats);

/*
 * Guest RAM at user addresses; form and size are set.
 * Return: 0; -EFAULT not in the memory table.
 */
int vring_map(struct vring *vring, const struct vhost_user_vring_addr *addr);

/*
 * Requests are tracked in the queue's part of the in-flight region, made for
 * size descriptors; shared NULL: they are not.  While the ring is stopped.
 * Return: 0; -EINVAL it is for another size or of another version.
 */
int vring_track(struct vring *vring, void *shared, uint16_t size);

/*
 * Begin: rings are mapped, size and base are set, tracking is decided.  Takes
 * up where the guest is, and what the in-flight region says.
 * Return: 0; -EINVAL base is outside the ring.
 */
int vring_start(struct vring *vring);

/*
 * Stop for good; the caller has seen vring_in_flight() == 0.  base says where
 * the driver's next request will be.
 */
void vring_stop(struct vring *vring);

/* Interrupt the guest, needed or not. */
void vring_call(struct vring *vring);

/* The driver broke a rule (logged with the reason): no more pops. */
void vring_break(struct vring *vring, const char *reason);

/* --- packed rings: flags and places (virtio 1.2, 2.8.1) -------------------- */

static inline bool vring_is_available(uint16_t flags, bool wrap)
{
	bool avail = flags & VRING_DESC_AVAIL;
	bool used = flags & VRING_DESC_USED;

	return avail == wrap && used != wrap;
}

/* flags, but those two, of a slot that is available (used) on that lap. */
static inline uint16_t vring_flags_available(uint16_t flags, bool wrap)
{
	flags &= (uint16_t)~(VRING_DESC_AVAIL | VRING_DESC_USED);
	return (uint16_t)(flags | (wrap ? VRING_DESC_AVAIL : VRING_DESC_USED));
}

static inline uint16_t vring_flags_used(uint16_t flags, bool wrap)
{
	return (uint16_t)(flags | (wrap ? VRING_DESC_AVAIL | VRING_DESC_USED :
					  0));
}

/* nr, size at most, slots on. */
static inline void vring_place_advance(struct vring_place *place,
				       uint16_t nr, uint16_t size)
{
	unsigned int slot = (unsigned int)place->slot + nr;

	if (slot >= size) {
		slot -= size;
		place->wrap = !place->wrap;
	}
	place->slot = (uint16_t)slot;
}

/* --- for the forms ---------------------------------------------------------- */

/* The ring was looked into: new requests are there, or none. */
void vring_count_find(struct vring *vring);
void vring_count_idle(struct vring *vring);

/*
 * What a used entry is to say: id, unless vhost_fault.c asked for one that
 * cannot be.
 */
static inline uint32_t vring_used_id(struct vring *vring, uint32_t id)
{
	if (__builtin_expect(!(vring->faults & VRING_FAULT_BAD_USED), 1))
		return id;
	vring->faults &= (uint8_t)~VRING_FAULT_BAD_USED;
	return id + vring->size;
}

#endif
