/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources and births for the jail tests.  This process plays supervisor
 * and host at once: what it owns here is what a probe must not reach.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "tests/jail/harness.h"

static struct {
	struct probe_page *page;
	int exe, page_fd, image, ram, kvm;
	int log[2], life[2], link[2];
	int terminal, terminal_master;
	pid_t terminal_user;
	int abstract, tcp;
	uint16_t tcp_port;
	int shm;
	pid_t owner;	/* of all this, not one forked off it */
	char abstract_name[64];
} host;

static void must(bool ok, const char *what)
{
	char text[160];

	if (ok)
		return;
	snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
	tap_bail_out("%s", text);
}

/* A terminal with a session on it, as the one that a user sits at. */
static void open_terminal(void)
{
	must(openpty(&host.terminal_master, &host.terminal, NULL, NULL,
		     NULL) == 0, "pty");
	fcntl(host.terminal_master, F_SETFD, FD_CLOEXEC);
	fcntl(host.terminal, F_SETFD, FD_CLOEXEC);
	host.terminal_user = fork();
	must(host.terminal_user >= 0, "fork");
	if (host.terminal_user > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	setsid();
	ioctl(host.terminal, TIOCSCTTY, 0);
	for (;;)
		pause();
}

static void open_listeners(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct sockaddr_in inet = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(inet);

	snprintf(host.abstract_name, sizeof(host.abstract_name),
		 "bulkhead-jail-test-%d", (int)getpid());
	strcpy(addr.sun_path + 1, host.abstract_name);
	host.abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(bind(host.abstract, (struct sockaddr *)&addr,
		  (socklen_t)(sizeof(addr.sun_family) + 1 +
			      strlen(host.abstract_name))) == 0 &&
	     listen(host.abstract, 1) == 0, "abstract socket");
	host.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(bind(host.tcp, (struct sockaddr *)&inet, sizeof(inet)) == 0 &&
	     listen(host.tcp, 1) == 0 &&
	     getsockname(host.tcp, (struct sockaddr *)&inet, &len) == 0,
	     "TCP socket");
	host.tcp_port = ntohs(inet.sin_port);
}

static int open_memfd(const char *name, off_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	must(fd >= 0 && ftruncate(fd, size) == 0, name);
	return fd;
}

/* An unlinked file, not a memfd: chmod and exec of it must mean something. */
static int open_image(void)
{
	char path[] = "/tmp/bulkhead-jail-test-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	must(fd >= 0 && ftruncate(fd, HARNESS_IMAGE_BYTES) == 0 &&
	     fchmod(fd, 0777) == 0, "image");
	unlink(path);
	return fd;
}

/* tests/run says where the build is. */
static int open_probe(void)
{
	const char *build = getenv("BULKHEAD_BUILD");
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/tests/jail/probe",
		 build ? build : "build");
	fd = open(path, O_PATH | O_CLOEXEC);
	must(fd >= 0, path);
	return fd;
}

void harness_open(void)
{
	char why[BIRTH_WHY_MAX];

	host.owner = getpid();
	host.shm = -1;
	atexit(harness_close);	/* also if the test bails out */
	host.exe = open_probe();
	host.page_fd = open_memfd("page", PROBE_PAGE_BYTES);
	host.page = mmap(NULL, PROBE_PAGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED, host.page_fd, 0);
	must(host.page != MAP_FAILED, "page");
	host.image = open_image();
	host.ram = open_memfd("ram", 2 << 20);
	host.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	must(pipe2(host.log, O_CLOEXEC | O_NONBLOCK) == 0 &&
	     socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			host.life) == 0 &&
	     socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
			host.link) == 0, "channels");
	host.shm = shmget(IPC_PRIVATE + 0x62756c6b + getpid(), 4096,
			  IPC_CREAT | 0666);
	must(host.shm >= 0, "shared memory");
	open_terminal();
	open_listeners();
	if (birth_open(why))
		tap_bail_out("%s", why);
	/* Without keyrings in the kernel there is nothing to hide. */
	syscall(SYS_add_key, "user", PROBE_KEY, "x", 1,
		KEY_SPEC_SESSION_KEYRING);
}

void harness_close(void)
{
	if (host.owner != getpid())
		return;
	host.owner = 0;
	if (host.shm >= 0)
		shmctl(host.shm, IPC_RMID, NULL);
	if (host.terminal_user > 0) {
		kill(host.terminal_user, SIGKILL);
		waitpid(host.terminal_user, NULL, 0);
	}
}

struct probe_page *harness_page(enum probe_task task, enum probe_policy policy)
{
	memset(host.page, 0, PROBE_PAGE_BYTES);
	host.page->task = task;
	host.page->policy = policy;
	host.page->host_pid = getpid();
	host.page->tcp_port = host.tcp_port;
	host.page->shm_key = IPC_PRIVATE + 0x62756c6b + getpid();
	strcpy(host.page->abstract, host.abstract_name);
	return host.page;
}

struct probe_page *harness_last_page(void)
{
	return host.page;
}

static void spec_add(struct birth_spec *spec, int from, int to)
{
	if (from < 0)
		return;
	spec->fds[spec->nr_fds].from = from;
	spec->fds[spec->nr_fds].to = to;
	spec->nr_fds++;
}

void harness_spec(enum probe_policy policy, struct birth_spec *spec)
{
	uid_t uid = geteuid() == 0 ? birth_uid(getpid(), 5) : geteuid();

	*spec = (struct birth_spec){
		.title = PROBE_TITLE,
		.exe_fd = host.exe,
		.cgroup_fd = -1,
		.host_uid = uid,
		.host_gid = geteuid() == 0 ? uid : getegid(),
		.nr_files = INHERIT_FD_MAX,
		.nr_tasks = 4,	/* io_uring has workers */
		.memlock_bytes = 1 << 20,	/* io_uring charges its rings */
		.file_bytes = HARNESS_IMAGE_BYTES,
	};
	spec_add(spec, host.log[1], LOG_FD);
	spec_add(spec, host.life[1], LIFE_FD);
	spec_add(spec, host.page_fd, STATS_FD);
	if (policy == PROBE_POLICY_CORE) {
		spec_add(spec, host.kvm, KVM_FD);
		spec_add(spec, host.ram, RAM_FD);
		spec_add(spec, host.image, KERNEL_FD);
		spec_add(spec, host.image, INITRD_FD);
	} else {
		spec_add(spec, host.link[1], LINK_FD);
		spec_add(spec, host.image, RES_FD);
		spec_add(spec, host.terminal, RES2_FD);
	}
}

void harness_birth(enum probe_policy policy, struct birth_child *child)
{
	struct birth_spec spec;

	harness_spec(policy, &spec);
	if (birth_begin(&spec, child) != 0 ||
	    birth_wait_exec(child, HARNESS_TIMEOUT_MS) != 0)
		tap_bail_out("%s", child->why);
}

static noreturn void exec_alone(const struct birth_spec *spec)
{
	char title[] = "probe";
	char *const argv[] = { title, NULL };
	const int above = 200;
	int exe = fcntl(spec->exe_fd, F_DUPFD_CLOEXEC, above + BIRTH_MAX_FDS);

	for (unsigned int i = 0; i < spec->nr_fds; i++)
		dup2(spec->fds[i].from, above + (int)i);
	for (unsigned int i = 0; i < spec->nr_fds; i++)
		dup2(above + (int)i, spec->fds[i].to);
	execveat(exe, "", argv, argv + 1, AT_EMPTY_PATH);
	_exit(127);
}

void harness_start_alone(enum probe_policy policy, struct birth_child *child)
{
	struct birth_spec spec;

	harness_spec(policy, &spec);
	*child = (struct birth_child){ .stage_fd = -1 };
	child->pid = fork();
	must(child->pid >= 0, "fork");
	if (child->pid == 0)
		exec_alone(&spec);
	child->pidfd = pidfd_open(child->pid, 0);
	must(child->pidfd >= 0, "pidfd");
}

bool harness_wait_state(const struct probe_page *page, enum probe_state state)
{
	long long deadline_ms = fdmsg_now_ms() + HARNESS_TIMEOUT_MS;

	while (__atomic_load_n(&page->state, __ATOMIC_ACQUIRE) < state) {
		if (fdmsg_now_ms() > deadline_ms)
			return false;
		usleep(200);
	}
	return true;
}

const char *harness_log(void)
{
	static char text[2048];
	ssize_t len = read(host.log[0], text, sizeof(text) - 1);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

bool harness_is_childless(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
	       errno == ECHILD;
}

unsigned int harness_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	must(dir != NULL, "/proc/self/fd");
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 3;	/* ".", ".." and the directory itself */
}
