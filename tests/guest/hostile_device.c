/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user back-end that turns on its front-end: `socket =` of a VM in
 * test_hostile_device.sh.  The first connection is served as it should be, so
 * that the VM starts; each one after it goes wrong in a way of its own, and
 * ends with a hang-up.
 *
 *	hostile_device SOCKET NUMBER SEED	NUMBER hostile connections
 *
 * Prints each attack when it begins.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"
#include "tests/wire/fake_backend.h"

#define RUN_MS		400	/* a run-time attack */
#define START_MS	1500	/* for the driver to start it */
#define MANY_FDS	253	/* as many as a message can carry */
#define SOMEBODY	64990	/* nobody's, in no /etc/passwd */
#define MAX_MAP_BYTES	(64u << 20)
#define PROTOCOL_MASK	0x13229ull	/* MQ .. STATUS, not MEM_SLOTS */

static uint64_t state;

static uint32_t below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % limit;
}

/* --- attacks on a device that runs ------------------------------------------- */

static void put_event(int fd)
{
	const uint64_t one = 1;

	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return;
}

static void send_junk(struct fake_backend *fake)
{
	uint32_t junk[64];

	for (int i = 0; i < 64; i++)
		junk[i] = below(UINT32_MAX);
	send(fake->sock, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_many_fds(struct fake_backend *fake)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(MANY_FDS * sizeof(int))];
	} control = { .hdr = {
		.cmsg_len = CMSG_LEN(MANY_FDS * sizeof(int)),
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	} };
	int fds[MANY_FDS];
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int to = below(2) && fake->channel_fd >= 0 ? fake->channel_fd :
						     fake->sock;

	for (int i = 0; i < MANY_FDS; i++)
		fds[i] = STDOUT_FILENO;
	memcpy(CMSG_DATA(&control.hdr), fds, sizeof(fds));
	sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void call_without_end(struct fake_backend *fake)
{
	for (int i = 0; i < 1000; i++)
		put_event(fake->ring[0].call_fd);
}

static void err_without_end(struct fake_backend *fake)
{
	for (int i = 0; i < 1000; i++)
		put_event(fake->ring[0].err_fd);
}

static void flood_channel(struct fake_backend *fake)
{
	const struct vhost_user_hdr hdr = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION | (below(2) ?
			 VHOST_USER_NEED_REPLY_MASK : 0),
	};

	for (int i = 0; i < 100 && fake->channel_fd >= 0; i++)
		send(fake->channel_fd, &hdr, sizeof(hdr),
		     MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Entries that were never available, and an index that runs away. */
static void lie_in_used_ring(struct fake_backend *fake)
{
	uint64_t used = fake->ring[0].addr.used;
	uint64_t bytes = fake->memory.region[0].size;
	uint8_t *ram;

	if (!used || fake->memory_fd < 0 || bytes > MAX_MAP_BYTES ||
	    used + 4096 > bytes)
		return;
	ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fake->memory_fd, 0);
	if (ram == MAP_FAILED)
		return;
	for (int i = 0; i < 1024; i++)
		ram[used + 2 + below(130)] ^= (uint8_t)below(256);
	munmap(ram, bytes);
	call_without_end(fake);
}

/* The region that the next process is to find: gone, or nonsense. */
static void spoil_inflight(struct fake_backend *fake)
{
	uint8_t junk[512];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)below(256);
	if (fake->inflight_fd < 0 || ftruncate(fake->inflight_fd, 0) == 0)
		return;
	if (pwrite(fake->inflight_fd, junk, sizeof(junk), 0) < 0)
		return;
}

static void do_nothing(struct fake_backend *fake)
{
	(void)fake;
}

static const struct {
	const char *name;
	void (*step)(struct fake_backend *fake);
} attacks[] = {
	{ "junk on the link", send_junk },
	{ "253 fds at a time", send_many_fds },
	{ "interrupts without end", call_without_end },
	{ "errors without end", err_without_end },
	{ "config changes without end", flood_channel },
	{ "used entries that were never available", lie_in_used_ring },
	{ "an in-flight region of junk", spoil_inflight },
	{ "nothing", do_nothing },
};
#define NR_ATTACKS	(sizeof(attacks) / sizeof(attacks[0]))

/* --- connections --------------------------------------------------------------- */

static bool is_over(const struct fake_backend *fake)
{
	struct pollfd pfd = { .fd = fake->sock, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) == 1 && pfd.revents & (POLLRDHUP | POLLHUP);
}

static bool wait_started(struct fake_backend *fake)
{
	long long end_ms = fdmsg_now_ms() + START_MS;
	bool started = false;

	while (!started && fdmsg_now_ms() < end_ms && !is_over(fake)) {
		poll(NULL, 0, 5);
		pthread_mutex_lock(&fake->lock);
		started = fake->ring[0].call_fd >= 0;
		pthread_mutex_unlock(&fake->lock);
	}
	return started;
}

static void run_attack(struct fake_backend *fake, unsigned int which)
{
	long long end_ms = fdmsg_now_ms() + RUN_MS;
	bool started = wait_started(fake);

	printf("attack: %s%s\n", attacks[which].name,
	       started ? "" : " (not started)");
	while (fdmsg_now_ms() < end_ms) {
		pthread_mutex_lock(&fake->lock);
		attacks[which].step(fake);
		pthread_mutex_unlock(&fake->lock);
		poll(NULL, 0, 1);
	}
}

/* A request that the front-end makes, and a wrong answer to it. */
static void choose_wrong_answer(struct fake_backend *fake)
{
	static const uint8_t requests[] = {
		VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_SET_OWNER, VHOST_USER_GET_CONFIG,
		VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_SET_FEATURES,
		VHOST_USER_SET_MEM_TABLE, VHOST_USER_GET_INFLIGHT_FD,
		VHOST_USER_SET_INFLIGHT_FD, VHOST_USER_SET_VRING_NUM,
		VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_BASE,
		VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
		VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_VRING_ENABLE,
		VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_STATUS,
	};

	fake->wrong_request = requests[below(sizeof(requests))];
	fake->wrong = 1 + below(FAKE_NR_WRONG - 1);
	printf("answer: %s to %s\n", fake_wrong_name[fake->wrong],
	       vhost_user_request_name(fake->wrong_request));
}

static void serve(int sock, unsigned int number)
{
	struct fake_backend fake;
	unsigned int attack = number / 2 % NR_ATTACKS;

	fake_backend_init(&fake);
	fake.protocol_features = PROTOCOL_MASK;
	fake.nr_queues = 1;
	if (number > 0 && number % 2 == 0)
		choose_wrong_answer(&fake);
	fake_backend_run_on(&fake, sock);
	if (number % 2) {
		run_attack(&fake, attack);
	} else if (number > 0) {
		/* The front-end's deadline, not ours, is to end it. */
		for (int i = 0; i < 80 && !is_over(&fake); i++)
			poll(NULL, 0, 100);
	} else {
		wait_started(&fake);
		poll(NULL, 0, RUN_MS);
	}
	fake_backend_end(&fake);
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return -1;
	strcpy(addr.sun_path, path);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 4))
		return -1;
	return fd;
}

/*
 * The kernel counts fds on their way by user (ETOOMANYREFS): with as many as are
 * sent here, no other test of root's could send one.
 */
static bool become_somebody(void)
{
	return geteuid() != 0 || setresuid(SOMEBODY, SOMEBODY, SOMEBODY) == 0;
}

int main(int argc, char **argv)
{
	unsigned int nr = argc == 4 ? (unsigned int)atoi(argv[2]) : 0;
	int fd = argc == 4 ? listen_at(argv[1]) : -1;

	if (fd < 0) {
		fprintf(stderr, "hostile_device SOCKET NUMBER SEED\n");
		return EXIT_FAILURE;
	}
	if (!become_somebody()) {
		perror("hostile_device: setresuid");
		return EXIT_FAILURE;
	}
	log_init("hostile", LOG_LEVEL_ERR);
	setlinebuf(stdout);
	state = strtoull(argv[3], NULL, 16) + 1;
	for (unsigned int i = 0; i <= nr; i++) {
		int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (sock < 0)
			return EXIT_FAILURE;
		serve(sock, i);
	}
	printf("end\n");
	return EXIT_SUCCESS;
}
