/* SPDX-License-Identifier: Apache-2.0 */
/* vmm-core/chores.c: what blocks does so without us. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"
#include "vmm-core/chores.h"

#define SOON_MS	2000
#define NR_FDS	800	/* open at once, within the usual limit of 1024 */

static void setup(void)
{
	log_init("test", LOG_LEVEL_ERR);
	ck_assert_int_eq(chores_start(), 0);
}

START_TEST(fds_are_closed)
{
	struct pollfd pfd = { .events = POLLIN };
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	chores_close(ends[1]);
	pfd.fd = ends[0];
	ck_assert_int_eq(poll(&pfd, 1, SOON_MS), 1);
	ck_assert(pfd.revents & POLLHUP);
}
END_TEST

/* As a hostile back-end leaves it: full, and blocking. */
START_TEST(a_full_eventfd_holds_nobody_up)
{
	const uint64_t full = UINT64_MAX - 1;
	long long begin_ms = fdmsg_now_ms();
	int event_fd = eventfd(0, 0);
	uint64_t count;

	ck_assert_int_eq(write(event_fd, &full, sizeof(full)), sizeof(full));
	/* More than will ever be waiting: the rest is left undone. */
	for (int i = 0; i < 3 * CHORES_MAX_WAKES; i++)
		chores_wake(event_fd);
	ck_assert_int_lt(fdmsg_now_ms() - begin_ms, SOON_MS);
	ck_assert_int_eq(read(event_fd, &count, sizeof(count)),
			 sizeof(count));
	ck_assert_uint_eq(count, full);
	/* What was waiting is done then. */
	ck_assert_int_eq(read(event_fd, &count, sizeof(count)),
			 sizeof(count));
	ck_assert_uint_ge(count, 1);
	ck_assert_uint_le(count, CHORES_MAX_WAKES + 1);
}
END_TEST

/*
 * Behind a write that blocks, as many fds as several messages can carry: each
 * that stayed open would be one less for those that devices need.
 */
START_TEST(no_fd_is_forgotten)
{
	const uint64_t full = UINT64_MAX - 1;
	long long end_ms = fdmsg_now_ms() + SOON_MS;
	int event_fd = eventfd(0, 0);
	int fds[NR_FDS];
	uint64_t count;

	for (int i = 0; i < NR_FDS; i++)
		ck_assert_int_ge(fds[i] = dup(event_fd), 0);
	ck_assert_int_eq(write(event_fd, &full, sizeof(full)), sizeof(full));
	for (int i = 0; i < 2 * CHORES_MAX_WAKES; i++)
		chores_wake(event_fd);
	for (int i = 0; i < NR_FDS; i++)
		chores_close(fds[i]);
	ck_assert_int_eq(read(event_fd, &count, sizeof(count)),
			 sizeof(count));
	for (int i = 0; i < NR_FDS; i++)
		while (fcntl(fds[i], F_GETFD) >= 0) {
			ck_assert_int_lt(fdmsg_now_ms(), end_ms);
			poll(NULL, 0, 1);
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chores");
	TCase *tc = tcase_create("chores");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, fds_are_closed);
	tcase_add_test(tc, a_full_eventfd_holds_nobody_up);
	tcase_add_test(tc, no_fd_is_forgotten);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
