/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm-core/vhost_front.c against a back-end that answers each message right,
 * and wrong in every way: an error within the deadline, the link closed, no
 * fd left over, and no further waiting.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/wire/vhost_front_rig.h"

#define PROTOCOL	(1ull << VHOST_USER_F_PROTOCOL_FEATURES_BIT)

static unsigned int count_fds(void)
{
	unsigned int count = 0;
	DIR *dir = opendir("/proc/self/fd");

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static bool is_signalled(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static bool same_file(int a, int b)
{
	struct stat x;
	struct stat y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 &&
	       x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Everything the front-end ever says, once.  Stops at the first error. */
static int whole_life(void)
{
	int err = vhost_front_attach(&front, fake_backend_run(&fake));

	if (!err)
		err = vhost_front_write_config(&front, 32, "\1", 1);
	if (!err)
		err = vhost_front_start(&front, VERSION_1);
	if (!err)
		err = vhost_front_stop(&front);
	return err;
}

START_TEST(the_order_is_the_one_of_the_specification)
{
	static const uint32_t order[] = {
		VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_SET_OWNER, VHOST_USER_GET_CONFIG,
		VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_SET_CONFIG,
		VHOST_USER_SET_FEATURES, VHOST_USER_SET_STATUS,
		VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_INFLIGHT_FD,
		VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
		VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_ERR,
		VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK,
		VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
		VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_ERR,
		VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK,
		VHOST_USER_SET_VRING_ENABLE, VHOST_USER_SET_VRING_ENABLE,
		VHOST_USER_SET_STATUS, VHOST_USER_GET_VRING_BASE,
		VHOST_USER_GET_VRING_BASE, VHOST_USER_RESET_DEVICE,
	};

	set_up_queues();
	ck_assert_int_eq(whole_life(), 0);
	fake_backend_end(&fake);
	ck_assert_uint_eq(fake.nr_seen, sizeof(order) / sizeof(*order));
	for (unsigned int i = 0; i < fake.nr_seen; i++)
		ck_assert_msg(fake.seen[i] == order[i],
			      "message %u is %s, not %s", i,
			      vhost_user_request_name(fake.seen[i]),
			      vhost_user_request_name(order[i]));
	ck_assert(!front.queue[0].ready);
}
END_TEST

START_TEST(the_back_end_is_told_what_is_true)
{
	set_up_queues();
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_uint_eq(front.nr_queues, NR_QUEUES);
	ck_assert_uint_eq(front.features, front.feature_mask);
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1 | 2), 0);

	ck_assert_uint_eq(fake.acked_features, VERSION_1 | 2 | PROTOCOL);
	ck_assert_uint_eq(fake.status, 1 | 2 | 4 | 8);
	ck_assert_uint_eq(fake.memory.nr_regions, 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(fake.memory.region[i].gpa, region[i].gpa);
		ck_assert_uint_eq(fake.memory.region[i].user_addr,
				  region[i].gpa);
		ck_assert_uint_eq(fake.memory.region[i].size, RAM_BYTES / 2);
		ck_assert_uint_eq(fake.memory.region[i].mmap_offset,
				  region[i].fd_offset);
		ck_assert_uint_eq(fake.ring[i].num, 128);
		ck_assert_uint_eq(fake.ring[i].base, 0);
		ck_assert_uint_eq(fake.ring[i].addr.desc,
				  front.queue[i].desc);
		ck_assert_uint_eq(fake.ring[i].addr.avail,
				  front.queue[i].driver);
		ck_assert_uint_eq(fake.ring[i].addr.used,
				  front.queue[i].device);
		ck_assert(fake.ring[i].enabled);
		/* kicked once by the front-end, so that nothing is missed */
		ck_assert(is_signalled(fake.ring[i].kick_fd));
		ck_assert(!is_signalled(fake.ring[i].call_fd));
	}
	ck_assert(same_file(fake.inflight_fd, front.inflight_fd));
	ck_assert_uint_eq(fake.inflight.nr_queues, NR_QUEUES);
	ck_assert_uint_eq(fake.inflight.queue_size, VHOST_FRONT_QUEUE_SIZE);
	ck_assert_int_eq(vhost_front_stop(&front), 0);
	fake_backend_end(&fake);
}
END_TEST

static const uint32_t requests[] = {
	VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES,
	VHOST_USER_GET_QUEUE_NUM, VHOST_USER_SET_OWNER,
	VHOST_USER_GET_CONFIG, VHOST_USER_SET_BACKEND_REQ_FD,
	VHOST_USER_SET_CONFIG, VHOST_USER_SET_FEATURES,
	VHOST_USER_SET_STATUS, VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_SET_INFLIGHT_FD,
	VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
	VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_ERR,
	VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK,
	VHOST_USER_SET_VRING_ENABLE, VHOST_USER_GET_VRING_BASE,
	VHOST_USER_RESET_DEVICE,
};
#define NR_REQUESTS	((int)(sizeof(requests) / sizeof(*requests)))

START_TEST(a_wrong_answer_ends_it)
{
	long long begin_ms = fdmsg_now_ms();
	unsigned int before = count_fds();
	int err;

	fake.wrong_request = requests[_i / (FAKE_NR_WRONG - 1)];
	fake.wrong = (enum fake_wrong)(1 + _i % (FAKE_NR_WRONG - 1));
	if (fake.wrong_request == VHOST_USER_GET_INFLIGHT_FD) {
		close(front.inflight_fd);
		front.inflight_fd = -1;
		before--;
	}
	front.timeout_ms = DEADLINE_MS;
	front.drain_ms = DEADLINE_MS;
	set_up_queues();
	err = whole_life();
	ck_assert_msg(err == -EPROTO || err == -EPIPE || err == -ETIMEDOUT,
		      "%s answered with %s: %d",
		      vhost_user_request_name(fake.wrong_request),
		      fake_wrong_name[fake.wrong], err);
	ck_assert_int_le(fdmsg_now_ms() - begin_ms, DEADLINE_MS + SLACK_MS);
	ck_assert_int_eq(front.link_fd, -1);

	/* Nobody is there any more, and nobody is waited for. */
	front.timeout_ms = 4 * SLACK_MS;
	front.drain_ms = 4 * SLACK_MS;
	begin_ms = fdmsg_now_ms();
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1), -ENOTCONN);
	ck_assert_int_eq(vhost_front_stop(&front), -ENOTCONN);
	ck_assert(!front.started && !front.queue[0].ready);
	ck_assert_int_eq(vhost_front_read_config(&front), -ENOTCONN);
	ck_assert_int_le(fdmsg_now_ms() - begin_ms, SLACK_MS);
	fake_backend_end(&fake);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* Said without a pause, and acknowledged at the end. */
START_TEST(a_pipelined_back_end_is_told_the_same)
{
	front.pipelined = true;
	set_up_queues();
	ck_assert_int_eq(whole_life(), 0);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_VRING_KICK),
			  NR_QUEUES);
	ck_assert_uint_eq(fake.memory.nr_regions, 2);
	ck_assert_uint_eq(fake.ring[1].num, 128);
	ck_assert(fake.ring[1].kick_fd >= 0 && fake.ring[1].call_fd >= 0);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(what_a_pipelined_back_end_refuses_is_found_at_the_end)
{
	front.pipelined = true;
	set_up_queues();
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	/* It hangs up on the first of many, as Bulkhead's do. */
	fake.hang_up_on = VHOST_USER_SET_MEM_TABLE;
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1), -EPIPE);
	ck_assert_int_eq(front.link_fd, -1);
	fake_backend_end(&fake);
}
END_TEST

/* A disk with full queues may be slower than an answer may be. */
START_TEST(a_drain_has_a_deadline_of_its_own)
{
	front.timeout_ms = 1000;
	front.drain_ms = 10000;
	fake.drain_ms = 2000;
	set_up_queues();
	ck_assert_int_eq(whole_life(), 0);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(a_refusal_is_told_apart)
{
	fake.ack = 1;
	ck_assert_int_eq(whole_life(), -EREMOTEIO);
	ck_assert_int_eq(front.link_fd, -1);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(queue_counts_are_bounded)
{
	static const struct {
		uint64_t told;
		uint16_t min;
		int expected;	/* queues, or -errno */
	} cases[] = {
		{ 0, 1, -EPROTO }, { 1, 2, -EPROTO }, { 1, 1, 1 },
		{ 2, 2, 2 }, { 3, 1, NR_QUEUES }, { 65536, 1, NR_QUEUES },
		{ 65536, 2, NR_QUEUES }, { UINT64_MAX, 1, NR_QUEUES },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int err;

		fake_backend_init(&fake);
		fake.nr_queues = cases[i].told;
		front.min_queues = cases[i].min;
		front.attached_once = false;
		err = vhost_front_attach(&front, fake_backend_run(&fake));
		ck_assert_int_eq(err ? err : front.nr_queues,
				 cases[i].expected);
		fake_backend_end(&fake);
	}
}
END_TEST

START_TEST(config_must_be_what_was_asked_for)
{
	fake.config_offset = _i == 0;
	fake.config_size_delta = _i == 1 ? -1 : _i == 2 ? 1 : 0;
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 -EPROTO);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(config_is_read_again_and_written)
{
	fake.config[0] = 7;
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_uint_eq(front.config[0], 7);
	ck_assert_int_eq(vhost_front_read_config(&front), 0);
	ck_assert_int_eq(vhost_front_write_config(&front, 32, "\5\6", 2), 0);
	ck_assert_uint_eq(fake.config_write.offset, 32);
	ck_assert_uint_eq(fake.config_write.size, 2);
	ck_assert_int_eq(vhost_front_read_config(&front), 1);
	ck_assert_uint_eq(front.config[33], 6);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(what_is_missing_is_refused)
{
	if (_i == 0)
		fake.features &= ~VERSION_1;
	if (_i == 1)
		fake.features &= ~PROTOCOL;
	if (_i == 2)
		fake.protocol_features &=
			~(1ull << VHOST_USER_PROTOCOL_F_CONFIG_BIT);
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 -EPROTO);
	ck_assert_int_eq(front.link_fd, -1);
	fake_backend_end(&fake);
}
END_TEST

/* The oldest back-ends: no protocol features, no acknowledgements. */
START_TEST(a_plain_back_end_will_do)
{
	fake.features &= ~PROTOCOL;
	front.config_bytes = 0;
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_uint_eq(front.nr_queues, front.min_queues);
	set_up_queues();
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1), 0);
	ck_assert_int_eq(vhost_front_stop(&front), 0);
	fake_backend_end(&fake);
	ck_assert_uint_eq(fake.acked_features, VERSION_1);
	ck_assert_uint_eq(fake_backend_count(&fake,
			  VHOST_USER_SET_VRING_ENABLE), 0);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_STATUS), 0);
	ck_assert_uint_eq(fake_backend_count(&fake,
			  VHOST_USER_GET_VRING_BASE), 1);
}
END_TEST

START_TEST(only_known_protocol_features_are_taken)
{
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_uint_eq(fake.acked_protocol,
		1ull << VHOST_USER_PROTOCOL_F_MQ_BIT |
		1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK_BIT |
		1ull << VHOST_USER_PROTOCOL_F_BACKEND_REQ_BIT |
		1ull << VHOST_USER_PROTOCOL_F_CONFIG_BIT |
		1ull << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT |
		1ull << VHOST_USER_PROTOCOL_F_RESET_DEVICE_BIT |
		1ull << VHOST_USER_PROTOCOL_F_STATUS_BIT);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(an_inflight_region_is_new_for_a_new_driver)
{
	uint64_t dirty = UINT64_MAX;

	set_up_queues();
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_int_eq(pwrite(front.inflight_fd, &dirty, 8, 4096), 8);
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1), 0);
	ck_assert_int_eq(pread(front.inflight_fd, &dirty, 8, 4096), 8);
	ck_assert_uint_eq(dirty, 0);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(an_inflight_region_may_be_the_back_ends)
{
	close(front.inflight_fd);
	front.inflight_fd = -1;
	fake.no_inflight_fd = _i == 1;
	set_up_queues();
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1),
			 _i == 1 ? -EPROTO : 0);
	if (_i == 0)
		ck_assert(same_file(fake.inflight_fd, front.inflight_fd));
	fake_backend_end(&fake);
}
END_TEST

START_TEST(a_successor_is_told_everything)
{
	struct fake_backend *second = malloc(sizeof(*second));
	const uint16_t used_index = 41;
	uint64_t mark = 0x1234;

	ck_assert_ptr_nonnull(second);
	fake_backend_init(second);
	set_up_queues();
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1 | 4), 0);
	/* It worked for a while, left something in flight, and died. */
	memcpy(ram + 0x3002, &used_index, sizeof(used_index));
	ck_assert_int_eq(pwrite(front.inflight_fd, &mark, 8, 0), 8);
	fake_backend_end(&fake);
	ck_assert(vhost_front_is_gone(&front));
	is_signalled(front.queue[0].kick_fd);

	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(second)),
			 0);
	ck_assert_uint_eq(second->acked_features, VERSION_1 | 4 | PROTOCOL);
	ck_assert_uint_eq(second->ring[0].base, used_index);
	ck_assert_uint_eq(second->ring[1].base, 0);
	ck_assert_uint_eq(second->ring[1].addr.desc, HIGH_GPA + 0x1000);
	ck_assert(second->ring[0].enabled && second->ring[1].enabled);
	ck_assert_int_eq(pread(second->inflight_fd, &mark, 8, 0), 8);
	ck_assert_uint_eq(mark, 0x1234);
	ck_assert(is_signalled(front.queue[0].kick_fd));
	ck_assert(is_signalled(front.queue[0].call_fd));
	ck_assert_int_eq(vhost_front_stop(&front), 0);
	fake_backend_end(second);
	free(second);
}
END_TEST

/* Where it goes on in a packed ring is in the in-flight region. */
START_TEST(a_packed_ring_has_a_base_of_its_own)
{
	const uint64_t packed = 1ull << 34;
	const uint16_t used_index = 41;

	front.feature_mask |= packed;
	set_up_queues();
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_int_eq(vhost_front_start(&front, VERSION_1 | packed), 0);
	ck_assert_uint_eq(fake.ring[0].base, 0x80008000);
	memcpy(ram + 0x3002, &used_index, sizeof(used_index));
	fake_backend_end(&fake);
	fake_backend_init(&fake);
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	ck_assert_uint_eq(fake.ring[0].base, 0x80008000);
	ck_assert(!vhost_front_may_lose(&front));
	ck_assert_int_eq(vhost_front_stop(&front), 0);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(a_lesser_successor_is_refused)
{
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
	fake_backend_end(&fake);
	fake_backend_init(&fake);
	if (_i == 0)
		fake.features &= ~2ull;
	else
		fake.nr_queues = 1;
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 -EPROTO);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(hanging_up_is_noticed)
{
	attach();
	ck_assert(!vhost_front_is_gone(&front));
	/* One direction is enough. */
	shutdown(fake.sock, SHUT_WR);
	ck_assert(vhost_front_is_gone(&front));
	vhost_front_drop(&front);
	ck_assert(vhost_front_is_gone(&front));
	fake_backend_end(&fake);
}
END_TEST

static Suite *suite(void)
{
	Suite *all = suite_create("vhost_front");
	TCase *good = tcase_create("good");
	TCase *bad = tcase_create("wrong answers");

	tcase_add_checked_fixture(good, set_up_front, NULL);
	tcase_add_checked_fixture(bad, set_up_front, NULL);
	tcase_set_timeout(good, 30);
	tcase_set_timeout(bad, 30);
	tcase_add_test(good, the_order_is_the_one_of_the_specification);
	tcase_add_test(good, the_back_end_is_told_what_is_true);
	tcase_add_test(good, a_plain_back_end_will_do);
	tcase_add_test(good, only_known_protocol_features_are_taken);
	tcase_add_test(good, config_is_read_again_and_written);
	tcase_add_test(good, an_inflight_region_is_new_for_a_new_driver);
	tcase_add_loop_test(good, an_inflight_region_may_be_the_back_ends, 0,
			    2);
	tcase_add_test(good, a_successor_is_told_everything);
	tcase_add_test(good, a_packed_ring_has_a_base_of_its_own);
	tcase_add_loop_test(good, a_lesser_successor_is_refused, 0, 2);
	tcase_add_test(good, hanging_up_is_noticed);
	tcase_add_loop_test(bad, a_wrong_answer_ends_it, 0,
			    NR_REQUESTS * (FAKE_NR_WRONG - 1));
	tcase_add_test(bad, a_pipelined_back_end_is_told_the_same);
	tcase_add_test(bad,
		       what_a_pipelined_back_end_refuses_is_found_at_the_end);
	tcase_add_test(bad, a_drain_has_a_deadline_of_its_own);
	tcase_add_test(bad, a_refusal_is_told_apart);
	tcase_add_test(bad, queue_counts_are_bounded);
	tcase_add_loop_test(bad, config_must_be_what_was_asked_for, 0, 3);
	tcase_add_loop_test(bad, what_is_missing_is_refused, 0, 3);
	suite_add_tcase(all, good);
	suite_add_tcase(all, bad);
	return all;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
