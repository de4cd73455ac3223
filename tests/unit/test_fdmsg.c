/* SPDX-License-Identifier: Apache-2.0 */
/* ipc/fdmsg.c: fds arrive once, close-on-exec, or not at all; deadlines. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/vhost_user.h"

static int pair[2];

static void make_pair(int type)
{
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
}

static int count_open_fds(void)
{
	int nr = 0;

	for (int fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

START_TEST(fd_arrives_close_on_exec)
{
	unsigned int nr_fds = 1;
	int fd = -1;
	char byte;

	make_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(fdmsg_send(pair[0], "x", 1, &pair[0], 1, 100), 0);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, &fd, &nr_fds, 100), 1);
	ck_assert_uint_eq(nr_fds, 1);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

START_TEST(unwanted_fds_are_closed)
{
	int fds[3] = { 0, 1, 2 };
	unsigned int nr_fds = 2;
	int got[2];
	int before;
	char byte;

	make_pair(SOCK_SEQPACKET);
	before = count_open_fds();
	ck_assert_int_eq(fdmsg_send(pair[0], "x", 1, fds, 3, 100), 0);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, got, &nr_fds, 100),
			 -EPROTO);
	ck_assert_int_eq(fdmsg_send(pair[0], "x", 1, fds, 1, 100), 0);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, NULL, NULL, 100),
			 -EPROTO);
	ck_assert_int_eq(count_open_fds(), before);
}
END_TEST

START_TEST(more_fds_than_the_buffer_holds_are_refused)
{
	char control[CMSG_SPACE(sizeof(int) * 64)] = { 0 };
	struct iovec iov = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);
	unsigned int nr_fds = FDMSG_MAX_FDS;
	int got[FDMSG_MAX_FDS];
	int before;
	char byte;

	make_pair(SOCK_SEQPACKET);
	before = count_open_fds();
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * 64);
	ck_assert_int_eq(sendmsg(pair[0], &hdr, 0), 1);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, got, &nr_fds, 100),
			 -EPROTO);
	ck_assert_int_eq(count_open_fds(), before);
}
END_TEST

START_TEST(credentials_are_not_taken_for_fds)
{
	unsigned int nr_fds = 1;
	int on = 1;
	char byte;
	int fd;

	make_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on,
				    sizeof(on)), 0);
	ck_assert_int_eq(fdmsg_send(pair[0], "x", 1, NULL, 0, 100), 0);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, &fd, &nr_fds, 100),
			 -EPROTO);
}
END_TEST

START_TEST(a_cut_datagram_is_refused)
{
	char two[2];

	make_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(fdmsg_send(pair[0], "abc", 3, NULL, 0, 100), 0);
	ck_assert_int_eq(fdmsg_recv(pair[1], two, 2, NULL, NULL, 100),
			 -EPROTO);
}
END_TEST

/* recv(2) says 0 for it, as for the end. */
START_TEST(an_empty_datagram_is_not_the_end)
{
	unsigned int nr_fds = 1;
	char byte;
	int fd;

	make_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(send(pair[0], "", 0, 0), 0);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, &fd, &nr_fds, 100),
			 -EPROTO);
	close(pair[0]);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, &fd, &nr_fds, 100), 0);
}
END_TEST

START_TEST(deadlines_hold)
{
	long long start;
	char byte;

	make_pair(SOCK_STREAM);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, NULL, NULL, 0),
			 -EAGAIN);
	start = fdmsg_now_ms();
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, NULL, NULL, 50),
			 -ETIMEDOUT);
	ck_assert_int_ge(fdmsg_now_ms() - start, 49);
	ck_assert_int_eq(fdmsg_send(pair[0], "x", 1, NULL, 0, 50), 0);
	ck_assert_int_eq(fdmsg_recv_exact(pair[1], (char[2]){ 0 }, 2, 50),
			 -ETIMEDOUT);
}
END_TEST

/* The header's rest comes late, and its payload never. */
static void *answer_in_drops(void *unused)
{
	static const struct vhost_user_hdr hdr = {
		VHOST_USER_GET_FEATURES,
		VHOST_USER_VERSION | VHOST_USER_REPLY_MASK, 8,
	};

	ck_assert_int_eq(fdmsg_send(pair[0], &hdr, 6, NULL, 0, 50), 0);
	usleep(1400000);
	ck_assert_int_eq(fdmsg_send(pair[0], (const char *)&hdr + 6, 6, NULL,
				    0, 50), 0);
	return unused;
}

/* Return: milliseconds that it took to give up. */
static long long wait_for_drops(void)
{
	long long start = fdmsg_now_ms(), took;
	pthread_t peer;
	uint64_t features;

	make_pair(SOCK_STREAM);
	ck_assert_int_eq(pthread_create(&peer, NULL, answer_in_drops, NULL),
			 0);
	ck_assert_int_eq(vhost_user_recv_reply(pair[1],
			 VHOST_USER_GET_FEATURES, &features, sizeof(features),
			 sizeof(features), NULL, 1500), -ETIMEDOUT);
	took = fdmsg_now_ms() - start;
	pthread_join(peer, NULL);
	close(pair[0]);
	close(pair[1]);
	return took;
}

/* Two would take 2900 each time; a busy machine may, but not thrice. */
START_TEST(a_reply_has_one_deadline)
{
	long long took = 0;

	for (int tries = 0; tries < 3; tries++) {
		took = wait_for_drops();
		ck_assert_int_ge(took, 1499);
		if (took < 2700)
			return;
	}
	ck_abort_msg("took %lld ms", took);
}
END_TEST

START_TEST(a_full_stream_times_out)
{
	static char megabyte[1 << 20];

	make_pair(SOCK_STREAM);
	ck_assert_int_eq(fdmsg_send(pair[0], megabyte, sizeof(megabyte), NULL,
				    0, 50), -ETIMEDOUT);
}
END_TEST

/* Who ends without having read all is heard all the same. */
START_TEST(the_last_word_of_who_did_not_listen_arrives)
{
	char byte = 0;

	make_pair(_i == 0 ? SOCK_SEQPACKET : SOCK_STREAM);
	ck_assert_int_eq(fdmsg_send(pair[1], "y", 1, NULL, 0, 100), 0);
	ck_assert_int_eq(fdmsg_send(pair[0], "x", 1, NULL, 0, 100), 0);
	close(pair[0]);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, NULL, NULL, 100), 1);
	ck_assert_int_eq(byte, 'x');
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, NULL, NULL, 100), 0);
}
END_TEST

START_TEST(a_closed_peer_is_told_apart)
{
	char byte;

	make_pair(SOCK_STREAM);
	close(pair[0]);
	ck_assert_int_eq(fdmsg_recv(pair[1], &byte, 1, NULL, NULL, 50), 0);
	ck_assert_int_eq(fdmsg_recv_exact(pair[1], &byte, 1, 50), -EPIPE);
	ck_assert_int_eq(fdmsg_send(pair[1], "x", 1, NULL, 0, 50), -EPIPE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fdmsg");
	TCase *tcase = tcase_create("fdmsg");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, fd_arrives_close_on_exec);
	tcase_add_test(tcase, unwanted_fds_are_closed);
	tcase_add_test(tcase, more_fds_than_the_buffer_holds_are_refused);
	tcase_add_test(tcase, credentials_are_not_taken_for_fds);
	tcase_add_test(tcase, a_cut_datagram_is_refused);
	tcase_add_test(tcase, an_empty_datagram_is_not_the_end);
	tcase_add_test(tcase, deadlines_hold);
	tcase_add_test(tcase, a_reply_has_one_deadline);
	tcase_add_test(tcase, a_full_stream_times_out);
	tcase_add_test(tcase, a_closed_peer_is_told_apart);
	tcase_add_loop_test(tcase, the_last_word_of_who_did_not_listen_arrives,
			    0, 2);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
