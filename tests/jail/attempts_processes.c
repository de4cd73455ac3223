/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts to reach other processes, identities and namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "tests/jail/probe.h"

static int try_trace_host(const struct probe_page *page)
{
	return attempt_outcome(ptrace(PTRACE_SEIZE, page->host_pid, 0, 0));
}

static int try_trace_self(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(ptrace(PTRACE_ATTACH, 1, 0, 0));
}

static int try_read_host_memory(const struct probe_page *page)
{
	char byte;
	struct iovec here = { &byte, 1 };
	struct iovec there = { &byte, 1 };

	return attempt_outcome(process_vm_readv(page->host_pid, &here, 1,
						&there, 1, 0));
}

static int try_write_host_memory(const struct probe_page *page)
{
	char byte = 0;
	struct iovec here = { &byte, 1 };
	struct iovec there = { &byte, 1 };

	return attempt_outcome(process_vm_writev(page->host_pid, &here, 1,
						 &there, 1, 0));
}

/* Signal 0 needs the same rights as any other, and hurts nobody. */
static int try_kill_host(const struct probe_page *page)
{
	return attempt_outcome(kill(page->host_pid, 0));
}

static int try_kill_everybody(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(kill(-1, 0));
}

static int try_thread_kill_host(const struct probe_page *page)
{
	return attempt_outcome(tgkill(page->host_pid, page->host_pid, 0));
}

static int try_queue_signal(const struct probe_page *page)
{
	return attempt_outcome(sigqueue(page->host_pid, SIGTERM,
					(union sigval){ .sival_int = 0 }));
}

/* Let the kernel send SIGIO or SIGURG in this process's name. */
static int try_own_socket(const struct probe_page *page)
{
	return attempt_outcome(fcntl(LIFE_FD, F_SETOWN, page->host_pid));
}

static int try_pidfd_host(const struct probe_page *page)
{
	return attempt_outcome(pidfd_open(page->host_pid, 0));
}

static int try_limit_host(const struct probe_page *page)
{
	const struct rlimit none = { 0, 0 };

	return attempt_outcome(prlimit(page->host_pid, RLIMIT_NOFILE, &none,
				       NULL));
}

static int try_reschedule_host(const struct probe_page *page)
{
	const struct sched_param param = { 0 };

	return attempt_outcome(sched_setscheduler(page->host_pid, SCHED_IDLE,
						  &param));
}

static int try_renice_host(const struct probe_page *page)
{
	return attempt_outcome(setpriority(PRIO_PROCESS,
					   (id_t)page->host_pid, 19));
}

static int try_compare_host(const struct probe_page *page)
{
	return attempt_outcome(syscall(SYS_kcmp, 1, page->host_pid, KCMP_FILES,
				       0, 0));
}

static int try_move_host_pages(const struct probe_page *page)
{
	return attempt_outcome(syscall(SYS_move_pages, page->host_pid, 0, NULL,
				       NULL, NULL, 0));
}

/* The children end with this process, which is init of their namespace. */
static int try_fork_bomb(const struct probe_page *page)
{
	(void)page;
	for (int i = 0; i < 64; i++) {
		long pid = syscall(SYS_fork);

		if (pid < 0)
			return -errno;
		if (pid == 0)
			for (;;)
				pause();
	}
	return 0;
}

static int try_clone_user_namespace(const struct probe_page *page)
{
	struct clone_args args = { .flags = CLONE_NEWUSER };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	(void)page;
	if (pid == 0)
		_exit(0);
	return attempt_outcome(pid);
}

static int try_unshare_user(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(unshare(CLONE_NEWUSER));
}

static int try_unshare_mounts(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(unshare(CLONE_NEWNS));
}

static int try_enter_namespace(const struct probe_page *page)
{
	int self = pidfd_open(1, 0);

	(void)page;
	if (self < 0)
		return -errno;
	return attempt_outcome(setns(self, CLONE_NEWNET | CLONE_NEWNS));
}

static int try_raise(__rlimit_resource_t resource)
{
	const struct rlimit more = { 1 << 20, 1 << 20 };

	return attempt_outcome(setrlimit(resource, &more));
}

static int try_more_tasks(const struct probe_page *page)
{
	(void)page;
	return try_raise(RLIMIT_NPROC);
}

static int try_more_files(const struct probe_page *page)
{
	(void)page;
	return try_raise(RLIMIT_NOFILE);
}

static int try_core_dumps(const struct probe_page *page)
{
	(void)page;
	return try_raise(RLIMIT_CORE);
}

static int try_root_user(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(setresuid(0, 0, 0));
}

static int try_root_group(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(setresgid(0, 0, 0));
}

static int try_groups(const struct probe_page *page)
{
	const gid_t group = 0;

	(void)page;
	return attempt_outcome(setgroups(1, &group));
}

/* No libcap here: it reads the set first, which a policy may forbid. */
static int try_capabilities(const struct probe_page *page)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct all[2] = {
		{ ~0u, ~0u, 0 }, { ~0u, ~0u, 0 },
	};

	(void)page;
	return attempt_outcome(syscall(SYS_capset, &header, all));
}

static int try_ambient(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
				     CAP_SYS_ADMIN, 0, 0));
}

static int try_securebits(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
}

static int try_keep_capabilities(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

static int try_new_privileges(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static int try_realtime(const struct probe_page *page)
{
	const struct sched_param param = { .sched_priority = 1 };

	(void)page;
	return attempt_outcome(sched_setscheduler(0, SCHED_FIFO, &param));
}

static int try_high_priority(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(setpriority(PRIO_PROCESS, 0, -20));
}

static int try_personality(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(personality(READ_IMPLIES_EXEC));
}

static int try_host_shared_memory(const struct probe_page *page)
{
	return attempt_outcome(shmget(page->shm_key, 1, 0));
}

static int try_message_queue(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(mq_open("/x", O_CREAT | O_RDWR, 0600, NULL));
}

static int try_host_key(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(syscall(SYS_keyctl, KEYCTL_SEARCH,
				       KEY_SPEC_SESSION_KEYRING, "user",
				       PROBE_KEY, 0));
}

const struct attempt attempts_processes[] = {
	{ "ptrace of the host", try_trace_host, 0, NULL },
	{ "ptrace of init", try_trace_self, 0, NULL },
	{ "process_vm_readv of the host", try_read_host_memory, 0, NULL },
	{ "process_vm_writev of the host", try_write_host_memory, 0, NULL },
	{ "kill of the host", try_kill_host, 0, NULL },
	{ "kill of everybody", try_kill_everybody, 0, NULL },
	{ "tgkill of the host", try_thread_kill_host, 0, NULL },
	{ "sigqueue to the host", try_queue_signal, 0, NULL },
	{ "signals by F_SETOWN", try_own_socket, 0, NULL },
	{ "pidfd_open of the host", try_pidfd_host, 0, NULL },
	{ "prlimit of the host", try_limit_host, 0, NULL },
	{ "sched_setscheduler of the host", try_reschedule_host, 0, NULL },
	{ "setpriority of the host", try_renice_host, 0, NULL },
	{ "kcmp with the host", try_compare_host, 0, NULL },
	{ "move_pages of the host", try_move_host_pages, 0, NULL },
	{ "fork without end", try_fork_bomb, 0, NULL },
	{ "clone into a user namespace", try_clone_user_namespace, 0, NULL },
	{ "unshare a user namespace", try_unshare_user, 0, NULL },
	{ "unshare a mount namespace", try_unshare_mounts, 0, NULL },
	{ "setns", try_enter_namespace, 0, NULL },
	{ "more tasks", try_more_tasks, 0, NULL },
	{ "more files", try_more_files, 0, NULL },
	{ "core dumps", try_core_dumps, 0, NULL },
	{ "setresuid to root", try_root_user, 0, NULL },
	{ "setresgid to root", try_root_group, 0, NULL },
	{ "setgroups", try_groups, 0, NULL },
	{ "capset", try_capabilities, 0, NULL },
	{ "ambient capabilities", try_ambient, 0, NULL },
	{ "clear securebits", try_securebits, 0, NULL },
	{ "keep capabilities", try_keep_capabilities, 0, NULL },
	{ "clear no_new_privs", try_new_privileges, 0, NULL },
	{ "real-time priority", try_realtime, 0, NULL },
	{ "nice -20", try_high_priority, 0, NULL },
	{ "personality", try_personality, EXCUSE_ALWAYS,
	  "it concerns the process's own memory, where no mapping can become "
	  "executable" },
	{ "shared memory of the host", try_host_shared_memory, 0, NULL },
	{ "message queue", try_message_queue, 0, NULL },
	{ "keys of the host's session", try_host_key, 0, NULL },
	{ NULL, NULL, 0, NULL }
};
