/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user front-end: what the core says to a device process (C6), each
 * answer checked, all of it under a deadline.  See vhost_front.h.
 *
 * The order of one back-end's life:
 *
 *	attach: learn_features -> learn_queues -> SET_OWNER -> learn_config
 *		-> open_channel
 *	start:  front_replay(), in vhost_front_replay.c
 *	stop:   GET_VRING_BASE each -> reset
 *
 * Whatever goes wrong, front_fail() ends the back-end, and nothing more is
 * said to it.
 */
#include "vmm-core/vhost_front_priv.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"

#define OUR_PROTOCOL_MASK \
	(1ull << VHOST_USER_PROTOCOL_F_MQ_BIT | \
	 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK_BIT | \
	 1ull << VHOST_USER_PROTOCOL_F_BACKEND_REQ_BIT | \
	 1ull << VHOST_USER_PROTOCOL_F_CONFIG_BIT | \
	 1ull << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT | \
	 1ull << VHOST_USER_PROTOCOL_F_RESET_DEVICE_BIT | \
	 1ull << VHOST_USER_PROTOCOL_F_STATUS_BIT)

#define F_VERSION_1_MASK	(1ull << VIRTIO_F_VERSION_1)

/* More than a socket buffer holds: somebody sends faster than we read. */
#define CHANNEL_FLOOD		1024

static void begin_within(struct vhost_front *front, int ms)
{
	front->deadline_ms = fdmsg_now_ms() + ms;
	front->quiet = false;
}

static void begin(struct vhost_front *front)
{
	begin_within(front, front->timeout_ms);
}

/* Milliseconds left for this call; 0: none. */
static int time_left(const struct vhost_front *front)
{
	long long left_ms = front->deadline_ms - fdmsg_now_ms();

	return left_ms > 0 ? (int)left_ms : 0;
}

void vhost_front_drop(struct vhost_front *front)
{
	fdmsg_close_all(&front->link_fd, front->link_fd >= 0);
	front->link_fd = -1;
}

/* One line about what went wrong, and the end of this back-end. */
int front_fail(struct vhost_front *front, int err, const char *what)
{
	log_perr(-err, "%s: back-end is given up: %s", front->name, what);
	vhost_front_drop(front);
	return err;
}

int front_tell_fds(struct vhost_front *front, enum vhost_user_request request,
		   const void *payload, size_t size, const int *fds,
		   unsigned int nr_fds)
{
	bool ack = front_has(front, VHOST_USER_PROTOCOL_F_REPLY_ACK_BIT) &&
		   !front->quiet;
	int left_ms = time_left(front);
	int err = -ETIMEDOUT;

	if (front->link_fd < 0)
		return -ENOTCONN;
	if (left_ms)
		err = vhost_user_send(front->link_fd, request, payload, size,
				      fds, nr_fds, ack, left_ms);
	if (err)
		return front_fail(front, err, vhost_user_request_name(request));
	return 0;
}

int front_tell(struct vhost_front *front, enum vhost_user_request request,
	       const void *payload, size_t size)
{
	return front_tell_fds(front, request, payload, size, NULL, 0);
}

int front_tell_u64(struct vhost_front *front,
		   enum vhost_user_request request, uint64_t value)
{
	return front_tell(front, request, &value, sizeof(value));
}

int front_ask(struct vhost_front *front, enum vhost_user_request request,
	      union vhost_user_payload *payload, size_t ask_bytes,
	      size_t reply_min, size_t reply_max, int *fd)
{
	int got = -ETIMEDOUT;
	int left_ms = time_left(front);
	int err = -ETIMEDOUT;

	if (front->link_fd < 0)
		return -ENOTCONN;
	if (left_ms)
		err = vhost_user_send(front->link_fd, request, payload,
				      ask_bytes, NULL, 0, 0, left_ms);
	left_ms = time_left(front);
	if (!err && left_ms)
		got = vhost_user_recv_reply(front->link_fd, request, payload,
					    reply_min, reply_max, fd, left_ms);
	if (err || got < 0)
		return front_fail(front, err ? err : got,
				  vhost_user_request_name(request));
	return 0;
}

static int ask_u64(struct vhost_front *front, enum vhost_user_request request,
		   uint64_t *value)
{
	union vhost_user_payload payload;
	int err = front_ask(front, request, &payload, 0, sizeof(uint64_t),
			    sizeof(uint64_t), NULL);

	*value = err ? 0 : payload.u64;
	return err;
}

int front_tell_status(struct vhost_front *front, uint64_t status)
{
	if (!front_has(front, VHOST_USER_PROTOCOL_F_STATUS_BIT))
		return 0;
	return front_tell_u64(front, VHOST_USER_SET_STATUS, status);
}

/* --- attach ------------------------------------------------------------- */

static int learn_features(struct vhost_front *front)
{
	uint64_t features;
	uint64_t bits;
	int err = ask_u64(front, VHOST_USER_GET_FEATURES, &features);

	if (err)
		return err;
	if (!(features & F_VERSION_1_MASK))
		return front_fail(front, -EPROTO, "it lacks VIRTIO_F_VERSION_1");
	if (features & F_PROTOCOL_FEATURES_MASK) {
		err = ask_u64(front, VHOST_USER_GET_PROTOCOL_FEATURES, &bits);
		if (err)
			return err;
		bits &= OUR_PROTOCOL_MASK;
		err = front_tell_u64(front, VHOST_USER_SET_PROTOCOL_FEATURES,
				     bits);
		if (err)
			return err;
		front->protocol_features = bits;
	}
	features &= front->feature_mask;
	/*
	 * Where the successor of a back-end goes on in a packed ring, the
	 * ring does not say: only the in-flight region does.
	 */
	if (!front_has(front, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT))
		features &= ~(1ull << VIRTIO_F_RING_PACKED);
	if (!front->attached_once)
		front->features = features;
	else if (front->features & ~features)
		return front_fail(front, -EPROTO,
				  "it lacks features of its predecessor");
	return 0;
}

static int learn_queues(struct vhost_front *front)
{
	/* Without F_MQ a back-end has the queues that the device type needs. */
	uint64_t nr = front->min_queues;
	int err = 0;

	if (front_has(front, VHOST_USER_PROTOCOL_F_MQ_BIT))
		err = ask_u64(front, VHOST_USER_GET_QUEUE_NUM, &nr);
	if (err)
		return err;
	if (nr > front->max_queues)
		nr = front->max_queues;
	if (nr < front->min_queues)
		return front_fail(front, -EPROTO, "it has too few queues");
	if (front->attached_once && nr < front->nr_queues)
		return front_fail(front, -EPROTO,
				  "it has fewer queues than its predecessor");
	if (!front->attached_once)
		front->nr_queues = (uint16_t)nr;
	return 0;
}

/* vhost-user: GET_CONFIG; the reply must be of the size that was asked for */
int front_fetch_config(struct vhost_front *front, int *changed)
{
	size_t bytes = VHOST_USER_CONFIG_HDR_BYTES + front->config_bytes;
	union vhost_user_payload payload = {
		.config = { .size = front->config_bytes },
	};
	int err = front_ask(front, VHOST_USER_GET_CONFIG, &payload, bytes, bytes,
			    bytes, NULL);

	if (err)
		return err;
	if (payload.config.offset || payload.config.size != front->config_bytes)
		return front_fail(front, -EPROTO,
				  "GET_CONFIG: not what was asked for");
	*changed = memcmp(front->config, payload.config.data,
			  front->config_bytes) != 0;
	memcpy(front->config, payload.config.data, front->config_bytes);
	return 0;
}

static int learn_config(struct vhost_front *front)
{
	int changed;

	if (!front->config_bytes)
		return 0;
	if (!front_has(front, VHOST_USER_PROTOCOL_F_CONFIG_BIT))
		return front_fail(front, -EPROTO,
				  "it does not tell its config space (F_CONFIG)");
	return front_fetch_config(front, &changed);
}

/* A reborn back-end must not read what was meant for the one before. */
static void empty_socket(int sock)
{
	char buf[256];

	for (int i = 0; i < CHANNEL_FLOOD; i++)
		if (fdmsg_recv(sock, buf, sizeof(buf), NULL, NULL, 0) <= 0)
			return;
}

static int open_channel(struct vhost_front *front)
{
	if (front->channel_fd < 0 ||
	    !front_has(front, VHOST_USER_PROTOCOL_F_BACKEND_REQ_BIT))
		return 0;
	empty_socket(front->channel_fd);
	empty_socket(front->channel_peer_fd);
	return front_tell_fds(front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0,
			      &front->channel_peer_fd, 1);
}

/* --- the calls ---------------------------------------------------------- */

/* A full counter (-EAGAIN) is a wake-up too. */
static void wake_at_once(int event_fd)
{
	const uint64_t one = 1;

	if (write(event_fd, &one, sizeof(one)) < 0)
		log_debug("eventfd %d is awake already", event_fd);
}

void vhost_front_init(struct vhost_front *front, const char *name)
{
	memset(front, 0, sizeof(*front));
	front->name = name;
	front->timeout_ms = VHOST_FRONT_TIMEOUT_MS;
	front->drain_ms = VHOST_FRONT_DRAIN_MS;
	front->wake = wake_at_once;
	front->link_fd = -1;
	front->ram_fd = -1;
	front->channel_fd = -1;
	front->channel_peer_fd = -1;
	front->err_fd = -1;
	front->inflight_fd = -1;
	front->queue = front->own_queue;
	front->queue_mask = UINT32_MAX;
	for (unsigned int i = 0; i < VHOST_FRONT_MAX_QUEUES; i++) {
		front->queue[i].kick_fd = -1;
		front->queue[i].call_fd = -1;
	}
}

void vhost_front_join(struct vhost_front *front,
		      const struct vhost_front *first, int inflight_fd)
{
	front->regions = first->regions;
	front->nr_regions = first->nr_regions;
	front->ram_fd = first->ram_fd;
	front->feature_mask = first->feature_mask;
	front->min_queues = first->min_queues;
	front->max_queues = first->max_queues;
	front->config_bytes = first->config_bytes;
	front->pipelined = first->pipelined;
	front->wake = first->wake;
	front->err_fd = first->err_fd;
	front->inflight_fd = inflight_fd;
	front->queue = first->queue;
	/* As if its predecessor had offered it. */
	front->features = first->features;
	front->nr_queues = first->nr_queues;
	front->attached_once = true;
}

int vhost_front_attach(struct vhost_front *front, int link_fd)
{
	int err;

	vhost_front_drop(front);
	front->link_fd = link_fd;
	front->protocol_features = 0;
	begin(front);

	err = learn_features(front);
	if (!err)
		err = learn_queues(front);
	if (!err)
		err = front_tell(front, VHOST_USER_SET_OWNER, NULL, 0);
	if (!err)
		err = learn_config(front);
	if (!err)
		err = open_channel(front);
	if (err)
		return err;
	front->attached_once = true;
	return front->started ? front_replay(front, false) : 0;
}

int vhost_front_start(struct vhost_front *front, uint64_t acked_features)
{
	begin(front);
	front->acked_features = acked_features;
	front->started = true;
	front->inflight_bytes = 0;
	return front_replay(front, true);
}

int vhost_front_stop(struct vhost_front *front)
{
	int err = front->started && front->link_fd < 0 ? -ENOTCONN : 0;

	begin_within(front, front->drain_ms);
	for (uint32_t i = 0; i < VHOST_FRONT_MAX_QUEUES; i++) {
		union vhost_user_payload payload = { .state.index = i };

		if (!front_serves(front, i))
			continue;
		front->queue[i].ready = false;
		if (!front->started || err || i >= front->nr_queues)
			continue;
		/* vhost-user: GET_VRING_BASE stops the ring, drained */
		err = front_ask(front, VHOST_USER_GET_VRING_BASE, &payload,
				sizeof(payload.state), sizeof(payload.state),
				sizeof(payload.state), NULL);
		if (!err && payload.state.index != i)
			err = front_fail(front, -EPROTO,
					 "GET_VRING_BASE: another ring's");
	}
	if (!err && front->started) {
		if (front_has(front, VHOST_USER_PROTOCOL_F_RESET_DEVICE_BIT))
			err = front_tell(front, VHOST_USER_RESET_DEVICE, NULL, 0);
		else
			err = front_tell_status(front, 0);
	}
	front->started = false;
	front->kept_config.set = false;
	return err;
}

void vhost_front_forget(struct vhost_front *front)
{
	vhost_front_drop(front);
	for (uint32_t i = 0; i < VHOST_FRONT_MAX_QUEUES; i++)
		if (front_serves(front, i))
			front->queue[i].ready = false;
	front->started = false;
}

int vhost_front_read_config(struct vhost_front *front)
{
	int changed = 0;
	int err;

	if (!front->config_bytes)
		return 0;
	begin(front);
	err = front_fetch_config(front, &changed);
	return err ? err : changed;
}

int vhost_front_write_config(struct vhost_front *front, uint32_t offset,
			     const void *data, uint32_t len)
{
	struct vhost_user_config config = { .offset = offset, .size = len };
	bool ack = front_has(front, VHOST_USER_PROTOCOL_F_REPLY_ACK_BIT);
	int err;

	if (!front_has(front, VHOST_USER_PROTOCOL_F_CONFIG_BIT))
		return 0;
	if (front->link_fd < 0)
		return -ENOTCONN;
	memcpy(config.data, data, len);
	err = vhost_user_send(front->link_fd, VHOST_USER_SET_CONFIG, &config,
			      VHOST_USER_CONFIG_HDR_BYTES + len, NULL, 0, ack,
			      front->timeout_ms);
	/* The value is the guest's: a back-end may well say no to it. */
	if (err && err != -EREMOTEIO)
		return front_fail(front, err, "SET_CONFIG");
	return 0;
}

/* One message of the channel.  Return: 1 taken, 0 none there, -errno. */
static int take_message(struct vhost_front *front)
{
	struct vhost_user_hdr hdr;
	struct {
		struct vhost_user_hdr hdr;
		uint64_t done;		/* 0: taken */
	} __attribute__((packed)) reply = {
		.hdr.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.hdr.flags = VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
		.hdr.size = sizeof(reply.done),
	};
	ssize_t got = fdmsg_recv(front->channel_fd, &hdr, sizeof(hdr), NULL,
				 NULL, 0);

	if (got == -EAGAIN)
		return 0;
	/* Its end is held open here, so end of file cannot be. */
	if (got != sizeof(hdr) ||
	    hdr.request != VHOST_USER_BACKEND_CONFIG_CHANGE_MSG || hdr.size ||
	    (hdr.flags & ~VHOST_USER_NEED_REPLY_MASK) != VHOST_USER_VERSION)
		return front_fail(front, got < 0 ? (int)got : -EPROTO,
				  "back-end channel: not a config change");
	if (!(hdr.flags & VHOST_USER_NEED_REPLY_MASK))
		return 1;
	/* No waiting: a back-end that wants replies must read them. */
	got = fdmsg_send(front->channel_fd, &reply, sizeof(reply), NULL, 0, 0);
	if (got)
		return front_fail(front, (int)got,
				  "back-end channel: no room for a reply");
	return 1;
}

int vhost_front_take_channel(struct vhost_front *front)
{
	int any = 0;

	if (front->link_fd < 0 || front->channel_fd < 0)
		return 0;
	for (int i = 0; i < CHANNEL_FLOOD; i++) {
		int taken = take_message(front);

		if (taken <= 0)
			return taken ? taken : any;
		any = 1;
	}
	return front_fail(front, -EPROTO, "back-end channel: flooded");
}

bool vhost_front_is_gone(const struct vhost_front *front)
{
	const struct timespec at_once = { 0 };
	struct pollfd pfd = { .fd = front->link_fd, .events = POLLRDHUP };

	if (front->link_fd < 0)
		return true;
	/* ppoll(), as poll() would need restart_syscall under a tracer. */
	return ppoll(&pfd, 1, &at_once, NULL) > 0 &&
	       pfd.revents & (POLLRDHUP | POLLHUP | POLLERR);
}
