/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client for tests: standard input to a Unix socket, what comes back to
 * standard output, until the other side hangs up or nothing came for a while.
 *
 * Usage: talk SOCKET [QUIET_MS]
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUIET_MS	1000
#define FIRST_MS	10000

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	strcpy(addr.sun_path, path);
	return connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ?
		       -1 :
		       fd;
}

/*
 * A socket that is full or gone ends the sending, not the test.
 * Return: whether there was anything to send.
 */
static bool send_input(int fd)
{
	char buf[4096];
	bool any = false;
	ssize_t len;

	while ((len = read(STDIN_FILENO, buf, sizeof(buf))) > 0) {
		any = true;
		if (send(fd, buf, (size_t)len, MSG_NOSIGNAL) != len)
			break;
	}
	return any;
}

int main(int argc, char **argv)
{
	int quiet_ms = argc > 2 ? atoi(argv[2]) : QUIET_MS, wait_ms;
	struct pollfd in = { .events = POLLIN };
	char buf[4096];
	ssize_t len;

	in.fd = argc > 1 ? connect_to(argv[1]) : -1;
	if (in.fd < 0) {
		perror(argc > 1 ? argv[1] : "talk SOCKET [QUIET_MS]");
		return EXIT_FAILURE;
	}
	/* Who has said something may wait for the first word of an answer. */
	wait_ms = send_input(in.fd) ? FIRST_MS : quiet_ms;
	while (poll(&in, 1, wait_ms) == 1 &&
	       (len = read(in.fd, buf, sizeof(buf))) > 0) {
		if (write(STDOUT_FILENO, buf, (size_t)len) != len)
			return EXIT_FAILURE;
		wait_ms = quiet_ms;
	}
	return EXIT_SUCCESS;
}
