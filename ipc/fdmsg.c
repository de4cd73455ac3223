/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only sendmsg(2) and recvmsg(2): every channel between processes ends
 * here.  See ipc/fdmsg.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ipc/fdmsg.h"

/* As many as the kernel passes at once: what does not fit it would close. */
#define SCM_MAX_FDS	253

union control_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * SCM_MAX_FDS)];
};

static void close_at_once(int fd)
{
	close(fd);
}

static void (*close_fd)(int fd) = close_at_once;

void fdmsg_set_closer(void (*closer)(int fd))
{
	close_fd = closer;
}

long long fdmsg_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void fdmsg_close_all(const int *fds, unsigned int nr_fds)
{
	for (unsigned int i = 0; i < nr_fds; i++)
		close_fd(fds[i]);
}

/* Wait for events on sock until deadline_ms (-1: for ever). */
static int wait_for(int sock, short events, long long deadline_ms)
{
	for (;;) {
		struct pollfd pfd = { .fd = sock, .events = events };
		struct timespec left = { 0 };
		long long left_ms;
		int ready;

		if (deadline_ms >= 0) {
			left_ms = deadline_ms - fdmsg_now_ms();
			if (left_ms > 0) {
				left.tv_sec = left_ms / 1000;
				left.tv_nsec = left_ms % 1000 * 1000000;
			}
		}
		/*
		 * Not poll(): interrupted by a tracer it goes on by way of
		 * restart_syscall, which is in no policy.
		 */
		ready = ppoll(&pfd, 1, deadline_ms >= 0 ? &left : NULL, NULL);
		if (ready > 0)
			return 0;
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static long long deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : fdmsg_now_ms() + timeout_ms;
}

static void put_fds(struct msghdr *hdr, union control_space *space,
		    const int *fds, unsigned int nr_fds)
{
	struct cmsghdr *cmsg;

	hdr->msg_control = space->bytes;
	hdr->msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
	memset(space, 0, hdr->msg_controllen);
	cmsg = CMSG_FIRSTHDR(hdr);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
	memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nr_fds);
}

int fdmsg_send(int sock, const void *buf, size_t len, const int *fds,
	       unsigned int nr_fds, int timeout_ms)
{
	long long deadline_ms = deadline_of(timeout_ms);
	union control_space space;
	size_t done = 0;

	if (nr_fds > FDMSG_MAX_FDS)
		return -EINVAL;
	while (done < len) {
		/* sendmsg() does not write to the buffer; iovec is not const. */
		struct iovec iov = {
			.iov_base = (void *)((uintptr_t)buf + done),
			.iov_len = len - done,
		};
		struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t sent;
		int err;

		if (nr_fds && done == 0)
			put_fds(&hdr, &space, fds, nr_fds);
		sent = sendmsg(sock, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0) {
			done += (size_t)sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == ECONNRESET)
			return -EPIPE;
		if (errno != EAGAIN)
			return -errno;
		err = wait_for(sock, POLLOUT, deadline_ms);
		if (err)
			return err;
	}
	return 0;
}

/* Whether the peer will never say anything again. */
static int hung_up(int sock)
{
	const struct timespec at_once = { 0 };
	struct pollfd pfd = { .fd = sock, .events = POLLRDHUP };

	return ppoll(&pfd, 1, &at_once, NULL) > 0;
}

/*
 * Collect the fds of hdr into all; what is not SCM_RIGHTS makes the message
 * foul.  Returns the number of fds, which the caller owns either way.
 */
static unsigned int take_fds(struct msghdr *hdr, int *all, int *foul)
{
	unsigned int nr = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr); cmsg;
	     cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS) {
			*foul = 1;
			continue;
		}
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (count > SCM_MAX_FDS - nr) {
			/* The control buffer has no room for this many. */
			*foul = 1;
			continue;
		}
		memcpy(all + nr, CMSG_DATA(cmsg), count * sizeof(int));
		nr += (unsigned int)count;
	}
	return nr;
}

ssize_t fdmsg_recv(int sock, void *buf, size_t len, int *fds,
		   unsigned int *nr_fds, int timeout_ms)
{
	long long deadline_ms = deadline_of(timeout_ms);
	unsigned int max_fds = nr_fds ? *nr_fds : 0;
	int all[SCM_MAX_FDS];
	union control_space space;
	unsigned int got_fds;
	struct msghdr hdr;
	struct iovec iov;
	ssize_t got;
	int foul;

	if (nr_fds)
		*nr_fds = 0;
	for (;;) {
		iov = (struct iovec){ .iov_base = buf, .iov_len = len };
		hdr = (struct msghdr){
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = space.bytes,
			.msg_controllen = sizeof(space.bytes),
		};
		got = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (got >= 0)
			break;
		/*
		 * Said once of a peer that ended before it had read all; a
		 * datagram that it sent is behind it, and then comes the end.
		 */
		if (errno == EINTR || errno == ECONNRESET)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (timeout_ms == 0)
			return -EAGAIN;
		got = wait_for(sock, POLLIN, deadline_ms);
		if (got)
			return got;
	}

	foul = (hdr.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
	got_fds = take_fds(&hdr, all, &foul);
	/* A datagram without a byte is not the end that it looks like. */
	foul |= got == 0 && len && !hung_up(sock);
	if (foul || got_fds > max_fds) {
		fdmsg_close_all(all, got_fds);
		return -EPROTO;
	}
	if (got_fds) {
		memcpy(fds, all, got_fds * sizeof(int));
		*nr_fds = got_fds;
	}
	return got;
}

int fdmsg_recv_exact(int sock, void *buf, size_t len, int timeout_ms)
{
	long long deadline_ms = deadline_of(timeout_ms);
	size_t done = 0;

	while (done < len) {
		long long left = -1;
		ssize_t got;

		if (deadline_ms >= 0) {
			left = deadline_ms - fdmsg_now_ms();
			if (left < 1)
				left = 1;
		}
		got = fdmsg_recv(sock, (void *)((uintptr_t)buf + done),
				 len - done, NULL, NULL, (int)left);
		if (got < 0)
			return (int)got;
		if (got == 0)
			return -EPIPE;
		done += (size_t)got;
	}
	return 0;
}
