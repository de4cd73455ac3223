/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way out of the guest, by the bare-metal guest exits.c, through the
 * real core process under its real policy, on whatever /dev/kvm there is.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/guest/harness.h"

#define TIMEOUT_MS	20000

struct exit_case {
	const char *name;	/* command line of exits.c */
	const char *what;
	enum life_core_event_kind event;
	const char *event_text;	/* part of it, or NULL */
	const char *serial;	/* exactly what the guest prints, or NULL */
	int status;
};

static const struct exit_case cases[] = {
	{ "off", "S5 powers off", LIFE_EVENT_POWEROFF, NULL, "done\n", 0 },
	{ "ports", "ports of every width; a byte inside CF8 is its own",
	  LIFE_EVENT_POWEROFF, NULL,
	  "in8=ff\nin16=ffff\nin32=ffffffff\nreset=0\ncf8=80000000\n"
	  "bridge=1\ndone\n", 0 },
	{ "string", "rep outs and rep ins", LIFE_EVENT_POWEROFF, NULL,
	  "string of bytes\nin=ffffff\ndone\n", 0 },
	{ "mmio", "memory where nothing is, of every width",
	  LIFE_EVENT_POWEROFF, NULL,
	  "read8=ff\nread16=ffff\nread32=ffffffff\n"
	  "read64=ffffffffffffffff\nsplit=ffffffff\necam=1\ndone\n", 0 },
	{ "triple", "a triple fault is a reset", LIFE_EVENT_RESET,
	  "triple fault", "", 0 },
	{ "pvpanic", "pvpanic is reported, the guest goes on",
	  LIFE_EVENT_PANIC, "guest panicked",
	  "events=3\nstill here\ndone\n", 0 },
	{ "reset", "the reset register", LIFE_EVENT_RESET, NULL, "not yet\n",
	  0 },
	{ "sleep", "other sleep types do nothing", LIFE_EVENT_POWEROFF, NULL,
	  "awake\ndone\n", 0 },
	{ "cpuid", "CPUID has hypervisor, APIC id and TSC frequency",
	  LIFE_EVENT_POWEROFF, NULL,
	  "hypervisor=1\napic=0\ntiming leaf=1\nhas khz=1\ndone\n", 0 },
};

static struct vm *start(const char *scenario)
{
	struct vm_options options = {
		.kernel = build_path("tests/guest/exits.guest"),
		.cmdline = scenario,
	};

	return vm_start(&options);
}

static void run_case(const struct exit_case *c)
{
	struct vm *vm = start(c->name);
	int status = vm_wait_exit(vm, TIMEOUT_MS);
	const struct life_core_event *event = vm_wait_event(vm, c->event, 0);

	if (!tap_result(status == c->status && vm->ready && event &&
		    (!c->event_text || strstr(event->text, c->event_text)) &&
		    (!c->serial || strcmp(vm->serial, c->serial) == 0),
		    "%s", c->what))
		vm_show(vm);
	vm_end(vm);
}

/* A KVM that learns to emulate it powers off; then there is no test. */
static void run_unknown(void)
{
	struct vm *vm = start("unknown");
	int status = vm_wait_exit(vm, TIMEOUT_MS);
	const struct life_core_event *failed =
		vm_wait_event(vm, LIFE_EVENT_VCPU_FAILED, 0);

	if (!failed && vm_wait_event(vm, LIFE_EVENT_POWEROFF, 0))
		tap_skip("this KVM emulates popcnt", "an instruction KVM cannot emulate");
	else if (!tap_result(failed && status == 1 &&
			 strstr(failed->text, "f3 0f b8 00") &&
			 strstr(failed->text, "rip=") &&
			 strstr(vm->log, "rflags"),
			 "an instruction KVM cannot emulate is shown with its bytes and registers"))
		vm_show(vm);
	vm_end(vm);
}

static void run_power_button(void)
{
	struct vm *vm = start("button");
	bool armed = vm_wait_text(vm, "armed\n", TIMEOUT_MS);

	vm_send(vm, LIFE_CORE_POWER_BUTTON);
	if (!tap_result(armed && vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
		    strstr(vm->serial, "status=0\n") &&
		    strstr(vm->serial, "pressed=100\ncleared=0\ncontrol=1\n"),
		    "the power button sets its status bit, writing one clears it"))
		vm_show(vm);
	vm_end(vm);
}

static void run_interrupt(const char *scenario, const char *expected,
			  const char *what)
{
	struct vm *vm = start(scenario);
	bool armed = vm_wait_text(vm, "armed\n", TIMEOUT_MS);

	if (armed && strcmp(scenario, "serial") == 0)
		vm_serial_irq(vm);
	else
		vm_send(vm, LIFE_CORE_POWER_BUTTON);
	if (!tap_result(armed && vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
		    strstr(vm->serial, expected), "%s", what))
		vm_show(vm);
	vm_end(vm);
}

/* On the list they work, off it they are #GP; 1000 of them are a few lines. */
static void run_registers(void)
{
	struct vm *vm = start("msr");
	int status = vm_wait_exit(vm, TIMEOUT_MS);
	unsigned int lines = 0;

	for (const char *at = vm->log; (at = strstr(at, "allow-list")); at++)
		lines++;
	if (!tap_result(status == 0 &&
			strcmp(vm->serial, "TSC=1\nEFER=1\nEFER is written=1\n"
			       "VMX=0\nVM_HSAVE_PA=0\nmicrocode=0\nHyper-V=0\n"
			       "nested=0\ndone\n") == 0,
			"registers on the allow-list work, others are a #GP, and nested virtualisation is not offered"))
		vm_show(vm);
	if (!tap_result(strstr(vm->log, "vcpu0: the guest reads MSR 0x480, which is not on the allow-list: #GP, its 1. so far") &&
			strstr(vm->log, "writes MSR 0xc0010117") &&
			lines >= 3 && lines <= 30,
			"1004 refusals are told in %u lines", lines))
		vm_show(vm);
	vm_end(vm);
}

static void run_stop(void)
{
	struct vm *vm = start("halt");
	bool halting = vm_wait_text(vm, "halting\n", TIMEOUT_MS);
	struct life_ping ping = { .cookie = 0x1234567890 };

	bool alive = true;

	life_send(vm->life_fd, LIFE_PING, &ping, NULL, 0, TIMEOUT_MS);
	for (int i = 0; i < 50 && alive && vm->pong != ping.cookie; i++)
		alive = vm_wait_exit(vm, 300) == -1;
	if (!tap_result(halting && alive && vm->pong == ping.cookie,
			"HLT stays inside KVM, pings are answered"))
		vm_show(vm);
	vm_send(vm, LIFE_STOP);
	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0, "LIFE_STOP ends it"))
		vm_show(vm);
	vm_end(vm);
}

static uint64_t kvm_counter(const struct stats_core *page, const char *name)
{
	for (unsigned int i = 0; i < page->nr_kvm; i++)
		if (strcmp(page->kvm_name[i], name) == 0)
			return page->vcpu[0].kvm[i];
	return UINT64_MAX;
}

/* Heavy exits exactly as COM1's end saw them, and KVM's own when asked. */
static void run_statistics(void)
{
	struct vm *vm = start("halt");
	const struct stats_core *page = (const void *)vm->stats;
	const struct stats_vcpu *vcpu = &page->vcpu[0];
	bool halting = vm_wait_text(vm, "halting\n", TIMEOUT_MS);
	uint64_t refreshes = page->refreshes;
	uint64_t heavy = 0;

	vm_wait_exit(vm, 100);
	if (!tap_result(halting && page->head.role == LIFE_ROLE_CORE &&
			vcpu->owner[0] == vm->serial_accesses &&
			vcpu->heavy[STATS_EXIT_IO] == vm->serial_accesses,
			"each access to COM1 is counted once, as COM1's"))
		vm_show(vm);
	vm_send(vm, LIFE_CORE_STATS);
	for (int i = 0; i < 100 && __atomic_load_n(&page->refreshes,
				__ATOMIC_ACQUIRE) == refreshes; i++)
		vm_wait_exit(vm, 10);
	for (unsigned int i = 0; i < STATS_NR_EXITS; i++)
		heavy += vcpu->heavy[i];
	if (!tap_result(page->refreshes == refreshes + 1 && refreshes == 0 &&
			page->nr_kvm > 0 &&
			kvm_counter(page, "exits") != UINT64_MAX &&
			kvm_counter(page, "exits") >= heavy &&
			kvm_counter(page, "halt_exits") >= 1,
			"KVM's counters come when asked for"))
		vm_show(vm);
	vm_end(vm);
}

/* The supervisor is gone, or the serial process is. */
static void run_hangups(void)
{
	struct life_ping ping = { .cookie = 1 };
	struct vm *vm = start("halt");
	bool halting = vm_wait_text(vm, "halting\n", TIMEOUT_MS);

	/* After a ping, as the loop must go on behind it. */
	life_send(vm->life_fd, LIFE_PING, &ping, NULL, 0, TIMEOUT_MS);
	vm_wait_exit(vm, 200);
	close(vm->serial_fd);
	vm->serial_fd = -1;
	if (!tap_result(halting && vm_wait_event(vm, LIFE_EVENT_DEVICE_FAILED,
					     TIMEOUT_MS),
		    "a serial process that goes is reported"))
		vm_show(vm);
	close(vm->life_fd);
	vm->life_fd = -1;
	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0,
		    "the core ends with its supervisor"))
		vm_show(vm);
	vm_end(vm);
}

/* The guest must get an answer from COM1 whatever the device does. */
static void run_serial(enum vm_serial kind, const char *expected,
		       bool device_fails, const char *what)
{
	struct vm_options options = {
		.kernel = build_path("tests/guest/exits.guest"),
		.cmdline = "read",
		.serial = kind,
	};
	struct vm *vm = vm_start(&options);
	int status = vm_wait_exit(vm, TIMEOUT_MS);
	bool failed = vm_wait_event(vm, LIFE_EVENT_DEVICE_FAILED, 0);

	if (!tap_result(status == 0 && failed == device_fails &&
			strcmp(vm->serial, expected) == 0, "%s", what))
		vm_show(vm);
	vm_end(vm);
}

/* One line by LIFE_FAILED, status 1, and no guest ever runs. */
static void run_bad_file(const char *kernel, const char *initrd,
			 const char *expected, const char *what)
{
	struct vm_options options = {
		.kernel = kernel, .initrd = initrd, .ram_bytes = 2 << 20,
	};
	struct vm *vm = vm_start(&options);

	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 1 &&
			strstr(vm->failed, expected) &&
			!vm_wait_event(vm, LIFE_EVENT_STARTED, 0) &&
			vm->stats->head.last_word.valid == 0, "%s", what))
		vm_show(vm);
	vm_end(vm);
}

static void run_bad_files(void)
{
	char large[4096];

	/* Of some megabytes. */
	snprintf(large, sizeof(large), "%s", build_path("bulkhead"));
	/* An ELF file for this machine, linked to 0. */
	run_bad_file("/proc/self/exe", NULL, "kernel: ELF segment",
		     "a program that is no kernel is refused");
	run_bad_file("tests/guest/start.S", NULL, "kernel: neither an ELF",
		     "a text is refused");
	run_bad_file(build_path("tests/guest/exits.guest"), "/dev/zero",
		     "initrd: not a regular file",
		     "an initrd without an end is refused");
	run_bad_file(build_path("tests/guest/exits.guest"), large,
		     "give the VM more memory",
		     "an initrd that does not fit is refused");
}

static void run_many(void)
{
	struct vm_options options = {
		.kernel = build_path("tests/guest/exits.guest"),
		.cmdline = "off",
		.nr_vcpus = LIFE_MAX_VCPUS,
	};
	struct vm *vm = vm_start(&options);

	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
			strcmp(vm->serial, "done\n") == 0,
			"as many vCPUs as there may be"))
		vm_show(vm);
	vm_end(vm);
}

int main(void)
{
	const char *why;

	if (!kvm_usable(&why)) {
		tap_skip(why, "exit kinds");
		return tap_end();
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		run_case(&cases[i]);
	run_unknown();
	run_power_button();
	run_interrupt("sci", "sci=1\n", "the power button raises the SCI");
	run_interrupt("serial", "irq=1\n", "COM1's eventfd raises GSI 4");
	run_registers();
	run_stop();
	run_statistics();
	run_hangups();
	run_serial(VM_SERIAL_GOOD, "lsr=60\nword=ffff\ndone\n", false,
		   "COM1 answers; what crosses its end is nobody's");
	run_serial(VM_SERIAL_MUTE, "lsr=ff\nword=ffff\ndone\n", false,
		   "a mute serial process costs some seconds, not the guest");
	run_serial(VM_SERIAL_LIAR, "", true,
		   "one that answers wrongly is reported and cut off");
	run_bad_files();
	run_many();
	return tap_end();
}
