/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that the jail tests put into jails.  It is started through
 * jail/birth.c, with the fds of a device or of the core, or on its own; it
 * confines itself as they do, and then does what the shared page says.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/log.h"
#include "jail/confine.h"
#include "tests/jail/probe.h"

static uint64_t limit_of(__rlimit_resource_t resource)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(resource, &limit);
	return limit.rlim_max;
}

static uint32_t count_root_entries(void)
{
	DIR *dir = opendir("/");
	uint32_t nr = 0;

	if (!dir)
		return UINT32_MAX;
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2;
}

static uint32_t count_signals(void)
{
	struct sigaction action;
	sigset_t blocked;
	uint32_t nr = 0;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		if (sigaction(sig, NULL, &action) != 0)
			continue;
		nr += action.sa_handler != SIG_DFL || sigismember(&blocked, sig);
	}
	return nr;
}

static uint32_t loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	int err = ioctl(sock, SIOCGIFFLAGS, &request);

	close(sock);
	return err == 0 && (request.ifr_flags & IFF_UP);
}

static void report_rights(struct probe_report *report)
{
	int death_signal = 0;

	report->pid = (uint32_t)getpid();
	report->uid = getuid();
	report->gid = getgid();
	report->nr_groups = (uint32_t)getgroups(0, NULL);
	report->umask = umask(0);
	report->session = (uint32_t)getsid(0);
	report->securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	report->no_new_privs = (uint32_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	prctl(PR_GET_PDEATHSIG, &death_signal);
	report->death_signal = (uint32_t)death_signal;
	for (int cap = 0; cap_get_bound(cap) >= 0; cap++)
		report->nr_bounding += cap_get_bound(cap) != 0;
	report->core_bytes = limit_of(RLIMIT_CORE);
	report->nr_files = limit_of(RLIMIT_NOFILE);
	report->nr_tasks = limit_of(RLIMIT_NPROC);
	report->memlock_bytes = limit_of(RLIMIT_MEMLOCK);
	report->file_bytes = limit_of(RLIMIT_FSIZE);
}

static void report_fds(struct probe_report *report)
{
	struct stat st;

	for (int fd = 0; fd < PROBE_MAX_FDS; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		report->fd_open[fd / 8] |= (uint8_t)(1u << (fd % 8));
		if (fd < PROBE_MAX_INODES && fstat(fd, &st) == 0)
			report->fd_inode[fd] = st.st_ino;
	}
}

static void report_all(struct probe_report *report, int argc, char **argv,
		       char **envp)
{
	report_fds(report);
	report->argc = (uint32_t)argc;
	strncpy(report->title, argv[0], sizeof(report->title) - 1);
	while (envp[report->nr_env])
		report->nr_env++;
	if (!getcwd(report->cwd, sizeof(report->cwd)))
		strcpy(report->cwd, "unreachable");
	gethostname(report->hostname, sizeof(report->hostname));
	report->main_address = (uintptr_t)report_all;
	report->nr_signals = count_signals();
	report->nr_root_entries = count_root_entries();
	report->loopback_up = loopback_up();
	report_rights(report);
}

/* What a device and the core make for themselves before they confine. */
static void make_own_fds(const struct probe_page *page)
{
	int fd;

	fd = epoll_create1(EPOLL_CLOEXEC);
	dup2(fd, EPOLL_FD);
	close(fd);
	if (page->policy == PROBE_POLICY_CORE) {
		fd = ioctl(KVM_FD, KVM_CREATE_VM, 0);
		if (fd >= 0) {
			dup2(fd, VM_FD);
			close(fd);
		}
		return;
	}
	probe_ring_make();
}

static void set_state(struct probe_page *page, enum probe_state state)
{
	__atomic_store_n(&page->state, state, __ATOMIC_RELEASE);
}

int main(int argc, char **argv, char **envp)
{
	struct probe_page *page;
	struct epoll_event event;

	log_init(NULL, LOG_LEVEL_INFO);
	page = mmap(NULL, PROBE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    STATS_FD, 0);
	if (page == MAP_FAILED)
		die(1, "probe: no page: %s", strerror(errno));
	if (page->task == PROBE_REPORT)
		report_all(&page->report, argc, argv, envp);
	make_own_fds(page);
	set_state(page, PROBE_STATE_STARTED);
	confine_speculation();
	confine_rights();
	if (page->policy != PROBE_POLICY_NONE)
		confine_calls(probe_policies[page->policy], &page->word);
	set_state(page, PROBE_STATE_CONFINED);
	if (page->task == PROBE_ATTEMPT)
		page->result = attempt_get(page->attempt)->run(page);
	else if (page->task == PROBE_EXIT)
		_exit(page->exit_status);
	else
		for (;;)	/* until SIGKILL; every policy allows this */
			epoll_pwait(EPOLL_FD, &event, 1, -1, NULL);
	set_state(page, PROBE_STATE_DONE);
	_exit(0);
}
