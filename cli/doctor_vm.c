/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest VM that can be timed: one vCPU, some pages, flat 32-bit mode
 * in ring 0, for `bulkhead doctor`.  KVM api.rst: KVM_CREATE_VM,
 * KVM_SET_USER_MEMORY_REGION, KVM_SET_SREGS, KVM_RUN.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"

#define RAM_BYTES	0x10000
#define CODE_GPA	0x1000
#define CR0_PE		0x1

static void flat_segment(struct kvm_segment *segment, unsigned char type)
{
	segment->base = 0;
	segment->limit = 0xffffffff;
	segment->selector = type & 8 ? 8 : 16;
	segment->type = type;
	segment->present = 1;
	segment->dpl = 0;
	segment->db = 1;
	segment->s = 1;
	segment->g = 1;
}

/* No descriptor table is needed: nothing loads a segment. */
static int set_registers(const struct doctor_vm *vm)
{
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	flat_segment(&sregs.cs, 11);	/* code, read, accessed */
	flat_segment(&sregs.ds, 3);	/* data, write, accessed */
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.cr0 |= CR0_PE;
	if (ioctl(vm->vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(vm->vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static int map_ram(struct doctor_vm *vm, const unsigned char *code,
		   unsigned int code_bytes)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = RAM_BYTES,
	};

	vm->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm->ram == MAP_FAILED) {
		vm->ram = NULL;
		return -errno;
	}
	memcpy(vm->ram + CODE_GPA, code, code_bytes);
	region.userspace_addr = (unsigned long)vm->ram;
	return ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ?
		       -errno :
		       0;
}

static int make_vcpu(struct doctor_vm *vm)
{
	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0)
		return -errno;
	vm->run_bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vm->run_bytes < 0)
		return -errno;
	vm->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->vcpu_fd, 0);
	if (vm->run != MAP_FAILED)
		return set_registers(vm);
	vm->run = NULL;
	return -errno;
}

int doctor_vm_open(struct doctor_vm *vm, const unsigned char *code,
		   unsigned int code_bytes, const char **step)
{
	int ret;

	*vm = (struct doctor_vm){ .vm_fd = -1, .vcpu_fd = -1 };
	*step = "open /dev/kvm";
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return -errno;
	*step = "KVM_CREATE_VM";
	vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	ret = vm->vm_fd < 0 ? -errno : 0;
	if (!ret) {
		*step = "KVM_SET_USER_MEMORY_REGION";
		ret = map_ram(vm, code, code_bytes);
	}
	if (!ret) {
		*step = "KVM_CREATE_VCPU";
		ret = make_vcpu(vm);
	}
	if (ret)
		doctor_vm_close(vm);
	return ret;
}

void doctor_vm_close(struct doctor_vm *vm)
{
	if (vm->run)
		munmap(vm->run, vm->run_bytes);
	if (vm->vcpu_fd >= 0)
		close(vm->vcpu_fd);
	if (vm->vm_fd >= 0)
		close(vm->vm_fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	if (vm->ram)
		munmap(vm->ram, RAM_BYTES);
}

static void on_alarm(int number)
{
	(void)number;
}

/*
 * A signal ends KVM_RUN with EINTR.  It repeats, in case it falls between
 * two KVM_RUNs.
 */
static int arm_timer(timer_t *timer, int max_ms)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerspec when = {
		.it_value = { max_ms / 1000, max_ms % 1000 * 1000000L },
		.it_interval = { 0, 10 * 1000000L },
	};

	if (sigaction(SIGALRM, &action, NULL) < 0 ||
	    timer_create(CLOCK_MONOTONIC, NULL, timer) < 0)
		return -errno;
	if (timer_settime(*timer, 0, &when, NULL) == 0)
		return 0;
	timer_delete(*timer);
	return -errno;
}

int doctor_vm_run(struct doctor_vm *vm, int nr_exits, int max_ms)
{
	timer_t timer;
	int seen = 0;
	int ret = arm_timer(&timer, max_ms);

	if (ret)
		return ret;
	while (seen < nr_exits) {
		if (ioctl(vm->vcpu_fd, KVM_RUN, 0) < 0) {
			ret = errno == EINTR ? 0 : -errno;
			break;
		}
		if (vm->run->exit_reason != KVM_EXIT_IO) {
			ret = -EPROTO;
			break;
		}
		seen++;
	}
	timer_delete(timer);
	return ret ? ret : seen;
}
