/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device behind vhost-user, the back-end's side: LINK_FD and its
 * messages.  Virtio devices, after confinement; C6.
 *
 * Theory of operation: one message per round of the loop.  vhost_user_recv()
 * has checked its form; a handler checks what it means.  A handler that
 * changes what requests in flight depend on must not run before they have
 * ended: such a message is put aside (`held`), the link is taken out of the
 * loop, and the message is handled at the end of the round in which the last
 * of them ended.  So the loop never waits, and messages keep their order.
 */
#include "devproc/vhost_device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "devproc/device.h"
#include "devproc/guest_mem.h"
#include "devproc/inflight_region.h"
#include "devproc/loop.h"
#include "devproc/vhost_queue.h"
#include "devproc/virtio_bits.h"
#include "ipc/fdmsg.h"
#include "ipc/vhost_user.h"

/* A front-end that does not read its answers is given up after this. */
#define REPLY_TIMEOUT_MS	1000

#define PROTOCOL_BIT(name)	(1ull << VHOST_USER_PROTOCOL_F_ ## name ## _BIT)

static const uint64_t protocol_offered =
	PROTOCOL_BIT(MQ) | PROTOCOL_BIT(REPLY_ACK) |
	PROTOCOL_BIT(BACKEND_REQ) | PROTOCOL_BIT(CONFIG) |
	PROTOCOL_BIT(INFLIGHT_SHMFD) | PROTOCOL_BIT(RESET_DEVICE) |
	PROTOCOL_BIT(CONFIGURE_MEM_SLOTS) | PROTOCOL_BIT(STATUS);

static struct {
	const struct vhost_ops *ops;
	uint64_t offered;	/* features */
	uint64_t protocol;	/* protocol features the front-end took */
	uint16_t nr_queues;
	uint8_t status;		/* virtio status, with NEEDS_RESET */
	bool has_backend_channel;	/* BACKEND_FD is open */
	struct loop_source link;
	struct vhost_user_msg msg;	/* being handled, or held */
	uint32_t held_for;	/* queue that msg waits for, or QUEUE_ALL */
	bool held;
	bool ending;		/* vhost_stop() was called */
} vhost;

/* --- answers -------------------------------------------------------------- */

static int reply(const struct vhost_user_msg *msg, const void *payload,
		 size_t size, int fd)
{
	return vhost_user_reply(LINK_FD, msg, payload, size, &fd,
				fd >= 0 ? 1 : 0, REPLY_TIMEOUT_MS);
}

static int reply_u64(const struct vhost_user_msg *msg, uint64_t value)
{
	return reply(msg, &value, sizeof(value), -1);
}

/* The handler keeps the message's first fd; -1 if there is none. */
static int take_fd(struct vhost_user_msg *msg)
{
	int fd = msg->nr_fds ? msg->fds[0] : -1;

	msg->nr_fds = 0;
	return fd;
}

/* --- features, status ----------------------------------------------------- */

static int get_features(struct vhost_user_msg *msg)
{
	return reply_u64(msg, vhost.offered);
}

static int set_features(struct vhost_user_msg *msg)
{
	uint64_t features = msg->payload.u64;

	if (features & ~vhost.offered)
		return -EINVAL;
	queue_set_features(features);
	if (vhost.ops->accept)
		vhost.ops->accept(features & VIRTIO_DEVICE_FEATURES_MASK);
	return 0;
}

static int get_protocol_features(struct vhost_user_msg *msg)
{
	return reply_u64(msg, protocol_offered);
}

static int set_protocol_features(struct vhost_user_msg *msg)
{
	if (msg->payload.u64 & ~protocol_offered)
		return -EINVAL;
	vhost.protocol = msg->payload.u64;
	return 0;
}

static int get_queue_num(struct vhost_user_msg *msg)
{
	return reply_u64(msg, vhost.nr_queues);
}

static int get_status(struct vhost_user_msg *msg)
{
	return reply_u64(msg, vhost.status);
}

/* vhost-user: RESET_DEVICE; the rings are gone, the connection stays. */
static int reset_device(struct vhost_user_msg *msg)
{
	(void)msg;
	queue_stop_end(QUEUE_ALL);
	for (unsigned int i = 0; i < vhost.nr_queues; i++)
		queue_set_enable(i, 0);
	inflight_region_drop();
	vhost.status = 0;
	if (vhost.ops->reset)
		vhost.ops->reset();
	return 0;
}

static int set_status(struct vhost_user_msg *msg)
{
	if (msg->payload.u64 > UINT8_MAX)
		return -EINVAL;
	/* virtio 1.2, 2.1.2: writing 0 resets the device */
	if (msg->payload.u64 == 0)
		return reset_device(msg);
	/* Only a reset takes NEEDS_RESET away. */
	vhost.status = (uint8_t)(msg->payload.u64 |
		(vhost.status & VIRTIO_STATUS_NEEDS_RESET_MASK));
	return 0;
}

/* SET_OWNER: one peer, one owner.  RESET_OWNER: the document says ignore. */
static int ignore(struct vhost_user_msg *msg)
{
	(void)msg;
	return 0;
}

/* --- memory --------------------------------------------------------------- */

static int set_mem_table(struct vhost_user_msg *msg)
{
	unsigned int nr = msg->nr_fds;
	int ret = 0;

	guest_mem_clear();
	msg->nr_fds = 0;	/* guest_mem_add() closes each */
	for (unsigned int i = 0; i < nr; i++) {
		int err = guest_mem_add(&msg->payload.memory.region[i],
					msg->fds[i]);

		if (err && !ret) {
			log_perr(-err, "memory region %u", i);
			ret = err;
		}
	}
	if (ret)
		guest_mem_clear();
	return queue_pause_end() || ret ? -EINVAL : 0;
}

static int get_max_mem_slots(struct vhost_user_msg *msg)
{
	return reply_u64(msg, VHOST_USER_MAX_REGIONS);
}

static int add_mem_reg(struct vhost_user_msg *msg)
{
	return guest_mem_add(&msg->payload.mem_slot.region, take_fd(msg));
}

static int rem_mem_reg(struct vhost_user_msg *msg)
{
	int ret = guest_mem_remove(&msg->payload.mem_slot.region);

	return queue_pause_end() || ret ? -EINVAL : 0;
}

/* --- queues --------------------------------------------------------------- */

static int set_vring_num(struct vhost_user_msg *msg)
{
	return queue_set_num(msg->payload.state.index, msg->payload.state.num);
}

static int set_vring_base(struct vhost_user_msg *msg)
{
	return queue_set_base(msg->payload.state.index,
			      msg->payload.state.num);
}

static int get_vring_base(struct vhost_user_msg *msg)
{
	struct vhost_user_vring_state state = {
		.index = msg->payload.state.index,
	};

	if (!queue_exists(state.index))
		return -EINVAL;
	queue_stop_end(state.index);
	state.num = queue_base(state.index);
	return reply(msg, &state, sizeof(state), -1);
}

static int set_vring_addr(struct vhost_user_msg *msg)
{
	return queue_set_addr(&msg->payload.addr);
}

static int set_vring_enable(struct vhost_user_msg *msg)
{
	return queue_set_enable(msg->payload.state.index,
				msg->payload.state.num);
}

/* SET_VRING_KICK, _CALL, _ERR: the fd is the queue's if all is well. */
static int set_vring_fd(struct vhost_user_msg *msg,
			int (*set)(unsigned int index, int fd))
{
	unsigned int index = msg->payload.u64 & VHOST_USER_VRING_INDEX_MASK;
	int ret = set(index, msg->nr_fds ? msg->fds[0] : -1);

	if (!ret)
		msg->nr_fds = 0;
	return ret;
}

static int set_vring_kick(struct vhost_user_msg *msg)
{
	if (!msg->nr_fds) {
		log_err("vhost-user: SET_VRING_KICK without fd: polling is not done");
		return -EINVAL;
	}
	return set_vring_fd(msg, queue_set_kick);
}

static int set_vring_call(struct vhost_user_msg *msg)
{
	return set_vring_fd(msg, queue_set_call);
}

static int set_vring_err(struct vhost_user_msg *msg)
{
	return set_vring_fd(msg, queue_set_err);
}

/* --- config space --------------------------------------------------------- */

static int get_config(struct vhost_user_msg *msg)
{
	struct vhost_user_config *config = &msg->payload.config;
	uint8_t space[VHOST_USER_CONFIG_MAX] = { 0 };

	/* vhost-user: GET_CONFIG, an empty payload says that it failed */
	if (config->offset > sizeof(space) ||
	    config->size > sizeof(space) - config->offset)
		return reply(msg, NULL, 0, -1);
	/* Behind the device's fields all is zero, for newer front-ends. */
	if (vhost.ops->config_read)
		vhost.ops->config_read(space);
	memcpy(config->data, space + config->offset, config->size);
	return reply(msg, config, VHOST_USER_CONFIG_HDR_BYTES + config->size,
		     -1);
}

static int set_config(struct vhost_user_msg *msg)
{
	const struct vhost_user_config *config = &msg->payload.config;

	if (!vhost.ops->config_write ||
	    config->offset > vhost.ops->config_bytes ||
	    config->size > vhost.ops->config_bytes - config->offset)
		return -EINVAL;
	return vhost.ops->config_write(config->offset, config->data,
				       config->size);
}

/* The channel to the front-end is kept at one number, for the policy. */
static int set_backend_req_fd(struct vhost_user_msg *msg)
{
	int fd = take_fd(msg);
	int ret = dup3(fd, BACKEND_FD, O_CLOEXEC) < 0 ? -errno : 0;

	close(fd);
	if (!ret)
		vhost.has_backend_channel = true;
	return ret;
}

void vhost_config_changed(void)
{
	const struct vhost_user_hdr hdr = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION,
	};

	if (!vhost.has_backend_channel)
		return;
	/* A channel that is full has told the front-end often enough. */
	(void)fdmsg_send(BACKEND_FD, &hdr, sizeof(hdr), NULL, 0, 0);
}

/* --- in-flight region ----------------------------------------------------- */

static int get_inflight_fd(struct vhost_user_msg *msg)
{
	struct {
		struct vhost_user_inflight inflight;
		uint8_t pad[4];
	} answer = { .inflight = msg->payload.inflight };
	int fd;
	int ret;

	if (queue_any_running())
		return -EBUSY;
	ret = inflight_region_get(&answer.inflight, vhost.nr_queues, &fd);
	if (ret)
		return ret;
	/* As long as the request was: some front-ends pad the struct. */
	return reply(msg, &answer, msg->hdr.size, fd);
}

static int set_inflight_fd(struct vhost_user_msg *msg)
{
	if (queue_any_running())
		return -EBUSY;
	return inflight_region_set(&msg->payload.inflight, vhost.nr_queues,
				   take_fd(msg));
}

/* --- dispatch ------------------------------------------------------------- */

/* Which queues' requests must have ended before a message is handled. */
enum needs { NEEDS_NOTHING, NEEDS_QUEUE_IDLE, NEEDS_ALL_IDLE };

static const struct {
	int (*handle)(struct vhost_user_msg *msg);
	enum needs needs;
} handlers[VHOST_USER_REQUEST_END] = {
	[VHOST_USER_GET_FEATURES] = { .handle = get_features },
	[VHOST_USER_SET_FEATURES] = { .handle = set_features },
	[VHOST_USER_SET_OWNER] = { .handle = ignore },
	[VHOST_USER_RESET_OWNER] = { .handle = ignore },
	[VHOST_USER_SET_MEM_TABLE] = { .handle = set_mem_table,
		.needs = NEEDS_ALL_IDLE },
	[VHOST_USER_SET_VRING_NUM] = { .handle = set_vring_num },
	[VHOST_USER_SET_VRING_ADDR] = { .handle = set_vring_addr },
	[VHOST_USER_SET_VRING_BASE] = { .handle = set_vring_base },
	[VHOST_USER_GET_VRING_BASE] = { .handle = get_vring_base,
		.needs = NEEDS_QUEUE_IDLE },
	[VHOST_USER_SET_VRING_KICK] = { .handle = set_vring_kick },
	[VHOST_USER_SET_VRING_CALL] = { .handle = set_vring_call },
	[VHOST_USER_SET_VRING_ERR] = { .handle = set_vring_err },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { .handle = get_protocol_features },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { .handle = set_protocol_features },
	[VHOST_USER_GET_QUEUE_NUM] = { .handle = get_queue_num },
	[VHOST_USER_SET_VRING_ENABLE] = { .handle = set_vring_enable },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { .handle = set_backend_req_fd },
	[VHOST_USER_GET_CONFIG] = { .handle = get_config },
	[VHOST_USER_SET_CONFIG] = { .handle = set_config },
	[VHOST_USER_GET_INFLIGHT_FD] = { .handle = get_inflight_fd },
	[VHOST_USER_SET_INFLIGHT_FD] = { .handle = set_inflight_fd },
	[VHOST_USER_RESET_DEVICE] = { .handle = reset_device,
		.needs = NEEDS_ALL_IDLE },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { .handle = get_max_mem_slots },
	[VHOST_USER_ADD_MEM_REG] = { .handle = add_mem_reg },
	[VHOST_USER_REM_MEM_REG] = { .handle = rem_mem_reg,
		.needs = NEEDS_ALL_IDLE },
	[VHOST_USER_SET_STATUS] = { .handle = set_status },
	[VHOST_USER_GET_STATUS] = { .handle = get_status },
};

static bool wants_ack(const struct vhost_user_msg *msg)
{
	return msg->hdr.flags & VHOST_USER_NEED_REPLY_MASK &&
	       vhost.protocol & PROTOCOL_BIT(REPLY_ACK) &&
	       !vhost_user_rules[msg->hdr.request].has_reply;
}

static void handle(struct vhost_user_msg *msg)
{
	int ret = handlers[msg->hdr.request].handle(msg);

	fdmsg_close_all(msg->fds, msg->nr_fds);
	msg->nr_fds = 0;
	/* vhost-user: REPLY_ACK; a refusal that is told is not the end. */
	if (wants_ack(msg)) {
		if (ret)
			log_perr(-ret, "vhost-user: %s refused",
				 vhost_user_request_name(msg->hdr.request));
		ret = reply_u64(msg, ret ? 1 : 0);
	}
	if (ret)
		device_fail("vhost-user: %s: %s",
			    vhost_user_request_name(msg->hdr.request),
			    strerror(-ret));
}

/* Put the message aside until the queues that it touches are drained. */
static void hold(uint32_t queue)
{
	queue_drain_begin(queue);
	loop_remove(&vhost.link);
	vhost.held_for = queue;
	vhost.held = true;
}

static void receive(struct vhost_user_msg *msg)
{
	enum needs needs = handlers[msg->hdr.request].needs;
	bool reset = msg->hdr.request == VHOST_USER_SET_STATUS &&
		     msg->payload.u64 == 0;

	if (needs == NEEDS_QUEUE_IDLE && queue_exists(msg->payload.state.index))
		hold(msg->payload.state.index);
	else if (needs == NEEDS_ALL_IDLE || reset)
		hold(QUEUE_ALL);
	else
		handle(msg);
}

static void on_link(struct loop_source *source, uint32_t events)
{
	int ret = vhost_user_recv(LINK_FD, vhost.protocol, &vhost.msg, 0);

	(void)source;
	(void)events;
	if (ret == -EAGAIN)
		return;
	if (ret > 0) {
		receive(&vhost.msg);
	} else if (ret == 0) {
		loop_remove(&vhost.link);
		device_link_closed();
	} else {
		device_fail("vhost-user: the front-end broke the protocol");
	}
}

/* --- the round's end, life ------------------------------------------------ */

static void finish_held(void)
{
	int ret;

	vhost.held = false;
	handle(&vhost.msg);
	ret = loop_add(&vhost.link, LINK_FD, EPOLLIN);
	if (ret)
		device_fail("vhost-user: the link is lost: %s", strerror(-ret));
}

/* virtio 1.2, 2.1.2: NEEDS_RESET comes with a configuration change. */
static void report_broken(void)
{
	if (!queue_newly_broken())
		return;
	vhost.status |= VIRTIO_STATUS_NEEDS_RESET_MASK;
	vhost_config_changed();
}

bool vhost_is_ending(void)
{
	return vhost.ending;
}

/* All have ended but those that are left to the next process. */
static bool may_end(void)
{
	unsigned int nr = vhost.ops->nr_parked ? vhost.ops->nr_parked() : 0;

	return queue_nr_in_flight() <= nr;
}

static bool end_round(void)
{
	bool more = vhost.ops->round_end && vhost.ops->round_end();

	report_broken();
	if (vhost.ending) {
		if (may_end())
			loop_quit(0);
		return more;
	}
	if (vhost.held && queue_drained(vhost.held_for)) {
		finish_held();
		more = true;
	}
	return more;
}

/*
 * BACKEND_FD is kept for the channel: of the fds that come by messages, which
 * take the lowest free numbers, none may lie where dup3() puts it.
 */
static int reserve_backend_fd(void)
{
	return dup3(EPOLL_FD, BACKEND_FD, O_CLOEXEC) < 0 ? -errno : 0;
}

int vhost_open(uint16_t nr_queues)
{
	int ret = reserve_backend_fd();

	return ret ? ret : inflight_region_open(nr_queues);
}

int vhost_start(const struct vhost_ops *ops)
{
	uint64_t features = ops->features;
	uint16_t nr_queues = ops->nr_queues;

	if (ops->offer)
		ops->offer(&features, &nr_queues);
	vhost.ops = ops;
	vhost.nr_queues = nr_queues;
	vhost.offered = (features & VIRTIO_DEVICE_FEATURES_MASK) |
			1ull << VIRTIO_F_INDIRECT_DESC_BIT |
			1ull << VIRTIO_F_EVENT_IDX_BIT |
			1ull << VIRTIO_F_VERSION_1_BIT |
			1ull << VIRTIO_F_RING_PACKED_BIT |
			1ull << VHOST_USER_F_PROTOCOL_FEATURES_BIT;
	__atomic_store_n(&device_stats->nr_queues, nr_queues,
			 __ATOMIC_RELAXED);
	queue_init_all(ops, nr_queues);
	loop_set_round_hook(end_round);
	vhost.link = (struct loop_source)LOOP_SOURCE_INIT(on_link);
	return loop_add(&vhost.link, LINK_FD, EPOLLIN);
}

void vhost_stop(void)
{
	vhost.ending = true;
	loop_remove(&vhost.link);
	queue_drain_begin(QUEUE_ALL);
}
