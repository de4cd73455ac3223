/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `bulkhead`: one file each, one table in main.c. */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include <stdbool.h>

#include "ipc/log.h"

struct command {
	const char *name;
	const char *args;	/* "CONFIG [--set ...]" */
	const char *summary;	/* one line */
	const char *help;	/* options, one a line; "" for none */
	/* argv[0] is the command's name.  Return: exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct command cmd_run;
extern const struct command cmd_check;
extern const struct command cmd_ps;
extern const struct command cmd_stop;
extern const struct command cmd_kill;
extern const struct command cmd_device;
extern const struct command cmd_fault;
extern const struct command cmd_replay;
extern const struct command cmd_stats;
extern const struct command cmd_top;
extern const struct command cmd_events;
extern const struct command cmd_walk;
extern const struct command cmd_disk;
extern const struct command cmd_doctor;

/* One line to standard error about the command line.  Return: EXIT_USAGE. */
int cmd_usage_error(const struct command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* After getopt_long() returned '?' or ':'.  Return: EXIT_USAGE. */
int cmd_bad_option(const struct command *cmd, int argc, char **argv);

struct config;

/*
 * The VM of CONFIG and --set, as run and check take them; *verbose as said.
 * *cfg is the caller's, to be given to config_free().
 * Return: 0, or an exit status after a line to standard error.
 */
int cmd_load_config(const struct command *cmd, int argc, char **argv,
		    struct config **cfg, bool *verbose);

#endif
