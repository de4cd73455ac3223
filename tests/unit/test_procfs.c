/* SPDX-License-Identifier: Apache-2.0 */
/* cli/procfs.c: what /proc says about a process that lives, is dead, is gone. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/procfs.h"

/* A name that would end the field of names too early. */
static pid_t start_child(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "a) Z 1 (b");
	for (;;)
		pause();
}

START_TEST(one_that_lives)
{
	struct proc_usage usage;
	struct proc_load load;
	pid_t pid = start_child();

	ck_assert_int_eq(proc_read_usage(pid, &usage), 0);
	ck_assert_uint_eq(usage.uid, getuid());
	ck_assert_uint_gt(usage.rss_kib, 0);
	ck_assert_int_eq(proc_read_load(pid, &load), 0);
	ck_assert(!proc_is_dying(pid));
	kill(pid, SIGSTOP);
	ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
	ck_assert(!proc_is_dying(pid));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* Until somebody has asked how it ended. */
START_TEST(one_that_is_dying)
{
	pid_t pid = start_child();
	siginfo_t info;

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert(proc_is_dying(pid));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(one_that_is_gone)
{
	struct proc_usage usage;
	struct proc_load load;
	pid_t pid = start_child();

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(!proc_is_dying(pid));
	ck_assert_int_ne(proc_read_usage(pid, &usage), 0);
	ck_assert_int_ne(proc_read_load(pid, &load), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("procfs");
	TCase *tcase = tcase_create("procfs");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, one_that_lives);
	tcase_add_test(tcase, one_that_is_dying);
	tcase_add_test(tcase, one_that_is_gone);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
