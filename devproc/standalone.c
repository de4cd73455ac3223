/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device started by hand, see standalone.h.  Runs before confinement, in
 * place of the supervisor's work (C3).
 */
#include "devproc/standalone.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/kernel_calls.h"

struct options {
	const char *socket_path;
	int fd;			/* -1: none */
};

/* --- command line --------------------------------------------------------- */

static noreturn void print_help(const struct device_ops *ops)
{
	printf("usage: bulkhead-%s --socket-path=PATH | --fd=N [OPTION...]\n"
	       "\n"
	       "A virtio device in a process of its own, a vhost-user back-end.\n"
	       "bulkhead starts it by itself; by hand it serves QEMU, or any front-end.\n"
	       "\n"
	       "  --socket-path=PATH    listen on this Unix socket; one front-end at a time\n"
	       "  --fd=N                a connected socket, inherited; ends with it\n"
	       "%s"
	       "  --print-capabilities  what this back-end can do, as JSON\n"
	       "  --help, --version\n",
	       ops->role, ops->help);
	exit(0);
}

static int parse_fd(const char *text)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || *text == '\0' || *end != '\0' || value < 0 ||
	    value > INT32_MAX || fcntl((int)value, F_GETFD) < 0)
		die(EXIT_USAGE, "--fd=%s: not an open file descriptor", text);
	return (int)value;
}

static void parse_option(const struct device_ops *ops, const char *arg,
			 struct options *options, struct life_birth *birth)
{
	char name[64];
	const char *value = strchr(arg, '=');
	size_t len = value ? (size_t)(value - arg) : strlen(arg);
	int ret = -ENOENT;

	value = value ? value + 1 : "";
	if (len > 2 && len < sizeof(name) && !strncmp(arg, "--", 2)) {
		memcpy(name, arg + 2, len - 2);
		name[len - 2] = '\0';
		if (!strcmp(name, "help"))
			print_help(ops);
		if (!strcmp(name, "version")) {
			printf("bulkhead-%s %s\n", ops->role,
			       BULKHEAD_VERSION);
			exit(0);
		}
		if (!strcmp(name, "print-capabilities")) {
			puts(ops->capabilities);
			exit(0);
		}
		if (!strcmp(name, "socket-path")) {
			options->socket_path = value;
			return;
		}
		if (!strcmp(name, "fd")) {
			options->fd = parse_fd(value);
			return;
		}
		ret = ops->option(birth, name, value);
	}
	if (ret == -ENOENT)
		die(EXIT_USAGE, "%s: no such option; see --help", arg);
	if (ret)
		die(EXIT_USAGE, "%s: not a value for this option; see --help",
		    arg);
}

static void parse(const struct device_ops *ops, int argc, char **argv,
		  struct options *options, struct life_birth *birth)
{
	memset(birth, 0, sizeof(*birth));
	birth->version = LIFE_VERSION;
	birth->role = ops->life_role;
	birth->log_level = LOG_LEVEL_INFO;
	for (int i = 1; i < argc; i++)
		parse_option(ops, argv[i], options, birth);
	if (!options->socket_path == (options->fd < 0))
		die(EXIT_USAGE,
		    "give one of --socket-path=PATH and --fd=N; see --help");
}

/* --- connections ---------------------------------------------------------- */

/* A socket that nobody listens on is left over from a process that died. */
static void remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int sock;

	if (lstat(addr->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	if (connect(sock, (const struct sockaddr *)addr, sizeof(*addr)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(addr->sun_path);
	close(sock);
}

static int listen_on(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock;

	if (strlen(path) == 0 || strlen(path) >= sizeof(addr.sun_path))
		die(EXIT_USAGE, "--socket-path=%s: must have 1 to %zu characters",
		    path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	remove_stale(&addr);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 ||
	    bind(sock, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(sock, 1) < 0)
		die(1, "cannot listen on %s: %s", path, strerror(errno));
	return sock;
}

/* Signals that the parent waits for; the child gets the old mask back. */
static int block_signals(sigset_t *old)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, old);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die(1, "signalfd: %s", strerror(errno));
	return fd;
}

/*
 * Tell how a child ended; it has said why itself unless it was killed.
 * Return: false if it has not, as SIGCHLD is sent when it is stopped too.
 */
static bool bury(void)
{
	int status;
	pid_t pid = waitpid(-1, &status, WNOHANG);

	if (pid <= 0)
		return false;
	if (WIFSIGNALED(status))
		log_err("process %d died of signal %d (%s)", (int)pid,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return true;
}

static noreturn void end_parent(const char *path, pid_t child)
{
	/* Waited for: the lock on the image is its, too. */
	if (child > 0 && kill(child, SIGKILL) == 0)
		waitpid(child, NULL, 0);
	unlink(path);
	exit(0);
}

/*
 * The parent's life.  Returns in a child, with its connection.
 * listener is not polled while a child runs: one front-end at a time.
 */
static int serve(int listener, const char *path)
{
	pid_t parent = getpid();
	pid_t child = 0;
	sigset_t old;
	int signals = block_signals(&old);

	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = signals, .events = POLLIN },
			{ .fd = child ? -1 : listener, .events = POLLIN },
		};
		struct signalfd_siginfo info;
		int link;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents) {
			if (read(signals, &info, sizeof(info)) < 0)
				continue;
			if (info.ssi_signo != SIGCHLD)
				end_parent(path, child);
			if (bury())
				child = 0;
			continue;
		}
		link = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (link < 0)
			continue;
		child = fork();
		if (child < 0)
			die(1, "fork: %s", strerror(errno));
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				exit(1);
			sigprocmask(SIG_SETMASK, &old, NULL);
			return link;
		}
		close(link);
	}
}

/* --- fds as the supervisor would have placed them ------------------------- */

static int move_to(int fd, int number)
{
	if (fd != number && dup3(fd, number, O_CLOEXEC) < 0)
		die(1, "fd %d: %s", number, strerror(errno));
	return number;
}

/* Only standard error, the link and the resources stay open. */
static void place_fds(int link, const struct life_birth *birth)
{
	bool blk = birth->role == LIFE_ROLE_BLK;
	unsigned int nr_extra = blk ? birth->u.blk.nr_extra : 0;

	move_to(link, LINK_FD);
	kernel_close_range(0, LOG_FD - 1);
	kernel_close_range(LIFE_FD, LINK_FD - 1);
	kernel_close_range(LINK_FD + 1, RES_FD - 1);
	kernel_close_range(RES2_FD + 1, EXTRA_FD - 1);
	kernel_close_range(EXTRA_FD + nr_extra, ~0u);
}

/* Out of the way of the fixed numbers. */
static int lift(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, INHERIT_FD_MAX);

	if (high < 0)
		die(1, "fd %d: %s", fd, strerror(errno));
	close(fd);
	return high;
}

void standalone_birth(const struct device_ops *ops, int argc, char **argv,
		      struct life_birth *birth)
{
	struct options options = { .fd = -1 };
	int link = -1;

	parse(ops, argc, argv, &options, birth);
	if (options.fd >= 0) {
		link = lift(options.fd);
		kernel_close_range(LIFE_FD, INHERIT_FD_MAX - 1);
	}
	if (ops->acquire(birth))
		exit(1);
	if (options.fd < 0)
		link = serve(lift(listen_on(options.socket_path)),
			     options.socket_path);
	place_fds(link, birth);
}
