/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's end of COM1's register channel: vCPU threads take turns at it,
 * the main thread brings the news of its end (C6, C7).
 *
 * The main thread never waits for the lock, as a vCPU may keep it for as long
 * as a device process is silent: it notes what happened in events, and
 * whoever has or gets the lock acts upon it.
 */
#include "vmm-core/serial_link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"
#include "ipc/regchan.h"
#include "vmm-core/bus.h"
#include "vmm-core/gate.h"
#include "vmm-core/irq.h"
#include "vmm-core/report.h"
#include "vmm-core/uart_shadow.h"

/*
 * A vCPU waits no longer than this for an answer, and for a successor; longer
 * than a hung process lives (the supervisor's heartbeat), so that the guest
 * does not see one.
 */
#define ANSWER_MS	5000
/* One that has been silent for so long is asked again, but less patiently. */
#define MUTE_MS		200

enum { EVENT_HANGUP_MASK = 1, EVENT_RELINK_MASK = 2 };

static struct {
	pthread_mutex_t lock;
	_Atomic unsigned int events;	/* left by who found the lock taken */
	int watched_fd;		/* main thread's: what its loop was given */
	int irq_fd;		/* raises GSI 4; kept for a reborn device */
	unsigned int device_index;
	struct relink_box successor;

	/* All below under lock. */
	int fd;			/* -1: no process */
	unsigned int link;	/* number of fd */
	bool given_up;		/* no process will come */
	bool mute;		/* it did not answer the last read */
	long long lost_ms;	/* when fd became -1 */
	struct uart_shadow shadow;
	uint32_t seq;
	struct log_limit log_limit;
} com1 = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.watched_fd = -1,
	.irq_fd = -1,
	.fd = -1,
};

/* Milliseconds until deadline_ms; 0: it has passed. */
static int left_ms(long long deadline_ms)
{
	long long left = deadline_ms - fdmsg_now_ms();

	return left > 0 ? (int)left : 0;
}

/*
 * One that lies is given up, one that is slow may come back: the supervisor's
 * heartbeat tells whether it hangs.
 */
static void link_failed(int err)
{
	if (com1.fd < 0)
		return;
	if (err == -ETIMEDOUT) {
		com1.mute = true;
		if (log_allowed(&com1.log_limit, 1))
			log_warn("serial port: no answer within %d ms",
				 ANSWER_MS);
		return;
	}
	close(com1.fd);
	com1.fd = -1;
	com1.lost_ms = fdmsg_now_ms();
	report_device_failed(com1.device_index, com1.link, false,
			     err == -EPIPE ? "serial port: link closed" :
				"serial port: broken register channel");
}

static int post(struct regchan_request *req, int irq_fd, int timeout_ms)
{
	int err = regchan_post(com1.fd, req, irq_fd, timeout_ms);

	if (err)
		link_failed(err);
	return err;
}

static int give_irq(void)
{
	struct regchan_request req = { .op = REGCHAN_SET_IRQ };

	return post(&req, com1.irq_fd, ANSWER_MS);
}

/* Tell a new process where its registers stand. */
static void replay(void)
{
	struct uart_write writes[UART_SHADOW_MAX_WRITES];
	unsigned int nr = uart_shadow_replay(&com1.shadow, writes);
	int err = give_irq();

	for (unsigned int i = 0; i < nr && !err; i++) {
		struct regchan_request req = {
			.op = REGCHAN_WRITE,
			.offset = writes[i].offset,
			.size = 1,
			.value = writes[i].value,
		};
		err = post(&req, -1, ANSWER_MS);
	}
}

static void adopt(const struct relink *relink)
{
	if (com1.fd >= 0)
		close(com1.fd);
	com1.fd = relink->fd;
	com1.given_up = relink->fd < 0;
	com1.mute = false;
	if (com1.given_up)
		return;
	com1.link = relink->link;
	replay();
}

/* --- who has the lock -------------------------------------------------------- */

static bool link_is_gone(void)
{
	const struct timespec at_once = { 0 };
	struct pollfd pfd = { .fd = com1.fd, .events = POLLRDHUP };

	return com1.fd >= 0 && ppoll(&pfd, 1, &at_once, NULL) > 0;
}

static void act_on(unsigned int events)
{
	struct relink relink;

	if (events & EVENT_RELINK_MASK &&
	    relink_take(&com1.successor, &relink))
		adopt(&relink);
	if (events & EVENT_HANGUP_MASK && link_is_gone())
		link_failed(-EPIPE);
}

static void run_events(void)
{
	do {
		if (pthread_mutex_trylock(&com1.lock) != 0)
			return;
		act_on(atomic_exchange(&com1.events, 0));
		pthread_mutex_unlock(&com1.lock);
	} while (atomic_load(&com1.events));
}

static void unlock(void)
{
	pthread_mutex_unlock(&com1.lock);
	if (atomic_load(&com1.events))
		run_events();
}

/*
 * A process to speak to, waited for until *deadline_ms.  Who comes when it has
 * been missing for that long does not wait again: the bus is empty.  While the
 * VM is paused, no time passes: *deadline_ms begins anew.
 */
static bool wait_for_link(long long *deadline_ms)
{
	long long until_ms = *deadline_ms;
	struct relink relink;

	if (com1.fd < 0 && until_ms > com1.lost_ms + ANSWER_MS)
		until_ms = com1.lost_ms + ANSWER_MS;
	while (com1.fd < 0 && !com1.given_up) {
		if (relink_wait(&com1.successor, &relink, until_ms)) {
			adopt(&relink);
		} else if (gate_pass()) {
			com1.lost_ms = fdmsg_now_ms();
			until_ms = com1.lost_ms + ANSWER_MS;
			*deadline_ms = until_ms;
		} else {
			break;
		}
	}
	return com1.fd >= 0;
}

static long long access_deadline_ms(void)
{
	return fdmsg_now_ms() + (com1.mute ? MUTE_MS : ANSWER_MS);
}

/* --- the ports ---------------------------------------------------------------- */

/* Other sizes than 1 read as nothing: a 16550 has byte registers. */
static uint64_t port_read(void *opaque, uint64_t offset, unsigned int size)
{
	long long deadline_ms;
	struct regchan_request req = {
		.op = REGCHAN_READ,
		.offset = (uint16_t)offset,
		.size = (uint8_t)size,
	};
	uint32_t value = UINT32_MAX;
	int err = -EPIPE;

	(void)opaque;
	pthread_mutex_lock(&com1.lock);
	deadline_ms = access_deadline_ms();
	while (err && err != -ETIMEDOUT && wait_for_link(&deadline_ms)) {
		req.seq = ++com1.seq;
		err = regchan_read(com1.fd, &req, &value, left_ms(deadline_ms));
		if (err)
			link_failed(err);
	}
	if (!err)
		com1.mute = false;
	unlock();
	return err ? UINT32_MAX : value;
}

static void port_write(void *opaque, uint64_t offset, unsigned int size,
		       uint64_t value)
{
	long long deadline_ms;
	struct regchan_request req = {
		.op = REGCHAN_WRITE,
		.offset = (uint16_t)offset,
		.size = (uint8_t)size,
		.value = (uint32_t)value,
	};
	int err = -EPIPE;

	(void)opaque;
	pthread_mutex_lock(&com1.lock);
	deadline_ms = access_deadline_ms();
	while (err && err != -ETIMEDOUT && wait_for_link(&deadline_ms))
		err = post(&req, -1, left_ms(deadline_ms));
	uart_shadow_note(&com1.shadow, (unsigned int)offset, size,
			 (uint32_t)value);
	unlock();
}

/* --- main thread --------------------------------------------------------------- */

int serial_link_prepare(void)
{
	int bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	relink_init(&com1.successor, bell_fd);
	com1.irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return bell_fd < 0 || com1.irq_fd < 0 ? -errno : 0;
}

static unsigned int port_owner(void *opaque)
{
	(void)opaque;
	return com1.device_index;
}

int serial_link_add(unsigned int device_index, int link_fd)
{
	static const struct bus_ops ops = { port_read, port_write, port_owner };
	int err;

	if (com1.watched_fd >= 0) {
		close(link_fd);
		return -EEXIST;
	}
	com1.fd = com1.watched_fd = link_fd;
	com1.device_index = device_index;
	err = irq_assign_fd(IRQ_SERIAL, com1.irq_fd);
	if (!err)
		err = give_irq();
	return err ? err : bus_add(BUS_PIO, PORT_SERIAL, PORT_SERIAL_LEN, &ops,
				   NULL);
}

int serial_link_fd(void)
{
	return com1.watched_fd;
}

static void note(unsigned int event)
{
	atomic_fetch_or(&com1.events, event);
	run_events();
}

void serial_link_dispatch(int fd)
{
	if (fd == com1.watched_fd)
		note(EVENT_HANGUP_MASK);
}

void serial_link_relink(const struct relink *relink)
{
	if (relink->fd >= 0)
		com1.watched_fd = relink->fd;
	relink_post(&com1.successor, relink);
	note(EVENT_RELINK_MASK);
}
