/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is there a KVM, and is it one that runs a kernel?  A software KVM has the
 * whole API but emulates ring 0 one instruction after the other, and knows
 * few of them: no stock kernel boots on it, and only timing tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"

#define RING0_MS	100	/* of counting */
#define RING0_PER_TURN	2	/* instructions in the loop: inc, jmp */
#define NATIVE_MIPS	100	/* hardware does 1000s, an emulator 1 to 2 */
#define EXITS		500
#define EXITS_MS	1000
#define SLOW_EXIT_US	20

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void explain_open(struct doctor_result *r, int err)
{
	if (err == EACCES || err == EPERM)
		doctor_say(r, DOCTOR_FAIL,
			   "add yourself to its group: adduser USER kvm, then log in again",
			   "/dev/kvm: no right to use it");
	else
		doctor_say(r, DOCTOR_FAIL,
			   "turn virtualisation on in the firmware, load kvm_intel or kvm_amd; in a VM, allow nesting",
			   "/dev/kvm: %s", strerror(err));
}

void doctor_kvm_device(struct doctor_result *r)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
		{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
		{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
		{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
		{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	};
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0) {
		explain_open(r, errno);
		return;
	}
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		doctor_say(r, DOCTOR_OK, "", "/dev/kvm usable, API version %d",
			   version);
	else
		doctor_say(r, DOCTOR_FAIL, "update the kernel",
			   "API version %d, not %d", version, KVM_API_VERSION);
	for (unsigned int i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			doctor_say(r, DOCTOR_FAIL,
				   "use a kernel whose KVM has it",
				   "this KVM has no %s", needed[i].name);
	close(fd);
}

static void explain_vm(struct doctor_result *r, const char *step, int err)
{
	doctor_say(r, DOCTOR_FAIL, "see the line on KVM above",
		   "no test guest: %s: %s", step, strerror(err));
}

void doctor_kvm_ring0(struct doctor_result *r)
{
	/* loop: inc %eax; jmp loop */
	static const unsigned char code[] = { 0x40, 0xeb, 0xfd };
	struct kvm_regs regs = { 0 };
	struct doctor_vm vm;
	const char *step;
	double start_us, mips;
	int ret = doctor_vm_open(&vm, code, sizeof(code), &step);

	if (ret) {
		explain_vm(r, step, -ret);
		return;
	}
	start_us = now_us();
	ret = doctor_vm_run(&vm, 1, RING0_MS);
	mips = now_us() - start_us;
	if (ret >= 0 && ioctl(vm.vcpu_fd, KVM_GET_REGS, &regs) < 0)
		ret = -errno;
	doctor_vm_close(&vm);
	if (ret < 0) {
		explain_vm(r, "KVM_RUN", -ret);
		return;
	}
	mips = (double)(regs.rax & UINT32_MAX) * RING0_PER_TURN / mips;
	if (mips >= NATIVE_MIPS)
		doctor_say(r, DOCTOR_OK, "",
			   "runs guest ring 0 natively, %.0f million instructions/s",
			   mips);
	else
		doctor_say(r, DOCTOR_WARN,
			   "stock kernels do not boot on it, small bare-metal guests do; use a host with VT-x or AMD-V",
			   "emulates guest ring 0, %.1f million instructions/s",
			   mips);
}

void doctor_kvm_exits(struct doctor_result *r)
{
	/* loop: out %al, $0x80; jmp loop */
	static const unsigned char code[] = { 0xe6, 0x80, 0xeb, 0xfc };
	struct doctor_vm vm;
	const char *step;
	double us;
	int ret = doctor_vm_open(&vm, code, sizeof(code), &step);

	if (ret) {
		explain_vm(r, step, -ret);
		return;
	}
	us = now_us();
	ret = doctor_vm_run(&vm, EXITS, EXITS_MS);
	us = now_us() - us;
	doctor_vm_close(&vm);
	if (ret <= 0) {
		explain_vm(r, "port write", ret ? -ret : ETIMEDOUT);
		return;
	}
	us /= ret;
	doctor_say(r, us > SLOW_EXIT_US ? DOCTOR_WARN : DOCTOR_OK,
		   us > SLOW_EXIT_US ?
			   "a VM inside a VM pays this; virtio queues do not, they kick an eventfd" :
			   "",
		   "an exit to user space and back takes %.1f us", us);
}
