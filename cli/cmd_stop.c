/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead stop, bulkhead kill: end a VM and wait until it is over (C7). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"
#include "cli/cmd.h"

#define SECONDS_MAX	86400

/* "30" -> 30000.  Return: -1 if it is no number of seconds. */
static long parse_seconds_ms(const char *text)
{
	char *end;
	long seconds = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || seconds > SECONDS_MAX)
		return -1;
	return seconds * 1000;
}

/*
 * The supervisor keeps its own deadlines, so waiting has an end without one
 * here; when it dies instead, the connection ends, which is an end too.
 */
static int ask_and_wait(const char *vm, json_t *request)
{
	struct client_conn conn;
	char why[CLIENT_WHY_MAX];
	json_t *reply, *over;

	if (client_connect(vm, &conn, why)) {
		json_decref(request);
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	reply = client_ask(&conn, request, why);
	if (!reply) {
		log_err("%s: %s", vm, why);
		client_close(&conn);
		return EXIT_FAILURE;
	}
	json_decref(reply);
	over = client_next(&conn, -1, why);
	if (over)
		printf("%s: over, status %d\n", vm,
		       (int)json_integer_value(json_object_get(over,
							       "status")));
	else
		log_err("%s: %s before it said how the VM ended", vm, why);
	client_close(&conn);
	if (!over)
		return EXIT_FAILURE;
	json_decref(over);
	return EXIT_SUCCESS;
}

static int stop(int argc, char **argv)
{
	static const struct option options[] = {
		{ "timeout", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	json_t *request;
	long timeout_ms = -1;
	int option;

	while ((option = getopt_long(argc, argv, ":t:", options, NULL)) != -1) {
		if (option != 't')
			return cmd_bad_option(&cmd_stop, argc, argv);
		timeout_ms = parse_seconds_ms(optarg);
		if (timeout_ms < 0)
			return cmd_usage_error(&cmd_stop,
					       "--timeout %s: expected seconds, 0 to %d",
					       optarg, SECONDS_MAX);
	}
	if (optind + 1 != argc)
		return cmd_usage_error(&cmd_stop, "the name of one VM is needed");
	request = client_request("stop");
	if (timeout_ms >= 0)
		json_object_set_new(request, "timeout_ms",
				    json_integer(timeout_ms));
	return ask_and_wait(argv[optind], request);
}

static int kill_vm(int argc, char **argv)
{
	static const struct option options[] = { { NULL, 0, NULL, 0 } };

	if (getopt_long(argc, argv, ":", options, NULL) != -1)
		return cmd_bad_option(&cmd_kill, argc, argv);
	if (optind + 1 != argc)
		return cmd_usage_error(&cmd_kill, "the name of one VM is needed");
	return ask_and_wait(argv[optind], client_request("kill"));
}

const struct command cmd_stop = {
	.name = "stop",
	.args = "NAME [--timeout SECONDS]",
	.summary = "Press the VM's power button, kill it at the deadline, wait",
	.help = "  -t, --timeout SECONDS  deadline, instead of stop_timeout\n",
	.run = stop,
};

const struct command cmd_kill = {
	.name = "kill",
	.args = "NAME",
	.summary = "End a VM at once, and wait until it is over",
	.help = "",
	.run = kill_vm,
};
