/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policyc: compiles a .policy file into the C source of a struct policy.
 * Runs on the build host only, and is the only part that uses libseccomp.
 * Exit status: 0, 1 a fault in a policy or in the output, 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy/rules.h"

#define LAST_NR 1024	/* beyond the last x86-64 system call */

enum mode {
	MODE_COMPILE,
	MODE_COUNT,
	MODE_LIST,
	MODE_NAMES,
};

struct options {
	enum mode mode;
	enum default_action action;
	const char *name;
	const char *output;
	const char *policy;
};

static const char usage_text[] =
"usage: policyc --name NAME --output FILE.c [--default report|kill] POLICY\n"
"       policyc --list POLICY\n"
"       policyc --count POLICY\n"
"       policyc --syscall-names --output FILE.c\n"
"Compiles a seccomp policy (policy/README.md) to C.\n"
"  --name NAME     the object is called policy_NAME\n"
"  --output FILE   C source to write\n"
"  --default WHAT  answer to a forbidden call: report (SIGSYS, so that the\n"
"                  process can name it and die; default) or kill\n"
"  --list          print number, name, expression, reason, place of each\n"
"                  system call allowed, includes resolved\n"
"  --count         print how many system calls are allowed\n"
"  --syscall-names write the table behind policy_syscall_name()\n"
"  --help, --version\n";

static int usage_error(const char *text)
{
	fprintf(stderr, "policyc: %s, see policyc --help\n", text);
	return -EINVAL;
}

static int check_options(const struct options *opt)
{
	bool writes = opt->mode == MODE_COMPILE || opt->mode == MODE_NAMES;

	if (writes && !opt->output)
		return usage_error("--output is missing");
	if (opt->mode == MODE_COMPILE && !opt->name)
		return usage_error("--name is missing");
	if ((opt->mode == MODE_NAMES) == (opt->policy != NULL))
		return usage_error("expected one policy file, none with "
				   "--syscall-names");
	return 0;
}

static int parse_default(struct options *opt, const char *text)
{
	if (!strcmp(text, "kill"))
		opt->action = DEFAULT_KILL;
	else if (strcmp(text, "report"))
		return usage_error("--default is report or kill");
	return 0;
}

static int parse_options(struct options *opt, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "count", no_argument, NULL, 'c' },
		{ "default", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "list", no_argument, NULL, 'l' },
		{ "name", required_argument, NULL, 'n' },
		{ "output", required_argument, NULL, 'o' },
		{ "syscall-names", no_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	int c, err = 0;

	while (!err && (c = getopt_long(argc, argv, "", longopts, NULL)) >= 0) {
		switch (c) {
		case 'c':
			opt->mode = MODE_COUNT;
			break;
		case 'd':
			err = parse_default(opt, optarg);
			break;
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		case 'l':
			opt->mode = MODE_LIST;
			break;
		case 'n':
			opt->name = optarg;
			break;
		case 'o':
			opt->output = optarg;
			break;
		case 's':
			opt->mode = MODE_NAMES;
			break;
		case 'v':
			puts("policyc " BULKHEAD_VERSION);
			exit(0);
		default:
			return -EINVAL;
		}
	}
	if (err)
		return err;
	if (argc - optind == 1)
		opt->policy = argv[optind];
	else if (argc != optind)
		return usage_error("more than one policy file");
	return check_options(opt);
}

static void write_filter(FILE *out, const struct options *opt,
			 const struct rules *rules,
			 const struct sock_filter *insns, size_t nr_insns)
{
	fputs("/* Made by policyc from", out);
	for (unsigned int i = 0; i < rules->nr_files; i++)
		fprintf(out, " %s", rules->files[i]);
	fputs(": do not edit. */\n#include \"policy/policy.h\"\n\n", out);
	/* Not all of them have their name in policy.h: tests make more. */
	fprintf(out, "extern const struct policy policy_%s;\n\n", opt->name);
	fputs("static const struct sock_filter filter[] = {\n", out);
	for (size_t i = 0; i < nr_insns; i++)
		fprintf(out, "\t{ 0x%02x, %u, %u, 0x%08x },\n", insns[i].code,
			insns[i].jt, insns[i].jf, insns[i].k);
	fputs("};\n\n", out);
	fprintf(out, "const struct policy policy_%s = {\n", opt->name);
	fprintf(out, "\t.name = \"%s\",\n\t.filter = filter,\n", opt->name);
	fprintf(out, "\t.nr_insns = %zu,\n\t.nr_syscalls = %u,\n", nr_insns,
		rules->nr_rules);
	fprintf(out, "\t.traps = %d,\n};\n", opt->action == DEFAULT_REPORT);
}

static void write_names(FILE *out)
{
	fputs("/* Made by policyc: do not edit. */\n"
	      "#include <stddef.h>\n\n#include \"policy/policy.h\"\n\n"
	      "static const char *const names[] = {\n", out);
	for (int nr = 0; nr < LAST_NR; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64,
							      nr);

		if (name)
			fprintf(out, "\t[%d] = \"%s\",\n", nr, name);
		free(name);
	}
	fputs("};\n\nconst char *policy_syscall_name(uint32_t nr)\n{\n"
	      "\treturn nr < sizeof(names) / sizeof(names[0]) ? names[nr] : "
	      "NULL;\n}\n", out);
}

/* Write the output whole or not at all: make takes a file for done. */
static int write_output(const struct options *opt, const struct rules *rules,
			const struct sock_filter *insns, size_t nr_insns)
{
	FILE *out = fopen(opt->output, "we");
	struct stat st;
	bool failed;

	if (!out || fstat(fileno(out), &st) < 0)
		return rules_error(opt->output, 1, "cannot write: %s",
				   strerror(errno));
	if (opt->mode == MODE_NAMES)
		write_names(out);
	else
		write_filter(out, opt, rules, insns, nr_insns);
	failed = ferror(out);
	if (fclose(out) || failed) {
		/* Never a device. */
		if (S_ISREG(st.st_mode))
			remove(opt->output);
		return rules_error(opt->output, 1, "write error");
	}
	return 0;
}

static void list(const struct rules *rules)
{
	for (unsigned int i = 0; i < rules->nr_rules; i++) {
		const struct rule *rule = &rules->rules[i];

		printf("%d\t%s\t%s\t%s\t%s:%u\n", rule->nr, rule->name,
		       rule->expression, rule->reason, rule->file, rule->line);
	}
}

static int compile(const struct options *opt, struct rules *rules)
{
	struct sock_filter *insns = NULL;
	size_t nr_insns = 0;
	int err;

	err = rules_parse(rules, opt->policy);
	if (!err)
		err = build_filter(rules, opt->action, &insns, &nr_insns);
	if (!err)
		err = verify_filter(rules, opt->action, insns, nr_insns);
	if (!err && opt->mode == MODE_COMPILE)
		err = write_output(opt, rules, insns, nr_insns);
	if (!err && opt->mode == MODE_COUNT)
		printf("%u\n", rules->nr_rules);
	if (!err && opt->mode == MODE_LIST)
		list(rules);
	free(insns);
	return err;
}

int main(int argc, char **argv)
{
	static struct rules rules;
	struct options opt = { .mode = MODE_COMPILE };
	int err;

	if (parse_options(&opt, argc, argv))
		return 2;
	if (!constants_sorted()) {
		fputs("policyc: the table in constants.c is not sorted\n",
		      stderr);
		return 1;
	}
	if (opt.mode == MODE_NAMES)
		return write_output(&opt, NULL, NULL, 0) ? 1 : 0;
	err = compile(&opt, &rules);
	rules_free(&rules);
	return err ? 1 : 0;
}
