/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect = terminal: the supervisor's standard input and output as a
 * device's host end, and the terminal's mode while the guest has it (C1, C7).
 *
 * The device gets open descriptions of its own where the kernel gives them,
 * so that O_NONBLOCK there does not change the shell's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/resources.h"

void terminal_init(struct terminal *terminal)
{
	terminal->fd = -1;
	terminal->raw = false;
}

/* A terminal or a pipe can be opened once more; a socket cannot. */
static int reopen(int fd, int flags)
{
	char path[32];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (copy < 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0 || fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK))
		return -errno;
	return copy;
}

/*
 * Output: a regular file is shared with the shell and with our own log, so
 * its offset must be too: no new description.
 */
static int open_output(void)
{
	struct stat st;
	int copy;

	if (fstat(STDOUT_FILENO, &st) < 0)
		copy = open("/dev/null", O_WRONLY | O_CLOEXEC);
	else if (S_ISREG(st.st_mode))
		copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		return reopen(STDOUT_FILENO, O_WRONLY);
	return copy < 0 ? -errno : copy;
}

/* An input that never says anything and never ends: a pipe we keep open. */
static int open_silence(struct host_end *end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	end->keep_fd = fds[1];
	return fds[0];
}

static int open_input(struct terminal *terminal, struct host_end *end)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) < 0)
		return open_silence(end);
	if (isatty(STDIN_FILENO)) {
		terminal->fd = reopen(STDIN_FILENO, O_RDWR);
		if (terminal->fd < 0)
			return terminal->fd;
		return fcntl(terminal->fd, F_DUPFD_CLOEXEC, 3);
	}
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return reopen(STDIN_FILENO, O_RDONLY);
	/* epoll(7) cannot wait for a file; /dev/null means no input. */
	return open_silence(end);
}

int terminal_open(struct terminal *terminal, struct host_end *end,
		  char why[VM_WHY_MAX])
{
	int fd = open_input(terminal, end);

	if (fd >= 0) {
		end->fd = fd;
		fd = open_output();
	}
	if (fd < 0) {
		snprintf(why, VM_WHY_MAX,
			 "connect = terminal: cannot use standard input and output: %s",
			 strerror(-fd));
		return fd;
	}
	end->out_fd = fd;
	snprintf(end->where, sizeof(end->where), "terminal");
	return 0;
}

void terminal_set_raw(struct terminal *terminal)
{
	struct termios raw;

	if (terminal->fd < 0 || terminal->raw ||
	    tcgetattr(terminal->fd, &terminal->saved) < 0)
		return;
	raw = terminal->saved;
	cfmakeraw(&raw);
	if (tcsetattr(terminal->fd, TCSADRAIN, &raw) < 0)
		return;
	terminal->raw = true;
	log_set_raw(1);
	log_info("the terminal belongs to the guest; Ctrl-A x stops the VM at once");
}

void terminal_restore(struct terminal *terminal)
{
	if (terminal->raw) {
		tcsetattr(terminal->fd, TCSADRAIN, &terminal->saved);
		log_set_raw(0);
		terminal->raw = false;
	}
	if (terminal->fd >= 0)
		close(terminal->fd);
	terminal->fd = -1;
}
