/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments that `run` and `check` share, and what they name (C1). */
#include <getopt.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/config.h"

struct args {
	const char *file;
	const char **sets;	/* points into argv; owned: the array */
	unsigned int nr_sets;
	bool verbose;
};

static int parse_args(const struct command *cmd, int argc, char **argv,
		      struct args *args)
{
	static const struct option options[] = {
		{ "set", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*args = (struct args){
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

int cmd_load_config(const struct command *cmd, int argc, char **argv,
		    struct config **cfg, bool *verbose)
{
	char err[CONFIG_ERROR_MAX];
	struct args args;
	int status = parse_args(cmd, argc, argv, &args);

	if (!status &&
	    config_load(args.file, args.sets, args.nr_sets, cfg, err)) {
		log_err("%s", err);
		status = EXIT_USAGE;
	}
	*verbose = args.verbose;
	free(args.sets);
	return status;
}
