/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts to reach the kernel, the hardware, or new executable memory. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "tests/jail/probe.h"

static int try_new_ring(const struct probe_page *page)
{
	struct io_uring_params params = { 0 };

	(void)page;
	return attempt_outcome(syscall(SYS_io_uring_setup, 4, &params));
}

static int try_open_by_ring(const struct probe_page *page)
{
	(void)page;
	return probe_ring_open("/etc/passwd");
}

static int try_bpf(const struct probe_page *page)
{
	union bpf_attr attr = { .start_id = 0 };

	(void)page;
	return attempt_outcome(syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attr,
				       sizeof(attr)));
}

static int try_perf(const struct probe_page *page)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
	};

	(void)page;
	return attempt_outcome(syscall(SYS_perf_event_open, &attr, -1, 0, -1,
				       0));
}

static int try_userfaultfd(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(syscall(SYS_userfaultfd, 0));
}

static int try_module(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(syscall(SYS_init_module, "x", 1, ""));
}

static int try_module_file(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(syscall(SYS_finit_module, RES_FD, "", 0));
}

static int try_kexec(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

/* Would only switch off the keyboard's reset key. */
static int try_reboot(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1,
				       LINUX_REBOOT_MAGIC2,
				       LINUX_REBOOT_CMD_CAD_OFF, NULL));
}

static int try_kernel_log(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(klogctl(6 /* enable the console */, NULL, 0));
}

static int try_set_clock(const struct probe_page *page)
{
	struct timespec now;

	(void)page;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -errno;
	return attempt_outcome(clock_settime(CLOCK_REALTIME, &now));
}

static int try_tune_clock(const struct probe_page *page)
{
	struct timex timex = { .modes = ADJ_TICK, .tick = 10000 };

	(void)page;
	return attempt_outcome(adjtimex(&timex));
}

static int try_host_name(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(sethostname("x", 1));
}

static int try_io_privilege(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(iopl(3));
}

static int try_io_ports(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(ioperm(0x80, 1, 1));
}

static int try_watch_files(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(fanotify_init(FAN_CLASS_CONTENT, 0));
}

static int try_lock_memory(const struct probe_page *page)
{
	static char much[4 << 20];

	(void)page;
	return attempt_outcome(mlock(much, sizeof(much)));
}

static int map_anonymous(int prot)
{
	void *p = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

static int try_write_exec_mapping(const struct probe_page *page)
{
	(void)page;
	return map_anonymous(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int try_exec_mapping(const struct probe_page *page)
{
	(void)page;
	return map_anonymous(PROT_READ | PROT_EXEC);
}

static int try_write_then_exec(const struct probe_page *page)
{
	static char code[8192] __attribute__((aligned(4096)));

	(void)page;
	code[0] = (char)0xc3;
	return attempt_outcome(mprotect(code, 4096, PROT_READ | PROT_EXEC));
}

/* The same ioctl on every fd; arg is large enough for any of them. */
static int ioctl_on_all(unsigned long request)
{
	char arg[256] = { 0 };
	int first_errno = 0;

	for (int fd = 0; fd < INHERIT_FD_MAX; fd++) {
		if (ioctl(fd, request, arg) >= 0)
			return 0;
		/* EBADF tells less than what an open fd says. */
		if (errno != EBADF && errno != ENOTTY && !first_errno)
			first_errno = errno;
	}
	return first_errno ? -first_errno : -ENOTTY;
}

static int try_type_on_terminal(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(TIOCSTI);
}

static int try_take_terminal(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(TIOCSCTTY);
}

static int try_take_console(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(TIOCCONS);
}

static int try_new_vm(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(KVM_CREATE_VM);
}

static int try_new_vcpu(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(KVM_CREATE_VCPU);
}

static int try_new_memory(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(KVM_SET_USER_MEMORY_REGION);
}

static int try_reread_partitions(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(BLKRRPART);
}

static int try_freeze_filesystem(const struct probe_page *page)
{
	(void)page;
	return ioctl_on_all(FIFREEZE);
}

const struct attempt attempts_kernel[] = {
	{ "io_uring_setup", try_new_ring, EXCUSE_ALWAYS,
	  "a ring acts with the rights of its owner, see the next" },
	{ "open through io_uring", try_open_by_ring, 0, NULL },
	{ "bpf", try_bpf, 0, NULL },
	{ "perf_event_open of a CPU", try_perf, 0, NULL },
	{ "userfaultfd", try_userfaultfd, 0, NULL },
	{ "init_module", try_module, 0, NULL },
	{ "finit_module of the image", try_module_file, 0, NULL },
	{ "kexec_load", try_kexec, 0, NULL },
	{ "reboot", try_reboot, 0, NULL },
	{ "control the kernel log", try_kernel_log, 0, NULL },
	{ "clock_settime", try_set_clock, 0, NULL },
	{ "adjtimex", try_tune_clock, 0, NULL },
	{ "sethostname", try_host_name, 0, NULL },
	{ "iopl", try_io_privilege, 0, NULL },
	{ "ioperm", try_io_ports, 0, NULL },
	{ "fanotify", try_watch_files, 0, NULL },
	{ "mlock beyond the limit", try_lock_memory, 0, NULL },
	{ "map writable and executable", try_write_exec_mapping,
	  EXCUSE_NO_MDWE, "the policies refuse it" },
	{ "map executable", try_exec_mapping, EXCUSE_ALWAYS,
	  "it is empty and never writable; the policies refuse it" },
	{ "make written memory executable", try_write_then_exec,
	  EXCUSE_NO_MDWE, "the policies refuse it" },
	{ "ioctl TIOCSTI on every fd", try_type_on_terminal, 0, NULL },
	{ "ioctl TIOCSCTTY on every fd", try_take_terminal, 0, NULL },
	{ "ioctl TIOCCONS on every fd", try_take_console, 0, NULL },
	{ "ioctl KVM_CREATE_VM on every fd", try_new_vm, 0, NULL },
	{ "ioctl KVM_CREATE_VCPU on every fd", try_new_vcpu, 0, NULL },
	{ "ioctl KVM_SET_USER_MEMORY_REGION on every fd", try_new_memory, 0,
	  NULL },
	{ "ioctl BLKRRPART on every fd", try_reread_partitions, 0, NULL },
	{ "ioctl FIFREEZE on every fd", try_freeze_filesystem, 0, NULL },
	{ NULL, NULL, 0, NULL }
};
