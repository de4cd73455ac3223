/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every vhost-user message, wrong in every way, against the real back-end
 * (bulkhead-blk, confined; the other roles where their policies matter).  What
 * is wrong in form ends the connection; what is wrong in meaning too, unless
 * the front-end asked for an answer: then it is told, and served on.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/wire/child.h"
#include "tests/wire/front.h"

#define IMAGE_BYTES	(1 << 20)
#define NR_QUEUES	2

static struct child child;
static struct front front;

static int make_file(off_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	return fd;
}

/* The three are one skeleton, but each has a policy of its own. */
static const struct role {
	const char *name;
	enum life_role life_role;
	uint16_t nr_queues;
} roles[] = {
	{ "blk", LIFE_ROLE_BLK, NR_QUEUES },
	{ "console", LIFE_ROLE_CONSOLE, 2 },
	{ "rng", LIFE_ROLE_RNG, 1 },
};

static void start_role(const struct role *role)
{
	static const struct life_birth_blk blk = {
		.nr_queues = NR_QUEUES, .discard = 1,
	};
	bool is_blk = role->life_role == LIFE_ROLE_BLK;
	const struct child_spec spec = {
		.role = role->name, .life_role = role->life_role,
		.blk = is_blk ? &blk : NULL, .backend = LIFE_CHARDEV_NULL,
		.link_type = SOCK_STREAM,
		.res_fd = is_blk ? make_file(IMAGE_BYTES) : -1, .res2_fd = -1,
	};

	child_start(&child, &spec);
}

static void start_device(void)
{
	start_role(&roles[0]);
}

/* Negotiated, memory sent, no queue set up. */
static void start_negotiated(void)
{
	const struct front_options options = { .nr_queues = NR_QUEUES };

	start_device();
	front_negotiate(&front, child.link, &options);
}

/* --- form ----------------------------------------------------------------- */

/* Send raw: header fields as given, size bytes of zeroes, nr_fds fds. */
static void send_raw(uint32_t request, uint32_t flags, uint32_t claimed_size,
		     uint32_t real_size, unsigned int nr_fds)
{
	uint8_t message[sizeof(struct vhost_user_hdr) + 1024] = { 0 };
	struct vhost_user_hdr hdr = {
		.request = request, .flags = flags, .size = claimed_size,
	};
	int fds[FDMSG_MAX_FDS];

	for (unsigned int i = 0; i < nr_fds; i++)
		fds[i] = eventfd(0, 0);
	memcpy(message, &hdr, sizeof(hdr));
	/* It may have hung up already: that is what we wait for. */
	(void)fdmsg_send(child.link, message, sizeof(hdr) + real_size, fds,
			 nr_fds, FRONT_TIMEOUT_MS);
	fdmsg_close_all(fds, nr_fds);
}

/* The process says why, hangs up and ends with status 1; no signal. */
static void expect_end(const char *what)
{
	char buf[64];
	struct pollfd pfd = { .fd = child.link, .events = POLLIN };
	struct life_msg msg;
	ssize_t got;

	ck_assert_msg(poll(&pfd, 1, FRONT_TIMEOUT_MS) == 1,
		      "%s: still connected", what);
	got = recv(child.link, buf, sizeof(buf), MSG_DONTWAIT);
	ck_assert_msg(got == 0 || (got < 0 && errno == ECONNRESET),
		      "%s: answered with %zd bytes", what, got);
	child_expect(&child, LIFE_FAILED, &msg);
	ck_assert_int_eq(child_wait(&child), 1);
}

enum fault {
	TOO_SHORT, TOO_LONG, TOO_MANY_FDS, TOO_FEW_FDS, WRONG_VERSION,
	IS_REPLY, CUT_SHORT, NOT_NEGOTIATED, NR_FAULTS,
};

static const char *const fault_names[NR_FAULTS] = {
	"too short", "too long", "too many fds", "too few fds",
	"wrong version", "is a reply", "cut short", "not negotiated",
};

/* Is there a message of this request with this fault? */
static bool has_fault(uint32_t request, enum fault fault)
{
	const struct vhost_user_rule *rule = &vhost_user_rules[request];

	switch (fault) {
	case TOO_SHORT:
	case CUT_SHORT:
		return rule->size_min > 0;
	case TOO_FEW_FDS:
		return rule->fds_min > 0;
	case NOT_NEGOTIATED:
		return rule->needs_protocol_bit >= 0;
	default:
		return true;
	}
}

static void send_faulty(uint32_t request, enum fault fault)
{
	const struct vhost_user_rule *rule = &vhost_user_rules[request];
	uint32_t flags = VHOST_USER_VERSION;
	uint32_t size = rule->size_min;
	unsigned int nr_fds = rule->fds_min;

	switch (fault) {
	case TOO_SHORT:
		size--;
		break;
	case TOO_LONG:
		size = rule->size_max + 1u;
		break;
	case TOO_MANY_FDS:
		nr_fds = rule->fds_max + 1u;
		break;
	case TOO_FEW_FDS:
		nr_fds--;
		break;
	case WRONG_VERSION:
		flags = VHOST_USER_VERSION + 1;
		break;
	case IS_REPLY:
		flags |= VHOST_USER_REPLY_MASK;
		break;
	case CUT_SHORT:
		send_raw(request, flags, size, size - 1, nr_fds);
		shutdown(child.link, SHUT_WR);
		return;
	default:
		break;
	}
	send_raw(request, flags, size, size, nr_fds);
}

/* _i is the request; each of its faults is a process of its own. */
START_TEST(wrong_in_form_ends_the_connection)
{
	if (!vhost_user_rules[_i].name) {
		start_negotiated();
		send_raw((uint32_t)_i, VHOST_USER_VERSION, 0, 0, 0);
		expect_end("unknown request");
		return;
	}
	for (enum fault fault = 0; fault < NR_FAULTS; fault++) {
		if (!has_fault((uint32_t)_i, fault))
			continue;
		if (fault == NOT_NEGOTIATED)
			start_device();
		else
			start_negotiated();
		send_faulty((uint32_t)_i, fault);
		expect_end(fault_names[fault]);
		close(child.link);
		close(child.life);
	}
}

START_TEST(unknown_requests_end_the_connection)
{
	static const uint32_t requests[] = {
		VHOST_USER_REQUEST_END, 1000, 0x80000001, UINT32_MAX,
	};

	start_negotiated();
	send_raw(requests[_i], VHOST_USER_VERSION, 0, 0, 0);
	expect_end("unknown request");
}

START_TEST(a_huge_size_is_not_waited_for)
{
	start_negotiated();
	send_raw(VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, UINT32_MAX, 8,
		 0);
	expect_end("huge size");
}

START_TEST(regions_and_fds_must_agree)
{
	start_negotiated();
	/* nr_regions 0, one fd; then the sizes fit, the count does not */
	send_raw(VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, 40, 40, 1);
	expect_end("no regions");
}

/* --- meaning -------------------------------------------------------------- */

static const struct {
	const char *what;
	enum vhost_user_request request;
	size_t size;
	union vhost_user_payload payload;
	enum { NO_FD, EVENTFD, SMALL_FILE, PIPE_FD } fd;
} meaningless[] = {
	{ "feature not offered", VHOST_USER_SET_FEATURES, 8,
	  { .u64 = 1ull << 33 }, NO_FD },
	{ "protocol feature not offered", VHOST_USER_SET_PROTOCOL_FEATURES, 8,
	  { .u64 = 1ull << 63 }, NO_FD },
	{ "num 0", VHOST_USER_SET_VRING_NUM, 8, { .state = { 0, 0 } }, NO_FD },
	{ "num 100", VHOST_USER_SET_VRING_NUM, 8, { .state = { 0, 100 } },
	  NO_FD },
	{ "num 2048", VHOST_USER_SET_VRING_NUM, 8, { .state = { 0, 2048 } },
	  NO_FD },
	{ "num 65536 + 8", VHOST_USER_SET_VRING_NUM, 8,
	  { .state = { 0, 65544 } }, NO_FD },
	{ "num of queue 2", VHOST_USER_SET_VRING_NUM, 8,
	  { .state = { 2, 128 } }, NO_FD },
	{ "num of queue -1", VHOST_USER_SET_VRING_NUM, 8,
	  { .state = { UINT32_MAX, 128 } }, NO_FD },
	{ "base 65536", VHOST_USER_SET_VRING_BASE, 8,
	  { .state = { 0, 65536 } }, NO_FD },
	{ "base of queue 2", VHOST_USER_SET_VRING_BASE, 8,
	  { .state = { 2, 0 } }, NO_FD },
	{ "addresses with a dirty log", VHOST_USER_SET_VRING_ADDR, 40,
	  { .addr = { .flags = 1 } }, NO_FD },
	{ "addresses of queue 2", VHOST_USER_SET_VRING_ADDR, 40,
	  { .addr = { .index = 2 } }, NO_FD },
	{ "kick before num", VHOST_USER_SET_VRING_KICK, 8, { .u64 = 0 },
	  EVENTFD },
	{ "kick of queue 2", VHOST_USER_SET_VRING_KICK, 8, { .u64 = 2 },
	  EVENTFD },
	{ "kick that cannot be polled", VHOST_USER_SET_VRING_KICK, 8,
	  { .u64 = 0 }, SMALL_FILE },
	{ "no kick at all", VHOST_USER_SET_VRING_KICK, 8,
	  { .u64 = VHOST_USER_VRING_NOFD_MASK }, NO_FD },
	{ "call of queue 2", VHOST_USER_SET_VRING_CALL, 8, { .u64 = 2 },
	  EVENTFD },
	{ "call of queue 255", VHOST_USER_SET_VRING_CALL, 8, { .u64 = 255 },
	  EVENTFD },
	{ "err of queue 2", VHOST_USER_SET_VRING_ERR, 8, { .u64 = 2 },
	  EVENTFD },
	{ "enable 2", VHOST_USER_SET_VRING_ENABLE, 8, { .state = { 0, 2 } },
	  NO_FD },
	{ "enable of queue 2", VHOST_USER_SET_VRING_ENABLE, 8,
	  { .state = { 2, 1 } }, NO_FD },
	{ "memory of size 0", VHOST_USER_SET_MEM_TABLE, 40,
	  { .memory = { .nr_regions = 1 } }, SMALL_FILE },
	{ "memory larger than its file", VHOST_USER_SET_MEM_TABLE, 40,
	  { .memory = { .nr_regions = 1, .region = { { .size = 8192 } } } },
	  SMALL_FILE },
	{ "memory that is an eventfd", VHOST_USER_SET_MEM_TABLE, 40,
	  { .memory = { .nr_regions = 1, .region = { { .size = 4096 } } } },
	  EVENTFD },
	{ "memory that is a pipe", VHOST_USER_ADD_MEM_REG, 40,
	  { .mem_slot.region = { .gpa = 1ull << 40, .size = 4096,
				 .user_addr = 1ull << 40 } }, PIPE_FD },
	{ "memory that is there", VHOST_USER_ADD_MEM_REG, 40,
	  { .mem_slot.region = { .gpa = 0, .size = 4096,
				 .user_addr = 1ull << 40 } }, SMALL_FILE },
	{ "memory that wraps", VHOST_USER_ADD_MEM_REG, 40,
	  { .mem_slot.region = { .gpa = UINT64_MAX - 4095, .size = 8192,
				 .user_addr = 1ull << 40 } }, SMALL_FILE },
	{ "removal of what is not there", VHOST_USER_REM_MEM_REG, 40,
	  { .mem_slot.region = { .gpa = 1ull << 40, .size = 4096 } }, NO_FD },
	{ "config space that is read-only", VHOST_USER_SET_CONFIG, 16,
	  { .config = { .size = 4 } }, NO_FD },
	{ "in-flight region of no queues", VHOST_USER_SET_INFLIGHT_FD, 20,
	  { .inflight = { 4096, 0, 0, 128 } }, SMALL_FILE },
	{ "in-flight region of 3 queues", VHOST_USER_SET_INFLIGHT_FD, 20,
	  { .inflight = { 4096, 0, 3, 8 } }, SMALL_FILE },
	{ "in-flight region too small", VHOST_USER_SET_INFLIGHT_FD, 20,
	  { .inflight = { 4096, 0, 2, 1024 } }, SMALL_FILE },
	{ "in-flight region beyond its file", VHOST_USER_SET_INFLIGHT_FD, 20,
	  { .inflight = { 8192, 0, 2, 128 } }, SMALL_FILE },
	{ "in-flight region at an odd offset", VHOST_USER_SET_INFLIGHT_FD, 20,
	  { .inflight = { 2048, 16, 1, 8 } }, SMALL_FILE },
	{ "in-flight region of queues too long", VHOST_USER_SET_INFLIGHT_FD,
	  20, { .inflight = { 1 << 20, 0, 1, 2048 } }, SMALL_FILE },
	{ "status 256", VHOST_USER_SET_STATUS, 8, { .u64 = 256 }, NO_FD },
};

static int make_fd(int i)
{
	int ends[2];

	switch (meaningless[i].fd) {
	case EVENTFD:
		return eventfd(0, EFD_CLOEXEC);
	case SMALL_FILE:
		return make_file(4096);
	case PIPE_FD:
		ck_assert_int_eq(pipe(ends), 0);
		close(ends[1]);
		return ends[0];
	default:
		return -1;
	}
}

static int send_meaningless(int i, int need_ack)
{
	int fd = make_fd(i);
	int ret = vhost_user_send(child.link, meaningless[i].request,
				  &meaningless[i].payload,
				  meaningless[i].size, &fd, fd >= 0, need_ack,
				  FRONT_TIMEOUT_MS);

	if (fd >= 0)
		close(fd);
	return ret;
}

START_TEST(wrong_in_meaning_is_told_if_asked)
{
	start_negotiated();
	ck_assert_msg(send_meaningless(_i, 1) == -EREMOTEIO, "%s",
		      meaningless[_i].what);
	ck_assert_uint_eq(front_get_u64(&front, VHOST_USER_GET_QUEUE_NUM),
			  NR_QUEUES);
	child_stop(&child);
}

START_TEST(wrong_in_meaning_ends_the_connection)
{
	start_negotiated();
	ck_assert_int_eq(send_meaningless(_i, 0), 0);
	expect_end(meaningless[_i].what);
}

START_TEST(rings_must_lie_in_memory)
{
	static const struct {
		uint64_t desc, avail, used;
	} wrong[] = {
		{ 1ull << 40, 0x2000, 0x3000 },
		{ 0x1000, 1ull << 40, 0x3000 },
		{ 0x1000, 0x2000, 1ull << 40 },
		{ 0x1008, 0x2000, 0x3000 },
		{ 0x1000, 0x2001, 0x3000 },
		{ 0x1000, 0x2000, 0x3002 },
		{ (64 << 20) - 16, 0x2000, 0x3000 },
		{ 0x1000, 0x2000, (64 << 20) - 64 },
		{ UINT64_MAX - 15, 0x2000, 0x3000 },
	};
	struct vhost_user_vring_state num = { .index = 0, .num = 128 };

	start_negotiated();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct vhost_user_vring_addr addr = {
			.desc = wrong[i].desc, .avail = wrong[i].avail,
			.used = wrong[i].used,
		};
		int fd = eventfd(0, 0);
		uint64_t index = 0;

		ck_assert_int_eq(vhost_user_send(child.link,
			VHOST_USER_SET_VRING_NUM, &num, sizeof(num), NULL, 0,
			1, FRONT_TIMEOUT_MS), 0);
		ck_assert_int_eq(vhost_user_send(child.link,
			VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL,
			0, 1, FRONT_TIMEOUT_MS), 0);
		ck_assert_int_eq(vhost_user_send(child.link,
			VHOST_USER_SET_VRING_KICK, &index, sizeof(index), &fd,
			1, 1, FRONT_TIMEOUT_MS), -EREMOTEIO);
		close(fd);
	}
	child_stop(&child);
}

START_TEST(a_running_queue_is_not_changed)
{
	static const enum vhost_user_request requests[] = {
		VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
	};
	struct vhost_user_vring_state state = { .index = 0, .num = 64 };
	struct vhost_user_vring_addr addr = { .index = 0 };
	struct vhost_user_inflight inflight = { 4096, 0, 1, 8 };
	int fd = make_file(4096);

	start_negotiated();
	front_queue_start(&front.queue[0], 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(vhost_user_send(child.link, requests[i],
			&state, sizeof(state), NULL, 0, 1, FRONT_TIMEOUT_MS),
			-EREMOTEIO);
	ck_assert_int_eq(vhost_user_send(child.link,
		VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0, 1,
		FRONT_TIMEOUT_MS), -EREMOTEIO);
	ck_assert_int_eq(vhost_user_send(child.link,
		VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight), &fd,
		1, 1, FRONT_TIMEOUT_MS), -EREMOTEIO);
	child_stop(&child);
}

START_TEST(a_legacy_driver_is_refused)
{
	const struct front_options options = {
		.features = ~(1ull << 32),
	};
	struct vhost_user_vring_state num = { .index = 0, .num = 128 };
	struct vhost_user_vring_addr addr = {
		.desc = 0x1000, .avail = 0x2000, .used = 0x3000,
	};
	uint64_t index = 0;
	int fd = eventfd(0, 0);

	start_device();
	front_negotiate(&front, child.link, &options);
	ck_assert_int_eq(vhost_user_send(child.link, VHOST_USER_SET_VRING_NUM,
		&num, sizeof(num), NULL, 0, 1, FRONT_TIMEOUT_MS), 0);
	ck_assert_int_eq(vhost_user_send(child.link,
		VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0, 1,
		FRONT_TIMEOUT_MS), 0);
	ck_assert_int_eq(vhost_user_send(child.link,
		VHOST_USER_SET_VRING_KICK, &index, sizeof(index), &fd, 1, 1,
		FRONT_TIMEOUT_MS), -EREMOTEIO);
	child_stop(&child);
}

START_TEST(a_base_of_no_queue_has_no_answer)
{
	struct vhost_user_vring_state state = { .index = NR_QUEUES };

	start_negotiated();
	ck_assert_int_eq(vhost_user_send(child.link,
		VHOST_USER_GET_VRING_BASE, &state, sizeof(state), NULL, 0, 0,
		FRONT_TIMEOUT_MS), 0);
	expect_end("base of no queue");
}

START_TEST(config_space_has_an_end)
{
	struct vhost_user_config config = { .offset = 250, .size = 7 };
	struct vhost_user_config answer;

	start_negotiated();
	ck_assert_int_eq(vhost_user_send(child.link, VHOST_USER_GET_CONFIG,
		&config, VHOST_USER_CONFIG_HDR_BYTES + 7, NULL, 0, 0,
		FRONT_TIMEOUT_MS), 0);
	/* vhost-user: GET_CONFIG, an empty answer is a no */
	ck_assert_int_eq(vhost_user_recv_reply(child.link,
		VHOST_USER_GET_CONFIG, &answer, 0, sizeof(answer), NULL,
		FRONT_TIMEOUT_MS), 0);
	config.offset = UINT32_MAX;
	ck_assert_int_eq(vhost_user_send(child.link, VHOST_USER_GET_CONFIG,
		&config, VHOST_USER_CONFIG_HDR_BYTES + 7, NULL, 0, 0,
		FRONT_TIMEOUT_MS), 0);
	ck_assert_int_eq(vhost_user_recv_reply(child.link,
		VHOST_USER_GET_CONFIG, &answer, 0, sizeof(answer), NULL,
		FRONT_TIMEOUT_MS), 0);
	child_stop(&child);
}

/* --- what is right -------------------------------------------------------- */

/* A message that is on its way is waited for, with a deadline. */
static void send_in_parts(uint32_t request, uint32_t size)
{
	const uint8_t rest[8] = { 0 };

	send_raw(request, VHOST_USER_VERSION, size, size / 2, 0);
	usleep(50000);
	ck_assert_int_eq(write(child.link, rest, size - size / 2),
			 size - size / 2);
}

START_TEST(every_request_has_a_right_form)
{
	const struct front_options options = {
		.nr_queues = roles[_i].nr_queues, .inflight = true,
	};
	struct vhost_user_mem_slot slot = {
		.region = { .gpa = 1ull << 40, .size = 4096,
			    .user_addr = 1ull << 40 },
	};
	int fd = make_file(4096);

	start_role(&roles[_i]);
	front_start(&front, child.link, &options);
	ck_assert_uint_eq(front_get_u64(&front,
					VHOST_USER_GET_MAX_MEM_SLOTS),
			  VHOST_USER_MAX_REGIONS);
	ck_assert_int_eq(vhost_user_send(child.link, VHOST_USER_ADD_MEM_REG,
		&slot, sizeof(slot), &fd, 1, 1, FRONT_TIMEOUT_MS), 0);
	ck_assert_int_eq(vhost_user_send(child.link, VHOST_USER_REM_MEM_REG,
		&slot, sizeof(slot), NULL, 0, 1, FRONT_TIMEOUT_MS), 0);
	ck_assert_int_eq(vhost_user_send(child.link, VHOST_USER_RESET_OWNER,
		NULL, 0, NULL, 0, 1, FRONT_TIMEOUT_MS), 0);
	send_in_parts(VHOST_USER_SET_STATUS, 8);
	front_set_u64(&front, VHOST_USER_SET_STATUS, 0xf);
	ck_assert_uint_eq(front_get_u64(&front, VHOST_USER_GET_STATUS), 0xf);
	ck_assert_uint_eq(front_queue_stop(&front.queue[0]), 0);
	front_queue_start(&front.queue[0], 7);
	ck_assert_uint_eq(front_queue_stop(&front.queue[0]), 7);
	ck_assert_int_eq(vhost_user_send(child.link, VHOST_USER_RESET_DEVICE,
		NULL, 0, NULL, 0, 1, FRONT_TIMEOUT_MS), 0);
	ck_assert_uint_eq(front_get_u64(&front, VHOST_USER_GET_STATUS), 0);
	child_stop(&child);
}

/* To the supervisor and to its log, in spite of the policy. */
START_TEST(every_device_says_why_it_ends)
{
	const struct front_options options = {
		.nr_queues = roles[_i].nr_queues,
	};

	start_role(&roles[_i]);
	front_negotiate(&front, child.link, &options);
	send_raw(VHOST_USER_REQUEST_END, VHOST_USER_VERSION, 0, 0, 0);
	expect_end(roles[_i].name);
}

START_TEST(the_end_of_the_link_is_the_end)
{
	start_negotiated();
	close(child.link);
	ck_assert_int_eq(child_wait(&child), 0);
}

START_TEST(the_end_of_the_supervisor_is_the_end)
{
	start_negotiated();
	close(child.life);
	ck_assert_int_eq(child_wait(&child), 0);
}

START_TEST(pings_are_answered)
{
	struct life_msg msg;

	start_negotiated();
	child_send(&child, LIFE_PING, -1);
	child_expect(&child, LIFE_PONG, &msg);
	ck_assert_uint_eq(msg.u.ping.cookie, 0x1122334455667788);
	child_stop(&child);
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("vhost_back");
	TCase *tc = tcase_create("vhost_back");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, wrong_in_form_ends_the_connection, 0,
			    VHOST_USER_REQUEST_END);
	tcase_add_loop_test(tc, unknown_requests_end_the_connection, 0, 4);
	tcase_add_test(tc, a_huge_size_is_not_waited_for);
	tcase_add_test(tc, regions_and_fds_must_agree);
	tcase_add_loop_test(tc, wrong_in_meaning_is_told_if_asked, 0,
			    LENGTH(meaningless));
	tcase_add_loop_test(tc, wrong_in_meaning_ends_the_connection, 0,
			    LENGTH(meaningless));
	tcase_add_test(tc, rings_must_lie_in_memory);
	tcase_add_test(tc, a_running_queue_is_not_changed);
	tcase_add_test(tc, a_legacy_driver_is_refused);
	tcase_add_test(tc, a_base_of_no_queue_has_no_answer);
	tcase_add_test(tc, config_space_has_an_end);
	tcase_add_loop_test(tc, every_request_has_a_right_form, 0,
			    LENGTH(roles));
	tcase_add_loop_test(tc, every_device_says_why_it_ends, 0,
			    LENGTH(roles));
	tcase_add_test(tc, the_end_of_the_link_is_the_end);
	tcase_add_test(tc, the_end_of_the_supervisor_is_the_end);
	tcase_add_test(tc, pings_are_answered);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
