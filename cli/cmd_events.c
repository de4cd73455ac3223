/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead events: what happened to a VM, as JSON lines. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/cmd.h"

#define FOR_EVER	(-1)

/* Return: false, nobody reads what we print. */
static bool print(json_t *event)
{
	json_object_del(event, "ok");
	json_object_del(event, "version");
	json_dumpf(event, stdout, JSON_COMPACT);
	putchar('\n');
	return fflush(stdout) == 0 && !ferror(stdout);
}

static bool is_over(const json_t *event)
{
	const char *kind = json_string_value(json_object_get(event, "event"));

	return kind && !strcmp(kind, "over");
}

/* To the end of the VM.  Return: exit status. */
static int follow_events(struct client_conn *conn)
{
	char why[CLIENT_WHY_MAX];
	bool over = false, printed = true;

	while (!over && printed) {
		json_t *event = client_next(conn, FOR_EVER, why);

		if (!event) {
			log_err("the supervisor is gone: %s", why);
			return EXIT_FAILURE;
		}
		over = is_over(event);
		printed = print(event);
		json_decref(event);
	}
	return over ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int show(struct client_conn *conn, bool live, char why[CLIENT_WHY_MAX])
{
	json_t *request = client_request("events");
	json_t *reply, *event;
	bool printed = true;
	size_t i;

	json_object_set_new(request, "follow", json_boolean(live));
	reply = client_ask(conn, request, why);
	if (!reply) {
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	json_array_foreach(json_object_get(reply, "events"), i, event)
		printed = printed && print(event);
	json_decref(reply);
	if (!printed)
		return EXIT_FAILURE;
	return live ? follow_events(conn) : EXIT_SUCCESS;
}

static int events(int argc, char **argv)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	struct client_conn conn;
	char why[CLIENT_WHY_MAX];
	bool live = false;
	int option, status;

	while ((option = getopt_long(argc, argv, ":f", options, NULL)) != -1) {
		if (option != 'f')
			return cmd_bad_option(&cmd_events, argc, argv);
		live = true;
	}
	if (argc - optind != 1)
		return cmd_usage_error(&cmd_events,
				       "the name of one VM is needed");
	if (client_connect(argv[optind], &conn, why)) {
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	status = show(&conn, live, why);
	client_close(&conn);
	return status;
}

const struct command cmd_events = {
	.name = "events",
	.args = "NAME [--follow]",
	.summary = "What happened to a VM, a JSON object a line",
	.help = "  -f, --follow  go on with what happens, until the VM is over\n",
	.run = events,
};
