/* SPDX-License-Identifier: Apache-2.0 */
/* Bearing and burying device processes under test, see child.h. */
#include "tests/wire/child.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/log.h"

#define HIGH_FD	200	/* above all numbers of ipc/inherit.h */
#define MOVED_MS	20000	/* for a copy of a small disk, on a busy machine */
#define PING_COOKIE	0x1122334455667788

/* Dup fd to number in the child, by way of a high number. */
static void place(int fd, int number)
{
	if (fd >= 0 && dup2(fd, number) < 0)
		_exit(99);
}

static int lift(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD, HIGH_FD);
}

static void become(const struct child_spec *spec, int life, int link,
		   int stats, int faults, int throttle,
		   const char *const *options)
{
	int high[] = { lift(life), lift(link), lift(stats), lift(faults),
		       lift(throttle), lift(spec->res_fd),
		       lift(spec->res2_fd),
		       lift(spec->extra_fd ? *spec->extra_fd : -1) };
	static const int number[] = { LIFE_FD, LINK_FD, STATS_FD, FAULT_FD,
				      THROTTLE_FD, RES_FD, RES2_FD,
				      EXTRA_FD };
	int extra[LIFE_BLK_MAX_EXTRA];
	const char *build = getenv("BULKHEAD_BUILD");
	const char *argv[8] = { "bulkhead" };
	char path[4096];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 0; i < spec->nr_extra; i++)
		extra[i] = lift(spec->extra_fds[i]);
	/* A confined process has no system calls for the leak checker. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	close_range(LIFE_FD, HIGH_FD - 1, 0);
	for (size_t i = 0; i < sizeof(number) / sizeof(*number); i++)
		place(high[i], number[i]);
	for (unsigned int i = 0; i < spec->nr_extra; i++)
		place(extra[i], EXTRA_FD + (int)i);
	close_range(HIGH_FD, ~0u, 0);
	for (int i = 0; options && options[i] && i < 6; i++)
		argv[1 + i] = options[i];
	snprintf(path, sizeof(path), "%s/bulkhead-%s", build ? build : "build",
		 spec->role);
	/* execv() does not write to the strings. */
	execv(path, (char *const *)(uintptr_t)argv);
	fprintf(stderr, "cannot execute %s: %s\n", path, strerror(errno));
	_exit(99);
}

static void begin(struct child *child, const struct child_spec *spec,
		  const char *const *options)
{
	int life[2], link[2];
	int stats = memfd_create("stats", MFD_CLOEXEC);
	int faults = memfd_create("faults", MFD_CLOEXEC);

	ck_assert_int_ge(stats, 0);
	ck_assert_int_eq(ftruncate(stats, STATS_PAGE_BYTES), 0);
	child->stats = mmap(NULL, STATS_PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED, stats, 0);
	ck_assert_ptr_ne(child->stats, MAP_FAILED);
	ck_assert_int_ge(faults, 0);
	ck_assert_int_eq(ftruncate(faults, FAULT_PAGE_BYTES), 0);
	child->faults = mmap(NULL, FAULT_PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED, faults, 0);
	ck_assert_ptr_ne(child->faults, MAP_FAILED);
	child->throttle_fd = spec->group ? dup(spec->group->throttle_fd) :
			     memfd_create("throttle", MFD_CLOEXEC);
	ck_assert_int_ge(child->throttle_fd, 0);
	ck_assert_int_eq(ftruncate(child->throttle_fd, THROTTLE_PAGE_BYTES), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				    life), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, spec->link_type | SOCK_CLOEXEC, 0,
				    link), 0);
	child->pid = fork();
	ck_assert_int_ge(child->pid, 0);
	if (child->pid == 0)
		become(spec, life[1], link[1], stats, faults,
		       child->throttle_fd, options);
	child->life = life[0];
	child->link = link[0];
	close(life[1]);
	close(link[1]);
	close(stats);
	close(faults);
	if (spec->res_fd >= 0)
		close(spec->res_fd);
	if (spec->res2_fd >= 0)
		close(spec->res2_fd);
	for (unsigned int i = 0; i < spec->nr_extra; i++)
		close(spec->extra_fds[i]);
}

static void send_birth(struct child *child, const struct child_spec *spec)
{
	struct life_birth birth = {
		.version = LIFE_VERSION,
		.role = spec->life_role,
		.vm = "test",
		.device = "dut",
		.log_level = LOG_LEVEL_WARN,
		.u.chardev.backend = spec->backend,
	};

	if (spec->blk)
		birth.u.blk = *spec->blk;
	begin(child, spec, NULL);
	ck_assert_int_eq(life_send(child->life, LIFE_BIRTH, &birth, NULL, 0,
				   CHILD_TIMEOUT_MS), 0);
}

void child_start(struct child *child, const struct child_spec *spec)
{
	struct life_msg msg;

	send_birth(child, spec);
	child_expect(child, LIFE_READY, &msg);
}

bool child_try(struct child *child, const struct child_spec *spec,
	       char why[LIFE_TEXT_MAX])
{
	struct life_msg msg;

	send_birth(child, spec);
	ck_assert_int_eq(life_recv(child->life, LIFE_SIDE_SUPERVISOR, &msg,
				   CHILD_TIMEOUT_MS), 1);
	if (msg.type == LIFE_READY)
		return true;
	ck_assert_int_eq(msg.type, LIFE_FAILED);
	memcpy(why, msg.u.text.text, LIFE_TEXT_MAX);
	ck_assert_int_eq(child_wait(child), 1);
	return false;
}

void child_start_by_hand(struct child *child, const struct child_spec *spec,
			 const char *const *options)
{
	begin(child, spec, options);
}

void child_send(struct child *child, enum life_type type, int fd)
{
	struct life_ping ping = { .cookie = PING_COOKIE };

	ck_assert_int_eq(life_send(child->life, type, &ping, &fd, fd >= 0,
				   CHILD_TIMEOUT_MS), 0);
}

void child_expect(struct child *child, enum life_type type,
		  struct life_msg *msg)
{
	int got = life_recv(child->life, LIFE_SIDE_SUPERVISOR, msg,
			    CHILD_TIMEOUT_MS);

	ck_assert_msg(got == 1, "waiting for life message 0x%x: %s", type,
		      got ? strerror(-got) : "the process has ended");
	ck_assert_msg(msg->type == type, "life message 0x%x, not 0x%x: %s",
		      msg->type, type,
		      msg->type == LIFE_FAILED ? msg->u.text.text : "");
}

uint32_t child_wait_moved(struct child *child)
{
	struct life_msg msg;

	ck_assert_int_eq(life_recv(child->life, LIFE_SIDE_SUPERVISOR, &msg,
				   MOVED_MS), 1);
	ck_assert_uint_eq(msg.type, LIFE_BLK_MOVED);
	return msg.u.blk_moved.err;
}

/* Return: the status, as waitpid(2) gives it. */
static int wait_for_end(struct child *child)
{
	int pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int status;

	ck_assert_int_ge(pidfd, 0);
	if (poll(&pfd, 1, CHILD_TIMEOUT_MS) != 1) {
		kill(child->pid, SIGKILL);
		ck_abort_msg("the process does not end");
	}
	ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
	close(pidfd);
	return status;
}

int child_wait(struct child *child)
{
	int status = wait_for_end(child);

	ck_assert_msg(WIFEXITED(status), "killed by signal %d, system call %u",
		      WTERMSIG(status), child->stats->head.last_word.nr);
	return WEXITSTATUS(status);
}

void child_wait_signal(struct child *child, int sig)
{
	int status = wait_for_end(child);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), sig);
}

void child_stop(struct child *child)
{
	child_send(child, LIFE_STOP, -1);
	ck_assert_int_eq(child_wait(child), 0);
}

void child_pipe(int ends[2])
{
	ck_assert_int_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
}

void child_synchronise(struct child *child)
{
	struct life_msg msg;

	child_send(child, LIFE_PING, -1);
	child_expect(child, LIFE_PONG, &msg);
	ck_assert(msg.u.ping.cookie == PING_COOKIE);
}

int child_attach(struct child *child)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				    pair), 0);
	child_send(child, LIFE_ATTACH, pair[1]);
	close(pair[1]);
	child_synchronise(child);
	return pair[0];
}

int child_temporary(int *back)
{
	char path[] = "/tmp/test-wire-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	*back = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(*back, 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}
