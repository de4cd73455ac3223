/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host side of serial port and console (D4): see devproc/chardev.h.
 * Owns RES_FD and RES2_FD, or the socket that LIFE_ATTACH brought.
 *
 * The fds are watched edge-triggered: a pty without a reader and a socket at
 * its end report a hang-up for as long as it lasts, and a level-triggered
 * loop would spin on it.  Handlers only note what became possible; reading
 * and writing is done when the device asks, once per round.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "devproc/chardev.h"
#include "devproc/device.h"
#include "devproc/loop.h"
#include "ipc/fault_match.h"
#include "ipc/fdmsg.h"

#define ESCAPE_KEY	0x01	/* Ctrl-A */
#define ESCAPE_QUIT	'x'

#define STALL_POLL_MS	10	/* how soon a stall is seen to be over */

static void handle_in(struct loop_source *source, uint32_t events);
static void handle_out(struct loop_source *source, uint32_t events);

static struct {
	enum life_chardev backend;
	int in_fd;		/* -1: no input, now or at all */
	int out_fd;		/* -1: output is dropped */
	bool readable;		/* read(2) may have something */
	bool writable;		/* write(2) may take something */
	bool hung_up;		/* pty, socket: nobody was there when last seen */
	bool escaped;		/* terminal: the last key was ESCAPE_KEY */
	unsigned int stalled;	/* 1 << enum fault_op, ored */
	struct loop_source in_source;
	struct loop_source out_source;	/* if out_fd differs from in_fd */
	struct log_limit write_errors;

	uint32_t out_head;	/* free-running; head - tail bytes queued */
	uint32_t out_tail;
	uint8_t out[CHARDEV_OUT_BYTES];
	size_t in_start;
	size_t in_end;
	uint8_t in[CHARDEV_IN_BYTES];
} host = {
	.in_fd = -1,
	.out_fd = -1,
	.in_source = LOOP_SOURCE_INIT(handle_in),
	.out_source = LOOP_SOURCE_INIT(handle_out),
};

/* What --terminal, --pty, --file asked for; the last one counts. */
static const char *file_path;

/* --- started by hand ------------------------------------------------------- */

int chardev_option(struct life_birth *birth, const char *name,
		   const char *value)
{
	if (!strcmp(name, "terminal")) {
		birth->u.chardev.backend = LIFE_CHARDEV_TERMINAL;
		return *value ? -EINVAL : 0;
	}
	if (!strcmp(name, "pty")) {
		birth->u.chardev.backend = LIFE_CHARDEV_PTY;
		return *value ? -EINVAL : 0;
	}
	if (!strcmp(name, "file")) {
		birth->u.chardev.backend = LIFE_CHARDEV_FILE;
		file_path = value;
		return *value ? 0 : -EINVAL;
	}
	return -ENOENT;
}

/* Move fd to its fixed number, non-blocking. */
static int place_fd(int fd, int number)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    (fd != number && dup3(fd, number, O_CLOEXEC) < 0))
		return -errno;
	return 0;
}

static int acquire_pty(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios line;
	int err;

	if (fd < 0 || grantpt(fd) || unlockpt(fd) || tcgetattr(fd, &line)) {
		err = -errno;
	} else {
		/* Linux keeps one set of line settings for both ends. */
		cfmakeraw(&line);
		err = tcsetattr(fd, TCSANOW, &line) ? -errno : 0;
	}
	if (!err) {
		printf("%s\n", ptsname(fd));
		fflush(stdout);
		err = place_fd(fd, RES_FD);
	}
	if (fd >= 0 && fd != RES_FD)
		close(fd);
	return err;
}

static int acquire_file(void)
{
	int fd = open(file_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
		      0600);
	int err;

	if (fd < 0)
		return -errno;
	err = place_fd(fd, RES2_FD);
	if (fd != RES2_FD)
		close(fd);
	return err;
}

int chardev_acquire(struct life_birth *birth)
{
	int err = 0;

	switch (birth->u.chardev.backend) {
	case LIFE_CHARDEV_TERMINAL:
		err = place_fd(STDIN_FILENO, RES_FD);
		if (!err)
			err = place_fd(STDOUT_FILENO, RES2_FD);
		if (err)
			log_perr(-err, "standard input and output");
		break;
	case LIFE_CHARDEV_PTY:
		err = acquire_pty();
		if (err)
			log_perr(-err, "cannot make a pty");
		break;
	case LIFE_CHARDEV_FILE:
		err = acquire_file();
		if (err)
			log_perr(-err, "cannot open %s", file_path);
		break;
	}
	return err;
}

/* --- start ----------------------------------------------------------------- */

int chardev_open(const struct life_birth *birth)
{
	int fd;

	/* A file at RLIMIT_FSIZE is an error of write(2), like a full disk. */
	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return -errno;
	if (birth->u.chardev.backend != LIFE_CHARDEV_PTY)
		return 0;
	/*
	 * The kernel reports that nobody has a pty open only once somebody
	 * had.  In a jail without /dev/pts this fails; then output up to the
	 * pty's own buffer waits for the first reader.
	 */
	fd = ioctl(RES_FD, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return 0;
}

/* A regular file cannot be polled and is always ready. */
static int watch(struct loop_source *source, int fd, uint32_t events,
		 bool *ready)
{
	int err = loop_add(source, fd, events | EPOLLET);

	if (err != -EPERM)
		return err;
	*ready = true;
	return 0;
}

int chardev_start(const struct life_birth *birth)
{
	int err = 0;

	host.backend = birth->u.chardev.backend;
	switch (birth->u.chardev.backend) {
	case LIFE_CHARDEV_NULL:
	case LIFE_CHARDEV_SOCKET:
		return 0;
	case LIFE_CHARDEV_PTY:
		host.in_fd = host.out_fd = RES_FD;
		return loop_add(&host.in_source, RES_FD,
				EPOLLIN | EPOLLOUT | EPOLLET);
	case LIFE_CHARDEV_TERMINAL:
		host.in_fd = RES_FD;
		err = watch(&host.in_source, RES_FD, EPOLLIN, &host.readable);
		if (err)
			return err;
		/* Fall through. */
	case LIFE_CHARDEV_FILE:
		host.out_fd = RES2_FD;
		return watch(&host.out_source, RES2_FD, EPOLLOUT,
			     &host.writable);
	}
	return -EINVAL;
}

/* --- events ---------------------------------------------------------------- */

static void handle_in(struct loop_source *source, uint32_t events)
{
	(void)source;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR))
		host.readable = true;
	if (host.out_fd != host.in_fd)
		return;
	if (events & (EPOLLOUT | EPOLLERR))
		host.writable = true;
	/*
	 * A pty's slave was closed: the reader is gone, until seen again.  A
	 * socket's peer: for good, while one that only ends its own sending
	 * (EPOLLRDHUP) is still shown the output.
	 */
	if (events & EPOLLHUP)
		host.hung_up = true;
}

static void handle_out(struct loop_source *source, uint32_t events)
{
	(void)source;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		host.writable = true;
}

static void drop_peer(void)
{
	if (host.in_fd < 0)
		return;
	loop_remove(&host.in_source);
	close(host.in_fd);
	host.in_fd = host.out_fd = -1;
	host.readable = host.writable = host.hung_up = false;
}

void chardev_attach(int fd)
{
	int err;

	if (host.backend != LIFE_CHARDEV_SOCKET) {
		close(fd);
		return;
	}
	drop_peer();
	err = loop_add(&host.in_source, fd,
		       EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (err) {
		log_perr(-err, "cannot watch the socket's new peer");
		close(fd);
		return;
	}
	host.in_fd = host.out_fd = fd;
}

/* --- faults on purpose ------------------------------------------------------ */

/* One character in the guest's order.  Return: whether it is still there. */
static bool suffer(enum fault_op op, uint8_t *character)
{
	const struct fault_request asked = { .op = op };
	struct fault_set set;

	if (!fault_match(FAULT_CHARACTER_ACTIONS, &asked, &set))
		return true;
	if (fault_has(&set, FAULT_STALL))
		host.stalled |= 1u << op;
	if (fault_has(&set, FAULT_GARBLE))
		*character ^= (uint8_t)(1u << set.random % 8);
	return !fault_has(&set, FAULT_DROP);
}

/* A stall ends when its rule does. */
static bool is_stalled(enum fault_op op)
{
	if (!(host.stalled >> op & 1))
		return false;
	if (!fault_rule_stands(FAULT_STALL)) {
		host.stalled = 0;
		return false;
	}
	loop_sleep_at_most(STALL_POLL_MS);
	return true;
}

/* --- output ---------------------------------------------------------------- */

size_t chardev_put_room(void)
{
	return CHARDEV_OUT_BYTES - (host.out_head - host.out_tail);
}

static void queue_bytes(const uint8_t *buf, size_t len)
{
	size_t at = host.out_head % CHARDEV_OUT_BYTES;
	size_t first = CHARDEV_OUT_BYTES - at;

	if (first > len)
		first = len;
	memcpy(host.out + at, buf, first);
	memcpy(host.out, buf + first, len - first);
	host.out_head += (uint32_t)len;
}

void chardev_put(const void *buf, size_t len)
{
	const uint8_t *from = buf;

	if (!fault_armed()) {
		queue_bytes(from, len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		uint8_t character = from[i];

		if (suffer(FAULT_OP_WRITE, &character))
			queue_bytes(&character, 1);
	}
}

/* Is there nobody to write to?  A pty does not tell when it is opened. */
static bool nobody_there(void)
{
	const struct timespec no_time = { 0 };
	struct pollfd pfd = { .fd = host.out_fd };

	if (host.out_fd < 0)
		return true;
	if (!host.hung_up)
		return false;
	if (ppoll(&pfd, 1, &no_time, NULL) > 0 && (pfd.revents & POLLHUP))
		return true;
	host.hung_up = false;
	host.readable = host.writable = true;
	return false;
}

/* write(2) refused err.  Return: true if what is queued is lost. */
static bool write_failed(int err)
{
	if (err == EAGAIN) {
		host.writable = false;
		return false;
	}
	if (err == EINTR)
		return false;
	if (host.backend == LIFE_CHARDEV_SOCKET) {
		drop_peer();
		return true;
	}
	if (host.backend == LIFE_CHARDEV_TERMINAL &&
	    (err == EIO || err == EPIPE)) {
		log_warn("the terminal is gone, guest output is dropped");
		loop_remove(&host.out_source);
		host.out_fd = -1;
		return true;
	}
	/* A disk may get room again. */
	if (log_allowed(&host.write_errors, 1))
		log_perr(err, "guest output lost");
	return true;
}

void chardev_flush(void)
{
	if (is_stalled(FAULT_OP_WRITE))
		return;
	while (host.out_head != host.out_tail) {
		size_t at = host.out_tail % CHARDEV_OUT_BYTES;
		size_t len = host.out_head - host.out_tail;
		ssize_t done;

		if (nobody_there()) {
			host.out_tail = host.out_head;
			return;
		}
		if (!host.writable)
			return;
		if (len > CHARDEV_OUT_BYTES - at)
			len = CHARDEV_OUT_BYTES - at;
		done = write(host.out_fd, host.out + at, len);
		if (done > 0)
			host.out_tail += (uint32_t)done;
		else if (write_failed(done ? errno : EAGAIN))
			host.out_tail = host.out_head;
	}
}

void chardev_finish(void)
{
	long long deadline_ms = fdmsg_now_ms() + CHARDEV_FINISH_MS;

	host.stalled = 0;
	for (;;) {
		struct pollfd pfd = { .fd = host.out_fd, .events = POLLOUT };
		struct timespec left = { 0 };
		long long left_ms;

		chardev_flush();
		left_ms = deadline_ms - fdmsg_now_ms();
		left.tv_nsec = left_ms * 1000000;
		if (host.out_head == host.out_tail || left_ms <= 0 ||
		    ppoll(&pfd, 1, &left, NULL) <= 0)
			return;
		host.writable = true;
	}
}

/* --- input ----------------------------------------------------------------- */

/*
 * The terminal's escape, in place: Ctrl-A x asks to leave, Ctrl-A Ctrl-A is
 * one Ctrl-A, any other key after Ctrl-A passes with it.  to has room for one
 * byte more than from holds.
 */
static size_t filter_escape(uint8_t *to, const uint8_t *from, size_t len)
{
	size_t kept = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (!host.escaped && from[i] == ESCAPE_KEY) {
			host.escaped = true;
			continue;
		}
		if (host.escaped && from[i] == ESCAPE_QUIT) {
			host.escaped = false;
			device_tell(LIFE_ESCAPE, NULL);
			continue;
		}
		if (host.escaped && from[i] != ESCAPE_KEY)
			to[kept++] = ESCAPE_KEY;
		host.escaped = false;
		to[kept++] = from[i];
	}
	return kept;
}

/* read(2) gave no bytes; err 0 is its end. */
static void read_ended(int err)
{
	if (err == EINTR)
		return;
	host.readable = false;
	if (err == EAGAIN)
		return;
	switch (host.backend) {
	case LIFE_CHARDEV_SOCKET:
		if (err || host.hung_up)
			drop_peer();
		break;
	case LIFE_CHARDEV_PTY:
		/* EIO: nobody has the slave open; input is an edge again. */
		host.hung_up = true;
		break;
	default:
		/* The terminal's end of input; output goes on. */
		loop_remove(&host.in_source);
		host.in_fd = -1;
		break;
	}
}

/* The input that has just come. */
static void suffer_input(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < host.in_end; i++)
		if (suffer(FAULT_OP_READ, &host.in[i]))
			host.in[kept++] = host.in[i];
	host.in_end = kept;
}

static void fill_input(void)
{
	uint8_t raw[CHARDEV_IN_BYTES - 1];
	ssize_t got;

	host.in_start = host.in_end = 0;
	got = read(host.in_fd, raw, sizeof(raw));
	if (got <= 0) {
		read_ended(got ? errno : 0);
		return;
	}
	if (host.backend == LIFE_CHARDEV_TERMINAL) {
		host.in_end = filter_escape(host.in, raw, (size_t)got);
	} else {
		memcpy(host.in, raw, (size_t)got);
		host.in_end = (size_t)got;
	}
	if (fault_armed())
		suffer_input();
}

size_t chardev_get_ready(void)
{
	/* Edges are seen once: go on until there is input or EAGAIN. */
	while (host.in_start == host.in_end && host.in_fd >= 0 && host.readable)
		fill_input();
	if (host.in_start != host.in_end && is_stalled(FAULT_OP_READ))
		return 0;
	return host.in_end - host.in_start;
}

size_t chardev_get(void *buf, size_t max)
{
	size_t len = max ? chardev_get_ready() : 0;

	if (len > max)
		len = max;
	memcpy(buf, host.in + host.in_start, len);
	host.in_start += len;
	return len;
}
