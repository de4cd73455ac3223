/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead run: this process becomes the supervisor of a VM (C1). */
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/config.h"
#include "cli/supervisor.h"

static int run(int argc, char **argv)
{
	struct config *cfg;
	bool verbose;
	int status = cmd_load_config(&cmd_run, argc, argv, &cfg, &verbose);

	if (status)
		return status;
	status = supervisor_run(cfg,
				verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	log_init("bulkhead", LOG_LEVEL_INFO);
	config_free(cfg);
	return status;
}

const struct command cmd_run = {
	.name = "run",
	.args = "CONFIG [--set SECTION.KEY=VALUE]... [--verbose]",
	.summary = "Run the VM that CONFIG describes, until it is over",
	.help = "  -s, --set SECTION.KEY=VALUE  as if CONFIG said so: vm.memory=1G,\n"
		"                               'blk vda.path=disk.img'\n"
		"  -v, --verbose                log more\n"
		"\n"
		"Exit status: 0 the guest powered off; 1 not started; 2 configuration;\n"
		"3 guest panic; 4 vCPU failed; 5 a device died; 6 the core died;\n"
		"7 killed; 128 + N signal N before the guest ran.\n",
	.run = run,
};
