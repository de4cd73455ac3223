/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user front-end with a guest that is a test program: guest RAM in a
 * memfd, rings driven by hand, completions taken by polling.  For wire
 * tests and for benches; works with any back-end, not only with ours.
 *
 * Guest-physical address, user address and offset in the memfd are one
 * number, as in Bulkhead's core.  One thread.  Functions that cannot go on
 * end the program with one line ("Bail out!", TAP): a test has nothing to
 * clean up that its end does not.
 */
#ifndef TESTS_WIRE_FRONT_H
#define TESTS_WIRE_FRONT_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/vhost_user.h"

#define FRONT_MAX_QUEUES	8
#define FRONT_MAX_SIZE		1024
#define FRONT_TIMEOUT_MS	5000

struct front_options {
	uint64_t ram_bytes;	/* 0: 64 MiB */
	uint64_t features;	/* wanted; 0: all that is offered */
	uint16_t nr_queues;	/* 0: 1 */
	uint16_t queue_size;	/* 0: 128 */
	bool no_event_idx;
	bool indirect;		/* chains of more than one go through a table */
	bool packed;		/* packed rings, if they are offered */
	bool no_calls;		/* the driver polls: it asks for no interrupts */
	bool inflight;		/* ask for an in-flight region */
	bool late_channel;	/* front_open_channel() is the caller's */
	/*
	 * Regions that RAM is cut into, all of one size: buffers can then
	 * cross from one mapping to the next.  0: 1.
	 */
	unsigned int nr_regions;
};

struct front_buf {
	uint64_t gpa;
	uint32_t len;
};

/* Of a packed ring: what it has beside or instead of what a split one has. */
struct front_packed {
	struct vring_packed_desc *desc;
	struct vring_packed_desc_event *driver, *device;
	struct vring_packed_desc *first;	/* that the device is not shown */
	uint16_t first_flags;
	uint16_t nr_hidden;	/* slots from it on */
	uint16_t nr_unkicked;	/* shown slots that no kick was thought of */
	bool avail_wrap, used_wrap;	/* counters */
	uint16_t next_id[FRONT_MAX_SIZE];	/* list of ids that are free */
	uint16_t nr_slots[FRONT_MAX_SIZE];	/* by id; 0: it is free */
};

struct front_queue {
	struct front *front;
	unsigned int index;
	uint16_t size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_desc *tables;	/* indirect: FRONT_TABLE per head */
	uint64_t tables_gpa;
	int kick_fd, call_fd, err_fd;
	bool packed;
	struct front_packed packed_ring;
	uint16_t free_head;	/* list through desc[].next */
	uint16_t nr_free;
	uint16_t next_avail;	/* not yet shown to the device */
	uint16_t kicked_avail;	/* as it was at the last front_kick() */
	uint16_t next_used;	/* next completion to take */
	bool event_idx;
	bool indirect;
	uint64_t nr_kicks;	/* written to kick_fd */
	void *cookies[FRONT_MAX_SIZE];	/* by head */
};

#define FRONT_TABLE	32	/* entries of one indirect table */

struct front {
	int sock;
	int backend_sock;	/* our end of the back-end channel; -1 */
	pid_t pid;		/* of front_spawn(); 0 */
	uint64_t features;	/* agreed */
	uint64_t protocol;	/* agreed */
	struct front_options options;
	int ram_fd;
	uint8_t *ram;
	uint64_t ram_used;	/* front_alloc() */
	int inflight_fd;	/* -1: none */
	struct vhost_user_inflight inflight;
	struct front_queue queue[FRONT_MAX_QUEUES];
};

/* --- the connection ------------------------------------------------------- */

/* Connect to a listening back-end, which may still be starting. */
int front_connect(const char *path);

/*
 * Start a back-end with one end of a socket pair at fd `fd` of its command
 * line: argv[] has an argument "--fd=N" with N that number.  Return: our end;
 * *pid is to be waited for by the caller.
 */
int front_spawn(char *const argv[], int fd, pid_t *pid);

/* Negotiate, send memory, set up and enable all queues. */
void front_start(struct front *front, int sock,
		 const struct front_options *options);

/* Negotiate and send memory only; then queue by queue. */
void front_negotiate(struct front *front, int sock,
		     const struct front_options *options);
/* The ring goes on at base, vhost-user's VRING_BASE. */
void front_queue_start(struct front_queue *queue, uint32_t base);
/* GET_VRING_BASE.  Return: the base. */
uint32_t front_queue_stop(struct front_queue *queue);

/*
 * The connection is lost: the same RAM, rings and in-flight region are given
 * to another back-end at sock.  Requests in flight stay so.
 */
void front_reconnect(struct front *front, int sock);

/* SET_BACKEND_REQ_FD, if that was negotiated. */
void front_open_channel(struct front *front);

/* Close everything. */
void front_end(struct front *front);

void front_set_u64(struct front *front, enum vhost_user_request request,
		   uint64_t value);
uint64_t front_get_u64(struct front *front, enum vhost_user_request request);
void front_get_config(struct front *front, void *config, uint32_t size);
void front_set_config(struct front *front, uint32_t offset, uint8_t value);

/* --- memory --------------------------------------------------------------- */

/* Bytes of guest RAM, aligned; zero. */
uint64_t front_alloc(struct front *front, uint64_t bytes, uint64_t align);

static inline void *front_ptr(struct front *front, uint64_t gpa)
{
	return front->ram + gpa;
}

/* --- requests ------------------------------------------------------------- */

/*
 * Add a chain; not shown to the device before front_show() or front_kick().
 * Return: its head, packed: its id; -ENOSPC no descriptors left.
 */
int front_add(struct front_queue *queue, const struct front_buf *out,
	      unsigned int nr_out, const struct front_buf *in,
	      unsigned int nr_in, void *cookie);

/*
 * Show what was added to a device that looks; as Linux's driver does for each
 * chain.  The kick is still owed.
 */
void front_show(struct front_queue *queue);

/* Show what was added, and kick if the device asked for it. */
void front_kick(struct front_queue *queue);

/* Put a head in the available ring as it is (for broken ones).  Split only. */
void front_offer_head(struct front_queue *queue, uint16_t head);

/*
 * Take one completion.  Return: false, there is none.  cookie and written
 * may be NULL.
 */
bool front_take(struct front_queue *queue, void **cookie, uint32_t *written);

/* Wait for a completion, polling, at most timeout_ms. */
bool front_take_wait(struct front_queue *queue, void **cookie,
		     uint32_t *written, int timeout_ms);

/* Has the call (error) eventfd been written since it was last asked? */
bool front_called(struct front_queue *queue);
/*
 * Wait for that, at most timeout_ms: a completion is seen before its call.  With
 * an event index (not .no_event_idx) there may be none for what was seen.
 */
bool front_call_wait(struct front_queue *queue, int timeout_ms);
/* How many since it was last asked. */
uint64_t front_count_calls(struct front_queue *queue);
bool front_erred(struct front_queue *queue);

_Noreturn void front_bail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

#endif
