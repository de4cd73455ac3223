/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allow-list of model-specific registers (core process, C2, and the vCPU
 * threads for what it refuses).
 *
 * KVM implements several hundred registers for guests, of which kernels use
 * those below.  What is left out is code of KVM that no guest reaches: nested
 * virtualisation, Hyper-V, processor trace, branch records, SGX, microcode
 * loading.  KVM api.rst: KVM_X86_SET_MSR_FILTER; registers of the x2APIC
 * (0x800 to 0x8ff) are not subject to it.
 *
 * Numbers: Intel SDM volume 4; AMD APM volume 2, appendix A; KVM msr.rst.
 */
#include "vmm-core/msr_filter.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm-core/kvm_ioctl.h"

#define ACCESS_READ	KVM_MSR_FILTER_READ
#define ACCESS_WRITE	KVM_MSR_FILTER_WRITE
#define ACCESS_BOTH	(ACCESS_READ | ACCESS_WRITE)
#define LINES_PER_SECOND	3

struct msr_rule {
	uint32_t first;
	uint32_t last;
	uint32_t access;
	const char *reason;
};

/* Sorted; tests/unit/test_msr_filter.c holds it to that. */
static const struct msr_rule rules[] = {
	{ 0x10, 0x10, ACCESS_BOTH, "IA32_TIME_STAMP_COUNTER: clocks" },
	{ 0x11, 0x12, ACCESS_BOTH, "KVM's clocks under their old numbers" },
	{ 0x17, 0x17, ACCESS_READ, "IA32_PLATFORM_ID: read at boot" },
	{ 0x1b, 0x1b, ACCESS_BOTH, "IA32_APIC_BASE: xAPIC or x2APIC" },
	{ 0x2a, 0x2a, ACCESS_READ, "EBL_CR_POWERON: read at boot" },
	{ 0x2c, 0x2c, ACCESS_READ, "EBC_FREQUENCY_ID: bus frequency" },
	{ 0x3a, 0x3b, ACCESS_BOTH, "IA32_FEATURE_CONTROL is read, then locked; IA32_TSC_ADJUST" },
	{ 0x48, 0x48, ACCESS_BOTH, "IA32_SPEC_CTRL: the guest's mitigations" },
	{ 0x49, 0x49, ACCESS_WRITE, "IA32_PRED_CMD: the guest's mitigations" },
	{ 0x8b, 0x8b, ACCESS_BOTH, "IA32_BIOS_SIGN_ID: microcode's revision, by writing 0 first" },
	{ 0xc1, 0xc8, ACCESS_BOTH, "IA32_PMCx: perf in the guest" },
	{ 0xcd, 0xcf, ACCESS_READ, "FSB_FREQ, PLATFORM_INFO, IA32_CORE_CAPABILITIES: read at boot" },
	{ 0xe1, 0xe1, ACCESS_BOTH, "IA32_UMWAIT_CONTROL: how long user code may wait" },
	{ 0xfe, 0xfe, ACCESS_READ, "IA32_MTRRCAP" },
	{ 0x10a, 0x10a, ACCESS_READ, "IA32_ARCH_CAPABILITIES: which mitigations are needed" },
	{ 0x10b, 0x10b, ACCESS_WRITE, "IA32_FLUSH_CMD: the guest's mitigations" },
	{ 0x11e, 0x11e, ACCESS_READ, "BBL_CR_CTL3: read at boot" },
	{ 0x122, 0x122, ACCESS_BOTH, "IA32_TSX_CTRL: the guest's mitigations" },
	{ 0x140, 0x140, ACCESS_BOTH, "MISC_FEATURE_ENABLES: CPUID faulting" },
	{ 0x174, 0x176, ACCESS_BOTH, "IA32_SYSENTER_x" },
	{ 0x179, 0x179, ACCESS_READ, "IA32_MCG_CAP: machine checks" },
	{ 0x17a, 0x17b, ACCESS_BOTH, "IA32_MCG_STATUS, IA32_MCG_CTL: machine checks" },
	{ 0x186, 0x18d, ACCESS_BOTH, "IA32_PERFEVTSELx: perf in the guest" },
	{ 0x198, 0x199, ACCESS_READ, "IA32_PERF_STATUS, IA32_PERF_CTL: frequency drivers look" },
	{ 0x1a0, 0x1a0, ACCESS_BOTH, "IA32_MISC_ENABLE" },
	{ 0x1c4, 0x1c5, ACCESS_BOTH, "IA32_XFD, IA32_XFD_ERR: AMX state" },
	{ 0x1d9, 0x1d9, ACCESS_BOTH, "IA32_DEBUGCTL: stepping by branches" },
	{ 0x1db, 0x1de, ACCESS_READ, "last branch and exception: in reports of an oops" },
	{ 0x200, 0x20f, ACCESS_BOTH, "IA32_MTRR_PHYSx" },
	{ 0x250, 0x250, ACCESS_BOTH, "IA32_MTRR_FIX64K" },
	{ 0x258, 0x259, ACCESS_BOTH, "IA32_MTRR_FIX16K" },
	{ 0x268, 0x26f, ACCESS_BOTH, "IA32_MTRR_FIX4K" },
	{ 0x277, 0x277, ACCESS_BOTH, "IA32_PAT" },
	{ 0x280, 0x29f, ACCESS_BOTH, "IA32_MCi_CTL2: machine checks" },
	{ 0x2ff, 0x2ff, ACCESS_BOTH, "IA32_MTRR_DEF_TYPE" },
	{ 0x309, 0x30c, ACCESS_BOTH, "IA32_FIXED_CTRx: perf in the guest" },
	{ 0x345, 0x345, ACCESS_READ, "IA32_PERF_CAPABILITIES" },
	{ 0x38d, 0x390, ACCESS_BOTH, "IA32_PERF_GLOBAL_x: perf in the guest" },
	{ 0x3f1, 0x3f2, ACCESS_BOTH, "IA32_PEBS_ENABLE, MSR_PEBS_DATA_CFG: perf in the guest" },
	{ 0x400, 0x47f, ACCESS_BOTH, "IA32_MCi_x: machine checks" },
	{ 0x4c1, 0x4c8, ACCESS_BOTH, "IA32_A_PMCx: perf in the guest" },
	{ 0x4d0, 0x4d0, ACCESS_BOTH, "IA32_MCG_EXT_CTL: machine checks" },
	{ 0x600, 0x600, ACCESS_BOTH, "IA32_DS_AREA: perf in the guest" },
	{ 0x6a0, 0x6a8, ACCESS_BOTH, "IA32_x_CET, shadow stacks" },
	{ 0x6e0, 0x6e0, ACCESS_BOTH, "IA32_TSC_DEADLINE: the timer" },
	{ 0xd90, 0xd90, ACCESS_BOTH, "IA32_BNDCFGS: MPX" },
	{ 0xda0, 0xda0, ACCESS_BOTH, "IA32_XSS: extended state" },
	{ 0x4b564d00, 0x4b564d07, ACCESS_BOTH, "KVM's clocks, asynchronous page faults, steal time, end of interrupt, polling" },
	{ 0xc0000080, 0xc0000084, ACCESS_BOTH, "EFER, STAR, LSTAR, CSTAR, SFMASK" },
	{ 0xc0000100, 0xc0000103, ACCESS_BOTH, "FS.base, GS.base, KernelGSbase, TSC_AUX" },
	{ 0xc0000300, 0xc0000303, ACCESS_BOTH, "PerfCntrGlobalx: perf in the guest" },
	{ 0xc0010000, 0xc0010007, ACCESS_BOTH, "PerfEvtSeln, PerfCtrn: perf in the guest" },
	{ 0xc0010010, 0xc0010010, ACCESS_BOTH, "SYSCFG: what the MTRRs mean" },
	{ 0xc0010015, 0xc0010015, ACCESS_BOTH, "HWCR: does the TSC run evenly" },
	{ 0xc001001f, 0xc001001f, ACCESS_BOTH, "NB_CFG: read and set at boot" },
	{ 0xc0010055, 0xc0010055, ACCESS_BOTH, "interrupt pending: does halting stop the timer" },
	{ 0xc0010058, 0xc0010058, ACCESS_READ, "MMIO configuration base: is there one" },
	{ 0xc0010112, 0xc0010113, ACCESS_READ, "SMM_ADDR, SMM_MASK: is memory kept from the kernel" },
	{ 0xc001011f, 0xc001011f, ACCESS_BOTH, "VIRT_SPEC_CTRL: the guest's mitigations" },
	{ 0xc0010140, 0xc0010141, ACCESS_READ, "OSVW: errata" },
	{ 0xc0010200, 0xc001020b, ACCESS_BOTH, "PerfEvtSeln, PerfCtrn: perf in the guest" },
	{ 0xc0011022, 0xc0011022, ACCESS_READ, "DC_CFG: read at boot" },
	{ 0xc0011029, 0xc0011029, ACCESS_BOTH, "DE_CFG: LFENCE that serialises" },
	{ 0xc001102a, 0xc001102a, ACCESS_READ, "BU_CFG2: read at boot" },
};

#define NR_RULES	(sizeof(rules) / sizeof(*rules))

/* The numbers lie in these areas; all others are refused by default. */
#define AREA_MAX_MSRS	0x1100u
#define AREA_BYTES	(AREA_MAX_MSRS / 8)

static const struct {
	uint32_t base;
	uint32_t nr_msrs;	/* a multiple of 64 */
} areas[] = {
	{ 0, 0x1000 },
	{ 0x4b564d00, 0x40 },
	{ 0xc0000000, 0x340 },
	{ 0xc0010000, AREA_MAX_MSRS },
};

#define NR_AREAS	(sizeof(areas) / sizeof(*areas))

_Static_assert(NR_AREAS * 2 <= KVM_MSR_FILTER_MAX_RANGES,
	       "a range for reads and one for writes of each area");
_Static_assert(AREA_BYTES <= 0x600, "KVM_MSR_FILTER_MAX_BITMAP_SIZE");

static uint8_t bitmaps[NR_AREAS * 2][AREA_BYTES];
static struct kvm_msr_filter filter;

bool msr_filter_allows(uint32_t index, bool is_write)
{
	uint32_t wanted = is_write ? ACCESS_WRITE : ACCESS_READ;

	for (size_t i = 0; i < NR_RULES; i++)
		if (index >= rules[i].first && index <= rules[i].last)
			return rules[i].access & wanted;
	return false;
}

/* A bit that is set lets the access pass. */
static void bitmap_fill(uint8_t *bitmap, size_t area, uint32_t access)
{
	uint32_t base = areas[area].base;

	memset(bitmap, 0, AREA_BYTES);
	for (size_t i = 0; i < NR_RULES; i++) {
		const struct msr_rule *rule = &rules[i];

		if (!(rule->access & access) || rule->first < base ||
		    rule->last - base >= areas[area].nr_msrs)
			continue;
		for (uint32_t n = rule->first - base; n <= rule->last - base;
		     n++)
			bitmap[n / 8] |= (uint8_t)(1u << n % 8);
	}
}

const struct kvm_msr_filter *msr_filter_build(void)
{
	static const uint32_t access[] = { ACCESS_READ, ACCESS_WRITE };

	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	for (size_t i = 0; i < NR_AREAS * 2; i++) {
		bitmap_fill(bitmaps[i], i / 2, access[i % 2]);
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = access[i % 2],
			.base = areas[i / 2].base,
			.nmsrs = areas[i / 2].nr_msrs,
			.bitmap = bitmaps[i],
		};
	}
	return &filter;
}

int msr_filter_install(int vm_fd)
{
	/* Come to us with what is refused, so that it can be told. */
	struct kvm_enable_cap to_user = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { KVM_MSR_EXIT_REASON_FILTER },
	};

	if (kvm_ioctl(vm_fd, KVM_ENABLE_CAP, &to_user) != 0 ||
	    kvm_ioctl(vm_fd, KVM_X86_SET_MSR_FILTER, msr_filter_build()) != 0)
		return -errno;
	return 0;
}

void msr_filter_refuse(unsigned int vcpu, struct kvm_run *run,
		       struct msr_refusals *refusals)
{
	/* KVM api.rst: KVM_EXIT_X86_RDMSR: an error becomes a #GP. */
	run->msr.error = 1;
	refusals->count++;
	if (log_allowed(&refusals->limit, LINES_PER_SECOND))
		log_warn("vcpu%u: the guest %s MSR 0x%x, which is not on the allow-list: #GP, its %llu. so far",
			 vcpu, run->exit_reason == KVM_EXIT_X86_WRMSR ?
			 "writes" : "reads", run->msr.index,
			 (unsigned long long)refusals->count);
}
