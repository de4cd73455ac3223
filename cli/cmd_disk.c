/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of `bulkhead device` that are for disks (C7). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd_device.h"

#define SET_MAX	1024

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
