/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/chardev.c: each backend with a peer that reads, is slow, is absent,
 * comes back.  The loop here is a small one whose rounds the test turns.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "devproc/chardev.h"
#include "devproc/device.h"
#include "devproc/loop.h"

/* --- in place of loop.c and life_link.c ------------------------------------- */

static int epoll_fd = -1;
static unsigned int nr_escapes;

int loop_add(struct loop_source *source, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	source->fd = fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	source->fd = -1;
	return -errno;
}

void loop_remove(struct loop_source *source)
{
	if (source->fd >= 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
}

void loop_sleep_at_most(int ms)
{
	(void)ms;
}

void device_tell(enum life_type type, const void *payload)
{
	(void)payload;
	ck_assert_int_eq(type, LIFE_ESCAPE);
	nr_escapes++;
}

/* One round: wait at most 100 ms for events, then flush.  Return: events. */
static int turn(void)
{
	struct epoll_event events[4];
	int nr = epoll_wait(epoll_fd, events, 4, 100);

	for (int i = 0; i < nr; i++) {
		struct loop_source *source = events[i].data.ptr;

		source->handle(source, events[i].events);
	}
	chardev_flush();
	return nr;
}

/* --- helpers ---------------------------------------------------------------- */

static struct life_birth birth;

static void setup(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_ge(epoll_fd, 0);
	nr_escapes = 0;
	signal(SIGPIPE, SIG_IGN);	/* as device_main() does */
	/* The numbers that the device expects must be free in this process. */
	ck_assert_int_lt(epoll_fd, RES_FD);
	ck_assert_int_eq(fcntl(RES_FD, F_GETFD), -1);
	ck_assert_int_eq(fcntl(RES2_FD, F_GETFD), -1);
}

static void begin(enum life_chardev backend)
{
	birth.u.chardev.backend = backend;
	ck_assert_int_eq(chardev_open(&birth), 0);
	ck_assert_int_eq(chardev_start(&birth), 0);
	turn();
}

/* Give fd to the device under its number, non-blocking. */
static void give(int fd, int number)
{
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
	if (fd == number)
		return;
	ck_assert_int_eq(dup2(fd, number), number);
	close(fd);
}

static void put(const char *text)
{
	chardev_put(text, strlen(text));
	chardev_flush();
}

/* Put as much as there is room for, at most max; bytes 'A' to 'Z' by place. */
static size_t put_pattern(size_t at, size_t max)
{
	size_t room = chardev_put_room();
	size_t i;

	for (i = 0; i < max && i < room; i++) {
		uint8_t byte = (uint8_t)('A' + (at + i) % 26);

		chardev_put(&byte, 1);
	}
	chardev_flush();
	return i;
}

/* Read what has come to fd; checks put_pattern()'s bytes from place at on. */
static size_t take_pattern(int fd, size_t at)
{
	uint8_t buf[4096];
	ssize_t got = read(fd, buf, sizeof(buf));

	for (ssize_t i = 0; i < got; i++)
		ck_assert_uint_eq(buf[i], 'A' + (at + (size_t)i) % 26);
	return got > 0 ? (size_t)got : 0;
}

static void expect_text(int fd, const char *text)
{
	char buf[256] = "";
	size_t len = 0;

	for (int i = 0; i < 20 && len < strlen(text); i++) {
		ssize_t got = read(fd, buf + len, sizeof(buf) - 1 - len);

		if (got > 0)
			len += (size_t)got;
		else
			turn();
	}
	ck_assert_str_eq(buf, text);
}

static void expect_input(const char *text)
{
	char buf[256] = "";
	size_t len = 0;

	for (int i = 0; i < 20 && len < strlen(text); i++) {
		len += chardev_get(buf + len, 3);
		turn();
	}
	len += chardev_get(buf + len, sizeof(buf) - 1 - len);
	buf[len] = '\0';
	ck_assert_str_eq(buf, text);
}

/* A peer that does not read: the device must come to hold back. */
static size_t fill_up(void)
{
	size_t sent = 0;
	int i;

	for (i = 0; i < 200 && chardev_put_room() > 0; i++)
		sent += put_pattern(sent, 16384);
	ck_assert_uint_eq(chardev_put_room(), 0);
	ck_assert_uint_gt(sent, CHARDEV_OUT_BYTES);
	return sent;
}

static void drain(int fd, size_t sent)
{
	size_t seen = 0;

	for (int i = 0; i < 1000 && seen < sent; i++) {
		size_t got = take_pattern(fd, seen);

		seen += got;
		if (got == 0)
			turn();
	}
	ck_assert_uint_eq(seen, sent);
	ck_assert_uint_eq(chardev_put_room(), CHARDEV_OUT_BYTES);
}

/* Nobody there: far more than all buffers goes through without a wait. */
static void expect_dropped(void)
{
	for (int i = 0; i < 256; i++)
		ck_assert_uint_eq(put_pattern(0, 16384), 16384);
}

/* --- nothing, file ---------------------------------------------------------- */

START_TEST(null_takes_all_and_gives_nothing)
{
	char byte;

	begin(LIFE_CHARDEV_NULL);
	expect_dropped();
	ck_assert_uint_eq(chardev_get(&byte, 1), 0);
}
END_TEST

START_TEST(file_is_appended_to)
{
	char path[] = "/tmp/test-chardev-XXXXXX";
	int fd = mkstemp(path);
	int back = open(path, O_RDONLY);

	unlink(path);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	ck_assert_int_eq(write(fd, "old ", 4), 4);
	give(fd, RES2_FD);
	begin(LIFE_CHARDEV_FILE);
	put("new");
	expect_text(back, "old new");
	ck_assert_uint_eq(chardev_get(path, 1), 0);
}
END_TEST

START_TEST(full_disk_loses_output_and_nothing_else)
{
	const struct rlimit limit = { .rlim_cur = 100000,
				      .rlim_max = 100000 };
	char path[] = "/tmp/test-chardev-XXXXXX";
	int fd = mkstemp(path);
	struct stat st;

	unlink(path);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	give(fd, RES2_FD);
	begin(LIFE_CHARDEV_FILE);
	expect_dropped();
	ck_assert_int_eq(fstat(RES2_FD, &st), 0);
	ck_assert_int_eq(st.st_size, 100000);
}
END_TEST

/* --- terminal --------------------------------------------------------------- */

static int keys_fd, screen_fd;

static void begin_terminal(void)
{
	int keys[2], screen[2];

	ck_assert_int_eq(pipe(keys), 0);
	ck_assert_int_eq(pipe(screen), 0);
	keys_fd = dup2(keys[1], 20);
	screen_fd = dup2(screen[0], 21);
	close(keys[1]);
	close(screen[0]);
	fcntl(screen_fd, F_SETFL, O_NONBLOCK);
	give(keys[0], RES_FD);
	give(screen[1], RES2_FD);
	begin(LIFE_CHARDEV_TERMINAL);
}

static const struct {
	const char *keys, *input;
	unsigned int escapes;
} escapes[] = {
	{ "plain", "plain", 0 },
	{ "\x01x", "", 1 },
	{ "a\x01xb\x01x", "ab", 2 },
	{ "\x01\x01", "\x01", 0 },
	{ "\x01\x01x", "\x01x", 0 },
	{ "\x01\x01\x01x", "\x01", 1 },
	{ "\x01""c", "\x01""c", 0 },
	{ "\x01""cx", "\x01""cx", 0 },
	{ "x\x01", "x", 0 },
};
#define NR_ESCAPES ((int)(sizeof(escapes) / sizeof(*escapes)))

START_TEST(escape_in_one_read)
{
	begin_terminal();
	ck_assert_int_gt(write(keys_fd, escapes[_i].keys,
			       strlen(escapes[_i].keys)), 0);
	turn();
	expect_input(escapes[_i].input);
	ck_assert_uint_eq(nr_escapes, escapes[_i].escapes);
}
END_TEST

START_TEST(escape_key_by_key)
{
	char buf[64] = "";
	size_t len = 0;

	begin_terminal();
	for (const char *key = escapes[_i].keys; *key; key++) {
		ck_assert_int_eq(write(keys_fd, key, 1), 1);
		turn();
		len += chardev_get(buf + len, 8);
	}
	ck_assert_str_eq(buf, escapes[_i].input);
	ck_assert_uint_eq(nr_escapes, escapes[_i].escapes);
}
END_TEST

START_TEST(terminal_holds_back_for_a_slow_screen)
{
	begin_terminal();
	drain(screen_fd, fill_up());
}
END_TEST

START_TEST(terminal_without_input_goes_on_showing)
{
	char byte;

	begin_terminal();
	ck_assert_int_eq(write(keys_fd, "z", 1), 1);
	close(keys_fd);
	turn();
	ck_assert_uint_eq(chardev_get(&byte, 1), 1);
	ck_assert_uint_eq(chardev_get(&byte, 1), 0);
	put("still here");
	expect_text(screen_fd, "still here");
	ck_assert_int_eq(turn(), 0);
}
END_TEST

START_TEST(terminal_that_went_away_is_dropped)
{
	begin_terminal();
	close(screen_fd);
	expect_dropped();
}
END_TEST

/* More input than all buffers: every byte comes, none is lost to an edge. */
START_TEST(input_from_a_regular_file)
{
	char path[] = "/tmp/test-chardev-XXXXXX";
	int fd = mkstemp(path);
	char buf[100];
	size_t got, seen = 0;

	unlink(path);
	for (int i = 0; i < 20000; i++)
		ck_assert_int_eq(write(fd, &"0123456789"[i % 10], 1), 1);
	lseek(fd, 0, SEEK_SET);
	give(fd, RES_FD);
	give(open("/dev/null", O_WRONLY), RES2_FD);
	begin(LIFE_CHARDEV_TERMINAL);
	while ((got = chardev_get(buf, sizeof(buf))) > 0)
		for (size_t i = 0; i < got; i++)
			ck_assert_int_eq(buf[i], '0' + (int)(seen++ % 10));
	ck_assert_uint_eq(seen, 20000);
}
END_TEST

/* --- pty -------------------------------------------------------------------- */

static char pty_name[64];

static void begin_pty(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	struct termios line;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(grantpt(fd), 0);
	ck_assert_int_eq(unlockpt(fd), 0);
	ck_assert_int_eq(tcgetattr(fd, &line), 0);
	cfmakeraw(&line);
	ck_assert_int_eq(tcsetattr(fd, TCSANOW, &line), 0);
	ck_assert_int_eq(ptsname_r(fd, pty_name, sizeof(pty_name)), 0);
	give(fd, RES_FD);
	begin(LIFE_CHARDEV_PTY);
}

static int open_slave(void)
{
	int fd = open(pty_name, O_RDWR | O_NOCTTY | O_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(pty_without_a_reader_loses_output_and_sleeps)
{
	begin_pty();
	expect_dropped();
	turn();
	ck_assert_int_eq(turn(), 0);
}
END_TEST

START_TEST(pty_readers_come_and_go)
{
	char byte;

	begin_pty();
	for (int i = 0; i < 3; i++) {
		int slave = open_slave();

		put("hello");
		expect_text(slave, "hello");
		ck_assert_int_eq(write(slave, "typed", 5), 5);
		expect_input("typed");
		close(slave);
		turn();
		ck_assert_uint_eq(chardev_get(&byte, 1), 0);
		expect_dropped();
		ck_assert_int_eq(turn(), 0);
	}
}
END_TEST

START_TEST(pty_holds_back_for_a_slow_reader)
{
	int slave;

	begin_pty();
	slave = open_slave();
	drain(slave, fill_up());
}
END_TEST

/* --- socket ----------------------------------------------------------------- */

/* Return: the far end. */
static int attach(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				    pair), 0);
	chardev_attach(pair[1]);
	turn();
	return pair[0];
}

START_TEST(socket_peers_come_and_go)
{
	begin(LIFE_CHARDEV_SOCKET);
	expect_dropped();
	for (int i = 0; i < 3; i++) {
		int peer = attach();

		put("hello");
		expect_text(peer, "hello");
		ck_assert_int_eq(write(peer, "typed", 5), 5);
		expect_input("typed");
		close(peer);
		turn();
		expect_dropped();
		ck_assert_int_eq(turn(), 0);
	}
}
END_TEST

START_TEST(socket_second_peer_replaces_the_first)
{
	int first, second;
	char byte;

	begin(LIFE_CHARDEV_SOCKET);
	first = attach();
	second = attach();
	ck_assert_int_eq(read(first, &byte, 1), 0);
	put("hello");
	expect_text(second, "hello");
}
END_TEST

START_TEST(socket_holds_back_for_a_slow_peer)
{
	int peer;

	begin(LIFE_CHARDEV_SOCKET);
	peer = attach();
	drain(peer, fill_up());
}
END_TEST

START_TEST(socket_peer_that_leaves_frees_the_guest)
{
	int peer;

	begin(LIFE_CHARDEV_SOCKET);
	peer = attach();
	fill_up();
	close(peer);
	turn();
	expect_dropped();
}
END_TEST

/* echo command | nc -U socket: it is still shown the answer. */
START_TEST(socket_peer_that_has_said_all_goes_on_seeing)
{
	int peer;

	begin(LIFE_CHARDEV_SOCKET);
	peer = attach();
	ck_assert_int_eq(write(peer, "typed", 5), 5);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	expect_input("typed");
	put("answer");
	expect_text(peer, "answer");
	close(peer);
	turn();
	expect_dropped();
	ck_assert_int_eq(turn(), 0);
}
END_TEST

START_TEST(attach_to_another_backend_closes_the_fd)
{
	int pair[2];

	begin(LIFE_CHARDEV_NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	chardev_attach(pair[1]);
	ck_assert_int_eq(fcntl(pair[1], F_GETFD), -1);
}
END_TEST

/* --- options ---------------------------------------------------------------- */

START_TEST(options)
{
	ck_assert_int_eq(chardev_option(&birth, "terminal", ""), 0);
	ck_assert_int_eq(birth.u.chardev.backend, LIFE_CHARDEV_TERMINAL);
	ck_assert_int_eq(chardev_option(&birth, "terminal", "x"), -EINVAL);
	ck_assert_int_eq(chardev_option(&birth, "file", ""), -EINVAL);
	ck_assert_int_eq(chardev_option(&birth, "baud", "9600"), -ENOENT);
	ck_assert_int_eq(chardev_option(&birth, "file", "/nowhere/x"), 0);
	ck_assert_int_eq(chardev_acquire(&birth), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chardev");
	TCase *tcase = tcase_create("chardev");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, null_takes_all_and_gives_nothing);
	tcase_add_test(tcase, file_is_appended_to);
	tcase_add_test(tcase, full_disk_loses_output_and_nothing_else);
	tcase_add_loop_test(tcase, escape_in_one_read, 0, NR_ESCAPES);
	tcase_add_loop_test(tcase, escape_key_by_key, 0, NR_ESCAPES);
	tcase_add_test(tcase, terminal_holds_back_for_a_slow_screen);
	tcase_add_test(tcase, terminal_without_input_goes_on_showing);
	tcase_add_test(tcase, terminal_that_went_away_is_dropped);
	tcase_add_test(tcase, input_from_a_regular_file);
	tcase_add_test(tcase, pty_without_a_reader_loses_output_and_sleeps);
	tcase_add_test(tcase, pty_readers_come_and_go);
	tcase_add_test(tcase, pty_holds_back_for_a_slow_reader);
	tcase_add_test(tcase, socket_peers_come_and_go);
	tcase_add_test(tcase, socket_second_peer_replaces_the_first);
	tcase_add_test(tcase, socket_holds_back_for_a_slow_peer);
	tcase_add_test(tcase, socket_peer_that_leaves_frees_the_guest);
	tcase_add_test(tcase, socket_peer_that_has_said_all_goes_on_seeing);
	tcase_add_test(tcase, attach_to_another_backend_closes_the_fd);
	tcase_add_test(tcase, options);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
