/* SPDX-License-Identifier: Apache-2.0 */
/* ipc/life.c: every type, in every direction, wrong in every way. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/life.h"

static const struct {
	enum life_type type;
	enum life_side to;
	size_t size;
	unsigned int nr_fds;
} good[] = {
	{ LIFE_BIRTH, LIFE_SIDE_CHILD, sizeof(struct life_birth), 0 },
	{ LIFE_PING, LIFE_SIDE_CHILD, sizeof(struct life_ping), 0 },
	{ LIFE_STOP, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_ADOPT, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_ATTACH, LIFE_SIDE_CHILD, 0, 1 },
	{ LIFE_BLK_THROTTLE, LIFE_SIDE_CHILD,
	  sizeof(struct throttle_settings), 0 },
	{ LIFE_BLK_RESUME, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_CORE_DEVICE, LIFE_SIDE_CHILD, sizeof(struct life_core_device),
	  1 },
	{ LIFE_CORE_START, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_CORE_POWER_BUTTON, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_CORE_RELINK, LIFE_SIDE_CHILD, sizeof(struct life_core_relink),
	  1 },
	{ LIFE_CORE_GIVE_UP, LIFE_SIDE_CHILD, sizeof(struct life_core_relink),
	  0 },
	{ LIFE_CORE_STATS, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_CORE_PAUSE, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_CORE_RESUME, LIFE_SIDE_CHILD, 0, 0 },
	{ LIFE_READY, LIFE_SIDE_SUPERVISOR, 0, 0 },
	{ LIFE_PONG, LIFE_SIDE_SUPERVISOR, sizeof(struct life_ping), 0 },
	{ LIFE_FAILED, LIFE_SIDE_SUPERVISOR, sizeof(struct life_text), 0 },
	{ LIFE_ESCAPE, LIFE_SIDE_SUPERVISOR, 0, 0 },
	{ LIFE_CORE_EVENT, LIFE_SIDE_SUPERVISOR,
	  sizeof(struct life_core_event), 0 },
	{ LIFE_BLK_HELD, LIFE_SIDE_SUPERVISOR, sizeof(struct life_blk_held),
	  0 },
	{ LIFE_BLK_MOVED, LIFE_SIDE_SUPERVISOR, sizeof(struct life_blk_moved),
	  0 },
};
#define NR_GOOD ((int)(sizeof(good) / sizeof(*good)))

static int pair[2];

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
}

/* Put a datagram of our own making on the wire; what comes of it? */
static int receive_raw(uint32_t type, uint32_t claimed, size_t size,
		       unsigned int nr_fds, enum life_side side,
		       struct life_msg *msg)
{
	static char payload[2 * LIFE_MSG_MAX];
	char datagram[2 * LIFE_MSG_MAX];
	struct life_hdr hdr = { .type = type, .size = claimed };
	int fds[3] = { 0, 1, 2 };

	memcpy(datagram, &hdr, sizeof(hdr));
	memcpy(datagram + sizeof(hdr), payload, size);
	ck_assert_int_eq(fdmsg_send(pair[0], datagram, sizeof(hdr) + size,
				    fds, nr_fds, 100), 0);
	return life_recv(pair[1], side, msg, 100);
}

START_TEST(a_good_message_arrives)
{
	struct life_msg msg;
	int fd = 0;

	ck_assert_int_eq(receive_raw(good[_i].type, (uint32_t)good[_i].size,
				     good[_i].size, good[_i].nr_fds,
				     good[_i].to, &msg), 1);
	ck_assert_int_eq(msg.type, good[_i].type);
	ck_assert_uint_eq(msg.nr_fds, good[_i].nr_fds);
	fdmsg_close_all(msg.fds, msg.nr_fds);

	static char payload[LIFE_MSG_MAX];
	ck_assert_int_eq(life_send(pair[0], good[_i].type, payload, &fd,
				   good[_i].nr_fds, 100), 0);
	ck_assert_int_eq(life_recv(pair[1], good[_i].to, &msg, 100), 1);
}
END_TEST

START_TEST(a_bad_message_does_not)
{
	uint32_t type = good[_i].type;
	uint32_t size = (uint32_t)good[_i].size;
	unsigned int nr_fds = good[_i].nr_fds;
	enum life_side to = good[_i].to;
	enum life_side other = to == LIFE_SIDE_CHILD ? LIFE_SIDE_SUPERVISOR :
						       LIFE_SIDE_CHILD;
	struct life_msg msg;

	/* wrong direction */
	ck_assert_int_eq(receive_raw(type, size, size, nr_fds, other, &msg),
			 -EPROTO);
	/* too long, in fact and in word */
	ck_assert_int_eq(receive_raw(type, size + 1, size + 1, nr_fds, to,
				     &msg), -EPROTO);
	ck_assert_int_eq(receive_raw(type, size, size + 1, nr_fds, to, &msg),
			 -EPROTO);
	ck_assert_int_eq(receive_raw(type, size + 1, size, nr_fds, to, &msg),
			 -EPROTO);
	/* too short */
	if (size)
		ck_assert_int_eq(receive_raw(type, size, size - 1, nr_fds, to,
					     &msg), -EPROTO);
	/* too many fds, too few */
	ck_assert_int_eq(receive_raw(type, size, size, 3, to, &msg), -EPROTO);
	if (nr_fds)
		ck_assert_int_eq(receive_raw(type, size, size, 0, to, &msg),
				 -EPROTO);
	else
		ck_assert_int_eq(receive_raw(type, size, size, 1, to, &msg),
				 -EPROTO);
}
END_TEST

START_TEST(unknown_types_and_stumps_are_refused)
{
	struct life_msg msg;

	for (uint32_t type = 0; type < 0x200; type++) {
		int known = 0;

		for (int i = 0; i < NR_GOOD; i++)
			known |= good[i].type == type;
		if (known)
			continue;
		ck_assert_int_eq(receive_raw(type, 0, 0, 0, LIFE_SIDE_CHILD,
					     &msg), -EPROTO);
		ck_assert_int_eq(receive_raw(type, 0, 0, 0,
					     LIFE_SIDE_SUPERVISOR, &msg),
				 -EPROTO);
	}
	for (size_t len = 1; len < sizeof(struct life_hdr); len++) {
		ck_assert_int_eq(fdmsg_send(pair[0], "\1\0\0\0\0\0\0\0", len,
					    NULL, 0, 100), 0);
		ck_assert_int_eq(life_recv(pair[1], LIFE_SIDE_CHILD, &msg,
					   100), -EPROTO);
	}
}
END_TEST

START_TEST(strings_without_an_end_are_refused)
{
	struct life_core_event event;
	struct life_birth birth = { .role = LIFE_ROLE_CORE };
	struct life_text text;
	struct life_msg msg;

	memset(&event, 'x', sizeof(event));
	ck_assert_int_eq(life_send(pair[0], LIFE_CORE_EVENT, &event, NULL, 0,
				   100), 0);
	ck_assert_int_eq(life_recv(pair[1], LIFE_SIDE_SUPERVISOR, &msg, 100),
			 -EPROTO);
	memset(&text, 'x', sizeof(text));
	ck_assert_int_eq(life_send(pair[0], LIFE_FAILED, &text, NULL, 0, 100),
			 0);
	ck_assert_int_eq(life_recv(pair[1], LIFE_SIDE_SUPERVISOR, &msg, 100),
			 -EPROTO);
	memset(birth.u.core.cmdline, 'x', sizeof(birth.u.core.cmdline));
	ck_assert_int_eq(life_send(pair[0], LIFE_BIRTH, &birth, NULL, 0, 100),
			 0);
	ck_assert_int_eq(life_recv(pair[1], LIFE_SIDE_CHILD, &msg, 100),
			 -EPROTO);
}
END_TEST

START_TEST(a_closed_peer_is_told_apart)
{
	struct life_msg msg;

	ck_assert_int_eq(life_recv(pair[1], LIFE_SIDE_CHILD, &msg, 0),
			 -EAGAIN);
	close(pair[0]);
	ck_assert_int_eq(life_recv(pair[1], LIFE_SIDE_CHILD, &msg, 100), 0);
	ck_assert_int_eq(life_send(pair[1], LIFE_READY, NULL, NULL, 0, 100),
			 -EPIPE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("life");
	TCase *tcase = tcase_create("life");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, a_good_message_arrives, 0, NR_GOOD);
	tcase_add_loop_test(tcase, a_bad_message_does_not, 0, NR_GOOD);
	tcase_add_test(tcase, unknown_types_and_stumps_are_refused);
	tcase_add_test(tcase, strings_without_an_end_are_refused);
	tcase_add_test(tcase, a_closed_peer_is_told_apart);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
