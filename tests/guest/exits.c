/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: one way out of the guest per run, named by the command line.  Prints
 * what it saw on COM1; the test compares.
 */
#include "tests/guest/lib.h"
#include "vmm-core/layout.h"

#define PORT_NOBODY	0x2f8
#define MMIO_NOBODY	0xd0000000u	/* where a BAR could be, and is none */

#define PM1_STATUS	PORT_PM1_EVENT
#define PM1_ENABLE	(PORT_PM1_EVENT + 2)
#define PM1_POWER_BUTTON	(1u << 8)

#define LOOKS		2000000u

/* Every width at a port where nothing is, and one that is nested. */
static void port_sizes(void)
{
	out8(PORT_NOBODY, 1);
	out16(PORT_NOBODY, 2);
	out32(PORT_NOBODY, 3);
	put_value("in8", in8(PORT_NOBODY));
	put_value("in16", in16(PORT_NOBODY));
	put_value("in32", in32(PORT_NOBODY));
	put_value("reset", in8(PORT_RESET));
	out32(0xcf8, 0x80000000);
	put_value("cf8", in32(0xcf8));
	put_value("bridge", in16(0xcfc) != 0xffff);
}

static void port_string(void)
{
	static const char text[] = "string of bytes\n";
	const char *from = text;
	unsigned long count = sizeof(text) - 1;
	uint8_t in[4] = { 0 };
	uint8_t *to = in;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count)
			 : "d"(PORT_SERIAL) : "memory");
	count = 3;
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count)
			 : "d"(PORT_NOBODY) : "memory");
	put_value("in", in[0] | in[1] << 8 | in[2] << 16 | in[3] << 24);
}

static void memory_sizes(void)
{
	mmio_write8(MMIO_NOBODY, 1);
	mmio_write16(MMIO_NOBODY, 1);
	mmio_write32(MMIO_NOBODY, 1);
	mmio_write64(MMIO_NOBODY, 1);
	put_value("read8", mmio_read8(MMIO_NOBODY));
	put_value("read16", mmio_read16(MMIO_NOBODY));
	put_value("read32", mmio_read32(MMIO_NOBODY));
	put_value("read64", mmio_read64(MMIO_NOBODY));
	/* Across the end of a page: KVM splits it. */
	put_value("split", mmio_read32(MMIO_NOBODY + 0xffe));
	put_value("ecam", mmio_read16(PCI_ECAM_BASE) != 0xffff);
}

/* An IDT of limit 0: the first exception finds no handler, nor the second. */
static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" :: "m"(none));
}

/* One that KVM's emulator lacks, on memory that makes KVM emulate. */
static void unknown(void)
{
	__asm__ volatile("popcntl (%0), %%eax"
			 :: "a"((uint64_t)MMIO_NOBODY));
}

static void power_button(void)
{
	uint32_t looks = LOOKS;

	out16(PM1_ENABLE, PM1_POWER_BUTTON);
	put_value("status", in16(PM1_STATUS));
	put("armed\n");
	while (!(in16(PM1_STATUS) & PM1_POWER_BUTTON) && looks)
		looks--;
	put_value("pressed", in16(PM1_STATUS));
	out16(PM1_STATUS, PM1_POWER_BUTTON);
	put_value("cleared", in16(PM1_STATUS));
	put_value("control", in16(PORT_PM1_CONTROL));
}

/* I/O APIC, Intel 82093AA: pin to vector 0x40, level or edge, unmasked. */
static void ioapic_route(unsigned int pin, uint32_t low)
{
	mmio_write32(IOAPIC_BASE, 0x10 + 2 * pin + 1);
	mmio_write32(IOAPIC_BASE + 0x10, 0);
	mmio_write32(IOAPIC_BASE, 0x10 + 2 * pin);
	mmio_write32(IOAPIC_BASE + 0x10, low);
}

static void sci(void)
{
	lapic_enable();
	ioapic_route(IRQ_SCI, 1 << 15 | 0x41);
	out16(PM1_ENABLE, PM1_POWER_BUTTON);
	put("armed\n");
	put_value("sci", (uint64_t)irq_wait(0x41, LOOKS));
}

static void serial_interrupt(void)
{
	lapic_enable();
	ioapic_route(IRQ_SERIAL, 0x42);
	put("armed\n");
	put_value("irq", (uint64_t)irq_wait(0x42, LOOKS));
}

static void serial_read(void)
{
	put_value("lsr", in8(PORT_SERIAL + 5));
	put_value("word", in16(PORT_SERIAL + 7));
}

static void pvpanic(void)
{
	put_value("events", in8(PORT_PVPANIC));
	out8(PORT_PVPANIC, 1);
	put("still here\n");
}

static void reset(void)
{
	out8(PORT_RESET, 2);	/* system reset, not yet */
	put("not yet\n");
	out8(PORT_RESET, RESET_VALUE);
}

/* Only the type and the bit together are S5. */
static void sleep_other(void)
{
	out16(PORT_PM1_CONTROL, SLEEP_TYPE_S5 << 10);
	out16(PORT_PM1_CONTROL, 1 << 10 | 1 << 13);
	put("awake\n");
}

static void print_cpuid(void)
{
	uint32_t regs[4];

	cpuid(1, 0, regs);
	put_value("hypervisor", regs[2] >> 31);
	put_value("apic", regs[1] >> 24);
	cpuid(0x40000000, 0, regs);
	put_value("timing leaf", regs[0] >= 0x40000010);
	cpuid(0x40000010, 0, regs);
	put_value("has khz", regs[0] > 100000);
}

/* Linux Documentation/virt/kvm/x86/msr.rst: pvclock_vcpu_time_info */
static volatile struct {
	uint32_t version;	/* odd while it changes */
	uint32_t pad;
	uint64_t tsc_timestamp;
	uint64_t system_time;	/* ns, when KVM wrote this */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad2[2];
} pvclock __attribute__((aligned(64)));

#define MSR_KVM_SYSTEM_TIME_NEW	0x4b564d01
#define NS_PER_S		1000000000u

static void kvmclock_enable(void)
{
	uint64_t where = (uint64_t)&pvclock | 1;

	__asm__ volatile("wrmsr" :: "c"(MSR_KVM_SYSTEM_TIME_NEW),
			 "a"((uint32_t)where), "d"((uint32_t)(where >> 32)));
	/* KVM fills it on its next way into the guest, which may be later. */
	for (uint32_t looks = 0; !pvclock.version && looks < LOOKS; looks++)
		barrier();
}

static uint64_t kvmclock_ns(void)
{
	uint32_t version;
	uint64_t ns;

	do {
		version = pvclock.version;
		barrier();
		ns = pvclock.system_time;
		barrier();
	} while (version & 1 || version != pvclock.version);
	return ns;
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* Each of the two accesses is an exit, and the only ones before the prints. */
static void clock_jumps(void)
{
	uint64_t first, second, third;

	kvmclock_enable();
	first = kvmclock_ns();
	in8(PORT_NOBODY);
	second = kvmclock_ns();
	in8(PORT_NOBODY);
	third = kvmclock_ns();
	put_value("on", (second - first) / NS_PER_S);
	put_value("back", (second - third) / NS_PER_S);
}

static void paused(void)
{
	uint32_t regs[4];
	uint64_t began;

	cpuid(0x40000010, 0, regs);
	began = rdtsc();
	in8(PORT_NOBODY);
	put_value("ms", (rdtsc() - began) / regs[0]);
}

/* Never leaves the guest by itself until the clock has jumped. */
static void spin(void)
{
	uint64_t began, looks = 0;

	kvmclock_enable();
	began = kvmclock_ns();
	put("spinning\n");
	while (kvmclock_ns() < began + 50ull * NS_PER_S && looks < 10 * LOOKS)
		looks++;
	put_value("jumped", kvmclock_ns() >= began + 50ull * NS_PER_S);
}

static void halted(void)
{
	put("halting\n");
	halt();
}

/* CPUID: VMX, SVM */
static uint32_t nested_offered(void)
{
	uint32_t regs[4], offered;

	cpuid(1, 0, regs);
	offered = regs[2] >> 5 & 1;
	cpuid(0x80000001, 0, regs);
	return offered | (regs[2] >> 2 & 1);
}

/* --- registers that may not be touched: #GP without iretq --------------------- */

/* Named by the assembly only. */
static uint64_t fault_rip __attribute__((used));
static uint64_t fault_rsp __attribute__((used));

/* Vector 13: go on where fault_rip says; what was pushed is forgotten. */
__asm__("fault_entry:\n\tmovq fault_rsp(%rip), %rsp\n"
	"\tjmp *fault_rip(%rip)\n");

/* SDM volume 3, 6.14.1: a gate of 16 bytes */
static void fault_catch(void)
{
	extern const char fault_entry[];
	static struct {
		uint16_t low, selector, type, middle;
		uint32_t high, zero;
	} idt[14];
	static struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, 0 };
	uint64_t entry = (uint64_t)fault_entry;

	pointer.base = (uint64_t)idt;
	idt[13].low = (uint16_t)entry;
	idt[13].selector = 8;
	idt[13].type = 0x8e00;	/* present, interrupt gate */
	idt[13].middle = (uint16_t)(entry >> 16);
	idt[13].high = (uint32_t)(entry >> 32);
	__asm__ volatile("lidt %0" :: "m"(pointer));
}

#define MAY_FAULT(instruction)					\
	"leaq 1f(%%rip), %%r8; movq %%r8, fault_rip(%%rip)\n\t"	\
	"movq %%rsp, fault_rsp(%%rip)\n\t"			\
	"movl $0, %[went]; " instruction "\n\t"			\
	"movl $1, %[went]\n1:"

/* Whether it went through. */
static uint32_t msr_read(uint32_t index, uint64_t *value)
{
	uint32_t went, low = 0, high = 0;

	__asm__ volatile(MAY_FAULT("rdmsr")
			 : [went] "=&r"(went), "+a"(low), "+d"(high)
			 : "c"(index) : "r8", "memory");
	*value = (uint64_t)high << 32 | low;
	return went;
}

static uint32_t msr_write(uint32_t index, uint64_t value)
{
	uint32_t went;

	__asm__ volatile(MAY_FAULT("wrmsr") : [went] "=&r"(went)
			 : "c"(index), "a"((uint32_t)value),
			   "d"((uint32_t)(value >> 32))
			 : "r8", "memory");
	return went;
}

static void registers(void)
{
	uint64_t value;

	fault_catch();
	put_value("TSC", msr_read(0x10, &value));
	put_value("EFER", msr_read(0xc0000080, &value));
	put_value("EFER is written", msr_write(0xc0000080, value));
	put_value("VMX", msr_read(0x480, &value));
	put_value("VM_HSAVE_PA", msr_write(0xc0010117, 0));
	put_value("microcode", msr_write(0x79, 0));
	put_value("Hyper-V", msr_read(0x40000000, &value));
	put_value("nested", nested_offered());
	for (int i = 0; i < 1000; i++)
		msr_read(0x480, &value);
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "ports", port_sizes },
	{ "string", port_string },
	{ "mmio", memory_sizes },
	{ "triple", triple_fault },
	{ "unknown", unknown },
	{ "button", power_button },
	{ "sci", sci },
	{ "serial", serial_interrupt },
	{ "read", serial_read },
	{ "pvpanic", pvpanic },
	{ "reset", reset },
	{ "sleep", sleep_other },
	{ "cpuid", print_cpuid },
	{ "clock", clock_jumps },
	{ "pause", paused },
	{ "spin", spin },
	{ "halt", halted },
	{ "msr", registers },
	{ "off", nothing },
};

void guest_main(const char *cmdline)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		if (text_equal(cmdline, scenarios[i].name))
			scenarios[i].run();
	put("done\n");
	power_off();
}
