/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead: the command.  One process, which for `bulkhead run` becomes the
 * VM's supervisor, and is a client of one otherwise.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/title.h"
#include "ipc/small_pages.h"

static const struct command *const commands[] = {
	&cmd_run, &cmd_ps, &cmd_stats, &cmd_top, &cmd_events, &cmd_walk, &cmd_stop, &cmd_kill,
	&cmd_device, &cmd_fault, &cmd_replay, &cmd_disk, &cmd_check, &cmd_doctor,
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
	puts("Usage: bulkhead COMMAND [ARGUMENTS]\n"
	     "Virtual machines in which every device is a jailed process of its own.\n");
	for (unsigned int i = 0; i < NR_COMMANDS; i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n'bulkhead COMMAND --help' tells more; so does bulkhead(1).");
}

static void print_command_help(const struct command *cmd)
{
	printf("Usage: bulkhead %s %s\n%s\n", cmd->name, cmd->args,
	       cmd->summary);
	if (cmd->help[0])
		printf("\n%s", cmd->help);
}

static void print_version(void)
{
	puts("bulkhead " BULKHEAD_VERSION);
}

int cmd_usage_error(const struct command *cmd, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_err("%s: %s; 'bulkhead %s --help' shows how it is used", cmd->name,
		text, cmd->name);
	return EXIT_USAGE;
}

int cmd_bad_option(const struct command *cmd, int argc, char **argv)
{
	const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";

	return cmd_usage_error(cmd, "unknown option or missing value at '%s'",
			       word);
}

static const struct command *find_command(const char *name)
{
	for (unsigned int i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* --help and --version work everywhere before "--". */
static const char *find_word(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return "help";
		if (!strcmp(argv[i], "--version"))
			return "version";
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct command *cmd = argc > 1 ? find_command(argv[1]) : NULL;
	const char *word = find_word(argc, argv);

	small_pages_begin();
	title_init(argc, argv);
	log_init("bulkhead", LOG_LEVEL_INFO);
	opterr = 0;
	if (word && word[0] == 'v') {
		print_version();
		return EXIT_SUCCESS;
	}
	if (word && (cmd || argv[1][0] == '-')) {
		if (cmd)
			print_command_help(cmd);
		else
			print_help();
		return EXIT_SUCCESS;
	}
	if (!cmd) {
		log_err("%s%s; 'bulkhead --help' lists the commands",
			argc > 1 ? "unknown command " : "no command",
			argc > 1 ? argv[1] : "");
		return EXIT_USAGE;
	}
	return cmd->run(argc - 1, argv + 1);
}
