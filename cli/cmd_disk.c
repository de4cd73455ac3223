/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of `bulkhead device` that are for disks (C7). */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bytes.h"
#include "cli/cmd_device.h"
#include "ipc/log.h"

#define SET_MAX	1024
#define LOOK_MS	200	/* how often what takes a while is looked at */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* The words as one text, as [blk] throttle has them. */
static int join(const struct device_args *args, char text[SET_MAX], char *why)
{
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < args->nr_words; i++) {
		int len = snprintf(text + used, SET_MAX - used, "%s%s",
				   used ? " " : "", args->words[i]);

		if (len < 0 || (size_t)len >= SET_MAX - used) {
			snprintf(why, CLIENT_WHY_MAX, "too many settings");
			return EXIT_FAILURE;
		}
		used += (size_t)len;
	}
	return EXIT_SUCCESS;
}

int verb_throttle(struct client_conn *conn, const struct device_args *args,
		  char why[CLIENT_WHY_MAX])
{
	json_t *request = device_request("throttle", args);
	char text[SET_MAX];
	json_t *reply;

	if (join(args, text, why)) {
		json_decref(request);
		return EXIT_FAILURE;
	}
	json_object_set_new(request, "set", json_string(text));
	reply = client_ask(conn, request, why);
	if (!reply)
		return EXIT_FAILURE;
	printf("%s/%s: throttle: %s%s%s\n", args->vm, args->device,
	       text_of(reply, "throttle"),
	       *text_of(reply, "group") ? "; group " : "",
	       text_of(reply, "group"));
	printf("%s/%s: requests delayed: %lld, by %lld.%03lld s in all; waiting: %lld\n",
	       args->vm, args->device, number_of(reply, "delayed"),
	       number_of(reply, "delay_us") / 1000000,
	       number_of(reply, "delay_us") / 1000 % 1000,
	       number_of(reply, "waiting"));
	json_decref(reply);
	return EXIT_SUCCESS;
}

int verb_resume(struct client_conn *conn, const struct device_args *args,
		char why[CLIENT_WHY_MAX])
{
	json_t *reply = client_ask(conn, device_request("resume-device", args),
				   why);

	if (!reply)
		return EXIT_FAILURE;
	json_decref(reply);
	printf("%s/%s: resumed\n", args->vm, args->device);
	return EXIT_SUCCESS;
}

int verb_resize(struct client_conn *conn, const struct device_args *args,
		char why[CLIENT_WHY_MAX])
{
	json_t *request, *reply;
	uint64_t bytes;

	if (args->nr_words != 1 || bytes_parse(args->words[0], &bytes) ||
	    bytes > INT64_MAX) {
		snprintf(why, CLIENT_WHY_MAX,
			 "a size is needed, in bytes or as in 512M or 20G");
		return EXIT_USAGE;
	}
	request = device_request("resize", args);
	json_object_set_new(request, "bytes", json_integer((json_int_t)bytes));
	reply = client_ask(conn, request, why);
	if (!reply)
		return EXIT_FAILURE;
	json_decref(reply);
	printf("%s/%s: %" PRIu64 " bytes\n", args->vm, args->device, bytes);
	return EXIT_SUCCESS;
}

/* Paths are the client's, the supervisor has a folder of its own. */
static json_t *absolute(const char *path)
{
	char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	json_t *text = cwd ? json_sprintf("%s/%s", cwd, path) :
			     json_string(path);

	free(cwd);
	return text;
}

static void show_progress(const struct device_args *args, const json_t *reply)
{
	if (isatty(STDERR_FILENO) && json_object_get(reply, "of"))
		fprintf(stderr, "\r%s/%s: %lld of %lld MiB copied ", args->vm,
			args->device, number_of(reply, "bytes") >> 20,
			number_of(reply, "of") >> 20);
}

/* Takes reply, the first one.  Looks on until it is over. */
static int watch(struct client_conn *conn, const char *command,
		 const struct device_args *args, json_t *reply,
		 char why[CLIENT_WHY_MAX])
{
	int status;

	while (reply && strcmp(text_of(reply, "state"), "none")) {
		show_progress(args, reply);
		json_decref(reply);
		poll(NULL, 0, LOOK_MS);
		reply = client_ask(conn, device_request(command, args), why);
	}
	if (!reply)
		return EXIT_FAILURE;
	if (isatty(STDERR_FILENO) && json_object_get(reply, "of"))
		fputc('\n', stderr);
	status = json_is_true(json_object_get(reply, "failed")) ?
		EXIT_FAILURE : EXIT_SUCCESS;
	if (status)
		snprintf(why, CLIENT_WHY_MAX, "%s: %.200s", args->device,
			 text_of(reply, "end"));
	else
		printf("%s/%s: %s\n", args->vm, args->device,
		       text_of(reply, "end"));
	json_decref(reply);
	return status;
}

int verb_move(struct client_conn *conn, const struct device_args *args,
	      char why[CLIENT_WHY_MAX])
{
	json_t *request;

	if (args->nr_words != 1) {
		snprintf(why, CLIENT_WHY_MAX,
			 "the path of the new file is needed");
		return EXIT_USAGE;
	}
	request = device_request("move", args);
	json_object_set_new(request, "path", absolute(args->words[0]));
	if (args->format)
		json_object_set_new(request, "format",
				    json_string(args->format));
	return watch(conn, "move", args, client_ask(conn, request, why), why);
}

int verb_snapshot(struct client_conn *conn, const struct device_args *args,
		  char why[CLIENT_WHY_MAX])
{
	json_t *request;

	if (args->nr_words != 1) {
		snprintf(why, CLIENT_WHY_MAX,
			 "the path of the new image is needed");
		return EXIT_USAGE;
	}
	request = device_request("snapshot", args);
	json_object_set_new(request, "path", absolute(args->words[0]));
	return watch(conn, "snapshot", args, client_ask(conn, request, why),
		     why);
}

int verb_cancel(struct client_conn *conn, const struct device_args *args,
		char why[CLIENT_WHY_MAX])
{
	json_t *request = device_request("move", args);
	json_t *reply;

	json_object_set_new(request, "cancel", json_true());
	reply = client_ask(conn, request, why);
	if (!reply)
		return EXIT_FAILURE;
	printf("%s/%s: %s\n", args->vm, args->device, text_of(reply, "end"));
	json_decref(reply);
	return EXIT_SUCCESS;
}
