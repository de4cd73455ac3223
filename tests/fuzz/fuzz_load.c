/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel loaders: any file is refused with one line, or loaded between
 * LOAD_BASE and what the loader says; the boot data after it fit.
 */
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "ipc/log.h"
#include "tests/fuzz/fuzz.h"
#include "vmm-core/boot.h"

#define RAM_BYTES	(6u << 20)
#define INITRD_BYTES	8192

static uint8_t *ram;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	if (guest_mem_init(fuzz_memfd(NULL, 0, RAM_BYTES), RAM_BYTES))
		__builtin_trap();
	ram = guest_mem_span(0, RAM_BYTES);
	return 0;
}

static void check_refusal(const struct load_error *error)
{
	fuzz_check(error->text[0]);
	fuzz_check(memchr(error->text, '\0', sizeof(error->text)));
	fuzz_check(!strchr(error->text, '\n'));
}

/* The second half of a birth: initrd, command line, tables. */
static void boot(const struct loaded_kernel *kernel, const void *data,
		 size_t size)
{
	struct load_file initrd = { .size_bytes = INITRD_BYTES };
	struct boot_info info = {
		.kernel = kernel, .cmdline = "console=ttyS0",
		.rsdp = BOOT_ACPI,
	};
	struct load_error error = { "" };

	initrd.fd = fuzz_memfd(data, size < INITRD_BYTES ? size : INITRD_BYTES,
			       INITRD_BYTES);
	if (load_initrd(&initrd, kernel, &info.initrd, &error)) {
		check_refusal(&error);
	} else {
		info.initrd_bytes = INITRD_BYTES;
		fuzz_check(info.initrd >= LOAD_BASE);
		fuzz_check(info.initrd + INITRD_BYTES <= RAM_BYTES);
		fuzz_check(info.initrd >= kernel->end ||
			   info.initrd + INITRD_BYTES <= kernel->start);
		if (boot_write(&info, &error))
			check_refusal(&error);
	}
	close(initrd.fd);
}

static bool is_zero(size_t from, size_t to)
{
	return from >= to || (ram[from] == 0 &&
			      !memcmp(ram + from, ram + from + 1,
				      to - from - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct load_file file = {
		.fd = fuzz_memfd(data, size, size), .size_bytes = size,
	};
	struct loaded_kernel kernel = { 0 };
	struct load_error error = { "" };

	if (load_kernel(&file, &kernel, &error)) {
		check_refusal(&error);
	} else {
		fuzz_check(kernel.start >= LOAD_BASE);
		fuzz_check(kernel.start <= kernel.end);
		fuzz_check(kernel.end <= RAM_BYTES);
		fuzz_check(is_zero(0, kernel.start));
		fuzz_check(is_zero(kernel.end, RAM_BYTES));
		boot(&kernel, data, size);
	}
	close(file.fd);

	memset(ram, 0, RAM_BYTES);
	return 0;
}
