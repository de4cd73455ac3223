/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long until a command prints a text, and what that costs:
 *
 *	bench_start SECONDS TEXT COMMAND [ARG]...
 *
 * prints "WALL CPU": milliseconds from just before exec to the arrival of
 * TEXT on the command's standard output, and CPU milliseconds that the
 * command and all its descendants had used by then.  The command's input is a
 * pipe that stays silent.  Then it is told to end (SIGTERM), and killed if
 * it takes more than ten seconds.
 *
 * Exit status: 0; 1 if TEXT did not come in time; 2 for a wrong command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/perf/cpu.h"

#define END_MS		10000
#define TAIL_BYTES	65536	/* output looked at: more than one read */

extern char **environ;

static double now_ms(void)
{
	return (double)clock_ns(CLOCK_MONOTONIC) / 1e6;
}

/* --- the command ------------------------------------------------------------- */

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench_start: %s: %s\n", what, strerror(errno));
	exit(1);
}

static pid_t start(char *argv[], int input, int output)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, input, 0);
	posix_spawn_file_actions_adddup2(&actions, output, 1);
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (errno)
		fail(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* Read until text has come.  Return: false, it has not. */
static bool wait_text(int fd, const char *text, double deadline_ms)
{
	static char seen[TAIL_BYTES + 1];
	size_t len = 0;

	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		double left_ms = deadline_ms - now_ms();
		ssize_t nr;

		if (left_ms <= 0 || poll(&pfd, 1, (int)left_ms + 1) < 0)
			return false;
		if (!pfd.revents)
			continue;
		/* Half of it is kept, as text may come in pieces. */
		if (len > TAIL_BYTES / 2) {
			memmove(seen, seen + len - TAIL_BYTES / 4,
				TAIL_BYTES / 4);
			len = TAIL_BYTES / 4;
		}
		nr = read(fd, seen + len, TAIL_BYTES / 2);
		if (nr <= 0)
			return false;
		len += (size_t)nr;
		if (memmem(seen, len, text, strlen(text)))
			return true;
	}
}

static void end(pid_t pid)
{
	double deadline_ms = now_ms() + END_MS;

	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (now_ms() > deadline_ms)
			kill(pid, SIGKILL);
		usleep(1000);
	}
}

int main(int argc, char *argv[])
{
	int input[2], output[2];
	double began_ms, wall_ms, cpu_ms;
	bool came;
	pid_t pid;

	if (argc < 4 || atoi(argv[1]) <= 0) {
		fprintf(stderr, "usage: bench_start SECONDS TEXT COMMAND [ARG]...\n");
		return 2;
	}
	/* A writer in the command itself would keep its output open. */
	if (pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
		fail("pipe");
	began_ms = now_ms();
	pid = start(&argv[3], input[0], output[1]);
	close(output[1]);
	came = wait_text(output[0], argv[2], began_ms + atoi(argv[1]) * 1e3);
	wall_ms = now_ms() - began_ms;
	cpu_ms = (double)tree_cpu_ns(pid) / 1e6;
	end(pid);
	if (!came) {
		fprintf(stderr, "bench_start: '%s' did not come: %s\n",
			argv[2], argv[3]);
		return 1;
	}
	printf("%.2f %.2f\n", wall_ms, cpu_ms);
	return 0;
}
