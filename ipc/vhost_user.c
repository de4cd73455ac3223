/* SPDX-License-Identifier: Apache-2.0 */
/* vhost-user messages: the table, and both ends.  See ipc/vhost_user.h. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"
#include "ipc/vhost_user.h"

/* Once a message has begun, the rest of it must follow within this time. */
#define MESSAGE_REST_MS	1000

#define NO_BIT	(-1)
#define U64	sizeof(uint64_t)
#define STATE	sizeof(struct vhost_user_vring_state)
#define REGION	sizeof(struct vhost_user_region)

/* vhost-user.rst, "Front-end message types" and "Communication" */
const struct vhost_user_rule vhost_user_rules[VHOST_USER_REQUEST_END] = {
	/*                                 name, size min, max, fds, reply, bit */
	[VHOST_USER_GET_FEATURES] = { "GET_FEATURES", 0, 0, 0, 0, 1, NO_BIT },
	[VHOST_USER_SET_FEATURES] = { "SET_FEATURES", U64, U64, 0, 0, 0,
		NO_BIT },
	[VHOST_USER_SET_OWNER] = { "SET_OWNER", 0, 0, 0, 0, 0, NO_BIT },
	[VHOST_USER_RESET_OWNER] = { "RESET_OWNER", 0, 0, 0, 0, 0, NO_BIT },
	[VHOST_USER_SET_MEM_TABLE] = { "SET_MEM_TABLE", 8 + REGION,
		8 + REGION * VHOST_USER_MAX_REGIONS, 1,
		VHOST_USER_MAX_REGIONS, 0, NO_BIT },
	[VHOST_USER_SET_VRING_NUM] = { "SET_VRING_NUM", STATE, STATE, 0, 0, 0,
		NO_BIT },
	[VHOST_USER_SET_VRING_ADDR] = { "SET_VRING_ADDR",
		sizeof(struct vhost_user_vring_addr),
		sizeof(struct vhost_user_vring_addr), 0, 0, 0, NO_BIT },
	[VHOST_USER_SET_VRING_BASE] = { "SET_VRING_BASE", STATE, STATE, 0, 0,
		0, NO_BIT },
	[VHOST_USER_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, STATE, 0, 0,
		1, NO_BIT },
	[VHOST_USER_SET_VRING_KICK] = { "SET_VRING_KICK", U64, U64, 0, 1, 0,
		NO_BIT },
	[VHOST_USER_SET_VRING_CALL] = { "SET_VRING_CALL", U64, U64, 0, 1, 0,
		NO_BIT },
	[VHOST_USER_SET_VRING_ERR] = { "SET_VRING_ERR", U64, U64, 0, 1, 0,
		NO_BIT },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", 0, 0,
		0, 0, 1, NO_BIT },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64,
		U64, 0, 0, 0, NO_BIT },
	[VHOST_USER_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", 0, 0, 0, 0, 1,
		VHOST_USER_PROTOCOL_F_MQ_BIT },
	[VHOST_USER_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE, STATE, 0,
		0, 0, NO_BIT },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", 0, U64, 1, 1,
		0, VHOST_USER_PROTOCOL_F_BACKEND_REQ_BIT },
	[VHOST_USER_GET_CONFIG] = { "GET_CONFIG",
		VHOST_USER_CONFIG_HDR_BYTES + 1,
		sizeof(struct vhost_user_config), 0, 0, 1,
		VHOST_USER_PROTOCOL_F_CONFIG_BIT },
	[VHOST_USER_SET_CONFIG] = { "SET_CONFIG",
		VHOST_USER_CONFIG_HDR_BYTES + 1,
		sizeof(struct vhost_user_config), 0, 0, 0,
		VHOST_USER_PROTOCOL_F_CONFIG_BIT },
	/* QEMU pads this struct to 24 bytes; the document says 20. */
	[VHOST_USER_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD",
		sizeof(struct vhost_user_inflight), 24, 0, 0, 1,
		VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT },
	[VHOST_USER_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD",
		sizeof(struct vhost_user_inflight), 24, 1, 1, 0,
		VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT },
	[VHOST_USER_RESET_DEVICE] = { "RESET_DEVICE", 0, 0, 0, 0, 0,
		VHOST_USER_PROTOCOL_F_RESET_DEVICE_BIT },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", 0, 0, 0, 0, 1,
		VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS_BIT },
	[VHOST_USER_ADD_MEM_REG] = { "ADD_MEM_REG",
		sizeof(struct vhost_user_mem_slot),
		sizeof(struct vhost_user_mem_slot), 1, 1, 0,
		VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS_BIT },
	/* Some front-ends send the region's fd along with its removal. */
	[VHOST_USER_REM_MEM_REG] = { "REM_MEM_REG",
		sizeof(struct vhost_user_mem_slot),
		sizeof(struct vhost_user_mem_slot), 0, 1, 0,
		VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS_BIT },
	[VHOST_USER_SET_STATUS] = { "SET_STATUS", U64, U64, 0, 0, 0,
		VHOST_USER_PROTOCOL_F_STATUS_BIT },
	[VHOST_USER_GET_STATUS] = { "GET_STATUS", 0, 0, 0, 0, 1,
		VHOST_USER_PROTOCOL_F_STATUS_BIT },
};

static const struct vhost_user_rule *find_rule(uint32_t request)
{
	if (request >= VHOST_USER_REQUEST_END || !vhost_user_rules[request].name)
		return NULL;
	return &vhost_user_rules[request];
}

const char *vhost_user_request_name(uint32_t request)
{
	const struct vhost_user_rule *rule = find_rule(request);

	return rule ? rule->name : "unknown request";
}

/* What can be said of a message before its payload is read. */
static bool header_is_sound(const struct vhost_user_msg *msg,
			    uint64_t protocol_features)
{
	const struct vhost_user_rule *rule = find_rule(msg->hdr.request);
	uint32_t flags = msg->hdr.flags;

	if (!rule)
		return false;
	if ((flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    (flags & VHOST_USER_REPLY_MASK))
		return false;
	if (rule->needs_protocol_bit != NO_BIT &&
	    !(protocol_features >> rule->needs_protocol_bit & 1))
		return false;
	return msg->hdr.size >= rule->size_min &&
	       msg->hdr.size <= rule->size_max &&
	       msg->nr_fds >= rule->fds_min && msg->nr_fds <= rule->fds_max;
}

/* What the table cannot say: sizes and fd counts that the payload names. */
static bool payload_is_sound(const struct vhost_user_msg *msg)
{
	uint32_t size = msg->hdr.size;

	switch (msg->hdr.request) {
	case VHOST_USER_SET_MEM_TABLE: {
		uint32_t nr = msg->payload.memory.nr_regions;

		/* QEMU sends the used regions only; others all eight. */
		return nr >= 1 && nr <= VHOST_USER_MAX_REGIONS &&
		       nr == msg->nr_fds && size >= 8 + nr * REGION;
	}
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		return msg->payload.config.size ==
		       size - VHOST_USER_CONFIG_HDR_BYTES;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		/* vhost-user: bit 8 says that no fd comes along */
		return msg->nr_fds ==
		       !(msg->payload.u64 & VHOST_USER_VRING_NOFD_MASK);
	default:
		return true;
	}
}

static int refuse(struct vhost_user_msg *msg, const char *what)
{
	log_err("vhost-user: %s (%u) refused: %s (size %u, %u fds, flags %#x)",
		vhost_user_request_name(msg->hdr.request), msg->hdr.request,
		what, msg->hdr.size, msg->nr_fds, msg->hdr.flags);
	fdmsg_close_all(msg->fds, msg->nr_fds);
	msg->nr_fds = 0;
	return -EPROTO;
}

int vhost_user_recv(int sock, uint64_t protocol_features,
		    struct vhost_user_msg *msg, int timeout_ms)
{
	ssize_t got;
	int err;

	/* Short messages leave the rest of the payload zero. */
	memset(msg, 0, sizeof(*msg));
	msg->nr_fds = VHOST_USER_MAX_REGIONS;
	got = fdmsg_recv(sock, &msg->hdr, sizeof(msg->hdr), msg->fds,
			 &msg->nr_fds, timeout_ms);
	if (got <= 0)
		return (int)got;
	if ((size_t)got < sizeof(msg->hdr)) {
		err = fdmsg_recv_exact(sock, (char *)&msg->hdr + got,
				       sizeof(msg->hdr) - (size_t)got,
				       MESSAGE_REST_MS);
		if (err)
			return refuse(msg, "header cut short");
	}
	if (!header_is_sound(msg, protocol_features))
		return refuse(msg, "unknown, out of turn, or wrong in form");
	if (msg->hdr.size) {
		err = fdmsg_recv_exact(sock, &msg->payload, msg->hdr.size,
				       MESSAGE_REST_MS);
		if (err)
			return refuse(msg, "payload cut short");
	}
	if (!payload_is_sound(msg))
		return refuse(msg, "payload contradicts itself");
	return 1;
}

static int send_message(int sock, uint32_t request, uint32_t flags,
			const void *payload, size_t size, const int *fds,
			unsigned int nr_fds, int timeout_ms)
{
	char message[sizeof(struct vhost_user_hdr) +
		     sizeof(union vhost_user_payload)];
	struct vhost_user_hdr hdr = {
		.request = request,
		.flags = VHOST_USER_VERSION | flags,
		.size = (uint32_t)size,
	};

	if (size > sizeof(union vhost_user_payload))
		return -EINVAL;
	memcpy(message, &hdr, sizeof(hdr));
	if (size)
		memcpy(message + sizeof(hdr), payload, size);
	return fdmsg_send(sock, message, sizeof(hdr) + size, fds, nr_fds,
			  timeout_ms);
}

int vhost_user_reply(int sock, const struct vhost_user_msg *req,
		     const void *payload, size_t size, const int *fds,
		     unsigned int nr_fds, int timeout_ms)
{
	return send_message(sock, req->hdr.request, VHOST_USER_REPLY_MASK,
			    payload, size, fds, nr_fds, timeout_ms);
}

int vhost_user_send(int sock, enum vhost_user_request request,
		    const void *payload, size_t size, const int *fds,
		    unsigned int nr_fds, int need_ack, int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;
	uint64_t ack;
	int got;
	int err;

	err = send_message(sock, request,
			   need_ack ? VHOST_USER_NEED_REPLY_MASK : 0, payload,
			   size, fds, nr_fds, timeout_ms);
	if (err || !need_ack)
		return err;
	/* vhost-user: REPLY_ACK, a u64 that is zero for success */
	timeout_ms = (int)(deadline_ms - fdmsg_now_ms());
	got = vhost_user_recv_reply(sock, request, &ack, sizeof(ack),
				    sizeof(ack), NULL,
				    timeout_ms > 0 ? timeout_ms : 0);
	if (got < 0)
		return got;
	return ack ? -EREMOTEIO : 0;
}

/* For a wait within a message; at least 1, as 0 is not to wait at all. */
static int time_left(long long deadline_ms)
{
	long long left_ms = deadline_ms - fdmsg_now_ms();

	return left_ms > 1 ? (int)left_ms : 1;
}

int vhost_user_recv_reply(int sock, enum vhost_user_request request,
			  void *payload, size_t size_min, size_t size_max,
			  int *fd, int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;
	unsigned int nr_fds = fd ? 1 : 0;
	struct vhost_user_hdr hdr;
	ssize_t got;
	int err = 0;

	if (fd)
		*fd = -1;
	got = fdmsg_recv(sock, &hdr, sizeof(hdr), fd, &nr_fds,
			 timeout_ms > 0 ? timeout_ms : 1);
	if (got < 0)
		return (int)got;
	if (got == 0)
		return -EPIPE;
	if ((size_t)got < sizeof(hdr))
		err = fdmsg_recv_exact(sock, (char *)&hdr + got,
				       sizeof(hdr) - (size_t)got,
				       time_left(deadline_ms));
	if (!err && (hdr.request != request || hdr.size < size_min ||
		     hdr.size > size_max ||
		     (hdr.flags & VHOST_USER_VERSION_MASK) !=
			     VHOST_USER_VERSION ||
		     !(hdr.flags & VHOST_USER_REPLY_MASK)))
		err = -EPROTO;
	if (!err && hdr.size)
		err = fdmsg_recv_exact(sock, payload, hdr.size,
				       time_left(deadline_ms));
	if (err && nr_fds) {
		fdmsg_close_all(fd, nr_fds);
		*fd = -1;
	}
	return err ? err : (int)hdr.size;
}
