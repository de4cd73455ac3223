/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of the register channel.  See ipc/regchan.h. */
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/regchan.h"

int regchan_post(int fd, const struct regchan_request *req, int irq_fd,
		 int timeout_ms)
{
	return fdmsg_send(fd, req, sizeof(*req), &irq_fd, irq_fd >= 0,
			  timeout_ms);
}

int regchan_read(int fd, struct regchan_request *req, uint32_t *value,
		 int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;
	int err;

	req->op = REGCHAN_READ;
	err = fdmsg_send(fd, req, sizeof(*req), NULL, 0, timeout_ms);
	if (err)
		return err;
	for (;;) {
		long long left = deadline_ms - fdmsg_now_ms();
		struct regchan_reply reply;
		ssize_t got;

		/* It may be us who are late: what is there by now counts. */
		got = fdmsg_recv(fd, &reply, sizeof(reply), NULL, NULL,
				 left > 0 ? (int)left : 0);
		if (got == -EAGAIN)
			return -ETIMEDOUT;
		if (got < 0)
			return (int)got;
		if (got == 0)
			return -EPIPE;
		if (got != sizeof(reply))
			return -EPROTO;
		if (reply.seq == req->seq) {
			*value = reply.value;
			return 0;
		}
		/* A late reply to a read that was given up: older seq only. */
		if ((int32_t)(reply.seq - req->seq) > 0)
			return -EPROTO;
		/* Also if they never cease to come. */
		if (left <= 0)
			return -ETIMEDOUT;
	}
}

static bool request_is_sound(const struct regchan_request *req,
			     unsigned int nr_fds)
{
	bool is_access = req->op == REGCHAN_READ || req->op == REGCHAN_WRITE;

	if (req->pad)
		return false;
	if (is_access && req->size != 1 && req->size != 2 && req->size != 4)
		return false;
	if (!is_access && req->op != REGCHAN_SET_IRQ &&
	    req->op != REGCHAN_RESET)
		return false;
	return nr_fds == (req->op == REGCHAN_SET_IRQ ? 1u : 0u);
}

int regchan_take(int fd, struct regchan_request *req, int *irq_fd)
{
	unsigned int nr_fds = 1;
	int received = -1;
	ssize_t got;

	*irq_fd = -1;
	got = fdmsg_recv(fd, req, sizeof(*req), &received, &nr_fds, 0);
	if (got <= 0)
		return (int)got;
	if (got != sizeof(*req) || !request_is_sound(req, nr_fds)) {
		fdmsg_close_all(&received, nr_fds);
		return -EPROTO;
	}
	*irq_fd = nr_fds ? received : -1;
	return 1;
}

int regchan_answer(int fd, uint32_t seq, uint32_t value)
{
	struct regchan_reply reply = { .seq = seq, .value = value };

	/* The core waits for this reply, so its buffer has room: no wait. */
	return fdmsg_send(fd, &reply, sizeof(reply), NULL, 0, 0);
}
