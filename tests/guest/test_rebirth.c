/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices die while a guest keeps 32 requests in flight: it must not notice.
 * Everything is real: supervisor, jails, core, disk; the guest checks each
 * byte that it reads back.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/guest/harness.h"
#include "tests/guest/storm_vm.h"

#define NR_KILLS	30
#define NR_STOPS	2
#define NR_SECOND_KILLS	5
#define NR_SERIAL_KILLS	5
#define NR_PAUSES	4
#define STILL_MS	300	/* a guest at work asks for hundreds in that time */
#define STILL_TRIES	20
#define END_TRIES	250	/* looks at a VM that is to end, 20 ms apart */

static bool guest_is_content(struct storm_vm *vm)
{
	struct storm_result result;
	int status = storm_vm_finish(vm, &result);

	if (status == 0 && result.done > 0 && !result.bad &&
	    !result.strange && !result.lost)
		return true;
	printf("# exit status %d; of %llu requests %llu bad, %llu strange, %llu lost\n",
	       status, (unsigned long long)result.done,
	       (unsigned long long)result.bad,
	       (unsigned long long)result.strange,
	       (unsigned long long)result.lost);
	return false;
}

/* nr signals at random moments.  Return: how many were survived. */
static int strike(struct storm_vm *vm, int signal, int nr)
{
	int survived = 0;

	for (int i = 0; i < nr; i++) {
		usleep((useconds_t)(60000 + rand() % 60000));
		if (storm_vm_strike(vm, signal) >= 0)
			survived++;
	}
	return survived;
}

static void test_kills(const char *spare, bool packed)
{
	struct storm_vm vm;
	char lines[128];
	bool ok;

	snprintf(lines, sizeof(lines),
		 "max_restarts = 1000\nheartbeat = 500ms\nspare = %s%s", spare,
		 packed ? "\ncmdline = packed" : "");
	storm_vm_start_with(&vm, lines, packed ? "packed = yes" : "");
	ok = tap_result(strike(&vm, SIGKILL, NR_KILLS) == NR_KILLS,
			"spare = %s, a %s ring: %d kills of the disk's process under load",
			spare, packed ? "packed" : "split", NR_KILLS);
	ok &= tap_result(strike(&vm, SIGSTOP, NR_STOPS) == NR_STOPS,
			 "%d times it hangs: the heartbeat finds it", NR_STOPS);
	ok &= tap_result(vm.blk->head.births == 1 + NR_KILLS + NR_STOPS,
			 "its statistics go on from process to process");
	ok &= tap_result(guest_is_content(&vm),
			 "the guest lost nothing, saw no error, read what it wrote");
	storm_vm_drop(&vm, !ok);
}

static void test_serial(void)
{
	struct storm_vm vm;
	bool ok = true;

	storm_vm_start(&vm, "max_restarts = 1000");
	for (int i = 0; i < NR_SERIAL_KILLS; i++) {
		ok &= kill(storm_vm_wait_for(&vm, "serial"), SIGKILL) == 0;
		usleep(100000);
		ok &= storm_vm_moves(&vm);
	}
	tap_result(ok, "%d kills of the serial port's process: the guest runs on",
		   NR_SERIAL_KILLS);
	ok &= tap_result(guest_is_content(&vm),
			 "what is typed and printed after them arrives");
	storm_vm_drop(&vm, !ok);
}

/* Return: another process serves in the place of the disk's first. */
static bool kill_first(struct storm_vm *vm)
{
	pid_t old = storm_vm_wait_for(vm, "blk-vda");

	if (kill(old, SIGKILL) != 0)
		return false;
	for (int i = 0; i < STORM_TIMEOUT_MS / 10; i++) {
		pid_t now = storm_vm_process(vm, "blk-vda");

		if (now && now != old)
			return true;
		usleep(10000);
	}
	return false;
}

/* A disk in two processes, whose second one has the queue that is driven. */
static void test_second_process(void)
{
	struct storm_vm vm;
	bool ok, moved = true;

	storm_vm_start_with(&vm,
			    "max_restarts = 1000\ncpus = 2\ncmdline = second",
			    "queues = 2\nprocesses = 2");
	ok = tap_result(vm.queue == 1 && storm_vm_wait_for(&vm, "blk-vda") &&
			strike(&vm, SIGKILL, NR_SECOND_KILLS) == NR_SECOND_KILLS,
			"two processes: %d kills of the second under load",
			NR_SECOND_KILLS);
	for (int i = 0; i < NR_SECOND_KILLS; i++)
		moved &= kill_first(&vm) && storm_vm_moves(&vm);
	ok &= tap_result(moved && vm.blk->head.births == 1 + NR_SECOND_KILLS,
			 "kills of the first do not touch the second");
	ok &= tap_result(storm_vm_device(&vm, "restart", "vda.1") &&
			 storm_vm_moves(&vm), "it is exchanged by its name");
	ok &= tap_result(guest_is_content(&vm),
			 "the guest lost nothing, saw no error, read what it wrote");
	storm_vm_drop(&vm, !ok);
}

static void test_limit(void)
{
	struct storm_vm vm;
	bool ok;

	storm_vm_start(&vm, "max_restarts = 2");
	ok = tap_result(strike(&vm, SIGKILL, 2) == 2,
			"as many deaths as max_restarts allows");
	kill(storm_vm_wait_for(&vm, "blk-vda"), SIGKILL);
	ok &= tap_result(storm_vm_says(&vm, "given up", STORM_TIMEOUT_MS),
			 "one more: the device is given up");
	ok &= tap_result(kill(vm.supervisor, 0) == 0 &&
			 storm_vm_process(&vm, "bulkhead-core") > 0,
			 "the VM runs on");
	storm_vm_drop(&vm, !ok);
}

/* Has the guest stopped asking?  What it had asked for may end first. */
static bool stands_still(const struct storm_vm *vm)
{
	for (int i = 0; i < STILL_TRIES; i++) {
		uint64_t requests = vm->blk->queue[0].requests;

		usleep(STILL_MS * 1000);
		if (vm->blk->queue[0].requests == requests)
			return true;
	}
	return false;
}

static void test_pause(const char *comm, const char *device, const char *verb)
{
	bool stood = true, moved = true;
	struct storm_vm vm;
	bool ok;

	storm_vm_start(&vm, "on_crash = pause\nmax_restarts = 0");
	for (int i = 0; i < NR_PAUSES; i++) {
		stood &= kill(storm_vm_wait_for(&vm, comm), SIGKILL) == 0 &&
			 storm_vm_says(&vm, "the VM is paused", STORM_TIMEOUT_MS) &&
			 stands_still(&vm);
		moved &= storm_vm_device(&vm, verb, device) &&
			 storm_vm_says(&vm, "the VM goes on", 5000) &&
			 storm_vm_moves(&vm);
	}
	ok = tap_result(stood, "on_crash = pause: %s dies %d times, and no vCPU runs",
			device, NR_PAUSES);
	ok &= tap_result(moved, "%s: it comes again, and the guest goes on",
			 verb);
	ok &= tap_result(guest_is_content(&vm), "which has not noticed");
	storm_vm_drop(&vm, !ok);
}

static void test_policy(const char *line, const char *text, bool runs_on,
			const char *what)
{
	struct storm_vm vm;
	bool ok;

	storm_vm_start(&vm, line);
	kill(storm_vm_wait_for(&vm, "blk-vda"), SIGKILL);
	ok = storm_vm_says(&vm, text, STORM_TIMEOUT_MS);
	for (int i = 0; !runs_on && i < END_TRIES &&
			storm_vm_process(&vm, "bulkhead-core") > 0; i++)
		usleep(20000);
	ok = tap_result(ok && runs_on ==
			(storm_vm_process(&vm, "bulkhead-core") > 0),
			"%s", what);
	storm_vm_drop(&vm, !ok);
}

int main(void)
{
	const char *why;

	if (!kvm_usable(&why)) {
		tap_skip(why, "rebirth");
		return tap_end();
	}
	/* A supervisor that is gone is a test that fails, not our end. */
	signal(SIGPIPE, SIG_IGN);
	srand((unsigned int)time(NULL));
	test_kills("no", false);
	test_kills("yes", false);
	test_kills("yes", true);
	test_second_process();
	test_serial();
	test_limit();
	test_pause("blk-vda", "vda", "restart");
	test_pause("serial", "serial", "resume");
	test_policy("on_crash = stop", "stopping the VM", false,
		    "on_crash = stop: the VM ends with its disk");
	test_policy("on_crash = reset-device", "goes on", true,
		    "on_crash = reset-device: a new process, for a driver that resets");
	return tap_end();
}
