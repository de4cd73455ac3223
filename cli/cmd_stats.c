/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead stats: what a VM has counted since it was started. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cmd.h"
#include "cli/stats_format.h"

#define WATCH_S		1	/* between two reports */

enum form { FORM_TEXT, FORM_JSON, FORM_METRICS };

struct options {
	enum form form;
	bool watch;
};

static int print_json(struct stats_vm *vm, bool watch)
{
	json_t *object = stats_to_json(vm);
	/* One line each, if there are many. */
	int ret = object ? json_dumpf(object, stdout,
				      watch ? JSON_COMPACT : JSON_INDENT(2)) :
			   -1;

	json_decref(object);
	putchar('\n');
	return ret;
}

/* Return: false, nobody reads what we print. */
static bool print(struct stats_vm *vm, const struct options *options)
{
	switch (options->form) {
	case FORM_JSON:
		if (print_json(vm, options->watch))
			return false;
		break;
	case FORM_METRICS:
		stats_print_metrics(vm, stdout);
		break;
	default:
		stats_print_text(vm, stdout);
		if (options->watch)
			putchar('\n');
	}
	return fflush(stdout) == 0 && !ferror(stdout);
}

/* The VM's end is the end of a watch, and no failure. */
static int watch(struct stats_vm *vm, const struct options *options)
{
	const struct timespec pause = { .tv_sec = WATCH_S };
	char why[CLIENT_WHY_MAX];

	do {
		nanosleep(&pause, NULL);
		if (stats_vm_refresh(vm, why))
			return EXIT_SUCCESS;
	} while (print(vm, options));
	return EXIT_FAILURE;
}

static int report(const char *name, const struct options *options)
{
	static struct stats_vm vm;
	char why[CLIENT_WHY_MAX];
	int status;

	if (stats_vm_open(&vm, name, why)) {
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	status = print(&vm, options) ? EXIT_SUCCESS : EXIT_FAILURE;
	if (status == EXIT_SUCCESS && options->watch)
		status = watch(&vm, options);
	stats_vm_close(&vm);
	return status;
}

static int stats(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "openmetrics", no_argument, NULL, 'o' },
		{ "watch", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { 0 };
	bool json = false, metrics = false;
	int option;

	while ((option = getopt_long(argc, argv, ":jw", longs, NULL)) != -1) {
		if (option == 'j')
			json = true;
		else if (option == 'o')
			metrics = true;
		else if (option == 'w')
			options.watch = true;
		else
			return cmd_bad_option(&cmd_stats, argc, argv);
	}
	if (argc - optind != 1)
		return cmd_usage_error(&cmd_stats,
				       "the name of one VM is needed");
	if (json && metrics)
		return cmd_usage_error(&cmd_stats,
				       "--json and --openmetrics: choose one");
	options.form = json ? FORM_JSON : metrics ? FORM_METRICS : FORM_TEXT;
	return report(argv[optind], &options);
}

const struct command cmd_stats = {
	.name = "stats",
	.args = "NAME [--json | --openmetrics] [--watch]",
	.summary = "What the processes of a VM have counted",
	.help = "  -j, --json         as a JSON object; with --watch one a line\n"
		"      --openmetrics  as OpenMetrics text, for a monitor to scrape\n"
		"  -w, --watch        again every second, until the VM is over\n"
		"bulkhead(1), STATISTICS, says what each number is.\n",
	.run = stats,
};
