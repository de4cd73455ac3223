/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests: any line gets one reply, which is JSON, whatever the VM is
 * about; the VM here has devices but no processes.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control.h"
#include "cli/control_commands.h"
#include "cli/faults.h"
#include "cli/resources.h"
#include "tests/fuzz/fuzz.h"

static struct config cfg = {
	.nr_cpus = 1, .memory_bytes = 1 << 20, .stop_timeout_ms = 1000,
	.nr_devices = 3,
};
static struct vm *vm;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char names[][LIFE_DEVICE_NAME_MAX] = { "vda", "serial", "ext" };
	static char empty[] = "", vm_name[] = "fuzz";
	char why[VM_WHY_MAX];

	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	cfg.name = vm_name;
	cfg.file = cfg.cmdline = cfg.dir = cfg.kernel.path = empty;
	cfg.device[0].role = LIFE_ROLE_BLK;
	cfg.device[1].role = LIFE_ROLE_SERIAL;
	cfg.device[2].role = LIFE_ROLE_BLK;
	cfg.device[2].socket.path = empty;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		abort();
	vm->cfg = &cfg;
	vm->loop_fd = vm->signal_fd = vm->lock_fd = -1;
	for (unsigned int i = 0; i < cfg.nr_devices; i++)
		memcpy(cfg.device[i].name, names[i], sizeof(names[i]));
	resources_init(vm);
	if (faults_open(vm, why))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct faults_change nothing = { .clear = true };
	char why[VM_WHY_MAX];
	bool waits = false;
	json_t *reply;

	vm->state = size ? data[0] % VM_NR_STATES : VM_RUNNING;
	vm->reboot = false;
	vm->killed = false;
	vm->status = 0;
	vm->deadline_ms = 0;
	reply = control_obey(vm, size ? (const char *)data + 1 : "",
			     size ? size - 1 : 0, &waits);
	fuzz_check(json_is_object(reply));
	fuzz_check(json_is_integer(json_object_get(reply, "version")));
	fuzz_check(json_is_boolean(json_object_get(reply, "ok")));
	json_decref(reply);
	faults_change(vm, &nothing, why);
	return 0;
}
