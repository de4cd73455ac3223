/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments that `run` and `check` share (C1). */
#include <getopt.h>
#include <stdlib.h>

#include "cli/cmd.h"

int cmd_parse_config_args(const struct command *cmd, int argc, char **argv,
			  struct cmd_config_args *args)
{
	static const struct option options[] = {
		{ "set", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*args = (struct cmd_config_args){
		.sets = calloc((size_t)argc, sizeof(*args->sets)),
	};
	if (!args->sets) {
		log_err("out of memory");
		return EXIT_FAILURE;
	}
	while ((option = getopt_long(argc, argv, ":s:v", options, NULL)) != -1) {
		if (option == 's')
			args->sets[args->nr_sets++] = optarg;
		else if (option == 'v')
			args->verbose = true;
		else
			return cmd_bad_option(cmd, argc, argv);
	}
	if (optind + 1 != argc)
		return cmd_usage_error(cmd, "one configuration file is needed");
	args->file = argv[optind];
	return 0;
}
