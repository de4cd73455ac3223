/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back-end channel, on which a back-end speaks unasked, as
 * vmm-core/vhost_front.c hears it: one message is known, all else ends the
 * link, and nothing drowns the core.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/wire/vhost_front_rig.h"

static void say(uint32_t request, uint32_t flags, uint32_t size, size_t bytes,
		unsigned int nr_fds)
{
	struct vhost_user_hdr hdr = { request, flags, size };
	char message[sizeof(hdr) + 8] = { 0 };

	memcpy(message, &hdr, sizeof(hdr));
	ck_assert_int_eq(fdmsg_send(fake.channel_fd, message, bytes,
				    &fake.channel_fd, nr_fds, 100), 0);
}

START_TEST(a_config_change_is_heard)
{
	attach();
	ck_assert_int_eq(vhost_front_take_channel(&front), 0);
	say(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0, 12,
	    0);
	say(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0, 12,
	    0);
	ck_assert_int_eq(vhost_front_take_channel(&front), 1);
	ck_assert_int_eq(vhost_front_take_channel(&front), 0);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(a_config_change_is_acknowledged_if_asked)
{
	struct {
		struct vhost_user_hdr hdr;
		uint64_t done;
	} __attribute__((packed)) reply;

	attach();
	say(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
	    VHOST_USER_VERSION | VHOST_USER_NEED_REPLY_MASK, 0, 12, 0);
	ck_assert_int_eq(vhost_front_take_channel(&front), 1);
	ck_assert_int_eq(fdmsg_recv_exact(fake.channel_fd, &reply,
					  sizeof(reply), 100), 0);
	ck_assert_uint_eq(reply.hdr.request,
			  VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	ck_assert_uint_eq(reply.hdr.flags,
			  VHOST_USER_VERSION | VHOST_USER_REPLY_MASK);
	ck_assert_uint_eq(reply.hdr.size, 8);
	ck_assert_uint_eq(reply.done, 0);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(anything_else_on_the_channel_ends_it)
{
	static const struct {
		uint32_t request, flags, size;
		size_t bytes;
		unsigned int nr_fds;
	} bad[] = {
		{ 1, VHOST_USER_VERSION, 0, 12, 0 },
		{ 3, VHOST_USER_VERSION, 0, 12, 0 },
		{ 2, 0, 0, 12, 0 },
		{ 2, VHOST_USER_VERSION | VHOST_USER_REPLY_MASK, 0, 12, 0 },
		{ 2, VHOST_USER_VERSION | 0x100, 0, 12, 0 },
		{ 2, VHOST_USER_VERSION, 8, 20, 0 },
		{ 2, VHOST_USER_VERSION, UINT32_MAX, 12, 0 },
		{ 2, VHOST_USER_VERSION, 0, 11, 0 },
		{ 2, VHOST_USER_VERSION, 0, 1, 0 },
		{ 2, VHOST_USER_VERSION, 0, 12, 1 },
	};

	attach();
	say(bad[_i].request, bad[_i].flags, bad[_i].size, bad[_i].bytes,
	    bad[_i].nr_fds);
	ck_assert_int_eq(vhost_front_take_channel(&front), -EPROTO);
	ck_assert_int_eq(front.link_fd, -1);
	ck_assert_int_eq(vhost_front_take_channel(&front), 0);
	fake_backend_end(&fake);
}
END_TEST

struct flood {
	pthread_t thread;
	_Atomic bool stop;
};

static void *flood(void *opaque)
{
	struct flood *self = opaque;
	static const struct vhost_user_hdr hdr = {
		VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0,
	};

	while (!self->stop)
		fdmsg_send(fake.channel_fd, &hdr, sizeof(hdr), NULL, 0, 10);
	return NULL;
}

/* It may be cut off or not, but taking always comes to an end. */
START_TEST(a_flood_does_not_drown_the_core)
{
	struct flood self = { .stop = false };
	long long begin_ms = fdmsg_now_ms();
	int taken;

	attach();
	ck_assert_int_eq(pthread_create(&self.thread, NULL, flood, &self), 0);
	for (int i = 0; i < 100; i++) {
		taken = vhost_front_take_channel(&front);
		ck_assert(taken == 0 || taken == 1 || taken == -EPROTO);
	}
	self.stop = true;
	pthread_join(self.thread, NULL);
	ck_assert_int_le(fdmsg_now_ms() - begin_ms, 2 * SLACK_MS);
	fake_backend_end(&fake);
}
END_TEST

START_TEST(a_successor_hears_nothing_of_the_predecessors_channel)
{
	char byte;

	attach();
	say(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0, 5, 0);
	ck_assert_int_eq(write(front.channel_fd, "late reply", 10), 10);
	fake_backend_end(&fake);
	fake_backend_init(&fake);
	attach();
	ck_assert_int_eq(vhost_front_take_channel(&front), 0);
	ck_assert_int_eq(fdmsg_recv(fake.channel_fd, &byte, 1, NULL, NULL, 0),
			 -EAGAIN);
	fake_backend_end(&fake);
}
END_TEST

static Suite *suite(void)
{
	Suite *all = suite_create("vhost_channel");
	TCase *tcase = tcase_create("channel");

	tcase_add_checked_fixture(tcase, set_up_front, NULL);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, a_config_change_is_heard);
	tcase_add_test(tcase, a_config_change_is_acknowledged_if_asked);
	tcase_add_loop_test(tcase, anything_else_on_the_channel_ends_it, 0, 10);
	tcase_add_test(tcase, a_flood_does_not_drown_the_core);
	tcase_add_test(tcase,
		       a_successor_hears_nothing_of_the_predecessors_channel);
	suite_add_tcase(all, tcase);
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
