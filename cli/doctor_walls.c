/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walls that a VM has where the host's kernel and processor offer them, and
 * does without where not.  Each is tried in a child that ends at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "ipc/memfd.h"

/* linux/prctl.h, Linux 6.3; Debian 12's header is older. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE		65
#define PR_MDWE_REFUSE_EXEC_GAIN	(1UL << 0)
#endif

/* Return: 0, or -errno of the prctl, which changed nobody but the child. */
static int try_prctl(int option, unsigned long a, unsigned long b,
		     unsigned long c)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(prctl(option, a, b, c, 0) == 0 ? 0 : errno);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	return -WEXITSTATUS(status);
}

void doctor_msr_filter(struct doctor_result *r)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		doctor_say(r, DOCTOR_FAIL, "see the line on KVM above",
			   "/dev/kvm: %s", strerror(errno));
		return;
	}
	if (ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) > 0 &&
	    ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_USER_SPACE_MSR) > 0)
		doctor_say(r, DOCTOR_OK, "",
			   "KVM holds guests to an allow-list of MSRs");
	else
		doctor_say(r, DOCTOR_FAIL,
			   "use a kernel whose KVM has it, 5.10 or later",
			   "KVM has no allow-list of MSRs");
	close(fd);
}

/* ABI/testing/sysfs-devices-system-cpu: smt/active */
static bool has_hyperthreads(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/smt/active", "re");
	int active = f ? fgetc(f) : '1';

	if (f)
		fclose(f);
	return active != '0';
}

void doctor_core_sched(struct doctor_result *r)
{
	int err = try_prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0,
			    PR_SCHED_CORE_SCOPE_THREAD);

	if (err == 0)
		doctor_say(r, DOCTOR_OK, "",
			   "no stranger runs on the hyperthread beside a vCPU");
	else if (err == -ENODEV || !has_hyperthreads())
		doctor_say(r, DOCTOR_OK, "",
			   "no hyperthreads here: core scheduling is not needed");
	else
		doctor_say(r, DOCTOR_WARN,
			   "use a kernel with CONFIG_SCHED_CORE, or turn hyperthreads off (nosmt)",
			   "vCPUs may share a core with strangers: %s",
			   strerror(-err));
}

/* spec_ctrl.rst: one word of PR_GET_SPECULATION_CTRL's bits. */
static const char *speculation_word(int bits)
{
	if (bits < 0)
		return "unknown to this kernel";
	if (bits == PR_SPEC_NOT_AFFECTED)
		return "the processor is not affected";
	if (bits & PR_SPEC_PRCTL)
		return "off in device processes";
	return bits & PR_SPEC_DISABLE ? "off for all processes" :
					"on: the host decides for all processes";
}

void doctor_speculation(struct doctor_result *r)
{
	int store = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0,
			  0);
	int branch = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0,
			   0, 0);
	bool open = store < 0 || store == PR_SPEC_ENABLE || branch < 0 ||
		    branch == PR_SPEC_ENABLE;

	doctor_say(r, open ? DOCTOR_WARN : DOCTOR_OK,
		   open ? "lasting where the kernel's command line or the processor has it so; see /sys/devices/system/cpu/vulnerabilities" :
			  "",
		   "speculation past stores: %s; by indirect branches: %s",
		   speculation_word(store), speculation_word(branch));
}

void doctor_mdwe(struct doctor_result *r)
{
	int err = try_prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0);

	if (err == 0)
		doctor_say(r, DOCTOR_OK, "",
			   "the kernel refuses memory that becomes executable");
	else
		doctor_say(r, DOCTOR_WARN,
			   "seccomp refuses the same calls; Linux 6.3 has it",
			   "no memory-deny-write-execute: %s", strerror(-err));
}
