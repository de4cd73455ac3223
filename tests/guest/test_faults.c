/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the core, through the real core process under its real policy: the
 * bare-metal guest exits.c measures what its clocks and its processor do.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/guest/harness.h"

#define TIMEOUT_MS	20000
#define SLACK_S		5	/* of a busy host, between two looks */

static struct fault_rule rule_for(uint32_t id, enum fault_action action,
				  int64_t value)
{
	return (struct fault_rule) {
		.id = id, .action = (uint8_t)action, .ops = FAULT_ALL_OPS,
		.value = (uint64_t)value, .last_sector = UINT64_MAX,
		.count = 1,
	};
}

static struct vm *start(const char *scenario, const struct fault_rule *rules,
			unsigned int nr)
{
	struct vm_options options = {
		.kernel = build_path("tests/guest/exits.guest"),
		.cmdline = scenario, .faults = rules, .nr_faults = nr,
	};

	return vm_start(&options);
}

/* What the guest printed as "name=hex", or -1. */
static long long printed(const struct vm *vm, const char *name)
{
	const char *at = strstr(vm->serial, name);

	return at ? strtoll(at + strlen(name), NULL, 16) : -1;
}

static bool within(long long value, long long least, long long slack)
{
	return value >= least && value <= least + slack;
}

/* Forth by 100 s at the first exit, back by 50 s at the second. */
static void run_clock(void)
{
	struct fault_rule rules[2] = {
		rule_for(1, FAULT_CLOCK_JUMP, 100000),
		rule_for(2, FAULT_CLOCK_JUMP, -50000),
	};
	struct vm *vm;

	rules[1].after = 1;
	vm = start("clock", rules, 2);
	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
			within(printed(vm, "on="), 100, SLACK_S) &&
			within(printed(vm, "back="), 50 - SLACK_S, SLACK_S) &&
			strstr(vm->log, "fault 1 fired: clock-jump exit") &&
			strstr(vm->log, "fault 2 fired: clock-jump exit") &&
			vm_wait_event(vm, LIFE_EVENT_CLOCK_JUMPED, 0),
			"clock-jump: kvmclock jumps as far as it should, either way"))
		vm_show(vm);
	tap_result(vm->stats->head.fault[0].id == 1 &&
		   vm->stats->head.fault[0].fired == 1 &&
		   vm->stats->head.fault[1].fired == 1, "each is counted once");
	vm_end(vm);
}

static void run_no_rules(void)
{
	struct vm *vm = start("clock", NULL, 0);

	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
			within(printed(vm, "on="), 0, SLACK_S) &&
			within(printed(vm, "back="), 0, 0) &&
			!strstr(vm->log, "fired"),
			"without rules the clock goes on"))
		vm_show(vm);
	vm_end(vm);
}

/* Thrice, as the host may let a vCPU wait for as long as a rule would. */
static void run_no_pause(void)
{
	bool ok = false;

	for (int tries = 0; tries < 3 && !ok; tries++) {
		struct vm *vm = start("pause", NULL, 0);

		ok = vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
		     within(printed(vm, "ms="), 0, 299);
		if (!ok)
			vm_show(vm);
		vm_end(vm);
	}
	tap_result(ok, "without a rule it does not");
}

static void run_pause(void)
{
	const struct fault_rule rule = rule_for(1, FAULT_VCPU_PAUSE, 300);
	struct vm *vm = start("pause", &rule, 1);

	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
			within(printed(vm, "ms="), 300, SLACK_S * 1000) &&
			strstr(vm->log, "fault 1 fired: vcpu-pause exit"),
			"vcpu-pause: so much time passes within one access"))
		vm_show(vm);
	vm_end(vm);
	run_no_pause();
}

/*
 * The second vCPU counts while the first stands still.  Three times, as the
 * second may come out once, when it is woken, and what is printed is later.
 */
static void run_pause_of_one(void)
{
	struct fault_rule rule = rule_for(1, FAULT_VCPU_PAUSE, 300);
	struct vm_options options = {
		.kernel = build_path("tests/guest/smp.guest"),
		.cmdline = "pause", .nr_vcpus = 2,
		.faults = &rule, .nr_faults = 1,
	};
	struct vm *vm;

	rule.count = 3;
	vm = vm_start(&options);
	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
			printed(vm, "woke=") == 1 &&
			printed(vm, "counted=") > 1000,
			"vcpu-pause: another vCPU goes on"))
		vm_show(vm);
	vm_end(vm);
}

/* As the supervisor does it: the page is written, the core interrupted. */
static void run_spin(void)
{
	const struct fault_rule rule = rule_for(3, FAULT_CLOCK_JUMP, 100000);
	struct vm *vm = start("spin", NULL, 0);
	/* It has been out for the last time. */
	bool spins = vm_wait_text(vm, "spinning\n", TIMEOUT_MS) &&
		     vm_wait_exit(vm, 200) == -1;

	fault_page_write(vm->faults, &rule, 1);
	vm_interrupt(vm);
	if (!tap_result(spins && vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
			printed(vm, "jumped=") == 1,
			"a guest that never comes out meets a new rule at once"))
		vm_show(vm);
	vm_end(vm);
}

int main(void)
{
	const char *why;

	if (!kvm_usable(&why)) {
		tap_skip(why, "faults of the core");
		return tap_end();
	}
	run_no_rules();
	run_clock();
	run_pause();
	run_pause_of_one();
	run_spin();
	return tap_end();
}
