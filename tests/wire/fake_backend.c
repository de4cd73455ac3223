/* SPDX-License-Identifier: Apache-2.0 */
/* A vhost-user back-end for tests of the front-end.  See fake_backend.h. */
#include "tests/wire/fake_backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"

#define TIMEOUT_MS	10000

const char *const fake_wrong_name[FAKE_NR_WRONG] = {
	[FAKE_RIGHT] = "right",
	[FAKE_SHORT] = "short payload",
	[FAKE_LONG] = "long payload",
	[FAKE_EMPTY] = "no payload",
	[FAKE_HUGE] = "huge size",
	[FAKE_OTHER_REQUEST] = "other request",
	[FAKE_OTHER_VERSION] = "other version",
	[FAKE_NO_REPLY_FLAG] = "no reply flag",
	[FAKE_TWO_FDS] = "two fds",
	[FAKE_HALF_HEADER] = "half a header",
	[FAKE_HALF_PAYLOAD] = "half a payload",
	[FAKE_SILENCE] = "silence",
	[FAKE_END_OF_FILE] = "end of file",
};

/* Send header and payload as they are asked for, however wrong. */
static void send_raw(struct fake_backend *fake, uint32_t request,
		     uint32_t flags, uint32_t claimed, const void *payload,
		     size_t size, size_t cut_to, const int *fds,
		     unsigned int nr_fds)
{
	struct vhost_user_hdr hdr = {
		.request = request, .flags = flags, .size = claimed,
	};
	char bytes[sizeof(hdr) + sizeof(union vhost_user_payload) + 16] = { 0 };

	memcpy(bytes, &hdr, sizeof(hdr));
	memcpy(bytes + sizeof(hdr), payload, size);
	fdmsg_send(fake->sock, bytes, cut_to, fds, nr_fds, TIMEOUT_MS);
}

static void answer_wrongly(struct fake_backend *fake, uint32_t request,
			   const void *payload, size_t size, int fd)
{
	const size_t hdr = sizeof(struct vhost_user_hdr);
	uint32_t flags = VHOST_USER_VERSION | VHOST_USER_REPLY_MASK;
	uint32_t claimed = (uint32_t)size;
	size_t length = hdr + size;
	const int fds[2] = { fd < 0 ? fake->sock : fd, fake->sock };
	unsigned int nr_fds = fd >= 0;

	switch (fake->wrong) {
	case FAKE_SHORT:
		claimed--;
		length--;
		break;
	case FAKE_LONG:
		claimed += 8;
		length += 8;
		break;
	case FAKE_EMPTY:
		claimed = 0;
		length = hdr;
		break;
	case FAKE_HUGE:
		claimed = UINT32_MAX;
		break;
	case FAKE_OTHER_REQUEST:
		request++;
		break;
	case FAKE_OTHER_VERSION:
		flags ^= VHOST_USER_VERSION_MASK;
		break;
	case FAKE_NO_REPLY_FLAG:
		flags &= ~VHOST_USER_REPLY_MASK;
		break;
	case FAKE_TWO_FDS:
		nr_fds = 2;
		break;
	case FAKE_HALF_HEADER:
		length = hdr / 2;
		break;
	case FAKE_HALF_PAYLOAD:
		length = hdr + size / 2;
		break;
	case FAKE_END_OF_FILE:
		shutdown(fake->sock, SHUT_RDWR);
		return;
	case FAKE_SILENCE:
	case FAKE_RIGHT:
	case FAKE_NR_WRONG:
		return;
	}
	send_raw(fake, request, flags, claimed, payload, size, length, fds,
		 nr_fds);
}

static void answer(struct fake_backend *fake, uint32_t request,
		   const void *payload, size_t size, int fd)
{
	if (request == fake->wrong_request && fake->wrong != FAKE_RIGHT)
		answer_wrongly(fake, request, payload, size, fd);
	else
		send_raw(fake, request,
			 VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
			 (uint32_t)size, payload, size,
			 sizeof(struct vhost_user_hdr) + size, &fd, fd >= 0);
}

static void answer_u64(struct fake_backend *fake, uint32_t request,
		       uint64_t value)
{
	answer(fake, request, &value, sizeof(value), -1);
}

static void keep_fd(int *slot, struct vhost_user_msg *msg)
{
	if (*slot >= 0)
		close(*slot);
	*slot = msg->nr_fds ? msg->fds[0] : -1;
	msg->nr_fds = 0;
}

static void answer_config(struct fake_backend *fake,
			  const struct vhost_user_msg *msg)
{
	struct vhost_user_config config = msg->payload.config;

	config.offset = fake->config_offset;
	config.size += (uint32_t)fake->config_size_delta;
	memcpy(config.data, fake->config, sizeof(config.data));
	answer(fake, VHOST_USER_GET_CONFIG, &config, msg->hdr.size, -1);
}

static void answer_inflight(struct fake_backend *fake,
			    const struct vhost_user_msg *msg)
{
	struct vhost_user_inflight inflight = msg->payload.inflight;
	int fd = -1;

	inflight.mmap_size = inflight.nr_queues *
			     inflight_queue_bytes(inflight.queue_size);
	if (!fake->no_inflight_fd) {
		fd = memfd_create("inflight", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, (off_t)inflight.mmap_size))
			abort();
	}
	answer(fake, VHOST_USER_GET_INFLIGHT_FD, &inflight, sizeof(inflight),
	       fd);
	if (fd >= 0)
		close(fd);
}

/* Requests that have a reply of their own.  Return: was it one? */
static bool take_question(struct fake_backend *fake,
			  const struct vhost_user_msg *msg)
{
	switch (msg->hdr.request) {
	case VHOST_USER_GET_FEATURES:
		answer_u64(fake, msg->hdr.request, fake->features);
		return true;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		answer_u64(fake, msg->hdr.request, fake->protocol_features);
		return true;
	case VHOST_USER_GET_QUEUE_NUM:
		answer_u64(fake, msg->hdr.request, fake->nr_queues);
		return true;
	case VHOST_USER_GET_CONFIG:
		answer_config(fake, msg);
		return true;
	case VHOST_USER_GET_INFLIGHT_FD:
		answer_inflight(fake, msg);
		return true;
	case VHOST_USER_GET_VRING_BASE:
		usleep((useconds_t)fake->drain_ms * 1000);
		fake->drain_ms = 0;
		fake->ring[msg->payload.state.index % FAKE_QUEUES].enabled =
			false;
		answer(fake, msg->hdr.request, &msg->payload.state,
		       sizeof(msg->payload.state), -1);
		return true;
	default:
		return false;
	}
}

static void take_ring(struct fake_backend *fake, struct vhost_user_msg *msg)
{
	uint32_t index = msg->payload.state.index % FAKE_QUEUES;

	switch (msg->hdr.request) {
	case VHOST_USER_SET_VRING_NUM:
		fake->ring[index].num = msg->payload.state.num;
		break;
	case VHOST_USER_SET_VRING_BASE:
		fake->ring[index].base = msg->payload.state.num;
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		fake->ring[index].enabled = msg->payload.state.num;
		break;
	case VHOST_USER_SET_VRING_ADDR:
		fake->ring[index].addr = msg->payload.addr;
		break;
	case VHOST_USER_SET_VRING_KICK:
		keep_fd(&fake->ring[index].kick_fd, msg);
		break;
	case VHOST_USER_SET_VRING_CALL:
		keep_fd(&fake->ring[index].call_fd, msg);
		break;
	case VHOST_USER_SET_VRING_ERR:
		keep_fd(&fake->ring[index].err_fd, msg);
		break;
	default:
		break;
	}
}

static void take_statement(struct fake_backend *fake,
			   struct vhost_user_msg *msg)
{
	switch (msg->hdr.request) {
	case VHOST_USER_SET_FEATURES:
		fake->acked_features = msg->payload.u64;
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		fake->acked_protocol = msg->payload.u64;
		break;
	case VHOST_USER_SET_STATUS:
		fake->status = msg->payload.u64;
		break;
	case VHOST_USER_SET_MEM_TABLE:
		fake->memory = msg->payload.memory;
		fdmsg_close_all(msg->fds + 1, msg->nr_fds - 1);
		msg->nr_fds = 1;
		keep_fd(&fake->memory_fd, msg);
		break;
	case VHOST_USER_SET_INFLIGHT_FD:
		fake->inflight = msg->payload.inflight;
		keep_fd(&fake->inflight_fd, msg);
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		keep_fd(&fake->channel_fd, msg);
		break;
	case VHOST_USER_SET_CONFIG:
		fake->config_write = msg->payload.config;
		memcpy(fake->config + fake->config_write.offset,
		       fake->config_write.data, fake->config_write.size);
		break;
	default:
		take_ring(fake, msg);
		break;
	}
}

static void *serve(void *opaque)
{
	struct fake_backend *fake = opaque;
	struct vhost_user_msg msg;

	while (vhost_user_recv(fake->sock, UINT64_MAX, &msg, -1) == 1) {
		bool answered;

		pthread_mutex_lock(&fake->lock);
		if (fake->nr_seen < FAKE_LOG)
			fake->seen[fake->nr_seen++] = msg.hdr.request;
		if (fake->hang_up_on == msg.hdr.request)
			shutdown(fake->sock, SHUT_RDWR);
		answered = take_question(fake, &msg);
		if (!answered) {
			take_statement(fake, &msg);
			if (msg.hdr.flags & VHOST_USER_NEED_REPLY_MASK)
				answer_u64(fake, msg.hdr.request, fake->ack);
		}
		fdmsg_close_all(msg.fds, msg.nr_fds);
		pthread_mutex_unlock(&fake->lock);
	}
	return NULL;
}

void fake_backend_init(struct fake_backend *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->features = UINT64_MAX;
	fake->protocol_features = UINT64_MAX;
	fake->nr_queues = 4;
	fake->inflight_fd = -1;
	fake->memory_fd = -1;
	fake->channel_fd = -1;
	for (int i = 0; i < FAKE_QUEUES; i++) {
		fake->ring[i].kick_fd = -1;
		fake->ring[i].call_fd = -1;
		fake->ring[i].err_fd = -1;
	}
}

void fake_backend_run_on(struct fake_backend *fake, int sock)
{
	fake->sock = sock;
	pthread_mutex_init(&fake->lock, NULL);
	if (pthread_create(&fake->thread, NULL, serve, fake))
		abort();
}

int fake_backend_run(struct fake_backend *fake)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	fake_backend_run_on(fake, pair[0]);
	return pair[1];
}

static void drop_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void fake_backend_end(struct fake_backend *fake)
{
	shutdown(fake->sock, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	drop_fd(&fake->sock);
	drop_fd(&fake->inflight_fd);
	drop_fd(&fake->memory_fd);
	drop_fd(&fake->channel_fd);
	for (int i = 0; i < FAKE_QUEUES; i++) {
		drop_fd(&fake->ring[i].kick_fd);
		drop_fd(&fake->ring[i].call_fd);
		drop_fd(&fake->ring[i].err_fd);
	}
}

unsigned int fake_backend_count(struct fake_backend *fake, uint32_t request)
{
	unsigned int count = 0;

	pthread_mutex_lock(&fake->lock);
	for (unsigned int i = 0; i < fake->nr_seen; i++)
		count += fake->seen[i] == request;
	pthread_mutex_unlock(&fake->lock);
	return count;
}
