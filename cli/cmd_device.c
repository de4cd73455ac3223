/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead device: its verbs.  Those of disks are in cmd_disk.c; this file has
 * `restart`, which exchanges a device's process while the guest runs (C7).  The
 * supervisor begins it and answers at once; this client looks on until the
 * successor serves.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/cmd_device.h"
#include "ipc/fdmsg.h"

#define EXCHANGE_MS	30000	/* draining, dying, rebirth */
#define LOOK_MS		20

/* The device's object in a reply to "status"; borrowed; NULL: not there. */
static const json_t *find_device(const json_t *status, const char *name)
{
	const json_t *list = json_object_get(status, "processes");
	size_t i;
	json_t *one;

	json_array_foreach(list, i, one) {
		const char *device =
			json_string_value(json_object_get(one, "device"));

		if (device && !strcmp(device, name))
			return one;
	}
	return NULL;
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* What the device was before, or is now.  Return: births; -1 with why. */
static json_int_t look(struct client_conn *conn, const char *name,
		       json_int_t *pid, bool *runs, char why[CLIENT_WHY_MAX])
{
	json_t *status = client_ask(conn, client_request("status"), why);
	const json_t *device = find_device(status, name);
	const char *state =
		json_string_value(json_object_get(device, "state"));
	json_int_t births = device ? number(device, "births") : -1;

	*pid = number(device, "pid");
	*runs = state && !strcmp(state, "running");
	if (status && !device)
		snprintf(why, CLIENT_WHY_MAX, "it has no device '%s'", name);
	json_decref(status);
	return births;
}

static int wait_for_heir(struct client_conn *conn, const char *vm,
			 const char *name, json_int_t births,
			 char why[CLIENT_WHY_MAX])
{
	long long end_ms = fdmsg_now_ms() + EXCHANGE_MS;

	snprintf(why, CLIENT_WHY_MAX, "%s is not there again after %d s", name,
		 EXCHANGE_MS / 1000);
	while (fdmsg_now_ms() < end_ms) {
		json_int_t pid;
		bool runs;
		json_int_t now = look(conn, name, &pid, &runs, why);

		if (now < 0)
			return EXIT_FAILURE;
		if (now > births && runs) {
			printf("%s: %s is process %lld now\n", vm, name,
			       (long long)pid);
			return EXIT_SUCCESS;
		}
		poll(NULL, 0, LOOK_MS);
	}
	return EXIT_FAILURE;
}

json_t *device_request(const char *command, const struct device_args *args)
{
	json_t *request = client_request(command);

	json_object_set_new(request, "device", json_string(args->device));
	return request;
}

static int restart(struct client_conn *conn, const struct device_args *args,
		   char why[CLIENT_WHY_MAX])
{
	json_int_t births, pid;
	json_t *reply;
	bool runs;

	births = look(conn, args->device, &pid, &runs, why);
	if (births < 0)
		return EXIT_FAILURE;
	reply = client_ask(conn, device_request("restart-device", args), why);
	if (!reply)
		return EXIT_FAILURE;
	json_decref(reply);
	return wait_for_heir(conn, args->vm, args->device, births, why);
}

static const struct verb {
	const char *name;
	int (*obey)(struct client_conn *conn, const struct device_args *args,
		    char why[CLIENT_WHY_MAX]);
	int max_words;
	const char *usage;
} verbs[] = {
	{ "restart", restart, 0, "NAME restart DEVICE" },
	{ "throttle", verb_throttle, 16, "NAME throttle DEVICE [KEY=VALUE]..." },
	{ "resume", verb_resume, 0, "NAME resume DEVICE" },
	{ "resize", verb_resize, 1, "NAME resize DISK SIZE" },
	{ "move", verb_move, 1, "NAME move DISK NEW [--format=FORMAT]" },
	{ "cancel", verb_cancel, 0, "NAME cancel DISK" },
	{ "snapshot", verb_snapshot, 1, "NAME snapshot DISK NEW" },
};

#define NR_VERBS	(sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find_verb(const char *name)
{
	for (unsigned int i = 0; i < NR_VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int obey(const struct verb *verb, const struct device_args *args)
{
	struct client_conn conn;
	char why[CLIENT_WHY_MAX];
	int status;

	if (client_connect(args->vm, &conn, why)) {
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	status = verb->obey(&conn, args, why);
	if (status)
		log_err("%s: %s", args->vm, why);
	client_close(&conn);
	return status;
}

static int device(int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 }
	};
	const char *format = NULL;
	const struct verb *verb;
	struct device_args args;
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option != 'f')
			return cmd_bad_option(&cmd_device, argc, argv);
		format = optarg;
	}
	verb = argc - optind >= 2 ? find_verb(argv[optind + 1]) : NULL;
	if (!verb)
		return cmd_usage_error(&cmd_device,
				       "NAME VERB DEVICE is needed, with restart, throttle, resume, resize, move, cancel or snapshot for VERB");
	args = (struct device_args){
		.vm = argv[optind],
		.device = argv[optind + 2],
		.format = format,
		.words = argv + optind + 3,
		.nr_words = argc - optind - 3,
	};
	if (args.nr_words < 0 || args.nr_words > verb->max_words ||
	    (format && verb->obey != verb_move))
		return cmd_usage_error(&cmd_device, "%s is needed",
				       verb->usage);
	return obey(verb, &args);
}

const struct command cmd_device = {
	.name = "device",
	.args = "NAME VERB DEVICE [ARGUMENT]...",
	.summary = "Do something to a device while the guest runs",
	.help = "  restart DEVICE               exchange its process for a new one, of the\n"
		"                               program as it is on disk now\n"
		"  throttle DISK [KEY=VALUE]... change its limits (bulkhead.conf(5), throttle),\n"
		"                               or only show them\n"
		"  resume DEVICE                let a disk that is held after an error (on_error =\n"
		"                               hold) try again, and a VM that is paused after a\n"
		"                               device's death (on_crash = pause) go on\n"
		"  resize DISK SIZE             make its image larger, and tell the guest\n"
		"  move DISK NEW                copy it to a new file while the guest writes, and\n"
		"                               go on with that; shows how far it is\n"
		"       [--format raw|qcow2]    the format of NEW, if not the disk's\n"
		"  cancel DISK                  leave off moving it\n"
		"  snapshot DISK NEW            go on with a new qcow2 image, and leave what there is\n"
		"                               behind it as it is\n",
	.run = device,
};
