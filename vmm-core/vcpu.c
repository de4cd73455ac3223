/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads of the core process: KVM_RUN, and what its exits ask for.
 *
 * There is no way out of the loop but the end of the process: a guest that
 * powers off, resets or cannot go on takes the whole core with it, and
 * exit_group(2) stops the other threads wherever they are.
 */
#include "vmm-core/vcpu.h"

#include <errno.h>
#include <limits.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/kernel_calls.h"
#include "ipc/life.h"
#include "ipc/log.h"
#include "vmm-core/bus.h"
#include "vmm-core/core_fault.h"
#include "vmm-core/core_stats.h"
#include "vmm-core/cpuid.h"
#include "vmm-core/exit_report.h"
#include "vmm-core/gate.h"
#include "vmm-core/kvm.h"
#include "vmm-core/kvm_ioctl.h"
#include "vmm-core/msr_filter.h"
#include "vmm-core/report.h"

#define STACK_BYTES		(64 * 1024)

#define MSR_MISC_ENABLE		0x1a0	/* SDM volume 4 */
#define MISC_ENABLE_FAST_STRING	1
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLED_WRITE_BACK	(1u << 11 | 6)

struct vcpu {
	unsigned int index;
	int fd;
	struct kvm_run *run;	/* shared with KVM, kvm_run_bytes() long */
	pthread_t thread;
	struct msr_refusals refusals;	/* of its own thread */
};

static struct vcpu vcpus[LIFE_MAX_VCPUS];
static unsigned int nr_vcpus;

/* --- exits ----------------------------------------------------------------- */

/* KVM api.rst: KVM_EXIT_IO; count > 1 is a string instruction. */
static void exit_io(unsigned int vcpu, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
	unsigned int owner = STATS_OWNER_NOBODY;

	for (uint32_t i = 0; i < run->io.count; i++)
		owner = bus_access(BUS_PIO, run->io.port,
				   data + i * run->io.size, run->io.size,
				   is_write);
	core_stats_answered(vcpu, owner);
}

static void exit_mmio(unsigned int vcpu, struct kvm_run *run)
{
	unsigned int owner = bus_access(BUS_MMIO, run->mmio.phys_addr,
					run->mmio.data, run->mmio.len,
					run->mmio.is_write);

	core_stats_answered(vcpu, owner);
}

static void exit_failed(const struct vcpu *vcpu, int run_errno)
{
	char text[LIFE_TEXT_MAX];

	exit_report(vcpu->index, vcpu->fd, vcpu->run, run_errno, text);
	report_event(LIFE_EVENT_VCPU_FAILED, vcpu->index, "%s", text);
	_exit(EXIT_FAILURE);
}

/* SDM volume 3, 6.15 (#DF): a triple fault is a shutdown; boards reset. */
static void exit_triple_fault(const struct vcpu *vcpu)
{
	char text[LIFE_TEXT_MAX];

	exit_report(vcpu->index, vcpu->fd, vcpu->run, 0, text);
	report_event(LIFE_EVENT_RESET, 0, "%s", text);
	_exit(EXIT_SUCCESS);
}

/* KVM api.rst: KVM_EXIT_SYSTEM_EVENT; on x86 from KVM's Hyper-V half. */
static void exit_system_event(const struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		report_event(LIFE_EVENT_POWEROFF, 0, "shutdown by hypercall");
		_exit(EXIT_SUCCESS);
	case KVM_SYSTEM_EVENT_RESET:
		report_event(LIFE_EVENT_RESET, 0, "reset by hypercall");
		_exit(EXIT_SUCCESS);
	default:
		exit_failed(vcpu, 0);
	}
}

static void exit_handle(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		core_stats_exit(vcpu->index, STATS_EXIT_IO);
		exit_io(vcpu->index, run);
		break;
	case KVM_EXIT_MMIO:
		core_stats_exit(vcpu->index, STATS_EXIT_MMIO);
		exit_mmio(vcpu->index, run);
		break;
	case KVM_EXIT_INTR:
		core_stats_exit(vcpu->index, STATS_EXIT_SIGNAL);
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		core_stats_exit(vcpu->index, STATS_EXIT_MSR);
		msr_filter_refuse(vcpu->index, run, &vcpu->refusals);
		break;
	case KVM_EXIT_SHUTDOWN:
		core_stats_exit(vcpu->index, STATS_EXIT_OTHER);
		exit_triple_fault(vcpu);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		core_stats_exit(vcpu->index, STATS_EXIT_OTHER);
		exit_system_event(vcpu);
		break;
	default:
		core_stats_exit(vcpu->index, STATS_EXIT_OTHER);
		exit_failed(vcpu, 0);
	}
}

/* --- thread ---------------------------------------------------------------- */

static void *vcpu_main(void *opaque)
{
	struct vcpu *vcpu = opaque;
	struct core_fault_vcpu fault = { vcpu->index, vcpu->fd, 0 };
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	prctl(PR_SET_NAME, name);
	gate_pass();
	for (;;) {
		if (kvm_ioctl(vcpu->fd, KVM_RUN, NULL) == 0)
			exit_handle(vcpu);
		/*
		 * EINTR: a debugger or a stop signal.  EAGAIN: KVM api.rst,
		 * KVM_RUN: a vCPU that has just left its wait for SIPI.
		 */
		else if (errno == EINTR || errno == EAGAIN)
			core_stats_exit(vcpu->index, STATS_EXIT_SIGNAL);
		else
			exit_failed(vcpu, errno);
		/*
		 * Last of all: a stop from here on, but for some instructions,
		 * is one that KVM_RUN sees, so that birth_interrupt() brings
		 * every vCPU here.
		 */
		core_fault_look(&fault);
		if (!gate_seems_open())
			gate_pass();
	}
	return NULL;
}

static void thread_start(struct vcpu *vcpu)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&vcpu->thread, &attr, vcpu_main, vcpu);
	pthread_attr_destroy(&attr);
	if (err)
		report_failed("cannot start the thread of vcpu%u: %s",
			      vcpu->index, strerror(err));
}

/* --- birth ----------------------------------------------------------------- */

/*
 * What runs on the other hyperthread of a vCPU's core, and so could listen at
 * its caches and buffers, is another vCPU of this VM or idle.  All threads
 * started later inherit the cookie.
 */
static void siblings_exclude(void)
{
	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0,
		  PR_SCHED_CORE_SCOPE_THREAD, 0) == 0)
		return;
	/* ENODEV: no hyperthreads.  EINVAL: a kernel without it. */
	if (errno != ENODEV && errno != EINVAL)
		report_failed("core scheduling: %s", strerror(errno));
	log_debug("no core scheduling: %s; see 'bulkhead doctor core-sched'",
		  strerror(errno));
}

static void msrs_set(const struct vcpu *vcpu)
{
	/* What firmware leaves behind: the rest is as after a reset. */
	static const struct kvm_msr_entry wanted[] = {
		{ .index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK },
	};

	/* One by one: KVM stops at the first that it refuses. */
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		union {
			struct kvm_msrs head;
			uint8_t bytes[sizeof(struct kvm_msrs) +
				      sizeof(struct kvm_msr_entry)];
		} one = { .head.nmsrs = 1 };

		one.head.entries[0] = wanted[i];
		if (kvm_ioctl(vcpu->fd, KVM_SET_MSRS, &one) != 1)
			report_failed("/dev/kvm: KVM_SET_MSRS refuses MSR 0x%x of vcpu%u",
				      wanted[i].index, vcpu->index);
	}
}

static void cpuid_set(const struct vcpu *vcpu, union cpuid_table *table,
		      const struct cpuid_machine *machine)
{
	int err = cpuid_shape(&table->head, vcpu->index, machine);

	if (err)
		report_failed("CPUID of vcpu%u: too many leaves", vcpu->index);
	if (kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, table) != 0)
		report_failed("/dev/kvm: KVM_SET_CPUID2: %s", strerror(errno));
}

static void run_map(struct vcpu *vcpu, uint32_t run_bytes)
{
	vcpu->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		report_failed("/dev/kvm: mapping of vcpu%u: %s", vcpu->index,
			      strerror(errno));
}

/* What KVM supports, and the machine to shape it to. */
static void cpuid_begin(union cpuid_table *table, unsigned int nr,
			struct cpuid_machine *machine)
{
	int khz;

	table->head.nent = CPUID_MAX_ENTRIES;
	if (kvm_ioctl(KVM_FD, KVM_GET_SUPPORTED_CPUID, table) != 0)
		report_failed("/dev/kvm: KVM_GET_SUPPORTED_CPUID: %s",
			      strerror(errno));
	khz = kvm_ioctl(VCPU_FD_BASE, KVM_GET_TSC_KHZ, NULL);
	if (khz <= 0)
		report_failed("/dev/kvm: KVM_GET_TSC_KHZ: %s: the host's TSC is not usable",
			      strerror(errno));
	*machine = (struct cpuid_machine){
		.nr_vcpus = nr,
		.tsc_khz = (uint32_t)khz,
		.has_tsc_deadline =
			kvm_ioctl(KVM_FD, KVM_CHECK_EXTENSION,
				  kvm_number(KVM_CAP_TSC_DEADLINE_TIMER)) > 0,
	};
}

void vcpus_create(unsigned int nr)
{
	uint32_t run_bytes = kvm_run_bytes();
	struct cpuid_machine machine;
	union cpuid_table table;

	siblings_exclude();
	for (unsigned int i = 0; i < nr; i++) {
		struct vcpu *vcpu = &vcpus[i];

		vcpu->index = i;
		vcpu->fd = kvm_create_vcpu(i);
		run_map(vcpu, run_bytes);
		if (i == 0)
			cpuid_begin(&table, nr, &machine);
		cpuid_set(vcpu, &table, &machine);
		msrs_set(vcpu);
		core_stats_add_vcpu(i, vcpu->fd);
		thread_start(vcpu);
	}
	nr_vcpus = nr;
	/*
	 * The C library starts a thread with system calls that the policy does
	 * not have, so all must be past them before it is in force.
	 */
	gate_wait_for(nr);
}

/*
 * KVM api.rst: immediate_exit: a vCPU that has passed the gate but not yet
 * entered the guest comes back at once.
 */
static void entry_allow(bool open)
{
	for (unsigned int i = 0; i < nr_vcpus; i++)
		__atomic_store_n(&vcpus[i].run->immediate_exit, !open,
				 __ATOMIC_RELAXED);
}

void vcpus_run(void)
{
	gate_set(true, entry_allow);
}

void vcpus_pause(void)
{
	gate_set(false, entry_allow);
}
