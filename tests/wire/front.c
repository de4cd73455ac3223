/* SPDX-License-Identifier: Apache-2.0 */
/* A vhost-user front-end for tests, see front.h. */
#include "tests/wire/front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/wire/front_packed.h"

#define DEFAULT_RAM_BYTES	(64ull << 20)
#define BIT(n)			(1ull << (n))
#define PROTOCOL(name)		BIT(VHOST_USER_PROTOCOL_F_ ## name ## _BIT)

#define F_INDIRECT		BIT(28)
#define F_EVENT_IDX		BIT(29)
#define F_RING_PACKED		BIT(34)
#define F_PROTOCOL		BIT(VHOST_USER_F_PROTOCOL_FEATURES_BIT)

_Noreturn void front_bail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("Bail out! ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
	exit(1);
}

/* --- messages ------------------------------------------------------------- */

static void send_message(struct front *front, enum vhost_user_request request,
			 const void *payload, size_t size, const int *fds,
			 unsigned int nr_fds)
{
	int ack = !!(front->protocol & PROTOCOL(REPLY_ACK));
	int ret = vhost_user_send(front->sock, request, payload, size, fds,
				  nr_fds, ack, FRONT_TIMEOUT_MS);

	if (ret)
		front_bail("%s: %s", vhost_user_request_name(request),
			   strerror(-ret));
}

static void ask(struct front *front, enum vhost_user_request request,
		const void *payload, size_t size, void *answer,
		size_t answer_size, int *fd)
{
	int ret = vhost_user_send(front->sock, request, payload, size, NULL,
				  0, 0, FRONT_TIMEOUT_MS);

	if (!ret)
		ret = vhost_user_recv_reply(front->sock, request, answer,
					    answer_size, answer_size, fd,
					    FRONT_TIMEOUT_MS);
	if (ret < 0)
		front_bail("%s: %s", vhost_user_request_name(request),
			   strerror(-ret));
}

void front_set_u64(struct front *front, enum vhost_user_request request,
		   uint64_t value)
{
	send_message(front, request, &value, sizeof(value), NULL, 0);
}

uint64_t front_get_u64(struct front *front, enum vhost_user_request request)
{
	uint64_t value;

	ask(front, request, NULL, 0, &value, sizeof(value), NULL);
	return value;
}

void front_get_config(struct front *front, void *config, uint32_t size)
{
	struct vhost_user_config msg = { .size = size };
	size_t bytes = VHOST_USER_CONFIG_HDR_BYTES + size;

	ask(front, VHOST_USER_GET_CONFIG, &msg, bytes, &msg, bytes, NULL);
	memcpy(config, msg.data, size);
}

void front_set_config(struct front *front, uint32_t offset, uint8_t value)
{
	struct vhost_user_config msg = { .offset = offset, .size = 1 };

	msg.data[0] = value;
	send_message(front, VHOST_USER_SET_CONFIG, &msg,
		     VHOST_USER_CONFIG_HDR_BYTES + 1, NULL, 0);
}

static void set_state(struct front_queue *queue,
		      enum vhost_user_request request, uint32_t num)
{
	struct vhost_user_vring_state state = {
		.index = queue->index, .num = num,
	};

	send_message(queue->front, request, &state, sizeof(state), NULL, 0);
}

static void set_fd(struct front_queue *queue,
		   enum vhost_user_request request, int fd)
{
	uint64_t index = queue->index;

	send_message(queue->front, request, &index, sizeof(index), &fd, 1);
}

/* --- the connection ------------------------------------------------------- */

int front_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	long long deadline_ms = fdmsg_now_ms() + FRONT_TIMEOUT_MS;
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0 || strlen(path) >= sizeof(addr.sun_path))
		front_bail("socket %s: cannot be made", path);
	strcpy(addr.sun_path, path);
	while (connect(sock, (const struct sockaddr *)&addr, sizeof(addr))) {
		if (fdmsg_now_ms() > deadline_ms)
			front_bail("connect %s: %s", path, strerror(errno));
		usleep(10000);
	}
	return sock;
}

int front_spawn(char *const argv[], int fd, pid_t *pid)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		front_bail("socketpair: %s", strerror(errno));
	fflush(stdout);
	*pid = fork();
	if (*pid < 0)
		front_bail("fork: %s", strerror(errno));
	if (*pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pair[1] == fd)
			fcntl(fd, F_SETFD, 0);
		else
			dup2(pair[1], fd);
		execv(argv[0], argv);
		fprintf(stderr, "exec %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(pair[1]);
	return pair[0];
}

static void send_memory(struct front *front)
{
	struct vhost_user_memory memory = {
		.nr_regions = front->options.nr_regions,
	};
	uint64_t bytes = front->options.ram_bytes / memory.nr_regions;
	int fds[VHOST_USER_MAX_REGIONS];

	for (unsigned int i = 0; i < memory.nr_regions; i++) {
		memory.region[i] = (struct vhost_user_region) {
			.gpa = i * bytes, .size = bytes,
			.user_addr = i * bytes, .mmap_offset = i * bytes,
		};
		fds[i] = front->ram_fd;
	}
	send_message(front, VHOST_USER_SET_MEM_TABLE, &memory,
		     8 + memory.nr_regions * sizeof(memory.region[0]), fds,
		     memory.nr_regions);
}

static void make_ram(struct front *front)
{
	uint64_t bytes = front->options.ram_bytes;

	front->ram_fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (front->ram_fd < 0 || ftruncate(front->ram_fd, (off_t)bytes))
		front_bail("guest RAM: %s", strerror(errno));
	front->ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			  front->ram_fd, 0);
	if (front->ram == MAP_FAILED)
		front_bail("guest RAM: %s", strerror(errno));
	/* Address 0 is for those who want a wrong one. */
	front->ram_used = 4096;
}

static void negotiate_features(struct front *front)
{
	uint64_t offered = front_get_u64(front, VHOST_USER_GET_FEATURES);
	uint64_t wanted = front->options.features ? front->options.features :
						    ~0ull;

	if (front->options.no_event_idx)
		wanted &= ~F_EVENT_IDX;
	if (!front->options.packed)
		wanted &= ~F_RING_PACKED;
	front->features = offered & (wanted | F_PROTOCOL);
	if (front->features & F_PROTOCOL) {
		offered = front_get_u64(front,
					VHOST_USER_GET_PROTOCOL_FEATURES);
		wanted = PROTOCOL(MQ) | PROTOCOL(REPLY_ACK) |
			 PROTOCOL(BACKEND_REQ) | PROTOCOL(CONFIG) |
			 PROTOCOL(INFLIGHT_SHMFD) | PROTOCOL(RESET_DEVICE) |
			 PROTOCOL(STATUS) | PROTOCOL(CONFIGURE_MEM_SLOTS);
		front_set_u64(front, VHOST_USER_SET_PROTOCOL_FEATURES,
			      offered & wanted);
		front->protocol = offered & wanted;
	}
	send_message(front, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
	front_set_u64(front, VHOST_USER_SET_FEATURES, front->features);
}

void front_open_channel(struct front *front)
{
	int pair[2];

	front->backend_sock = -1;
	if (!(front->protocol & PROTOCOL(BACKEND_REQ)))
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		front_bail("socketpair: %s", strerror(errno));
	send_message(front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1],
		     1);
	close(pair[1]);
	front->backend_sock = pair[0];
}

static void get_inflight(struct front *front)
{
	struct vhost_user_inflight want = {
		.nr_queues = front->options.nr_queues,
		.queue_size = front->options.queue_size,
	};

	ask(front, VHOST_USER_GET_INFLIGHT_FD, &want, sizeof(want),
	    &front->inflight, sizeof(front->inflight), &front->inflight_fd);
	if (front->inflight_fd < 0)
		front_bail("GET_INFLIGHT_FD: no fd came");
}

static void set_defaults(struct front_options *options)
{
	if (!options->ram_bytes)
		options->ram_bytes = DEFAULT_RAM_BYTES;
	if (!options->nr_queues)
		options->nr_queues = 1;
	if (!options->queue_size)
		options->queue_size = 128;
	if (!options->nr_regions)
		options->nr_regions = 1;
}

/* What every new connection of the same guest begins with. */
static void introduce(struct front *front, int sock)
{
	front->sock = sock;
	front->protocol = 0;
	negotiate_features(front);
	front->backend_sock = -1;
	if (!front->options.late_channel)
		front_open_channel(front);
	send_memory(front);
}

void front_negotiate(struct front *front, int sock,
		     const struct front_options *options)
{
	memset(front, 0, sizeof(*front));
	front->inflight_fd = -1;
	if (options)
		front->options = *options;
	set_defaults(&front->options);
	make_ram(front);
	introduce(front, sock);
	if (front->options.inflight)
		get_inflight(front);
	for (unsigned int i = 0; i < FRONT_MAX_QUEUES; i++) {
		front->queue[i].front = front;
		front->queue[i].index = i;
	}
}

static void send_inflight(struct front *front)
{
	if (front->inflight_fd >= 0)
		send_message(front, VHOST_USER_SET_INFLIGHT_FD,
			     &front->inflight, sizeof(front->inflight),
			     &front->inflight_fd, 1);
}

static uint32_t fresh_base(const struct front *front)
{
	return front->features & F_RING_PACKED ? FRONT_PACKED_FRESH : 0;
}

void front_start(struct front *front, int sock,
		 const struct front_options *options)
{
	front_negotiate(front, sock, options);
	send_inflight(front);
	for (unsigned int i = 0; i < front->options.nr_queues; i++)
		front_queue_start(&front->queue[i], fresh_base(front));
}

/* --- queues --------------------------------------------------------------- */

static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		front_bail("eventfd: %s", strerror(errno));
	return fd;
}

static uint64_t gpa_of(struct front *front, const volatile void *ptr)
{
	return (uint64_t)((const volatile uint8_t *)ptr - front->ram);
}

static void make_rings(struct front_queue *queue)
{
	struct front *front = queue->front;
	uint16_t size = front->options.queue_size;

	queue->size = size;
	queue->desc = front_ptr(front, front_alloc(front, 16ull * size, 4096));
	queue->avail = front_ptr(front, front_alloc(front, 2ull * size + 6,
						    4096));
	queue->used = front_ptr(front, front_alloc(front, 8ull * size + 6,
						   4096));
	queue->event_idx = front->features & F_EVENT_IDX;
	queue->indirect = front->options.indirect &&
			  front->features & F_INDIRECT;
	queue->tables_gpa = front_alloc(front, 16ull * size * FRONT_TABLE,
					4096);
	queue->tables = front_ptr(front, queue->tables_gpa);
	queue->packed = front->features & F_RING_PACKED;
	queue->nr_free = size;
	if (queue->packed)
		front_packed_init(queue);
	for (uint16_t i = 0; i < size && !queue->packed; i++)
		queue->desc[i].next = (uint16_t)(i + 1);
	if (front->options.no_calls && !queue->packed)
		queue->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	queue->kick_fd = make_eventfd();
	queue->call_fd = make_eventfd();
	queue->err_fd = make_eventfd();
}

static void send_rings(struct front_queue *queue, uint32_t base)
{
	struct front *front = queue->front;
	struct vhost_user_vring_addr addr = {
		.index = queue->index,
		.desc = gpa_of(front, queue->desc),
		.avail = gpa_of(front, queue->avail),
		.used = gpa_of(front, queue->used),
	};

	set_state(queue, VHOST_USER_SET_VRING_NUM, queue->size);
	set_state(queue, VHOST_USER_SET_VRING_BASE, base);
	send_message(front, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr),
		     NULL, 0);
	set_fd(queue, VHOST_USER_SET_VRING_ERR, queue->err_fd);
	set_fd(queue, VHOST_USER_SET_VRING_CALL, queue->call_fd);
	set_fd(queue, VHOST_USER_SET_VRING_KICK, queue->kick_fd);
	if (front->features & F_PROTOCOL)
		set_state(queue, VHOST_USER_SET_VRING_ENABLE, 1);
}

void front_queue_start(struct front_queue *queue, uint32_t base)
{
	if (!queue->desc)
		make_rings(queue);
	send_rings(queue, base);
}

uint32_t front_queue_stop(struct front_queue *queue)
{
	struct vhost_user_vring_state state = { .index = queue->index };

	ask(queue->front, VHOST_USER_GET_VRING_BASE, &state, sizeof(state),
	    &state, sizeof(state), NULL);
	return state.num;
}

void front_reconnect(struct front *front, int sock)
{
	close(front->sock);
	if (front->backend_sock >= 0)
		close(front->backend_sock);
	introduce(front, sock);
	send_inflight(front);
	/*
	 * What a front-end knows without GET_VRING_BASE: the used index of a
	 * split ring; of a packed one nothing.
	 */
	for (unsigned int i = 0; i < front->options.nr_queues; i++) {
		struct front_queue *queue = &front->queue[i];

		front_queue_start(queue, queue->packed ? fresh_base(front) :
							 queue->used->idx);
	}
}

void front_end(struct front *front)
{
	close(front->sock);
	if (front->backend_sock >= 0)
		close(front->backend_sock);
	if (front->inflight_fd >= 0)
		close(front->inflight_fd);
	for (unsigned int i = 0; i < FRONT_MAX_QUEUES; i++) {
		if (!front->queue[i].desc)
			continue;
		close(front->queue[i].kick_fd);
		close(front->queue[i].call_fd);
		close(front->queue[i].err_fd);
	}
	munmap(front->ram, front->options.ram_bytes);
	close(front->ram_fd);
	if (front->pid > 0)
		waitpid(front->pid, NULL, 0);
}

uint64_t front_alloc(struct front *front, uint64_t bytes, uint64_t align)
{
	uint64_t gpa = (front->ram_used + align - 1) & ~(align - 1);

	if (gpa + bytes > front->options.ram_bytes)
		front_bail("guest RAM is used up");
	front->ram_used = gpa + bytes;
	return gpa;
}
