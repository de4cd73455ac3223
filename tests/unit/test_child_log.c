/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/child_log.c: what a child may put into the supervisor's log: printable
 * lines of bounded length, at a bounded rate, under its own name.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/children.h"

#define MANY	1000

static const struct config config = { .name = (char[]){ "debian" } };
static struct vm vm = { .cfg = &config };
static struct child child;
static int child_end;
static char out[MANY * 64];

static void set_up(void)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 1 << 17), 0);
	vm.loop_fd = loop_open();
	ck_assert_int_ge(vm.loop_fd, 0);
	child = (struct child){ .vm = &vm, .name = "vda", .birth.pid = 17 };
	child.log_fd = ends[0];
	child.log_pipe.fd = -1;
	child_end = ends[1];
}

static void tear_down(void)
{
	close(child.log_fd);
	close(child_end);
	close(vm.loop_fd);
}

static void child_says(const void *text, size_t len)
{
	ck_assert_int_eq(write(child_end, text, len), (ssize_t)len);
}

/* What the supervisor's log has got when the pipe has been read. */
static const char *logged(bool final)
{
	char path[] = "/tmp/test_child_log.XXXXXX";
	int saved = dup(2);
	int file = mkstemp(path);
	ssize_t len;

	ck_assert_int_ge(file, 0);
	unlink(path);
	dup2(file, 2);
	child_log_read(&child, final);
	dup2(saved, 2);
	close(saved);
	len = pread(file, out, sizeof(out) - 1, 0);
	close(file);
	out[len > 0 ? len : 0] = '\0';
	return out;
}

static unsigned int count_lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

START_TEST(lines_carry_the_childs_name)
{
	child_says("one\ntwo\n", 8);
	ck_assert_str_eq(logged(false),
			 "debian/vda[17]: one\ndebian/vda[17]: two\n");
}
END_TEST

START_TEST(a_line_may_come_in_pieces)
{
	child_says("on", 2);
	ck_assert_str_eq(logged(false), "");
	child_says("e\n", 2);
	ck_assert_str_eq(logged(false), "debian/vda[17]: one\n");
}
END_TEST

START_TEST(the_last_piece_counts_at_death)
{
	child_says("last wor", 8);
	ck_assert_str_eq(logged(true), "debian/vda[17]: last wor\n");
}
END_TEST

START_TEST(nothing_but_printable_characters)
{
	child_says("a\033[2J\r\0\377\tb\n", 11);
	ck_assert_str_eq(logged(false), "debian/vda[17]: a?[2J????b\n");
}
END_TEST

START_TEST(long_lines_are_cut)
{
	char text[3000];

	memset(text, 'x', sizeof(text));
	memcpy(text + sizeof(text) - 7, "\nshort\n", 7);
	child_says(text, sizeof(text));
	logged(false);
	ck_assert_uint_eq(count_lines(out), 2);
	ck_assert_int_le(strchr(out, '\n') - out, LOG_LINE_MAX);
	ck_assert_ptr_nonnull(strstr(out, "\ndebian/vda[17]: short\n"));
}
END_TEST

START_TEST(empty_lines_are_dropped)
{
	child_says("\n\n\n", 3);
	ck_assert_str_eq(logged(true), "");
}
END_TEST

START_TEST(a_flood_is_counted_not_printed)
{
	unsigned int dropped = 0, printed;
	const char *note;

	for (int i = 0; i < MANY; i++)
		child_says("flood\n", 6);
	logged(true);
	printed = count_lines(out);
	note = strstr(out, " log lines dropped");
	ck_assert_ptr_nonnull(note);
	while (note > out && note[-1] != ' ')
		note--;
	ck_assert_int_eq(sscanf(note, "%u", &dropped), 1);
	ck_assert_uint_lt(printed, MANY / 2);
	ck_assert_uint_eq(printed - 1 + dropped, MANY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("child_log");
	TCase *tcase = tcase_create("child_log");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, lines_carry_the_childs_name);
	tcase_add_test(tcase, a_line_may_come_in_pieces);
	tcase_add_test(tcase, the_last_piece_counts_at_death);
	tcase_add_test(tcase, nothing_but_printable_characters);
	tcase_add_test(tcase, long_lines_are_cut);
	tcase_add_test(tcase, empty_lines_are_dropped);
	tcase_add_test(tcase, a_flood_is_counted_not_printed);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
