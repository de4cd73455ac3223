/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each stage of a birth and of confinement fails once.  Every case runs in a
 * process of its own, the "host", in which seccomp makes one system call
 * fail, or which lacks a right for real.  A failed birth must say so in one
 * line that names the stage, and leave no child and no fd; a process that
 * cannot confine itself must end with status 1 and one line.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/jail/harness.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE	65
#endif

/* Fail a call, or only if argument arg has a value. */
struct fault {
	const char *call;
	int err;
	int arg;	/* -1: any */
	uint64_t value;
};

struct birth_case {
	struct fault fault;
	const char *stage;	/* in the line */
	const char *hint;	/* in the line */
};

/* In the order of the stages. */
static const struct birth_case birth_cases[] = {
	{ { "socketpair", EMFILE, -1, 0 }, "prepare", "ulimit -n" },
	{ { "keyctl", EDQUOT, -1, 0 }, "leave the keyring",
	  "kernel.keys.maxkeys" },
	{ { "clone3", EPERM, -1, 0 }, "clone into new namespaces",
	  "kernel.unprivileged_userns_clone" },
	{ { "clone3", ENOSPC, -1, 0 }, "clone into new namespaces",
	  "user.max_user_namespaces" },
	{ { "clone3", ENOSYS, -1, 0 }, "clone into new namespaces",
	  "Linux 5.5" },
	{ { "clone3", EINVAL, -1, 0 }, "clone into new namespaces",
	  "CONFIG_USER_NS" },
	{ { "clone3", EAGAIN, -1, 0 }, "clone into new namespaces",
	  "ulimit -u" },
	{ { "openat", EACCES, -1, 0 }, "keep guest memory out of dumps",
	  "/proc must be mounted" },
	{ { "write", EPERM, 2, 4 }, "keep guest memory out of dumps",
	  "CONFIG_ELF_CORE" },
	{ { "dup3", EMFILE, -1, 0 }, "place file descriptors", "ulimit -n" },
	{ { "dup2", EMFILE, -1, 0 }, "place file descriptors", "ulimit -n" },
	{ { "close_range", ENOSYS, -1, 0 }, "place file descriptors",
	  "Linux 5.9" },
	{ { "unshare", EPERM, -1, 0 }, "leave the network", "apparmor" },
	{ { "unshare", ENOSPC, -1, 0 }, "leave the network",
	  "max_*_namespaces" },
	{ { "setresgid", EPERM, -1, 0 }, "take user and group id",
	  "apparmor" },
	{ { "setresuid", EPERM, -1, 0 }, "take user and group id",
	  "apparmor" },
	{ { "prctl", EINVAL, 0, PR_SET_PDEATHSIG },
	  "tie life to the supervisor", "" },
	{ { "setsid", EPERM, -1, 0 }, "open a session", "" },
	{ { "sethostname", EPERM, -1, 0 }, "open a session", "apparmor" },
	{ { "write", EROFS, 2, 1 }, "forbid nested user namespaces",
	  "/proc/sys/user/max_user_namespaces" },
	{ { "fsopen", ENODEV, -1, 0 }, "enter an empty root", "CONFIG_TMPFS" },
	{ { "fsconfig", EPERM, -1, 0 }, "enter an empty root", "apparmor" },
	{ { "fsmount", ENOSYS, -1, 0 }, "enter an empty root", "Linux 5.2" },
	{ { "move_mount", ENOSPC, -1, 0 }, "enter an empty root",
	  "fs.mount-max" },
	{ { "pivot_root", EINVAL, -1, 0 }, "enter an empty root",
	  "initramfs" },
	{ { "umount2", EPERM, -1, 0 }, "enter an empty root", "apparmor" },
	{ { "prlimit64", EPERM, -1, 0 }, "set resource limits", "" },
	{ { "rt_sigaction", EINVAL, -1, 0 }, "reset signals", "" },
	{ { "capset", EPERM, -1, 0 }, "drop capabilities", "apparmor" },
	{ { "prctl", EPERM, 0, PR_CAPBSET_DROP }, "drop capabilities",
	  "apparmor" },
	{ { "prctl", EINVAL, 0, PR_SET_NO_NEW_PRIVS }, "drop capabilities",
	  "" },
	{ { "execveat", EACCES, -1, 0 }, "exec", "0755" },
	{ { "execveat", ENOEXEC, -1, 0 }, "exec", "static" },
};

struct confine_case {
	struct fault fault;
	int status;
	const char *line;	/* in the log */
};

static const struct confine_case confine_cases[] = {
	{ { "unshare", EINVAL, -1, 0 }, 1, "confine: threads: " },
	{ { "prctl", EINVAL, 0, PR_SET_NO_NEW_PRIVS }, 1,
	  "confine: no_new_privs: " },
	{ { "landlock_create_ruleset", EINVAL, -1, 0 }, 1,
	  "confine: landlock: " },
	{ { "landlock_restrict_self", E2BIG, -1, 0 }, 1,
	  "confine: landlock: " },
	{ { "prlimit64", EINVAL, -1, 0 }, 1, "confine: core dump limit: " },
	{ { "capset", EPERM, -1, 0 }, 1, "confine: capabilities: " },
	{ { "prctl", EPERM, 0, PR_SET_MDWE }, 1,
	  "confine: memory-deny-write-execute: " },
	{ { "prctl", ERANGE, 0, PR_SET_SPECULATION_CTRL }, 1,
	  "confine: speculation: " },
	{ { "seccomp", EINVAL, -1, 0 }, 1, "confine: seccomp policy rng: " },
	/* What a kernel may lack: it goes on, and says so once. */
	{ { "landlock_create_ruleset", ENOSYS, -1, 0 }, 7,
	  "this kernel has no Landlock" },
	{ { "landlock_create_ruleset", EOPNOTSUPP, -1, 0 }, 7,
	  "this kernel has no Landlock" },
	{ { "prctl", EINVAL, 0, PR_SET_MDWE }, 7, "" },
	{ { "prctl", ENXIO, 0, PR_SET_SPECULATION_CTRL }, 7, "" },
	{ { "prctl", EINVAL, 0, PR_SET_SPECULATION_CTRL }, 7, "" },
};

/* What a host tells the test. */
struct verdict {
	int err;
	bool clean;	/* no child, no more fds than before */
	char why[BIRTH_WHY_MAX];
};

static struct verdict *verdict;

static bool install(const struct fault *fault)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int nr = seccomp_syscall_resolve_name(fault->call);
	struct scmp_arg_cmp cmp = {
		.arg = fault->arg < 0 ? 0 : (unsigned int)fault->arg,
		.op = SCMP_CMP_EQ,
		.datum_a = fault->value,
	};

	return ctx && nr >= 0 &&
	       seccomp_rule_add_array(ctx,
				      SCMP_ACT_ERRNO((unsigned int)fault->err),
				      nr, fault->arg < 0 ? 0 : 1, &cmp) == 0 &&
	       seccomp_load(ctx) == 0;
}

/* Run body in a child, with what it needs as an argument. */
static bool in_host(void (*body)(const void *arg), const void *arg)
{
	int status = 0;
	pid_t pid;

	memset(verdict, 0, sizeof(*verdict));
	pid = fork();
	if (pid < 0)
		tap_bail_out("fork");
	if (pid == 0) {
		body(arg);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void attempt_birth(const struct birth_spec *spec)
{
	unsigned int nr_fds = harness_count_fds();
	struct birth_child child;

	verdict->err = birth_begin(spec, &child);
	if (verdict->err == 0)
		verdict->err = birth_wait_exec(&child, HARNESS_TIMEOUT_MS);
	memcpy(verdict->why, child.why, sizeof(child.why));
	verdict->clean = harness_is_childless() &&
			 harness_count_fds() == nr_fds;
}

static void host_with_fault(const void *arg)
{
	const struct birth_case *c = arg;
	struct birth_child child;
	struct birth_spec spec;
	unsigned int nr_fds;

	birth_close();
	nr_fds = harness_count_fds();
	harness_spec(PROBE_POLICY_RNG, &spec);
	if (!install(&c->fault))
		_exit(1);
	verdict->err = birth_open(child.why);
	if (verdict->err == 0)
		verdict->err = birth_begin(&spec, &child);
	if (verdict->err == 0)
		verdict->err = birth_wait_exec(&child, HARNESS_TIMEOUT_MS);
	memcpy(verdict->why, child.why, sizeof(child.why));
	birth_close();
	/* The fault may hit openat, too; /proc/self/fd is out of reach then. */
	verdict->clean = harness_is_childless() &&
			 (strcmp(c->fault.call, "openat") == 0 ||
			  harness_count_fds() == nr_fds);
}

static void judge_birth(bool ran, int err, const char *stage,
			const char *hint)
{
	tap_result(ran && verdict->err == err && verdict->clean &&
		   strstr(verdict->why, stage) && strstr(verdict->why, hint) &&
		   !strchr(verdict->why, '\n'),
		   "%s%s", verdict->why, verdict->clean ? "" : " (not clean)");
}

static void test_birth_faults(void)
{
	for (size_t i = 0; i < sizeof(birth_cases) / sizeof(birth_cases[0]);
	     i++) {
		const struct birth_case *c = &birth_cases[i];
		bool ran = in_host(host_with_fault, c);

		judge_birth(ran, -c->fault.err, c->stage, c->hint);
	}
}

/* A user who has used up his user namespaces. */
static void host_without_namespaces(const void *arg)
{
	struct birth_spec spec;
	int fd;

	(void)arg;
	birth_close();	/* made with rights that this one has not */
	harness_spec(PROBE_POLICY_RNG, &spec);
	if (unshare(CLONE_NEWUSER) != 0)
		_exit(1);
	fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(1);
	close(fd);
	attempt_birth(&spec);
}

static void host_without_fds(const void *arg)
{
	struct rlimit limit;
	struct birth_spec spec;
	int next = dup(0);

	(void)arg;
	close(next);
	limit.rlim_cur = limit.rlim_max = (rlim_t)next + 5;
	harness_spec(PROBE_POLICY_RNG, &spec);
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		_exit(1);
	attempt_birth(&spec);
}

/* arg: mode of a file that is no program. */
static void host_without_program(const void *arg)
{
	char path[] = "/tmp/bulkhead-jail-test-XXXXXX";
	const mode_t *mode = arg;
	struct birth_spec spec;
	int fd = mkostemp(path, O_CLOEXEC);

	harness_spec(PROBE_POLICY_RNG, &spec);
	if (fd < 0 || write(fd, "no program\n", 11) != 11 ||
	    fchmod(fd, *mode) != 0)
		_exit(1);
	close(fd);
	spec.exe_fd = open(path, O_PATH | O_CLOEXEC);
	unlink(path);
	attempt_birth(&spec);
}

/* A folder that is no cgroup, in the place of one. */
static void host_without_cgroup(const void *arg)
{
	struct birth_spec spec;

	(void)arg;
	harness_spec(PROBE_POLICY_RNG, &spec);
	spec.cgroup_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spec.cgroup_fd < 0)
		_exit(1);
	attempt_birth(&spec);
	close(spec.cgroup_fd);
}

/* An ordinary user asks for a uid that is not his. */
static void host_without_privilege(const void *arg)
{
	struct birth_spec spec;

	(void)arg;
	birth_close();	/* made with rights that this one has not */
	harness_spec(PROBE_POLICY_RNG, &spec);
	if (geteuid() == 0 && (setresgid(1, 1, 1) != 0 ||
			       setresuid(1, 1, 1) != 0 ||
			       prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0))
		_exit(1);
	spec.host_uid = birth_uid(getpid(), 1);
	attempt_birth(&spec);
}

/* A child that is stopped on its way; it may be too quick once or twice. */
static void host_without_patience(const void *arg)
{
	struct birth_child child;
	struct birth_spec spec;
	siginfo_t info;

	(void)arg;
	harness_spec(PROBE_POLICY_RNG, &spec);
	for (int i = 0; i < 50; i++) {
		if (birth_begin(&spec, &child) != 0)
			_exit(1);
		kill(child.pid, SIGSTOP);
		verdict->err = birth_wait_exec(&child, 100);
		if (verdict->err)
			break;
		birth_kill(&child);
		birth_reap(&child, &info, -1);
	}
	memcpy(verdict->why, child.why, sizeof(child.why));
	verdict->clean = harness_is_childless();
}

static void test_birth_lacks(void)
{
	const mode_t not_executable = 0644, not_a_program = 0755;

	judge_birth(in_host(host_without_namespaces, NULL), -ENOSPC,
		    "clone into new namespaces", "max_user_namespaces");
	judge_birth(in_host(host_without_fds, NULL), -EBADF,
		    "place file descriptors", "ulimit -n");
	judge_birth(in_host(host_without_program, &not_executable), -EACCES,
		    "exec", "0755");
	judge_birth(in_host(host_without_program, &not_a_program), -ENOEXEC,
		    "exec", "static executable");
	judge_birth(in_host(host_without_privilege, NULL), -EPERM,
		    "map user and group id", "CAP_SETUID");
	judge_birth(in_host(host_without_cgroup, NULL), -EBADF,
		    "be born in its cgroup", "delegated");
	judge_birth(in_host(host_without_patience, NULL), -ETIMEDOUT,
		    "wait for the program to start", "overloaded");
}

/*
 * Who has power in a user namespace of his own, but none over the network that
 * he is in: could make a new one, and would not come back.
 */
static void host_without_way_back(const void *arg)
{
	struct stat before, after;

	(void)arg;
	birth_close();
	if (unshare(CLONE_NEWUSER) != 0 ||
	    stat("/proc/self/ns/net", &before) != 0)
		_exit(1);
	verdict->err = birth_open(verdict->why);
	verdict->clean = stat("/proc/self/ns/net", &after) == 0 &&
			 after.st_ino == before.st_ino;
}

static void test_network_without_way_back(void)
{
	bool ran = in_host(host_without_way_back, NULL);

	tap_result(ran && verdict->err == 0 && verdict->clean,
		   "who could not come back from an empty network does not go there");
}

static void test_bad_specs(void)
{
	struct birth_child child;
	struct birth_spec spec;

	harness_spec(PROBE_POLICY_RNG, &spec);
	spec.fds[1].to = spec.fds[0].to;
	tap_result(birth_begin(&spec, &child) == -EINVAL,
		   "two fds at one number are refused");
	harness_spec(PROBE_POLICY_RNG, &spec);
	spec.fds[1].from = -1;
	tap_result(birth_begin(&spec, &child) == -EINVAL,
		   "an fd that is none is refused");
	harness_spec(PROBE_POLICY_RNG, &spec);
	spec.nr_fds = BIRTH_MAX_FDS + 1;
	tap_result(birth_begin(&spec, &child) == -EINVAL,
		   "too many fds are refused");
}

static void host_that_confines(const void *arg)
{
	const struct confine_case *c = arg;
	struct birth_child child;
	siginfo_t info;

	if (!install(&c->fault))
		_exit(1);
	harness_start_alone(PROBE_POLICY_RNG, &child);
	if (birth_reap(&child, &info, HARNESS_TIMEOUT_MS) != 0)
		_exit(1);
	verdict->err = info.si_code == CLD_EXITED ? info.si_status : -1;
}

static void test_confine_faults(void)
{
	for (size_t i = 0; i < sizeof(confine_cases) / sizeof(confine_cases[0]);
	     i++) {
		const struct confine_case *c = &confine_cases[i];
		struct probe_page *page;
		const char *log, *newline;
		bool ran;

		page = harness_page(PROBE_EXIT, PROBE_POLICY_RNG);
		page->exit_status = 7;
		ran = in_host(host_that_confines, c);
		log = harness_log();
		newline = strchr(log, '\n');
		tap_result(ran && verdict->err == c->status &&
			   strstr(log, c->line) &&
			   (!newline || newline[1] == '\0'),
			   "%s %s: status %d: %.*s", c->fault.call,
			   strerror(c->fault.err), verdict->err,
			   newline ? (int)(newline - log) : 0, log);
	}
}

int main(void)
{
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED)
		tap_bail_out("mmap");
	harness_open();
	test_birth_faults();
	test_birth_lacks();
	test_network_without_way_back();
	test_bad_specs();
	test_confine_faults();
	harness_close();
	tap_result(harness_is_childless(), "no child is left");
	return tap_end();
}
