/* SPDX-License-Identifier: Apache-2.0 */
/* ipc/log.c: one line, one write, never longer than promised. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/log.h"

static char line[4 * LOG_LINE_MAX];

/* Run with fd 2 a pipe; returns what one log call wrote. */
static ssize_t capture(void (*call)(void))
{
	int saved = dup(2);
	int ends[2];
	ssize_t got;

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], 2);
	close(ends[1]);
	call();
	dup2(saved, 2);
	close(saved);
	got = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	line[got > 0 ? got : 0] = '\0';
	return got;
}

static void say_hello(void) { log_err("hello %d", 7); }
static void say_errno(void) { log_perr(ENOENT, "open %s", "x"); }
static void say_debug(void) { log_debug("quiet"); }

static void say_long(void)
{
	char text[3 * LOG_LINE_MAX];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_warn("%s", text);
}

START_TEST(lines_have_their_form)
{
	log_init("debian/vda", LOG_LEVEL_INFO);
	ck_assert_int_gt(capture(say_hello), 0);
	ck_assert_str_eq(line, "debian/vda: hello 7\n");
	log_init(NULL, LOG_LEVEL_INFO);
	ck_assert_int_gt(capture(say_errno), 0);
	ck_assert_str_eq(line, "open x: No such file or directory\n");
	ck_assert_int_eq(capture(say_debug), 0);
}
END_TEST

START_TEST(long_lines_are_cut)
{
	log_init("p", LOG_LEVEL_INFO);
	/* A raw terminal would need CR too: its place is kept. */
	ck_assert_int_eq(capture(say_long), LOG_LINE_MAX - 1);
	ck_assert_int_eq(line[LOG_LINE_MAX - 2], '\n');
}
END_TEST

static void say_foul(void) { log_err("%s", "a\nb\033[2Jc\r\t\177\xc2\x9bm \xc3\x9f"); }

START_TEST(no_control_character_gets_out)
{
	log_init("p\033", LOG_LEVEL_INFO);
	ck_assert_int_gt(capture(say_foul), 0);
	ck_assert_str_eq(line, "p?: a?b?[2Jc???\xc2?m \xc3\x9f\n");
}
END_TEST

START_TEST(a_storm_is_limited)
{
	struct log_limit limit = { 0 };
	int allowed = 0;

	for (int i = 0; i < 100000; i++)
		allowed += log_allowed(&limit, 5);
	/* burst, plus the line that says it is a burst, plus clock ticks */
	ck_assert_int_ge(allowed, 5);
	ck_assert_int_le(allowed, 10);
}
END_TEST

/* Somebody stopped reading; nothing else may stop with him. */
START_TEST(a_pipe_that_nobody_reads_stops_nobody)
{
	static char filler[1 << 20];
	int saved = dup(2);
	int ends[2];

	log_init("p", LOG_LEVEL_INFO);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(ends[1], filler, sizeof(filler)) > 0)
		;
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
	dup2(ends[1], 2);
	for (int i = 0; i < 1000; i++)
		say_hello();
	/* Somebody reads on. */
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	while (read(ends[0], filler, sizeof(filler)) > 0)
		;
	say_hello();
	dup2(saved, 2);
	ck_assert_int_gt(read(ends[0], filler, sizeof(filler)), 0);
	ck_assert_ptr_nonnull(strstr(filler, "hello"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, lines_have_their_form);
	tcase_add_test(tcase, long_lines_are_cut);
	tcase_add_test(tcase, no_control_character_gets_out);
	tcase_add_test(tcase, a_storm_is_limited);
	tcase_add_test(tcase, a_pipe_that_nobody_reads_stops_nobody);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
