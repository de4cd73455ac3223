/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From /dev/kvm to a VM without code: capability checks, VM, memory slots,
 * vCPU fds.  Core process, main thread, before the last narrowing (C2).
 */
#include "vmm-core/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/irq.h"
#include "vmm-core/kvm_ioctl.h"
#include "vmm-core/msr_filter.h"
#include "vmm-core/report.h"

#define KVM_API	12	/* KVM api.rst: KVM_GET_API_VERSION, stable since 2.6.22 */

struct capability {
	unsigned long number;
	const char *name;
	const char *use;
};

/* KVM api.rst names each of these. */
static const struct capability capabilities[] = {
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", "interrupt controllers" },
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2", "the timer" },
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "guest RAM" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "CPUID" },
	{ KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ", "the TSC's frequency" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING", "MSI-X" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "interrupts by devices" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", "doorbells" },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH",
	  "doorbells" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE", "more than one vCPU" },
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR", "real mode" },
	{ KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR",
	  "the allow-list of MSRs" },
	{ KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER",
	  "the allow-list of MSRs" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR",
	  "real mode" },
};

/* A step of the start that cannot be done without. */
static int must(int result, const char *what)
{
	if (result < 0)
		report_failed("/dev/kvm: %s: %s", what, strerror(errno));
	return result;
}

static void check_capabilities(void)
{
	int version = must(kvm_ioctl(KVM_FD, KVM_GET_API_VERSION, NULL),
			   "KVM_GET_API_VERSION");

	if (version != KVM_API)
		report_failed("/dev/kvm: API version %d, need %d", version,
			      KVM_API);
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities);
	     i++) {
		const struct capability *cap = &capabilities[i];

		if (kvm_ioctl(KVM_FD, KVM_CHECK_EXTENSION,
			      kvm_number(cap->number)) <= 0)
			report_failed("/dev/kvm: this host's KVM lacks %s (%s): use another kernel or host",
				      cap->name, cap->use);
	}
}

/* Move an fd to the number that the policy knows it by. */
static int fd_move(int fd, int to, const char *what)
{
	must(fd, what);
	if (fd == to)
		return to;
	must(dup3(fd, to, O_CLOEXEC), what);
	close(fd);
	return to;
}

void kvm_create_vm(void)
{
	/* KVM api.rst: KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSS_ADDR: Intel */
	uint64_t identity = KVM_IDENTITY_BASE;

	check_capabilities();
	fd_move(kvm_ioctl(KVM_FD, KVM_CREATE_VM, NULL), VM_FD, "KVM_CREATE_VM");
	must(kvm_ioctl(VM_FD, KVM_SET_IDENTITY_MAP_ADDR, &identity),
	     "KVM_SET_IDENTITY_MAP_ADDR");
	must(kvm_ioctl(VM_FD, KVM_SET_TSS_ADDR, kvm_number(KVM_TSS_BASE)),
	     "KVM_SET_TSS_ADDR");
	errno = -msr_filter_install(VM_FD);
	must(errno ? -1 : 0, "KVM_X86_SET_MSR_FILTER");
}

void kvm_create_interrupts(void)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	errno = -irq_init(VM_FD);
	must(errno ? -1 : 0, "interrupt controllers");
	/* For guests that know neither kvmclock nor the TSC deadline timer. */
	must(kvm_ioctl(VM_FD, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
}

void kvm_map_memory(void)
{
	const struct guest_region *regions;
	unsigned int nr = guest_mem_regions(&regions);

	for (unsigned int i = 0; i < nr; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = regions[i].gpa,
			.memory_size = regions[i].size_bytes,
			.userspace_addr = (uintptr_t)regions[i].host,
		};

		must(kvm_ioctl(VM_FD, KVM_SET_USER_MEMORY_REGION, &slot),
		     "KVM_SET_USER_MEMORY_REGION");
	}
}

uint32_t kvm_run_bytes(void)
{
	return (uint32_t)must(kvm_ioctl(KVM_FD, KVM_GET_VCPU_MMAP_SIZE, NULL),
			      "KVM_GET_VCPU_MMAP_SIZE");
}

int kvm_create_vcpu(unsigned int index)
{
	int fd = kvm_ioctl(VM_FD, KVM_CREATE_VCPU, kvm_number(index));

	return fd_move(fd, VCPU_FD_BASE + (int)index, "KVM_CREATE_VCPU");
}
