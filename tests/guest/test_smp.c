/* SPDX-License-Identifier: Apache-2.0 */
/* Two and three vCPUs: INIT and SIPI reach the right one, by smp.c. */
#include <string.h>

#include "tests/guest/harness.h"

#define TIMEOUT_MS	20000

static void run(unsigned int nr_vcpus, const char *cmdline,
		const char *expected)
{
	struct vm_options options = {
		.kernel = build_path("tests/guest/smp.guest"),
		.cmdline = cmdline,
		.nr_vcpus = nr_vcpus,
	};
	struct vm *vm = vm_start(&options);

	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
		    strcmp(vm->serial, expected) == 0,
		    "%u vCPUs start by INIT and SIPI", nr_vcpus))
		vm_show(vm);
	vm_end(vm);
}

int main(void)
{
	const char *why;

	if (!kvm_usable(&why)) {
		tap_skip(why, "several vCPUs");
		return tap_end();
	}
	run(2, "2", "logical=2\nwoke=1\nnobody=0\ndone\n");
	run(3, "3", "logical=4\nwoke=1\nwoke=1\nnobody=0\ndone\n");
	return tap_end();
}
