/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place where Bulkhead calls sendmsg(2) and recvmsg(2).
 *
 * Every received fd is close-on-exec; a message whose ancillary data was cut
 * (MSG_CTRUNC), or that carries anything but SCM_RIGHTS, is refused and its
 * fds are closed.
 */
#ifndef IPC_FDMSG_H
#define IPC_FDMSG_H

#include <stddef.h>
#include <sys/types.h>

#define FDMSG_MAX_FDS	16

/* Milliseconds of CLOCK_MONOTONIC; for deadlines. */
long long fdmsg_now_ms(void);

/*
 * Send len bytes and nr_fds fds as one sendmsg(), continuing a stream socket
 * until all is out; waits at most timeout_ms for room (-1: for ever).
 * Return: 0, -EPIPE, -ETIMEDOUT or another -errno.
 */
int fdmsg_send(int sock, const void *buf, size_t len, const int *fds,
	       unsigned int nr_fds, int timeout_ms);

/*
 * Receive at most len bytes (one datagram, or what a stream has) and at most
 * *nr_fds fds into fds; *nr_fds is set to the number received.
 * timeout_ms 0: do not block; -1: for ever.
 * Return: bytes (> 0); 0 peer closed; -EAGAIN (timeout_ms 0), -ETIMEDOUT;
 * -EPROTO: an empty datagram, cut data, cut or foreign ancillary data, more fds than asked for
 * (all received fds are closed).
 */
ssize_t fdmsg_recv(int sock, void *buf, size_t len, int *fds,
		   unsigned int *nr_fds, int timeout_ms);

/* Read exactly len more bytes of a stream; an fd that comes is -EPROTO. */
int fdmsg_recv_exact(int sock, void *buf, size_t len, int timeout_ms);

/*
 * Close fds that came by messages, or lead to a peer.  Once fdmsg_set_closer()
 * was called, closer does it, here and wherever this file closes what it
 * refuses: close(2) of a peer's file may block as long as the peer likes.
 */
void fdmsg_close_all(const int *fds, unsigned int nr_fds);
void fdmsg_set_closer(void (*closer)(int fd));

#endif
