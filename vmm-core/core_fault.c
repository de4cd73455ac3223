/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the core, see vmm-core/core_fault.h.  Core process, vCPU threads.
 *
 * What the guest sees of a clock that jumps: kvmclock, which is the VM's, does
 * at once for all vCPUs.  The TSC is a vCPU's, and only its own thread can move
 * it (KVM holds the vCPU's lock while the guest runs): the others do so when
 * they leave the guest next, which the supervisor sees to after
 * LIFE_EVENT_CLOCK_JUMPED.
 */
#include "vmm-core/core_fault.h"

#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/life.h"
#include "ipc/log.h"
#include "vmm-core/kvm_ioctl.h"
#include "vmm-core/report.h"

#define NS_PER_MS		1000000u
#define EVENTS_PER_SECOND	20

uint64_t core_fault_jumped_ms;

/* fault_match() is for one thread at a time; so is what a jump changes. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_limit events;
static uint64_t khz;	/* of the guest's TSC */

void core_fault_init(struct stats_head *head)
{
	const struct fault_page *page = mmap(NULL, FAULT_PAGE_BYTES, PROT_READ,
					     MAP_SHARED, CORE_FAULT_FD, 0);

	/* It has a usable one: vcpus_create(). */
	khz = (uint64_t)kvm_ioctl(VCPU_FD_BASE, KVM_GET_TSC_KHZ, NULL);
	/* Whoever takes this process over shall not write to it. */
	close(CORE_FAULT_FD);
	fault_init(page == MAP_FAILED ? NULL : page, head);
}

/* --- the clocks --------------------------------------------------------------- */

/* KVM api.rst: KVM_GET_CLOCK, KVM_SET_CLOCK: kvmclock, of all vCPUs. */
static void kvmclock_move(int64_t ms)
{
	struct kvm_clock_data clock = { 0 };
	uint64_t by_ns = (uint64_t)(ms < 0 ? -ms : ms) * NS_PER_MS;

	if (kvm_ioctl(VM_FD, KVM_GET_CLOCK, &clock) != 0) {
		log_perr(errno, "clock-jump: KVM_GET_CLOCK");
		return;
	}
	clock.flags = 0;
	if (ms >= 0)
		clock.clock += by_ns;
	else
		clock.clock = by_ns < clock.clock ? clock.clock - by_ns : 0;
	if (kvm_ioctl(VM_FD, KVM_SET_CLOCK, &clock) != 0)
		log_perr(errno, "clock-jump: KVM_SET_CLOCK");
}

/* Offsets wrap around as the TSC does: two's complement is right. */
static int tsc_offset(int vcpu_fd, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return kvm_ioctl(vcpu_fd, request, &attr) ? -errno : 0;
}

/* KVM Documentation/virt/kvm/devices/vcpu.rst: KVM_VCPU_TSC_OFFSET */
static void tsc_move(const struct core_fault_vcpu *vcpu, uint64_t ms)
{
	uint64_t before = 0, offset, after = 0;
	int err = tsc_offset(vcpu->fd, KVM_GET_DEVICE_ATTR, &before);

	offset = before + ms * khz;
	if (!err)
		err = tsc_offset(vcpu->fd, KVM_SET_DEVICE_ATTR, &offset);
	if (!err)
		err = tsc_offset(vcpu->fd, KVM_GET_DEVICE_ATTR, &after);
	if (err || after != offset)
		log_warn("clock-jump: this KVM does not move the TSC of vcpu%u%s%s; kvmclock has jumped",
			 vcpu->index, err ? ": " : "",
			 err ? strerror(-err) : "");
}

static void clock_jump(int64_t ms)
{
	kvmclock_move(ms);
	__atomic_store_n(&core_fault_jumped_ms,
			 core_fault_jumped_ms + (uint64_t)ms,
			 __ATOMIC_RELEASE);
	/* A rule for every exit must not flood the supervisor. */
	if (log_allowed(&events, EVENTS_PER_SECOND))
		report_event(LIFE_EVENT_CLOCK_JUMPED, 0, "by %lld ms",
			     (long long)ms);
}

/* --- a vCPU that is out ---------------------------------------------------------- */

/* poll(2): a negative fd is passed over; only the deadline ends it. */
static void stand_still(uint64_t ms)
{
	struct pollfd nobody = { .fd = -1 };
	struct timespec left = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000 * NS_PER_MS),
	};

	ppoll(&nobody, 1, &left, NULL);
}

void core_fault_meet(struct core_fault_vcpu *vcpu)
{
	static const struct fault_request out = { .op = FAULT_OP_EXIT };
	struct fault_set set;
	uint64_t jumped_ms;

	pthread_mutex_lock(&lock);
	fault_match(FAULT_CORE_ACTIONS, &out, &set);
	if (fault_has(&set, FAULT_CLOCK_JUMP))
		clock_jump((int64_t)set.value[FAULT_CLOCK_JUMP]);
	jumped_ms = core_fault_jumped_ms;
	pthread_mutex_unlock(&lock);
	if (jumped_ms != vcpu->jumped_ms)
		tsc_move(vcpu, jumped_ms - vcpu->jumped_ms);
	vcpu->jumped_ms = jumped_ms;
	if (fault_has(&set, FAULT_VCPU_PAUSE))
		stand_still(set.value[FAULT_VCPU_PAUSE]);
}
