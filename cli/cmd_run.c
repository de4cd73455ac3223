/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead run: this process becomes the supervisor of a VM (C1). */
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/config.h"
#include "cli/supervisor.h"

static int run(int argc, char **argv)
{
	struct cmd_config_args args;
	char err[CONFIG_ERROR_MAX];
	struct config *cfg;
	int status = cmd_parse_config_args(&cmd_run, argc, argv, &args);

	if (status)
		goto out;
	if (config_load(args.file, args.sets, args.nr_sets, &cfg, err)) {
		log_err("%s", err);
		status = EXIT_USAGE;
		goto out;
	}
	status = supervisor_run(cfg,
				args.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	log_init("bulkhead", LOG_LEVEL_INFO);
	config_free(cfg);
out:
	free(args.sets);
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
