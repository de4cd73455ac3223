/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new process finds in its jail, as it sees it and as the host sees
 * it, how its death is told, and that nothing outlives a supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "jail/death.h"
#include "jail/inspect.h"
#include "ipc/fdmsg.h"
#include "tests/jail/harness.h"

/* linux/securebits.h: all SECURE_*, and each locked, but KEEP_CAPS not set. */
#define SECUREBITS_ALL	0xef

static void bury(struct birth_child *child)
{
	siginfo_t info;

	birth_kill(child);
	birth_reap(child, &info, -1);
}

static void check_process(const struct probe_report *r)
{
	tap_result(r->pid == 1, "pid 1 of a namespace of its own");
	tap_result(r->uid == BIRTH_UID && r->gid == BIRTH_UID,
		   "uid %u, gid %u inside", r->uid, r->gid);
	if (geteuid() == 0)
		tap_result(r->nr_groups == 0, "no supplementary groups");
	else
		tap_skip("a user's groups cannot be dropped",
			 "no supplementary groups");
	tap_result(r->session == 1, "a session of its own");
	tap_result(r->umask == 077, "umask %o", r->umask);
	tap_result(strcmp(r->hostname, "bulkhead") == 0,
		   "the host's name is '%s'", r->hostname);
	tap_result(r->argc == 1 && strcmp(r->title, PROBE_TITLE) == 0,
		   "one argument, the title");
	tap_result(r->nr_env == 0, "the environment is empty");
	tap_result(strcmp(r->cwd, "/") == 0, "the working directory is %s",
		   r->cwd);
	tap_result(r->nr_root_entries == 0, "the root is empty");
	tap_result(!r->loopback_up, "the loopback is down");
}

static void check_rights(const struct probe_report *r)
{
	tap_result(r->nr_bounding == 0, "the bounding set is empty");
	tap_result(r->securebits == SECUREBITS_ALL, "securebits %x, locked",
		   r->securebits);
	tap_result(r->no_new_privs == 1, "no_new_privs");
	tap_result(r->death_signal == SIGKILL, "dies with its supervisor");
	tap_result(r->nr_signals == 0, "all signals are at their default");
	tap_result(r->core_bytes == 1, "core dumps of at most one byte");
	tap_result(r->nr_files == INHERIT_FD_MAX && r->nr_tasks == 4 &&
		   r->file_bytes == HARNESS_IMAGE_BYTES &&
		   r->memlock_bytes <= 1 << 20, "limits as the spec has them");
}

/* Exactly the listed numbers, and behind each the right file. */
static void check_fds(const struct probe_report *r)
{
	uint8_t expected[PROBE_MAX_FDS / 8] = { 0 };
	struct birth_spec spec;
	bool same = true;
	struct stat st;

	harness_spec(PROBE_POLICY_BLK, &spec);
	for (unsigned int i = 0; i < spec.nr_fds; i++) {
		int to = spec.fds[i].to;

		expected[to / 8] |= (uint8_t)(1u << (to % 8));
		same &= fstat(spec.fds[i].from, &st) == 0 &&
			r->fd_inode[to] == st.st_ino;
	}
	tap_result(memcmp(expected, r->fd_open, sizeof(expected)) == 0,
		   "exactly the listed fds are open");
	tap_result(same, "each fd is the file that the list says");
}

static void test_report(void)
{
	struct probe_page *page;
	struct birth_child child;
	uint64_t first_address;

	/* What a supervisor may have set must not be inherited. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	page = harness_page(PROBE_REPORT, PROBE_POLICY_BLK);
	harness_birth(PROBE_POLICY_BLK, &child);
	tap_result(harness_wait_state(page, PROBE_STATE_CONFINED),
		   "a birth succeeds");
	check_process(&page->report);
	check_rights(&page->report);
	check_fds(&page->report);
	bury(&child);
	first_address = page->report.main_address;
	page = harness_page(PROBE_REPORT, PROBE_POLICY_BLK);
	harness_birth(PROBE_POLICY_BLK, &child);
	harness_wait_state(page, PROBE_STATE_CONFINED);
	tap_result(page->report.main_address != first_address,
		   "two births have two address layouts");
	bury(&child);
}

/* Keep what every probe needs; the rest is the test's to fill. */
static void spec_only_page(struct birth_spec *spec)
{
	unsigned int kept = 0;

	harness_spec(PROBE_POLICY_BLK, spec);
	for (unsigned int i = 0; i < spec->nr_fds; i++) {
		if (spec->fds[i].to == STATS_FD || spec->fds[i].to == LOG_FD)
			spec->fds[kept++] = spec->fds[i];
	}
	spec->nr_fds = kept;
}

/* Three fds, each wanted at the number of the next: a cycle. */
static void test_overlapping_fds(void)
{
	struct probe_page *page = harness_page(PROBE_REPORT, PROBE_POLICY_BLK);
	struct birth_child child;
	struct birth_spec spec;
	bool same = true;
	struct stat st;
	int fds[3];

	spec_only_page(&spec);
	for (int i = 0; i < 3; i++)
		fds[i] = memfd_create("cycle", MFD_CLOEXEC);
	for (int i = 0; i < 3; i++)
		spec.fds[spec.nr_fds++] = (struct birth_fd){
			.from = fds[i], .to = fds[(i + 1) % 3],
		};
	if (birth_begin(&spec, &child) != 0 ||
	    birth_wait_exec(&child, HARNESS_TIMEOUT_MS) != 0)
		tap_bail_out("%s", child.why);
	harness_wait_state(page, PROBE_STATE_CONFINED);
	for (int i = 0; i < 3; i++)
		same &= fstat(fds[i], &st) == 0 && page->report.fd_inode[
			fds[(i + 1) % 3]] == st.st_ino;
	tap_result(same, "fds that take each other's numbers");
	bury(&child);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* From outside, as `bulkhead ps` does it, and with a debugger's first step. */
static void test_inspection(enum probe_policy policy)
{
	struct probe_page *page = harness_page(PROBE_WAIT, policy);
	const char *name = probe_policies[policy]->name;
	char line[INSPECT_LINE_MAX];
	struct birth_child child;
	struct inspect inspect;
	siginfo_t info;

	harness_birth(policy, &child);
	harness_wait_state(page, PROBE_STATE_CONFINED);
	tap_result(inspect_read(child.pid, &inspect) == 0,
		   "%s: can be inspected", name);
	inspect_line(&inspect, line, sizeof(line));
	tap_result(inspect_is_jailed(&inspect), "%s: %s", name, line);
	tap_result(ptrace(PTRACE_SEIZE, child.pid, 0, 0) == 0 &&
		   ptrace(PTRACE_INTERRUPT, child.pid, 0, 0) == 0 &&
		   waitpid(child.pid, NULL, 0) == child.pid &&
		   ptrace(PTRACE_DETACH, child.pid, 0, 0) == 0,
		   "%s: can be traced, and let go", name);
	tap_result(birth_reap(&child, &info, 20) == -ETIMEDOUT,
		   "%s: survives that", name);
	bury(&child);
}

static void test_inspection_of_free(void)
{
	struct inspect inspect;

	tap_result(inspect_read(getpid(), &inspect) == 0 &&
		   !inspect_is_jailed(&inspect) && !inspect.root_empty &&
		   inspect.nr_namespaces == 0,
		   "a process without a jail is seen to have none");
	tap_result(inspect_read(0x3ffffff, &inspect) == -ESRCH,
		   "a process that does not exist is -ESRCH");
}

static void check_death(struct birth_child *child, const char *expected)
{
	char text[DEATH_TEXT_MAX] = "no end";
	siginfo_t info;

	if (birth_reap(child, &info, HARNESS_TIMEOUT_MS) == 0)
		death_describe(&info, &harness_last_page()->word, text,
			       sizeof(text));
	else
		bury(child);
	tap_result(strncmp(text, expected, strlen(expected)) == 0,
		   "a death reads: %s", text);
}

/* A debugger at its prompt, which does not look at what it holds. */
static pid_t trace_and_sleep(pid_t pid, unsigned int seconds)
{
	int ends[2];
	char byte;
	pid_t tracer;

	if (pipe(ends) != 0)
		tap_bail_out("no pipe");
	tracer = fork();
	if (tracer == 0) {
		byte = ptrace(PTRACE_SEIZE, pid, 0, 0) == 0;
		if (write(ends[1], &byte, 1) == 1)
			sleep(seconds);
		_exit(0);
	}
	if (read(ends[0], &byte, 1) != 1 || !byte)
		tap_bail_out("the probe cannot be traced");
	close(ends[0]);
	close(ends[1]);
	return tracer;
}

static void test_death_of_a_traced(void)
{
	struct probe_page *page = harness_page(PROBE_WAIT, PROBE_POLICY_RNG);
	struct birth_child child;
	long long begin_ms;
	siginfo_t info;
	pid_t tracer;

	harness_birth(PROBE_POLICY_RNG, &child);
	harness_wait_state(page, PROBE_STATE_CONFINED);
	tracer = trace_and_sleep(child.pid, 30);
	begin_ms = fdmsg_now_ms();
	birth_kill(&child);
	tap_result(birth_reap(&child, &info, 50) == -ETIMEDOUT &&
		   fdmsg_now_ms() - begin_ms < 1500,
		   "a death that a tracer keeps to itself is not waited for");
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	check_death(&child, "killed by SIGKILL");
}

static void test_deaths(void)
{
	struct probe_page *page;
	struct birth_child child;
	siginfo_t info;

	page = harness_page(PROBE_EXIT, PROBE_POLICY_RNG);
	page->exit_status = 3;
	harness_birth(PROBE_POLICY_RNG, &child);
	check_death(&child, "exited with status 3");

	page = harness_page(PROBE_WAIT, PROBE_POLICY_RNG);
	harness_birth(PROBE_POLICY_RNG, &child);
	harness_wait_state(page, PROBE_STATE_CONFINED);
	tap_result(birth_reap(&child, &info, 0) == -EAGAIN &&
		   birth_reap(&child, &info, 20) == -ETIMEDOUT,
		   "the living are not buried");
	birth_kill(&child);
	check_death(&child, "killed by SIGKILL");

	harness_page(PROBE_ATTEMPT, PROBE_POLICY_RNG);	/* attempt 0: list / */
	harness_birth(PROBE_POLICY_RNG, &child);
	check_death(&child, "killed by seccomp: system call openat (257)");
}

/*
 * All processes that a supervisor leaves behind hold the write end of its
 * pipe: end-of-file means that there are none.
 */
static bool all_gone(int read_end, int within_ms)
{
	struct pollfd end = { .fd = read_end, .events = POLLIN };
	char text[256];
	ssize_t len;

	do {
		if (poll(&end, 1, within_ms) <= 0)
			return false;
		len = read(read_end, text, sizeof(text));
	} while (len > 0);
	return len == 0;
}

/* A supervisor of three, or of one after the other without end. */
static void supervise(int log_fd, bool endless)
{
	struct birth_child child;
	struct birth_spec spec;

	harness_spec(PROBE_POLICY_RNG, &spec);
	for (unsigned int i = 0; i < spec.nr_fds; i++) {
		if (spec.fds[i].to == LOG_FD)
			spec.fds[i].from = log_fd;
	}
	for (int nr = 0; endless || nr < 3; nr++) {
		if (birth_begin(&spec, &child) != 0 || (nr % 2 == 0 &&
		    birth_wait_exec(&child, HARNESS_TIMEOUT_MS) != 0))
			_exit(1);
	}
	for (;;)
		pause();
}

enum leftover { NONE, LATE, FOREVER };

static enum leftover kill_supervisor_once(bool endless, long long after_us)
{
	const struct timespec after = {
		.tv_nsec = after_us * 1000,
	};
	enum leftover left = NONE;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		tap_bail_out("pipe");
	pid = fork();
	if (pid == 0)
		supervise(ends[1], endless);
	close(ends[1]);
	nanosleep(&after, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (!all_gone(ends[0], 1000))
		left = all_gone(ends[0], 10000) ? LATE : FOREVER;
	close(ends[0]);
	return left;
}

/*
 * Within a second.  Thrice, as a machine may stand still for that second; but
 * what is not gone after eleven was left behind.
 */
static bool kill_supervisor(bool endless, long long after_us)
{
	enum leftover left = LATE;

	for (int tries = 0; tries < 3 && left == LATE; tries++)
		left = kill_supervisor_once(endless, after_us);
	return left == NONE;
}

static void test_supervisor_dies(void)
{
	bool gone = true;

	harness_page(PROBE_WAIT, PROBE_POLICY_RNG);
	tap_result(kill_supervisor(false, 100000),
		   "children end with their supervisor");
	for (long long us = 200; us < 20000; us += 400)
		gone &= kill_supervisor(true, us);
	tap_result(gone, "at any moment of their birth, too");
	harness_log();
}

int main(void)
{
	harness_open();
	tap_result(birth_uid(1, 0) == 0x70000040 &&
		   birth_uid((1 << 22) - 1, BIRTH_MAX_INDEX) == 0x7fffffff,
		   "host uids start at 0x70000000 and end below 2^31");
	test_report();
	test_overlapping_fds();
	for (int policy = 1; policy < PROBE_NR_POLICIES; policy++)
		test_inspection(policy);
	test_inspection_of_free();
	test_deaths();
	test_death_of_a_traced();
	test_supervisor_dies();
	harness_close();
	tap_result(harness_is_childless(), "no child is left");
	return tap_end();
}
