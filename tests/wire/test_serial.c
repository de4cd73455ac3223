/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real bulkhead-serial, confined, with the test in the places of core,
 * supervisor and host.  Registers by regchan, like a guest's accesses.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/regchan.h"
#include "tests/wire/child.h"

enum { THR = 0, RBR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5,
       MSR = 6, SCR = 7 };

#define LSR_DR		0x01
#define LSR_THRE	0x20

static struct child child;
static uint32_t next_seq;
static int irq = -1;

static void start(enum life_chardev backend, int res_fd, int res2_fd)
{
	const struct child_spec spec = {
		.role = "serial", .life_role = LIFE_ROLE_SERIAL,
		.backend = backend, .link_type = SOCK_SEQPACKET,
		.res_fd = res_fd, .res2_fd = res2_fd,
	};

	child_start(&child, &spec);
}

/* --- a guest's accesses ------------------------------------------------------ */

static uint32_t in_sized(uint16_t offset, uint8_t size)
{
	struct regchan_request req = { .seq = next_seq++, .offset = offset,
				       .size = size };
	uint32_t value = 0;

	ck_assert_int_eq(regchan_read(child.link, &req, &value,
				      CHILD_TIMEOUT_MS), 0);
	return value;
}

static void out_sized(uint16_t offset, uint32_t value, uint8_t size)
{
	struct regchan_request req = { .op = REGCHAN_WRITE, .offset = offset,
				       .size = size, .value = value };

	ck_assert_int_eq(regchan_post(child.link, &req, -1, CHILD_TIMEOUT_MS),
			 0);
}

static uint8_t in(uint16_t reg)
{
	return (uint8_t)in_sized(reg, 1);
}

static void out(uint16_t reg, uint8_t value)
{
	out_sized(reg, value, 1);
}

/* Linux's state of an open port, and its interrupt. */
static void open_port(uint8_t ier)
{
	struct regchan_request req = { .op = REGCHAN_SET_IRQ };

	irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_ge(irq, 0);
	ck_assert_int_eq(regchan_post(child.link, &req, irq, CHILD_TIMEOUT_MS),
			 0);
	out(FCR, 0x07);
	out(FCR, 0x81);
	out(LCR, 0x03);
	out(MCR, 0x0b);
	out(IER, ier);
}

/* Wait for an edge.  Return: how many came. */
static uint64_t wait_irq(int timeout_ms)
{
	struct pollfd pfd = { .fd = irq, .events = POLLIN };
	uint64_t edges = 0;

	if (poll(&pfd, 1, timeout_ms) == 1)
		ck_assert_int_eq(read(irq, &edges, sizeof(edges)), 8);
	return edges;
}

/* Read from a host side until text has come. */
static void expect_text(int fd, const char *text)
{
	char buf[256] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t got;

		ck_assert_int_eq(poll(&pfd, 1, CHILD_TIMEOUT_MS), 1);
		got = read(fd, buf + len, sizeof(buf) - 1 - len);
		ck_assert_int_gt(got, 0);
		len += (size_t)got;
	}
	ck_assert_str_eq(buf, text);
}

/* Receive text by interrupt, as Linux's handler does. */
static void expect_received(const char *text)
{
	char buf[256] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		ck_assert_uint_gt(wait_irq(CHILD_TIMEOUT_MS), 0);
		while (!(in(IIR) & 0x01))
			while ((in(LSR) & LSR_DR) && len < sizeof(buf) - 1)
				buf[len++] = (char)in(RBR);
	}
	ck_assert_str_eq(buf, text);
}

static void send_text(const char *text)
{
	for (; *text; text++)
		out(THR, (uint8_t)*text);
}

/* --- registers ---------------------------------------------------------------- */

START_TEST(linux_finds_a_16550a)
{
	start(LIFE_CHARDEV_NULL, -1, -1);
	out(IER, 0x00);
	ck_assert_uint_eq(in(IER), 0x00);
	out(IER, 0x0f);
	ck_assert_uint_eq(in(IER), 0x0f);
	out(IER, 0x00);
	out(MCR, 0x1a);
	ck_assert_uint_eq(in(MSR) & 0xf0, 0x90);
	out(MCR, 0x00);
	out(FCR, 0x01);
	ck_assert_uint_eq(in(IIR), 0xc1);
	out(SCR, 0x5a);
	ck_assert_uint_eq(in(SCR), 0x5a);
	child_stop(&child);
	ck_assert_uint_eq(child.stats->register_reads, 5);
	ck_assert_uint_eq(child.stats->register_writes, 7);
}
END_TEST

START_TEST(wide_and_stray_accesses)
{
	start(LIFE_CHARDEV_NULL, -1, -1);
	out_sized(LCR, 0x0803, 2);
	ck_assert_uint_eq(in(LCR), 0x03);
	ck_assert_uint_eq(in(MCR), 0x08);
	ck_assert_uint_eq(in_sized(LCR, 4), 0xb0600803);
	ck_assert_uint_eq(in_sized(SCR, 2), 0xff00);
	ck_assert_uint_eq(in_sized(8, 1), 0xff);
	out_sized(0xffff, 0x12345678, 4);
	ck_assert_uint_eq(in_sized(0xffff, 4), 0xffffffff);
	child_stop(&child);
}
END_TEST

START_TEST(reset_restores_power_on_values)
{
	struct regchan_request req = { .op = REGCHAN_RESET };

	start(LIFE_CHARDEV_NULL, -1, -1);
	open_port(0x0f);
	out(SCR, 0x77);
	ck_assert_int_eq(regchan_post(child.link, &req, -1, CHILD_TIMEOUT_MS),
			 0);
	ck_assert_uint_eq(in(IER), 0x00);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert_uint_eq(in(MCR), 0x00);
	ck_assert_uint_eq(in(SCR), 0x00);
	child_stop(&child);
}
END_TEST

/* --- characters and interrupts -------------------------------------------------- */

/* earlyprintk and the console of Linux: THRE polled before each character. */
START_TEST(polled_output_reaches_a_file)
{
	const char *text = "Linux version 6.1.0\r\n";
	int back;
	int file = child_temporary(&back);

	start(LIFE_CHARDEV_FILE, -1, file);
	out(IER, 0x00);
	out(FCR, 0x00);
	out(MCR, 0x03);
	for (const char *c = text; *c; c++) {
		ck_assert_uint_eq(in(LSR) & LSR_THRE, LSR_THRE);
		out(THR, (uint8_t)*c);
	}
	child_stop(&child);
	expect_text(back, text);
	ck_assert_uint_eq(child.stats->queue[0].bytes_written, strlen(text));
}
END_TEST

/* A guest that never looks: posted writes keep their order and are all kept. */
START_TEST(posted_output_is_not_lost)
{
	static char seen[100000];
	size_t len = 0;
	int back;
	int file = child_temporary(&back);
	ssize_t got;

	start(LIFE_CHARDEV_FILE, -1, file);
	open_port(0x00);
	for (int i = 0; i < (int)sizeof(seen); i++)
		out(THR, (uint8_t)('A' + i % 26));
	child_stop(&child);
	while ((got = read(back, seen + len, sizeof(seen) - len)) > 0)
		len += (size_t)got;
	ck_assert_uint_eq(len, sizeof(seen));
	for (int i = 0; i < (int)sizeof(seen); i++)
		ck_assert_int_eq(seen[i], 'A' + i % 26);
}
END_TEST

START_TEST(transmit_interrupt)
{
	start(LIFE_CHARDEV_NULL, -1, -1);
	open_port(0x02);
	ck_assert_uint_eq(wait_irq(CHILD_TIMEOUT_MS), 1);
	ck_assert_uint_eq(in(IIR), 0xc2);
	ck_assert_uint_eq(in(IIR), 0xc1);
	ck_assert_uint_eq(wait_irq(50), 0);
	for (int i = 0; i < 20; i++) {
		send_text("sixteen at once.");
		ck_assert_uint_gt(wait_irq(CHILD_TIMEOUT_MS), 0);
		while (!(in(IIR) & 0x01))
			;
		wait_irq(0);
	}
	out(IER, 0x00);
	ck_assert_uint_eq(in(IIR), 0xc1);
	ck_assert_uint_eq(wait_irq(50), 0);
	child_stop(&child);
}
END_TEST

START_TEST(interrupt_that_was_pending_before_set_irq)
{
	start(LIFE_CHARDEV_NULL, -1, -1);
	out(MCR, 0x08);
	out(IER, 0x02);
	ck_assert_uint_eq(in(IER), 0x02);
	open_port(0x02);
	ck_assert_uint_gt(wait_irq(CHILD_TIMEOUT_MS), 0);
	child_stop(&child);
}
END_TEST

/* --- socket --------------------------------------------------------------------- */

START_TEST(socket_both_ways)
{
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	open_port(0x01);
	for (int i = 0; i < 3; i++) {
		peer = child_attach(&child);
		send_text("login: ");
		expect_text(peer, "login: ");
		ck_assert_int_eq(write(peer, "root, who types more than sixteen "
				       "characters at once\r", 53), 53);
		expect_received("root, who types more than sixteen characters "
				"at once\r");
		close(peer);
		child_synchronise(&child);
		send_text("nobody listens");
		ck_assert_uint_eq(in(LSR) & LSR_THRE, LSR_THRE);
	}
	child_stop(&child);
}
END_TEST

/* A slow reader takes THRE away; reading gives it back with an interrupt. */
static void slow_reader(int host)
{
	size_t sent = 0, seen = 0;
	uint8_t buf[4096];
	ssize_t got;

	open_port(0x00);
	while (sent < 8000000 && (in(LSR) & LSR_THRE))
		for (int i = 0; i < 16; i++)
			out(THR, (uint8_t)('A' + sent++ % 26));
	ck_assert_uint_lt(sent, 8000000);
	out(IER, 0x02);
	ck_assert_uint_eq(wait_irq(50), 0);
	while (seen < sent) {
		struct pollfd pfd = { .fd = host, .events = POLLIN };

		ck_assert_int_eq(poll(&pfd, 1, CHILD_TIMEOUT_MS), 1);
		got = read(host, buf, sizeof(buf));
		ck_assert_int_gt(got, 0);
		for (ssize_t i = 0; i < got; i++)
			ck_assert(buf[i] == 'A' + seen++ % 26);
	}
	ck_assert_uint_eq(wait_irq(CHILD_TIMEOUT_MS), 1);
	ck_assert_uint_eq(in(IIR), 0xc2);
	ck_assert_uint_eq(in(LSR), 0x60);
}

START_TEST(socket_holds_the_guest_back)
{
	int peer;

	start(LIFE_CHARDEV_SOCKET, -1, -1);
	peer = child_attach(&child);
	slow_reader(peer);
	child_stop(&child);
}
END_TEST

/* --- pty and terminal ------------------------------------------------------------- */

static int make_pty(char *name, size_t name_bytes)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios line;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(grantpt(fd), 0);
	ck_assert_int_eq(unlockpt(fd), 0);
	ck_assert_int_eq(tcgetattr(fd, &line), 0);
	cfmakeraw(&line);
	ck_assert_int_eq(tcsetattr(fd, TCSANOW, &line), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(ptsname_r(fd, name, name_bytes), 0);
	return fd;
}

START_TEST(pty_both_ways)
{
	char name[64];
	int slave;

	start(LIFE_CHARDEV_PTY, make_pty(name, sizeof(name)), -1);
	open_port(0x01);
	/* Nobody there: far more than all buffers, and never a wait. */
	for (int i = 0; i < 150000; i++)
		out(THR, 'x');
	ck_assert_uint_eq(in(LSR) & LSR_THRE, LSR_THRE);
	child_synchronise(&child);
	for (int i = 0; i < 2; i++) {
		slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
		ck_assert_int_ge(slave, 0);
		send_text("login: ");
		expect_text(slave, "login: ");
		ck_assert_int_eq(write(slave, "root\r", 5), 5);
		expect_received("root\r");
		close(slave);
	}
	child_stop(&child);
}
END_TEST

START_TEST(pty_holds_the_guest_back)
{
	char name[64];
	int slave;
	int master = make_pty(name, sizeof(name));

	slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
	start(LIFE_CHARDEV_PTY, master, -1);
	slow_reader(slave);
	child_stop(&child);
}
END_TEST

START_TEST(terminal_escape_goes_to_the_supervisor)
{
	struct life_msg msg;
	int keys[2], screen[2];

	child_pipe(keys);
	child_pipe(screen);
	start(LIFE_CHARDEV_TERMINAL, keys[0], screen[1]);
	open_port(0x01);
	ck_assert_int_eq(write(keys[1], "ls\x01\x01\x01x!", 7), 7);
	child_expect(&child, LIFE_ESCAPE, &msg);
	expect_received("ls\x01!");
	send_text("bye");
	child_stop(&child);
	expect_text(screen[0], "bye");
}
END_TEST

/* The user's pager is slow; the last lines of the guest still come. */
START_TEST(stop_writes_what_is_held)
{
	struct pollfd pfd = { .events = POLLIN };
	char buf[65536];
	size_t sent = 0, seen = 0;
	int keys[2], screen[2];
	ssize_t got;

	child_pipe(keys);
	child_pipe(screen);
	start(LIFE_CHARDEV_TERMINAL, keys[0], screen[1]);
	for (; sent < 100000; sent++)
		out(THR, 'x');
	in(LSR);
	child_send(&child, LIFE_STOP, -1);
	pfd.fd = screen[0];
	while (poll(&pfd, 1, CHILD_TIMEOUT_MS) == 1 &&
	       (got = read(screen[0], buf, sizeof(buf))) > 0) {
		seen += (size_t)got;
		usleep(5000);
	}
	ck_assert_int_eq(child_wait(&child), 0);
	ck_assert_uint_eq(seen, sent);
}
END_TEST

/* A guest that ends with its last words: STOP overtakes them. */
START_TEST(stop_does_not_overtake_the_guest)
{
	const char *text = "last words\n";
	int back;
	int file = child_temporary(&back);

	start(LIFE_CHARDEV_FILE, -1, file);
	open_port(0x00);
	child_synchronise(&child);
	usleep(20000);	/* it sleeps in its loop */
	ck_assert_int_eq(kill(child.pid, SIGSTOP), 0);
	child_send(&child, LIFE_STOP, -1);
	for (const char *c = text; *c; c++)
		out(THR, (uint8_t)*c);
	ck_assert_int_eq(kill(child.pid, SIGCONT), 0);
	ck_assert_int_eq(child_wait(&child), 0);
	expect_text(back, text);
}
END_TEST

/* --- ends ---------------------------------------------------------------------------- */

START_TEST(ends_well_when_the_core_closes)
{
	start(LIFE_CHARDEV_NULL, -1, -1);
	close(child.link);
	ck_assert_int_eq(child_wait(&child), 0);
}
END_TEST

START_TEST(ends_when_the_supervisor_is_gone)
{
	start(LIFE_CHARDEV_NULL, -1, -1);
	close(child.life);
	ck_assert_int_eq(child_wait(&child), 0);
}
END_TEST

START_TEST(a_core_that_breaks_the_protocol_is_left)
{
	struct regchan_request req = { .op = REGCHAN_READ, .size = 3 };
	struct life_msg msg;

	start(LIFE_CHARDEV_NULL, -1, -1);
	ck_assert_int_eq(fdmsg_send(child.link, &req, _i ? sizeof(req) : 5,
				    NULL, 0, CHILD_TIMEOUT_MS), 0);
	child_expect(&child, LIFE_FAILED, &msg);
	ck_assert_ptr_ne(strstr(msg.u.text.text, "register channel"), NULL);
	ck_assert_int_eq(child_wait(&child), 1);
}
END_TEST

/* A core that asks and never takes an answer cannot make the device wait. */
START_TEST(a_core_that_takes_no_replies_does_not_hang_it)
{
	struct regchan_request req = { .op = REGCHAN_READ, .offset = LSR,
				       .size = 1 };
	struct life_msg msg;
	int err = 0;

	start(LIFE_CHARDEV_NULL, -1, -1);
	for (int i = 0; i < 100000 && !err; i++)
		err = regchan_post(child.link, &req, -1, CHILD_TIMEOUT_MS);
	ck_assert_int_eq(err, -EPIPE);
	child_expect(&child, LIFE_FAILED, &msg);
	ck_assert_int_eq(child_wait(&child), 1);
}
END_TEST

START_TEST(by_hand_with_a_file)
{
	char path[] = "/tmp/test-serial-XXXXXX";
	char option[64] = "--file=";
	const char *options[] = { "--fd=4", option, NULL };
	const struct child_spec spec = {
		.role = "serial", .link_type = SOCK_SEQPACKET,
		.res_fd = -1, .res2_fd = -1,
	};
	int back = mkstemp(path);

	strcat(option, path);
	child_start_by_hand(&child, &spec, options);
	send_text("by hand");
	ck_assert_uint_eq(in(LSR), 0x60);
	close(child.link);
	ck_assert_int_eq(child_wait(&child), 0);
	unlink(path);
	expect_text(back, "by hand");
}
END_TEST

static const struct {
	const char *options[3];
	int status;
} command_lines[] = {
	{ { "--help" }, 0 },
	{ { "--version" }, 0 },
	{ { "--print-capabilities" }, 0 },
	{ { "--fd=4", "--baud=9600" }, 2 },
	{ { "--fd=4", "--file=" }, 2 },
	{ { "--fd=4", "--terminal=yes" }, 2 },
	{ { "--fd=77" }, 2 },
	{ { "--fd=4", "--file=/nowhere/at/all" }, 1 },
};

START_TEST(command_line_ends_with_its_status)
{
	const struct child_spec spec = {
		.role = "serial", .link_type = SOCK_SEQPACKET,
		.res_fd = -1, .res2_fd = -1,
	};

	child_start_by_hand(&child, &spec, command_lines[_i].options);
	ck_assert_int_eq(child_wait(&child), command_lines[_i].status);
}
END_TEST

static Suite *serial_suite(void)
{
	Suite *suite = suite_create("serial");
	TCase *tcase = tcase_create("serial");
	TCase *load = tcase_create("serial load");

	tcase_set_timeout(tcase, 30);
	tcase_set_timeout(load, 30);
	tcase_add_test(tcase, linux_finds_a_16550a);
	tcase_add_test(tcase, wide_and_stray_accesses);
	tcase_add_test(tcase, reset_restores_power_on_values);
	tcase_add_test(tcase, polled_output_reaches_a_file);
	tcase_add_test(load, posted_output_is_not_lost);
	tcase_add_test(tcase, transmit_interrupt);
	tcase_add_test(tcase, interrupt_that_was_pending_before_set_irq);
	tcase_add_test(tcase, socket_both_ways);
	tcase_add_test(load, socket_holds_the_guest_back);
	tcase_add_test(load, pty_both_ways);
	tcase_add_test(load, pty_holds_the_guest_back);
	tcase_add_test(tcase, terminal_escape_goes_to_the_supervisor);
	tcase_add_test(tcase, stop_writes_what_is_held);
	tcase_add_test(tcase, stop_does_not_overtake_the_guest);
	tcase_add_test(tcase, ends_well_when_the_core_closes);
	tcase_add_test(tcase, ends_when_the_supervisor_is_gone);
	tcase_add_loop_test(tcase, a_core_that_breaks_the_protocol_is_left, 0,
			    2);
	tcase_add_test(load, a_core_that_takes_no_replies_does_not_hang_it);
	tcase_add_test(tcase, by_hand_with_a_file);
	tcase_add_loop_test(tcase, command_line_ends_with_its_status, 0,
			    sizeof(command_lines) / sizeof(*command_lines));
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, load);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(serial_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
