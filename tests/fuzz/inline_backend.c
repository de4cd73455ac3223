/* SPDX-License-Identifier: Apache-2.0 */
/* The back-end in place of the socket, see inline_backend.h. */
#include "tests/fuzz/inline_backend.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/vhost_user.h"

/* What is wrong with an answer: bits of a byte of the input. */
enum {
	NO_ANSWER = 1, HANG_UP = 2, CHANGED = 4, SHORT = 8, OTHER_SIZE = 16,
	FD_TURNED = 32, IN_PIECES = 64,
};
#define ALWAYS_WRONG	0x80	/* else three of four answers are right */

static struct fuzz_input *input;
static long long now_ms;

/* The answer on its way. */
static struct {
	uint8_t bytes[1024];
	size_t len;
	size_t taken;
	int fd;			/* -1: none */
	bool gone;
	bool in_pieces;
} answer = { .fd = -1 };

static void drop_answer(void)
{
	if (answer.fd >= 0)
		close(answer.fd);
	memset(&answer, 0, sizeof(answer));
	answer.fd = -1;
}

void inline_backend_use(struct fuzz_input *in)
{
	input = in;
	drop_answer();
}

int inline_backend_link(int hung_up)
{
	int pair[2];

	if (!hung_up)
		return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	close(pair[1]);
	return pair[0];
}

/* --- answers --------------------------------------------------------------- */

static size_t fill_inflight(union vhost_user_payload *payload)
{
	uint64_t bytes = payload->inflight.nr_queues *
			 inflight_queue_bytes(payload->inflight.queue_size);

	payload->inflight.mmap_size = bytes;
	payload->inflight.mmap_offset = 0;
	answer.fd = fuzz_memfd(NULL, 0, bytes);
	return sizeof(payload->inflight);
}

/* The right answer's payload.  Return: its bytes. */
static size_t fill(uint32_t request, union vhost_user_payload *payload,
		   size_t asked)
{
	switch (request) {
	case VHOST_USER_GET_FEATURES:
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		payload->u64 = UINT64_MAX;
		return sizeof(payload->u64);
	case VHOST_USER_GET_QUEUE_NUM:
		payload->u64 = 4;
		return sizeof(payload->u64);
	case VHOST_USER_GET_CONFIG:
		memset(payload->config.data, 0x5a,
		       sizeof(payload->config.data));
		return asked;
	case VHOST_USER_GET_INFLIGHT_FD:
		return fill_inflight(payload);
	case VHOST_USER_GET_VRING_BASE:
		payload->state.num = 0;
		return sizeof(payload->state);
	default:	/* REPLY_ACK */
		payload->u64 = 0;
		return sizeof(payload->u64);
	}
}

static void spoil(uint8_t wrong)
{
	if (wrong & HANG_UP)
		answer.gone = true;
	if (wrong & NO_ANSWER)
		answer.len = 0;
	if (wrong & CHANGED)
		for (uint64_t nr = fuzz_take(input, 1) % 8; nr > 0; nr--)
			answer.bytes[fuzz_take(input, 2) % 64] ^=
				(uint8_t)fuzz_take(input, 1);
	if (wrong & SHORT && answer.len)
		answer.len = fuzz_take(input, 1) % answer.len;
	if (wrong & OTHER_SIZE) {
		uint32_t size = (uint32_t)fuzz_take(input, 4);

		memcpy(answer.bytes + 8, &size, sizeof(size));
		answer.len = 12 + size % 512;
	}
	if (wrong & FD_TURNED && answer.fd < 0) {
		answer.fd = fuzz_memfd(NULL, 0, fuzz_take(input, 2));
	} else if (wrong & FD_TURNED) {
		close(answer.fd);
		answer.fd = -1;
	}
	answer.in_pieces = wrong & IN_PIECES;
}

static void ask(const struct vhost_user_hdr *asked,
		const union vhost_user_payload *payload, bool wants_ack)
{
	struct vhost_user_hdr hdr = *asked;
	union vhost_user_payload reply = *payload;
	uint8_t wrong;

	drop_answer();
	if (!vhost_user_rules[hdr.request].has_reply && !wants_ack)
		return;
	hdr.flags = VHOST_USER_VERSION | VHOST_USER_REPLY_MASK;
	hdr.size = (uint32_t)fill(hdr.request, &reply, asked->size);
	memcpy(answer.bytes, &hdr, sizeof(hdr));
	memcpy(answer.bytes + sizeof(hdr), &reply, hdr.size);
	answer.len = sizeof(hdr) + hdr.size;
	if (!input || !input->left)
		return;
	wrong = (uint8_t)fuzz_take(input, 1);
	if (wrong & ALWAYS_WRONG || (wrong & 3) == 3)
		spoil(wrong);
}

/* --- in place of ipc/fdmsg.c ----------------------------------------------- */

long long fdmsg_now_ms(void)
{
	return now_ms;
}

void fdmsg_close_all(const int *fds, unsigned int nr_fds)
{
	for (unsigned int i = 0; i < nr_fds; i++)
		close(fds[i]);
}

int fdmsg_send(int sock, const void *buf, size_t len, const int *fds,
	       unsigned int nr_fds, int timeout_ms)
{
	struct vhost_user_hdr hdr;
	union vhost_user_payload payload = { 0 };

	(void)sock;
	(void)fds;
	fuzz_check(timeout_ms >= 0);
	fuzz_check(nr_fds <= VHOST_USER_MAX_REGIONS);
	fuzz_check(len >= sizeof(hdr) &&
		   len <= sizeof(hdr) + sizeof(payload));
	memcpy(&hdr, buf, sizeof(hdr));
	memcpy(&payload, (const uint8_t *)buf + sizeof(hdr),
	       len - sizeof(hdr));
	/* A reply on the back-end channel is nobody's question. */
	if (hdr.flags & VHOST_USER_REPLY_MASK)
		return 0;
	/* What the front-end says is right, whatever it has heard. */
	fuzz_check(hdr.size == len - sizeof(hdr));
	fuzz_check(hdr.request < VHOST_USER_REQUEST_END &&
		   vhost_user_rules[hdr.request].name);
	fuzz_check(hdr.size >= vhost_user_rules[hdr.request].size_min &&
		   hdr.size <= vhost_user_rules[hdr.request].size_max);
	fuzz_check(nr_fds >= vhost_user_rules[hdr.request].fds_min &&
		   nr_fds <= vhost_user_rules[hdr.request].fds_max);
	ask(&hdr, &payload, hdr.flags & VHOST_USER_NEED_REPLY_MASK);
	return 0;
}

ssize_t fdmsg_recv(int sock, void *buf, size_t len, int *fds,
		   unsigned int *nr_fds, int timeout_ms)
{
	unsigned int room = nr_fds ? *nr_fds : 0;
	size_t left = answer.len - answer.taken;

	(void)sock;
	if (nr_fds)
		*nr_fds = 0;
	/* Nobody waits: the back-end channel, whose messages are the input. */
	if (timeout_ms == 0) {
		if (!input || !input->left || fuzz_take(input, 1) & 1)
			return -EAGAIN;
		fuzz_take_bytes(input, buf, len);
		return (ssize_t)len;
	}
	if (answer.fd >= 0 && room == 0) {
		drop_answer();
		return -EPROTO;
	}
	if (left == 0) {
		now_ms += timeout_ms;
		return answer.gone ? 0 : -ETIMEDOUT;
	}
	if (answer.fd >= 0) {
		fds[0] = answer.fd;
		answer.fd = -1;
		*nr_fds = 1;
	}
	if (left > len)
		left = len;
	if (answer.in_pieces && left > 1)
		left = 1;
	memcpy(buf, answer.bytes + answer.taken, left);
	answer.taken += left;
	return (ssize_t)left;
}

int fdmsg_recv_exact(int sock, void *buf, size_t len, int timeout_ms)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = fdmsg_recv(sock, (uint8_t *)buf + done,
					 len - done, NULL, NULL, timeout_ms);

		if (got <= 0)
			return got ? (int)got : -EPIPE;
		done += (size_t)got;
	}
	return 0;
}
