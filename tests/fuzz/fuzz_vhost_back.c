/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user, the back-end's side: a session with a front-end that sends any
 * message at any time.  Most messages begin as a good front-end's would be
 * and are then changed, so that queues do run; between them the guest changes
 * its rings.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devproc/guest_mem.h"
#include "devproc/inflight_region.h"
#include "devproc/vhost_device.h"
#include "devproc/vhost_queue.h"
#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "ipc/vhost_user.h"
#include "tests/fuzz/fake_loop.h"
#include "tests/fuzz/fuzz.h"

#define RAM_BYTES	0x10000
#define QUEUE_BYTES	0x1000		/* where queue n's rings are */
#define QUEUE_SIZE	8
#define NR_QUEUES	2
#define MAX_STEPS	64
#define MAX_HELD	32

static int ram_fd;
static uint8_t *ram;
static int sock;		/* the front-end's end */

/* Requests that the device takes its time with. */
static struct {
	struct vring *vring;
	uint16_t head;
} held[MAX_HELD];
static unsigned int nr_held;

/* --- a device ------------------------------------------------------------- */

static void complete(struct vring *vring)
{
	for (unsigned int i = nr_held; i-- > 0;) {
		if (held[i].vring != vring)
			continue;
		vring_push(vring, held[i].head, 0);
		held[i] = held[--nr_held];
	}
	vring_publish(vring);
}

static void queue_kick(unsigned int index, struct vring *vring)
{
	struct iovec spans[4];
	struct vring_chain chain = { .spans = spans, .max_spans = 4 };

	fuzz_check(index < NR_QUEUES);
	do {
		while (nr_held < MAX_HELD && vring_pop(vring, &chain) > 0) {
			if (chain.head & 1) {
				held[nr_held].vring = vring;
				held[nr_held++].head = chain.head;
			} else {
				vring_push(vring, chain.head, 0);
			}
		}
	} while (nr_held < MAX_HELD && vring_rearm(vring));
	vring_publish(vring);
}

static void queue_stop(unsigned int index, struct vring *vring)
{
	(void)index;
	complete(vring);
}

static void config_read(uint8_t *config)
{
	memset(config, 0x5a, 16);
}

static int config_write(uint32_t offset, const uint8_t *data, uint32_t size)
{
	(void)data;
	fuzz_check(offset <= 16 && size <= 16 - offset);
	return size == 4 ? 0 : -1;
}

static const struct vhost_ops ops = {
	.features = 0x3,
	.nr_queues = NR_QUEUES,
	.config_bytes = 16,
	.config_read = config_read,
	.config_write = config_write,
	.queue_kick = queue_kick,
	.queue_stop = queue_stop,
};

/* --- a front-end ---------------------------------------------------------- */

static void fill_good(struct vhost_user_msg *msg, unsigned int queue)
{
	union vhost_user_payload *payload = &msg->payload;
	struct vhost_user_region region = { .size = RAM_BYTES };

	switch (msg->hdr.request) {
	case VHOST_USER_SET_FEATURES:
		/* Split or packed rings. */
		payload->u64 = queue ? 0x570000003 : 0x170000003;
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		payload->u64 = 0x1b229;
		break;
	case VHOST_USER_SET_MEM_TABLE:
		payload->memory.nr_regions = 1;
		payload->memory.region[0] = region;
		break;
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		region.gpa = region.user_addr = queue * RAM_BYTES;
		payload->mem_slot.region = region;
		break;
	case VHOST_USER_SET_VRING_NUM:
		payload->state.num = QUEUE_SIZE;
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		payload->state.num = 1;
		break;
	case VHOST_USER_SET_VRING_ADDR:
		payload->addr.desc = queue * QUEUE_BYTES;
		payload->addr.avail = queue * QUEUE_BYTES + 0x100;
		payload->addr.used = queue * QUEUE_BYTES + 0x200;
		break;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		payload->config.size = 4;
		return;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		payload->inflight.mmap_size =
			NR_QUEUES * inflight_queue_bytes(QUEUE_SIZE);
		payload->inflight.nr_queues = NR_QUEUES;
		payload->inflight.queue_size = QUEUE_SIZE;
		return;
	case VHOST_USER_SET_STATUS:
		payload->u64 = 0xf;
		break;
	}
	if (msg->hdr.request >= VHOST_USER_SET_VRING_NUM &&
	    msg->hdr.request <= VHOST_USER_SET_VRING_ENABLE &&
	    msg->hdr.request != VHOST_USER_GET_PROTOCOL_FEATURES &&
	    msg->hdr.request != VHOST_USER_SET_PROTOCOL_FEATURES)
		payload->state.index = queue;
}

static uint32_t good_size(uint32_t request)
{
	if (request >= VHOST_USER_REQUEST_END)
		return 8;
	if (request == VHOST_USER_GET_CONFIG ||
	    request == VHOST_USER_SET_CONFIG)
		return VHOST_USER_CONFIG_HDR_BYTES + 4;
	if (request == VHOST_USER_SET_MEM_TABLE)
		return 8 + sizeof(struct vhost_user_region);
	return vhost_user_rules[request].size_max;
}

static int make_fd(uint8_t kind)
{
	switch (kind & 3) {
	case 0:
		return eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	case 1:
		return fuzz_memfd(NULL, 0, 2 * RAM_BYTES);
	case 2:
		return fuzz_memfd(NULL, 0, 100);
	default:
		return dup(STDOUT_FILENO);
	}
}

static unsigned int make_fds(struct fuzz_input *in, uint32_t request,
			     bool good, int fds[FDMSG_MAX_FDS])
{
	unsigned int nr = request < VHOST_USER_REQUEST_END ?
				  vhost_user_rules[request].fds_min : 0;
	uint8_t kind = 0;

	if (request == VHOST_USER_SET_MEM_TABLE ||
	    request == VHOST_USER_SET_VRING_KICK ||
	    request == VHOST_USER_SET_VRING_CALL ||
	    request == VHOST_USER_SET_VRING_ERR)
		nr = 1;
	if (request == VHOST_USER_SET_INFLIGHT_FD)
		kind = 1;
	if (!good) {
		kind = (uint8_t)fuzz_take(in, 1);
		nr = (kind >> 4) % (FDMSG_MAX_FDS + 1);
	}
	for (unsigned int i = 0; i < nr; i++)
		fds[i] = good && (request == VHOST_USER_SET_MEM_TABLE ||
				  request == VHOST_USER_ADD_MEM_REG) ?
				 dup(ram_fd) : make_fd(kind);
	return nr;
}

enum { CHANGED = 1, OTHER_FDS = 2, OTHER_SIZE = 4, OTHER_FLAGS = 8, QUEUE_1 = 16,
       CUT = 32 };

static void change(struct fuzz_input *in, uint8_t how,
		   struct vhost_user_msg *msg)
{
	uint8_t *bytes = (uint8_t *)&msg->payload;

	if (how & CHANGED)
		for (uint64_t nr = fuzz_take(in, 1) % 8; nr > 0; nr--)
			bytes[fuzz_take(in, 2) % sizeof(msg->payload)] ^=
				(uint8_t)fuzz_take(in, 1);
	if (how & OTHER_SIZE)
		msg->hdr.size = (uint32_t)fuzz_take(in, 2);
	if (how & OTHER_FLAGS)
		msg->hdr.flags = (uint32_t)fuzz_take(in, 1);
}

static void send_request(struct fuzz_input *in, uint32_t request, uint8_t how)
{
	struct vhost_user_msg msg = {
		.hdr.request = request,
		.hdr.flags = VHOST_USER_VERSION,
		.hdr.size = good_size(request),
	};
	char bytes[sizeof(msg.hdr) + sizeof(msg.payload)];
	int fds[FDMSG_MAX_FDS];
	unsigned int nr_fds;
	size_t len;

	fill_good(&msg, how & QUEUE_1 ? 1 : 0);
	change(in, how, &msg);
	nr_fds = make_fds(in, request, !(how & OTHER_FDS), fds);
	memcpy(bytes, &msg.hdr, sizeof(msg.hdr));
	memcpy(bytes + sizeof(msg.hdr), &msg.payload, sizeof(msg.payload));
	len = sizeof(msg.hdr) + msg.hdr.size;
	if (how & CUT || len > sizeof(bytes))
		len = 1 + fuzz_take(in, 2) % (sizeof(bytes) - 1);
	fdmsg_send(sock, bytes, len, fds, nr_fds, 0);
	fdmsg_close_all(fds, nr_fds);
	/* Nothing follows a message that is cut: nobody waits for its rest. */
	if (len != sizeof(msg.hdr) + msg.hdr.size)
		shutdown(sock, SHUT_WR);
}

static void take_answers(void)
{
	char bytes[512];
	int fds[FDMSG_MAX_FDS];
	unsigned int nr_fds = FDMSG_MAX_FDS;

	while (fdmsg_recv(sock, bytes, sizeof(bytes), fds, &nr_fds, 0) > 0) {
		fdmsg_close_all(fds, nr_fds);
		nr_fds = FDMSG_MAX_FDS;
	}
}

static void write_ram(struct fuzz_input *in)
{
	size_t at = fuzz_take(in, 2) % (2 * QUEUE_BYTES);
	size_t len = fuzz_take(in, 1) % 32;

	fuzz_take_bytes(in, ram + at, len);
}

static void step(struct fuzz_input *in)
{
	uint8_t request = (uint8_t)fuzz_take(in, 1);
	uint8_t how = (uint8_t)fuzz_take(in, 1);

	if (request & 0x80)
		write_ram(in);
	else
		send_request(in, request & 0x3f, how);
	fake_loop_round();
	fake_loop_round();
	take_answers();
	if (how & 0x40)
		for (unsigned int i = nr_held; i > 0 && nr_held > 0; i--)
			complete(held[0].vring);
}

/* --- sessions ------------------------------------------------------------- */

static void send_u64(uint32_t request, uint64_t value)
{
	vhost_user_send(sock, (enum vhost_user_request)request, &value,
			sizeof(value), NULL, 0, 0, 0);
	fake_loop_round();
	fake_loop_round();
}

static void begin(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	sock = pair[0];
	if (dup2(pair[1], LINK_FD) < 0)
		abort();
	close(pair[1]);
	memset(ram, 0, 2 * QUEUE_BYTES);
	fake_loop_reset();
	queue_set_features(0);
	if (vhost_start(&ops))
		abort();
	/* What the session before has left. */
	send_u64(VHOST_USER_SET_PROTOCOL_FEATURES, 0x1b229);
	send_u64(VHOST_USER_SET_STATUS, 0);
	send_u64(VHOST_USER_SET_PROTOCOL_FEATURES, 0);
	fuzz_check(!fake_loop_is_over());
}

static void end(void)
{
	while (nr_held > 0)
		complete(held[0].vring);
	fake_loop_round();	/* a message that was put aside */
	close(sock);
	queue_drain_begin(QUEUE_ALL);
	while (nr_held > 0)
		complete(held[0].vring);
	fuzz_check(queue_drained(QUEUE_ALL));
	queue_stop_end(QUEUE_ALL);
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		queue_set_call(i, -1);
		queue_set_err(i, -1);
		queue_set_enable(i, 0);
	}
	guest_mem_clear();
	inflight_region_drop();
	fake_loop_reset();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	fuzz_reserve_fds();
	ram_fd = fuzz_memfd(NULL, 0, RAM_BYTES);
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd,
		   0);
	if (ram == MAP_FAILED || vhost_open(NR_QUEUES))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	begin();
	for (int i = 0; i < MAX_STEPS && in.left > 0; i++) {
		step(&in);
		if (fake_loop_is_over())
			break;
	}
	end();
	return 0;
}
