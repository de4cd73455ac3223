/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files and --set: taken, or refused in one line. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/config.h"
#include "ipc/log.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	return 0;
}

static void check(const struct config *cfg)
{
	fuzz_check(cfg->name && cfg->name[0] && !strchr(cfg->name, '/'));
	fuzz_check(cfg->nr_cpus >= 1 && cfg->nr_cpus <= LIFE_MAX_VCPUS);
	fuzz_check(cfg->nr_devices <= LIFE_MAX_DEVICES);
	fuzz_check(cfg->nr_faults <= CONFIG_MAX_FAULTS);
	fuzz_check(cfg->kernel.path && cfg->kernel.path[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char err[CONFIG_ERROR_MAX] = "";
	struct config *cfg = NULL;
	char set[64] = "";
	const char *sets[] = { set };
	char path[64];
	bool with_set = size > 0 && data[size - 1] == '=';
	int fd;

	/* A last line that ends in '=' makes its beginning an assignment. */
	if (with_set)
		fuzz_take_bytes(&in, set, sizeof(set) - 1);
	fd = fuzz_memfd(in.at, in.left, in.left);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (config_load(path, sets, with_set, &cfg, err)) {
		fuzz_check(err[0]);
		fuzz_check(memchr(err, '\0', sizeof(err)));
	} else {
		check(cfg);
	}
	config_free(cfg);
	close(fd);
	return 0;
}
