/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's end of COM1's register channel: vCPU threads take turns at it,
 * the main thread notices its end.
 */
#include "vmm-core/serial_link.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ipc/log.h"
#include "ipc/regchan.h"
#include "vmm-core/bus.h"
#include "vmm-core/irq.h"
#include "vmm-core/report.h"

#define ANSWER_MS	1000	/* a vCPU waits no longer than this */

struct serial_link {
	pthread_mutex_t lock;
	int fd;			/* set once, never closed */
	int irq_fd;		/* raises GSI 4; kept for a reborn device */
	unsigned int device_index;
	bool broken;		/* all below under lock */
	uint32_t seq;
	struct log_limit log_limit;
};

static struct serial_link link_com1 = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.fd = -1,
	.irq_fd = -1,
};

/* A device that is only slow may come back; one that lies or is gone not. */
static void link_failed(int err)
{
	if (link_com1.broken)
		return;
	if (err == -ETIMEDOUT) {
		if (log_allowed(&link_com1.log_limit, 1))
			log_warn("serial port: no answer within %d ms",
				 ANSWER_MS);
		return;
	}
	link_com1.broken = true;
	report_event(LIFE_EVENT_DEVICE_FAILED, link_com1.device_index, "%s",
		     err == -EPIPE ? "serial port: link closed" :
		     "serial port: broken register channel");
}

/* Other sizes than 1 read as nothing: a 16550 has byte registers. */
static uint64_t port_read(void *opaque, uint64_t offset, unsigned int size)
{
	struct regchan_request req = {
		.op = REGCHAN_READ,
		.offset = (uint16_t)offset,
		.size = (uint8_t)size,
	};
	uint32_t value = UINT32_MAX;
	int err = 0;

	(void)opaque;
	pthread_mutex_lock(&link_com1.lock);
	if (!link_com1.broken) {
		req.seq = ++link_com1.seq;
		err = regchan_read(link_com1.fd, &req, &value, ANSWER_MS);
	}
	if (err) {
		value = UINT32_MAX;
		link_failed(err);
	}
	pthread_mutex_unlock(&link_com1.lock);
	return value;
}

static void post(struct regchan_request *req, int irq_fd)
{
	int err = 0;

	pthread_mutex_lock(&link_com1.lock);
	if (!link_com1.broken)
		err = regchan_post(link_com1.fd, req, irq_fd, ANSWER_MS);
	if (err)
		link_failed(err);
	pthread_mutex_unlock(&link_com1.lock);
}

static void port_write(void *opaque, uint64_t offset, unsigned int size,
		       uint64_t value)
{
	struct regchan_request req = {
		.op = REGCHAN_WRITE,
		.offset = (uint16_t)offset,
		.size = (uint8_t)size,
		.value = (uint32_t)value,
	};

	(void)opaque;
	post(&req, -1);
}

int serial_link_prepare(void)
{
	link_com1.irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return link_com1.irq_fd < 0 ? -errno : 0;
}

int serial_link_add(unsigned int device_index, int link_fd)
{
	static const struct bus_ops ops = { port_read, port_write };
	struct regchan_request req = { .op = REGCHAN_SET_IRQ };
	int err;

	if (link_com1.fd >= 0) {
		close(link_fd);
		return -EEXIST;
	}
	link_com1.fd = link_fd;
	link_com1.device_index = device_index;
	err = irq_assign_fd(IRQ_SERIAL, link_com1.irq_fd);
	if (err)
		return err;
	post(&req, link_com1.irq_fd);
	if (link_com1.broken)
		return -EPIPE;
	return bus_add(BUS_PIO, PORT_SERIAL, PORT_SERIAL_LEN, &ops, NULL);
}

int serial_link_fd(void)
{
	return link_com1.fd;
}

void serial_link_hangup(void)
{
	pthread_mutex_lock(&link_com1.lock);
	link_failed(-EPIPE);
	pthread_mutex_unlock(&link_com1.lock);
}
