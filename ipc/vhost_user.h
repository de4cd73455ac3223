/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user, the wire format (QEMU docs/interop/vhost-user.rst), and the
 * table that every received message passes before any handler.
 *
 * Bits end in _BIT, masks in _MASK.  "User addresses" that Bulkhead's
 * front-end sends are guest-physical addresses: no host address is given away.
 */
#ifndef IPC_VHOST_USER_H
#define IPC_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>

#define VHOST_USER_VERSION		0x1u
#define VHOST_USER_VERSION_MASK		0x3u
#define VHOST_USER_REPLY_MASK		(1u << 2)
#define VHOST_USER_NEED_REPLY_MASK	(1u << 3)

#define VHOST_USER_F_PROTOCOL_FEATURES_BIT	30

enum vhost_user_protocol_bit {
	VHOST_USER_PROTOCOL_F_MQ_BIT = 0,
	VHOST_USER_PROTOCOL_F_REPLY_ACK_BIT = 3,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ_BIT = 5,
	VHOST_USER_PROTOCOL_F_CONFIG_BIT = 9,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE_BIT = 13,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS_BIT = 15,
	VHOST_USER_PROTOCOL_F_STATUS_BIT = 16,
};

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_REQUEST_END,
};

/* On the back-end channel, the other way round. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
};

#define VHOST_USER_MAX_REGIONS		8
#define VHOST_USER_CONFIG_MAX		256	/* bytes of config space */
#define VHOST_USER_VRING_INDEX_MASK	0xffu
#define VHOST_USER_VRING_NOFD_MASK	(1u << 8)

struct vhost_user_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size;		/* payload bytes */
} __attribute__((packed));

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;		/* user addresses */
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vhost_user_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

struct vhost_user_memory {
	uint32_t nr_regions;
	uint32_t pad;
	struct vhost_user_region region[VHOST_USER_MAX_REGIONS];
};

struct vhost_user_mem_slot {
	uint64_t pad;
	struct vhost_user_region region;
};

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_CONFIG_MAX];
};
#define VHOST_USER_CONFIG_HDR_BYTES	12

struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t nr_queues;
	uint16_t queue_size;
} __attribute__((packed));

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_memory memory;
	struct vhost_user_mem_slot mem_slot;
	struct vhost_user_config config;
	struct vhost_user_inflight inflight;
};

_Static_assert(sizeof(struct vhost_user_hdr) == 12, "vhost_user_hdr");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vring_addr");
_Static_assert(sizeof(struct vhost_user_memory) == 264, "memory");
_Static_assert(sizeof(struct vhost_user_mem_slot) == 40, "mem_slot");
_Static_assert(sizeof(struct vhost_user_inflight) == 20, "inflight");

struct vhost_user_msg {
	struct vhost_user_hdr hdr;
	union vhost_user_payload payload;
	unsigned int nr_fds;
	int fds[VHOST_USER_MAX_REGIONS];	/* owned by the receiver */
};

/*
 * In-flight region (vhost-user.rst, "Inflight I/O tracking"): per queue a
 * header and one entry per descriptor, queues aligned to 64 bytes.  The spec
 * leaves alignment to the back-end; QEMU and DPDK use 64 too.
 */
struct inflight_split_entry {
	uint8_t inflight;
	uint8_t pad[5];
	uint16_t next;
	uint64_t counter;
};

struct inflight_split_queue {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_entry desc[];
};

/*
 * The same of a packed queue.  Two groups of fields, each changed by one
 * store, are words too.
 */
struct inflight_packed_entry {
	uint8_t inflight;	/* of a buffer's first entry: 1 */
	uint8_t pad;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;		/* of the descriptor, as the following */
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

union inflight_free_heads {
	struct {
		uint16_t head;
		uint16_t old_head;
	};
	uint32_t word;
};

union inflight_used_places {
	struct {
		uint16_t idx;
		uint16_t old_idx;
		uint8_t wrap_counter;
		uint8_t old_wrap_counter;
		uint8_t pad[2];
	};
	uint64_t word;
};

struct inflight_packed_queue {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	union inflight_free_heads free;
	union inflight_used_places used;
	uint8_t pad[8];
	struct inflight_packed_entry desc[];
};

_Static_assert(sizeof(struct inflight_split_entry) == 16, "inflight entry");
_Static_assert(sizeof(struct inflight_split_queue) == 16, "inflight queue");
_Static_assert(sizeof(struct inflight_packed_entry) == 32, "packed entry");
_Static_assert(sizeof(struct inflight_packed_queue) == 32, "packed queue");
_Static_assert(offsetof(struct inflight_packed_queue, free) == 12, "heads");
_Static_assert(offsetof(struct inflight_packed_queue, used) == 16, "places");

#define INFLIGHT_VERSION	1
#define INFLIGHT_ALIGN		64

/*
 * Bytes of one queue's area for queue_size descriptors, aligned.  A region is
 * made before it is known which form the queues will have: this is enough for
 * the larger one, packed.
 */
static inline uint64_t inflight_queue_bytes(uint16_t queue_size)
{
	uint64_t raw = sizeof(struct inflight_packed_queue) +
		       sizeof(struct inflight_packed_entry) *
		       (uint64_t)queue_size;

	return (raw + INFLIGHT_ALIGN - 1) & ~(uint64_t)(INFLIGHT_ALIGN - 1);
}

/* What a message must look like before a handler may see it. */
struct vhost_user_rule {
	const char *name;	/* NULL: request unknown, refused */
	uint16_t size_min;	/* payload bytes, inclusive */
	uint16_t size_max;
	uint8_t fds_min;
	uint8_t fds_max;
	uint8_t has_reply;	/* reply of its own, apart from REPLY_ACK */
	int8_t needs_protocol_bit;	/* enum vhost_user_protocol_bit, or -1 */
};

/* Indexed by request; front-end -> back-end direction. */
extern const struct vhost_user_rule vhost_user_rules[VHOST_USER_REQUEST_END];

/*
 * Receive one request (back-end's side): header, table, payload, fds.
 * Extra checks by content: nr_regions == nr_fds, config size, zero pads not
 * required.  Return: 1 a message; 0 peer closed; -EAGAIN nothing there
 * (timeout_ms 0); -ETIMEDOUT mid-message; -EPROTO a rule was broken (logged
 * with the request's name; fds closed; the caller closes the connection).
 */
int vhost_user_recv(int sock, uint64_t protocol_features,
		    struct vhost_user_msg *msg, int timeout_ms);

/* Back-end's side: answer req with payload of size bytes, fds optional. */
int vhost_user_reply(int sock, const struct vhost_user_msg *req,
		     const void *payload, size_t size, const int *fds,
		     unsigned int nr_fds, int timeout_ms);

/*
 * Front-end's side: send a request.  need_ack asks for a REPLY_ACK and waits
 * for it: 0 acknowledged, -EREMOTEIO the back-end said no.
 * Other errors as fdmsg_send(), -EPROTO for a wrong reply.
 */
int vhost_user_send(int sock, enum vhost_user_request request,
		    const void *payload, size_t size, const int *fds,
		    unsigned int nr_fds, int need_ack, int timeout_ms);

/*
 * Front-end's side: receive the reply to request into payload; the size must
 * lie in [size_min, size_max].  fd: where an fd is allowed (NULL: not); set to
 * -1 if none came.  Return: payload bytes or -errno as above.
 */
int vhost_user_recv_reply(int sock, enum vhost_user_request request,
			  void *payload, size_t size_min, size_t size_max,
			  int *fd, int timeout_ms);

const char *vhost_user_request_name(uint32_t request);

#endif
