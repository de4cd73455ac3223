/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead doctor: what this host can do, and what to do about the rest. */
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/doctor.h"

static const struct doctor_check checks[] = {
	{ "kvm", doctor_kvm_device },
	{ "kvm-ring0", doctor_kvm_ring0 },
	{ "kvm-exits", doctor_kvm_exits },
	{ "namespaces", doctor_namespaces },
	{ "uids", doctor_ids },
	{ "landlock", doctor_landlock },
	{ "seccomp", doctor_seccomp },
	{ "msr-filter", doctor_msr_filter },
	{ "core-sched", doctor_core_sched },
	{ "speculation", doctor_speculation },
	{ "mdwe", doctor_mdwe },
	{ "io_uring", doctor_io_uring },
	{ "io-sched", doctor_schedulers },
	{ "memfd", doctor_memfd },
	{ "cgroup2", doctor_cgroup },
	{ "nofile", doctor_nofile },
	{ "memlock", doctor_memlock },
	{ "hugepages", doctor_huge_pages },
	{ "tun", doctor_tun },
};

#define NR_CHECKS	(sizeof(checks) / sizeof(checks[0]))

static const char *const verdict_name[DOCTOR_NR_VERDICTS] = {
	[DOCTOR_OK] = "OK",
	[DOCTOR_WARN] = "WARN",
	[DOCTOR_FAIL] = "FAIL",
};

void doctor_say(struct doctor_result *result, enum doctor_verdict verdict,
		const char *advice, const char *found, ...)
{
	va_list ap;

	result->verdict = verdict;
	snprintf(result->advice, sizeof(result->advice), "%s", advice);
	va_start(ap, found);
	vsnprintf(result->found, sizeof(result->found), found, ap);
	va_end(ap);
}

static void print_result(const char *name, const struct doctor_result *result)
{
	printf("%-4s  %-11s  %s%s%s\n", verdict_name[result->verdict], name,
	       result->found, result->advice[0] ? "; " : "", result->advice);
	fflush(stdout);
}

static void add_result(json_t *list, const char *name,
		       const struct doctor_result *result)
{
	json_array_append_new(list,
			      json_pack("{s:s, s:s, s:s, s:s}", "check", name,
					"verdict", verdict_name[result->verdict],
					"found", result->found, "advice",
					result->advice));
}

/* No names: all checks. */
static bool is_wanted(const char *name, char *const *names, int nr_names)
{
	for (int i = 0; i < nr_names; i++)
		if (!strcmp(name, names[i]))
			return true;
	return nr_names == 0;
}

static const char *find_unknown(char *const *names, int nr_names)
{
	for (int i = 0; i < nr_names; i++) {
		bool known = false;

		for (unsigned int k = 0; k < NR_CHECKS; k++)
			known |= !strcmp(checks[k].name, names[i]);
		if (!known)
			return names[i];
	}
	return NULL;
}

/* Who asks for one thing by name needs it: less than OK is a failure then. */
static bool examine_all(char *const *names, int nr_names, json_t *list)
{
	enum doctor_verdict limit = nr_names ? DOCTOR_WARN : DOCTOR_FAIL;
	bool failed = false;

	for (unsigned int i = 0; i < NR_CHECKS; i++) {
		struct doctor_result result = { 0 };

		if (!is_wanted(checks[i].name, names, nr_names))
			continue;
		checks[i].run(&result);
		failed |= result.verdict >= limit;
		if (list)
			add_result(list, checks[i].name, &result);
		else
			print_result(checks[i].name, &result);
	}
	return failed;
}

static int examine(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	json_t *list = NULL;
	const char *unknown;
	bool failed;
	int option;

	while ((option = getopt_long(argc, argv, ":j", options, NULL)) != -1) {
		if (option != 'j')
			return cmd_bad_option(&cmd_doctor, argc, argv);
		if (!list)
			list = json_array();
	}
	unknown = find_unknown(argv + optind, argc - optind);
	if (unknown) {
		json_decref(list);
		return cmd_usage_error(&cmd_doctor, "there is no check '%s'",
				       unknown);
	}
	failed = examine_all(argv + optind, argc - optind, list);
	if (list)
		json_dumpf(list, stdout, JSON_INDENT(2));
	if (list)
		putchar('\n');
	json_decref(list);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.args = "[--json] [CHECK]...",
	.summary = "Say what this host can do for VMs, and what to do about it",
	.help = "  -j, --json  as a JSON array\n"
		"\n"
		"Checks: kvm kvm-ring0 kvm-exits namespaces uids landlock seccomp msr-filter\n"
		"core-sched speculation mdwe io_uring memfd cgroup2 nofile memlock hugepages\n"
		"tun; without names, all.\n"
		"\n"
		"Exit status: 0 VMs can run; 1 something they need is missing.  With names:\n"
		"0 all of them are OK; 1 one is not.\n",
	.run = examine,
};
