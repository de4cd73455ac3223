/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bulkhead device`: the verbs, one function each; cmd_device.c has their
 * table, cmd_disk.c those of disks.
 */
#ifndef CLI_CMD_DEVICE_H
#define CLI_CMD_DEVICE_H

#include "cli/client.h"

struct device_args {
	const char *vm;
	const char *device;
	const char *format;	/* --format; NULL: not said */
	char **words;		/* what follows */
	int nr_words;
};

/* {"command": command, "device": ...}. */
json_t *device_request(const char *command, const struct device_args *args);

/* Each: exit status, with a line in why unless that is 0. */
int verb_resume(struct client_conn *conn, const struct device_args *args,
		char why[CLIENT_WHY_MAX]);
int verb_resize(struct client_conn *conn, const struct device_args *args,
		char why[CLIENT_WHY_MAX]);
int verb_move(struct client_conn *conn, const struct device_args *args,
	      char why[CLIENT_WHY_MAX]);
int verb_cancel(struct client_conn *conn, const struct device_args *args,
		char why[CLIENT_WHY_MAX]);
int verb_snapshot(struct client_conn *conn, const struct device_args *args,
		  char why[CLIENT_WHY_MAX]);
int verb_throttle(struct client_conn *conn, const struct device_args *args,
		  char why[CLIENT_WHY_MAX]);

#endif
