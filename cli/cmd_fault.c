/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead fault: let a device of a running VM do wrong on purpose. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/cmd.h"

#define SCRIPT_MAX	60000	/* bytes; a request has 65536 */
#define RULE_MAX	512

struct request {
	bool list;
	bool json;
	bool clear;
	bool reseed;
	int64_t seed;
	const char *script;	/* file */
	char rule[RULE_MAX];
};

/* --- what is asked ------------------------------------------------------------- */

static int parse_seed(const char *text, struct request *request)
{
	char *end;

	errno = 0;
	request->seed = strtoll(text, &end, 10);
	request->reseed = true;
	return errno || *text < '0' || *text > '9' || *end ? -EINVAL : 0;
}

static int parse_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "clear", no_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "script", required_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'l')
			request->list = true;
		else if (option == 'j')
			request->json = true;
		else if (option == 'c')
			request->clear = true;
		else if (option == 'f')
			request->script = optarg;
		else if (option != 's')
			return cmd_bad_option(&cmd_fault, argc, argv);
		else if (parse_seed(optarg, request))
			return cmd_usage_error(&cmd_fault,
					       "--seed %s: expected a whole number",
					       optarg);
	}
	return 0;
}

/* DEVICE ACTION [WHEN]...: one line, its words one blank apart. */
static int join_rule(int argc, char **argv, struct request *request)
{
	size_t used = 0;

	for (int i = 0; i < argc; i++) {
		int len = snprintf(request->rule + used, RULE_MAX - used,
				   "%s%s", i ? " " : "", argv[i]);

		used += (size_t)len;
		if (used >= RULE_MAX)
			return cmd_usage_error(&cmd_fault,
					       "the rule is too long");
	}
	if (strchr(request->rule, '\n'))
		return cmd_usage_error(&cmd_fault, "a rule is one line");
	return 0;
}

static int parse(int argc, char **argv, struct request *request)
{
	int status = parse_options(argc, argv, request);
	int nr_words = argc - optind - 1;

	if (status)
		return status;
	if (nr_words < 0)
		return cmd_usage_error(&cmd_fault,
				       "the name of a VM is needed");
	if (nr_words > 0 && request->script)
		return cmd_usage_error(&cmd_fault,
				       "a rule and --script: choose one");
	if (nr_words == 0 && !request->list && !request->clear &&
	    !request->reseed && !request->script)
		return cmd_usage_error(&cmd_fault,
				       "a rule is needed, DEVICE ACTION, or an option");
	return join_rule(nr_words, argv + optind + 1, request);
}

/* Return: the text, to be freed; NULL after a line to standard error. */
static char *read_script(const char *file)
{
	FILE *stream = fopen(file, "re");
	char *text = calloc(1, SCRIPT_MAX + 1);
	size_t len;

	if (!stream || !text) {
		log_err("%s: cannot read it: %s", file, strerror(errno));
		goto fail;
	}
	len = fread(text, 1, SCRIPT_MAX + 1, stream);
	if (ferror(stream) || len > SCRIPT_MAX || memchr(text, '\0', len)) {
		log_err("%s: not a text file of at most %d bytes", file,
			SCRIPT_MAX);
		goto fail;
	}
	fclose(stream);
	return text;
fail:
	if (stream)
		fclose(stream);
	free(text);
	return NULL;
}

static json_t *make_request(const struct request *request, const char *script)
{
	json_t *json = client_request("fault");

	if (request->clear)
		json_object_set_new(json, "clear", json_true());
	if (request->reseed)
		json_object_set_new(json, "seed",
				    json_integer((json_int_t)request->seed));
	if (request->rule[0])
		json_object_set_new(json, "rule", json_string(request->rule));
	if (script)
		json_object_set_new(json, "script", json_string(script));
	return json;
}

/* --- what is answered ------------------------------------------------------------ */

static void print_rules(const json_t *rules)
{
	const json_t *rule;
	size_t i;

	printf("%-5s %-15s %10s %10s  %s\n", "ID", "DEVICE", "MATCHED",
	       "FIRED", "RULE");
	json_array_foreach(rules, i, rule) {
		json_int_t id = 0, seen = 0, fired = 0;
		const char *device = "", *text = "";

		if (json_unpack((json_t *)(uintptr_t)rule,
				"{s:I, s:s, s:s, s:I, s:I}", "id", &id,
				"device", &device, "rule", &text, "seen",
				&seen, "fired", &fired))
			continue;
		printf("%-5" JSON_INTEGER_FORMAT " %-15s %10"
		       JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT "  %s\n",
		       id, device, seen, fired, text);
	}
}

static void print_reply(const struct request *request, const json_t *reply)
{
	const json_t *rules = json_object_get(reply, "rules");

	if (request->json) {
		json_dumpf(rules, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (request->list) {
		print_rules(rules);
	}
}

static int ask(const char *vm, const struct request *request, json_t *json)
{
	struct client_conn conn;
	char why[CLIENT_WHY_MAX];
	json_t *reply;

	if (client_connect(vm, &conn, why)) {
		json_decref(json);
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	reply = client_ask(&conn, json, why);
	client_close(&conn);
	if (!reply) {
		log_err("%s: %s",
			request->script ? request->script : vm, why);
		return EXIT_FAILURE;
	}
	print_reply(request, reply);
	json_decref(reply);
	return EXIT_SUCCESS;
}

static int fault(int argc, char **argv)
{
	struct request request = { 0 };
	char *script = NULL;
	int status = parse(argc, argv, &request);

	if (status)
		return status;
	if (request.script) {
		script = read_script(request.script);
		if (!script)
			return EXIT_FAILURE;
	}
	status = ask(argv[optind], &request, make_request(&request, script));
	free(script);
	return status;
}

const struct command cmd_fault = {
	.name = "fault",
	.args = "NAME [DEVICE ACTION [WHEN]...] [--script FILE] [--list]",
	.summary = "Let a device of a running VM do wrong on purpose",
	.help = "      --clear        first drop the rules that are there\n"
		"      --seed N       random numbers of the rules added from now on\n"
		"      --script FILE  rules, one a line: DEVICE ACTION [WHEN]...\n"
		"      --list         print the rules and how often each fired\n"
		"      --json         the same as JSON\n"
		"bulkhead(1), FAULTS, lists actions and conditions.\n",
	.run = fault,
};
