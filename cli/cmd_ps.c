/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead ps: the processes of all running VMs.  The supervisor says which
 * there are, /proc says what they use.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/procfs.h"
#include "jail/inspect.h"

struct ps {
	bool jail;
	json_t *vms;		/* status replies, completed */
	bool failed;
};

static void add_jail(json_t *process, pid_t pid)
{
	struct inspect inspect;
	char line[INSPECT_LINE_MAX];

	if (inspect_read(pid, &inspect))
		return;
	inspect_line(&inspect, line, sizeof(line));
	json_object_set_new(process, "jail", json_string(line));
	json_object_set_new(process, "jailed",
			    json_boolean(inspect_is_jailed(&inspect)));
}

static void add_usage(json_t *process, bool jail)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(process, "pid"));
	struct proc_usage usage;

	if (!pid || proc_read_usage(pid, &usage))
		return;
	json_object_set_new(process, "uid", json_integer(usage.uid));
	json_object_set_new(process, "rss_kib",
			    json_integer((json_int_t)usage.rss_kib));
	json_object_set_new(process, "cpu_ms",
			    json_integer((json_int_t)usage.cpu_ms));
	if (jail)
		add_jail(process, pid);
}

/* A VM that ends while we ask is no error. */
static json_t *ask_status(const char *name, char why[CLIENT_WHY_MAX], int *err)
{
	struct client_conn conn;
	json_t *status;

	*err = client_connect(name, &conn, why);
	if (*err)
		return NULL;
	status = client_ask(&conn, client_request("status"), why);
	client_close(&conn);
	if (!status)
		*err = -EIO;
	return status;
}

static void visit(const char *name, void *opaque)
{
	struct ps *ps = opaque;
	char why[CLIENT_WHY_MAX];
	json_t *status, *process;
	size_t i;
	int err;

	status = ask_status(name, why, &err);
	if (!status) {
		if (err != -ENOENT) {
			log_err("%s: %s", name, why);
			ps->failed = true;
		}
		return;
	}
	json_object_del(status, "ok");
	json_object_del(status, "version");
	json_array_foreach(json_object_get(status, "processes"), i, process)
		add_usage(process, ps->jail);
	json_array_append_new(ps->vms, status);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* "3.2s", "5m07s", "3h05m": as much as a glance needs. */
static void format_ms(json_int_t ms, char *text, size_t len)
{
	json_int_t s = ms / 1000;

	if (s < 60)
		snprintf(text, len, "%d.%ds", (int)s, (int)(ms % 1000 / 100));
	else if (s < 3600)
		snprintf(text, len, "%dm%02ds", (int)(s / 60), (int)(s % 60));
	else
		snprintf(text, len, "%dh%02dm", (int)(s / 3600),
			 (int)(s % 3600 / 60));
}

static void print_process(const json_t *vm, const json_t *process)
{
	char uptime[24], cpu[24], name[64];
	bool top = !strcmp(text_of(process, "role"), "supervisor");

	format_ms(number_of(process, "uptime_ms"), uptime, sizeof(uptime));
	format_ms(number_of(process, "cpu_ms"), cpu, sizeof(cpu));
	snprintf(name, sizeof(name), "%s%s%s", text_of(vm, "name"),
		 top ? "" : "/", top ? "" : text_of(process, "device"));
	printf("%-24s %-10s %-8s %7d %10u %8s %8s %7" PRId64 "K  %s\n", name,
	       text_of(process, "role"), text_of(process, "state"),
	       (int)number_of(process, "pid"),
	       (unsigned int)number_of(process, "uid"), uptime, cpu,
	       (int64_t)number_of(process, "rss_kib"),
	       text_of(process, "resource"));
	if (json_object_get(process, "jail"))
		printf("    %s\n", text_of(process, "jail"));
}

static void print_table(const json_t *vms)
{
	const json_t *vm, *process;
	size_t i, k;

	printf("%-24s %-10s %-8s %7s %10s %8s %8s %8s  %s\n", "NAME", "ROLE",
	       "STATE", "PID", "UID", "UPTIME", "CPU", "RSS", "RESOURCE");
	json_array_foreach(vms, i, vm)
		json_array_foreach(json_object_get(vm, "processes"), k, process)
			print_process(vm, process);
}

static int print_json(const json_t *vms)
{
	char *text = json_dumps(vms, JSON_INDENT(2));

	if (!text)
		return EXIT_FAILURE;
	puts(text);
	free(text);
	return EXIT_SUCCESS;
}

/* One VM, or all.  Return: exit status. */
static int collect(struct ps *ps, const char *name)
{
	int err;

	if (!name) {
		err = client_each_vm(visit, ps);
		if (err)
			log_perr(-err, "cannot read the runtime folder");
		return err || ps->failed ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	visit(name, ps);
	if (!ps->failed && !json_array_size(ps->vms)) {
		log_err("no VM named '%s' is running", name);
		ps->failed = true;
	}
	return ps->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "jail", no_argument, NULL, 'J' },
		{ NULL, 0, NULL, 0 },
	};
	struct ps ps = { 0 };
	bool json = false;
	int option, status;

	while ((option = getopt_long(argc, argv, ":j", options, NULL)) != -1) {
		if (option == 'j')
			json = true;
		else if (option == 'J')
			ps.jail = true;
		else
			return cmd_bad_option(&cmd_ps, argc, argv);
	}
	if (argc - optind > 1)
		return cmd_usage_error(&cmd_ps, "at most one VM can be named");
	ps.vms = json_array();
	status = collect(&ps, optind < argc ? argv[optind] : NULL);
	if (json)
		status |= print_json(ps.vms);
	else if (status == EXIT_SUCCESS)
		print_table(ps.vms);
	json_decref(ps.vms);
	return status;
}

const struct command cmd_ps = {
	.name = "ps",
	.args = "[NAME] [--json] [--jail]",
	.summary = "List the processes of the running VMs",
	.help = "  -j, --json  as a JSON array, one object per VM\n"
		"      --jail  also what each process still holds\n",
	.run = list,
};
