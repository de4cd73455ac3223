/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register channel: core <-> a device without DMA (the serial port),
 * SOCK_SEQPACKET on LINK_FD.
 *
 * Reads are answered; writes are posted: the channel keeps their order, and
 * a read is answered after every write sent before it, which is what PCI
 * calls posting and what ISA drivers cannot tell from a slow bus.
 */
#ifndef IPC_REGCHAN_H
#define IPC_REGCHAN_H

#include <stdint.h>

enum regchan_op {
	REGCHAN_READ = 1,	/* answered by struct regchan_reply */
	REGCHAN_WRITE,		/* posted, no answer */
	REGCHAN_SET_IRQ,	/* 1 fd: eventfd the device writes to raise its line */
	REGCHAN_RESET,		/* posted: registers to their power-on values */
};

struct regchan_request {
	uint32_t op;		/* enum regchan_op */
	uint32_t seq;		/* READ: returned in the reply */
	uint16_t offset;	/* bytes from the device's first register */
	uint8_t size;		/* bytes: 1, 2 or 4 */
	uint8_t pad;
	uint32_t value;		/* WRITE */
};

struct regchan_reply {
	uint32_t seq;
	uint32_t value;
};

_Static_assert(sizeof(struct regchan_request) == 16, "regchan_request");
_Static_assert(sizeof(struct regchan_reply) == 8, "regchan_reply");

/*
 * Core's side.  Both block at most timeout_ms in all.
 * Return: 0, -EPIPE device gone, -ETIMEDOUT, -EPROTO wrong reply.
 * A late reply to a read that timed out is recognised by its seq and dropped.
 */
int regchan_post(int fd, const struct regchan_request *req, int irq_fd,
		 int timeout_ms);
int regchan_read(int fd, struct regchan_request *req, uint32_t *value,
		 int timeout_ms);

/*
 * Device's side: take one request, checked (size, op, pad, fd count).
 * irq_fd: filled for SET_IRQ, owned by the caller; else -1.
 * Return: 1 a request, 0 core closed, -EAGAIN none there, -EPROTO.
 */
int regchan_take(int fd, struct regchan_request *req, int *irq_fd);
int regchan_answer(int fd, uint32_t seq, uint32_t value);

#endif
