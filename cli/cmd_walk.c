/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead walk: requests of a disk followed through their six steps, D1 to
 * D6, one as a picture and all of them as averages.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cmd.h"
#include "cli/figures.h"
#include "cli/stats_format.h"
#include "ipc/fdmsg.h"

#define COUNT_DEFAULT	100
#define COUNT_MAX	100000
#define PATIENCE_MS	10000	/* without any request to follow */
#define LOOK_MS		2	/* 64 are kept meanwhile */
#define BAR_WIDTH	28

enum step {
	STEP_FILL,		/* D1: descriptors filled, unseen */
	STEP_NOTIFY,		/* D2, D3 */
	STEP_ISSUE,		/* D4 */
	STEP_DONE,
	STEP_USED,		/* D5 */
	STEP_HANDLER,		/* D6 */
	NR_STEPS,
};

static const char *const step_name[NR_STEPS] = {
	[STEP_FILL] = "1 guest fills descriptors",
	[STEP_NOTIFY] = "2 doorbell, they are read",
	[STEP_ISSUE] = "3 host I/O is issued",
	[STEP_DONE] = "4 host I/O is done",
	[STEP_USED] = "5 used ring, interrupt",
	[STEP_HANDLER] = "6 guest's handler answers",
};

/* A step of one request; begin and end on the clock of its device. */
struct span {
	uint64_t begin_ns;
	uint64_t end_ns;	/* 0: it did not happen, or was not seen */
};

struct sums {
	uint64_t nr;
	uint64_t sum_ns;
	uint64_t min_ns, max_ns;
};

struct options {
	const char *vm;
	const char *disk;
	uint64_t count;
	bool json;
};

struct walks {
	uint64_t nr;
	struct stats_walk last;
	struct sums sums[NR_STEPS];
};

/* --- steps ------------------------------------------------------------------ */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static struct span span_of(const struct stats_walk *walk, enum step step)
{
	uint64_t found = walk->woken_ns ? walk->woken_ns : walk->taken_ns;
	uint64_t told = later(walk->used_ns, walk->called_ns);

	switch (step) {
	case STEP_FILL:
		/* Some time in there: a guest's stores leave no trace. */
		return (struct span){ walk->idle_ns, walk->idle_ns ? found : 0 };
	case STEP_NOTIFY:
		return (struct span){ found, walk->taken_ns };
	case STEP_ISSUE:
		return (struct span){ walk->taken_ns, walk->issued_ns };
	case STEP_DONE:
		return (struct span){ walk->issued_ns, walk->done_ns };
	case STEP_USED:
		return (struct span){ walk->done_ns ? walk->done_ns :
						      walk->taken_ns, told };
	default:
		return (struct span){ told, walk->answered_ns };
	}
}

static bool was_seen(struct span span)
{
	return span.begin_ns && span.end_ns >= span.begin_ns;
}

static void add(struct walks *walks, const struct stats_walk *walk)
{
	walks->nr++;
	walks->last = *walk;
	for (unsigned int i = 0; i < NR_STEPS; i++) {
		struct span span = span_of(walk, i);
		struct sums *sums = &walks->sums[i];
		uint64_t ns = span.end_ns - span.begin_ns;

		if (!was_seen(span))
			continue;
		if (!sums->nr || ns < sums->min_ns)
			sums->min_ns = ns;
		if (ns > sums->max_ns)
			sums->max_ns = ns;
		sums->sum_ns += ns;
		sums->nr++;
	}
}

/* --- the picture -------------------------------------------------------------- */

/* A line of time: `-` before, `=` while, to the scale of begin .. end. */
static void draw(struct span span, uint64_t begin_ns, uint64_t end_ns,
		 char bar[BAR_WIDTH + 1])
{
	uint64_t whole = end_ns - begin_ns ? end_ns - begin_ns : 1;
	uint64_t from = (span.begin_ns - begin_ns) * BAR_WIDTH / whole;
	uint64_t to = (span.end_ns - begin_ns) * BAR_WIDTH / whole;

	memset(bar, ' ', BAR_WIDTH);
	bar[BAR_WIDTH] = '\0';
	if (from >= BAR_WIDTH)
		from = BAR_WIDTH - 1;
	for (uint64_t i = from; i < to && i < BAR_WIDTH; i++)
		bar[i] = '=';
	if (to <= from)
		to = from + 1;
	bar[to - 1 < BAR_WIDTH ? to - 1 : BAR_WIDTH - 1] = '>';
}

static void print_step(const struct stats_walk *walk, enum step step,
		       uint64_t begin_ns, uint64_t end_ns)
{
	struct span span = span_of(walk, step);
	char bar[BAR_WIDTH + 1], took[FIGURE_MAX], at[FIGURE_MAX];

	if (!was_seen(span)) {
		printf("%-26s |%-*s| %s\n", step_name[step], BAR_WIDTH, "",
		       step == STEP_HANDLER ? "not in 0.2 ms" :
		       step == STEP_FILL ? "not seen" : "none");
		return;
	}
	if (step == STEP_FILL) {
		printf("%-26s |%-*s| within %s before\n", step_name[step],
		       BAR_WIDTH, "?",
		       figure_ns(span.end_ns - span.begin_ns, took));
		return;
	}
	draw(span, begin_ns, end_ns, bar);
	printf("%-26s |%s| %7s  +%s\n", step_name[step], bar,
	       figure_ns(span.end_ns - begin_ns, at),
	       figure_ns(span.end_ns - span.begin_ns, took));
}

static void print_picture(const struct options *options,
			  const struct stats_walk *walk)
{
	uint64_t begin_ns = walk->woken_ns ? walk->woken_ns : walk->taken_ns;
	uint64_t end_ns = later(later(walk->used_ns, walk->called_ns),
				walk->answered_ns);
	char took[FIGURE_MAX];

	printf("%s/%s, queue %u: a %s, %s, %s\n", options->vm, options->disk,
	       walk->queue, stats_kind_name(walk->kind),
	       walk->woken_ns ? "by doorbell" : "found by looking",
	       walk->called_ns ? "with an interrupt" :
				 "the guest wanted no interrupt");
	for (unsigned int i = 0; i < NR_STEPS; i++)
		print_step(walk, i, begin_ns, end_ns);
	printf("%-26s  %-*s  %7s\n\n", "in all", BAR_WIDTH, "",
	       figure_ns(stats_since(end_ns, begin_ns), took));
}

static void print_averages(const struct walks *walks)
{
	printf("%-26s %10s %9s %9s %9s\n", "of those followed", "seen in",
	       "mean", "least", "most");
	for (unsigned int i = 0; i < NR_STEPS; i++) {
		const struct sums *sums = &walks->sums[i];
		char mean[FIGURE_MAX] = "-", least[FIGURE_MAX] = "-";
		char most[FIGURE_MAX] = "-";

		if (sums->nr) {
			figure_ns(sums->sum_ns / sums->nr, mean);
			figure_ns(sums->min_ns, least);
			figure_ns(sums->max_ns, most);
		}
		printf("%-26s %4" PRIu64 "/%-5" PRIu64 " %9s %9s %9s\n",
		       step_name[i], sums->nr, walks->nr, mean, least, most);
	}
}

/* --- JSON ---------------------------------------------------------------------- */

static void print_json(const struct stats_walk *walk)
{
	static const char *const keys[NR_STEPS] = {
		"fill", "notify", "issue", "done", "used", "handler",
	};

	printf("{\"queue\":%u,\"kind\":\"%s\",\"kicked\":%s,\"interrupt\":%s",
	       walk->queue, stats_kind_name(walk->kind),
	       walk->woken_ns ? "true" : "false",
	       walk->called_ns ? "true" : "false");
	for (unsigned int i = 0; i < NR_STEPS; i++) {
		struct span span = span_of(walk, i);

		if (was_seen(span))
			printf(",\"%s_ns\":%" PRIu64, keys[i],
			       span.end_ns - span.begin_ns);
	}
	puts("}");
}

/* --- following ------------------------------------------------------------------- */

static int ask(struct stats_vm *vm, const struct options *options,
	       uint64_t count, char why[CLIENT_WHY_MAX])
{
	json_t *request = client_request("walk");
	json_t *reply;

	json_object_set_new(request, "device", json_string(options->disk));
	json_object_set_new(request, "count", json_integer((json_int_t)count));
	reply = client_ask(&vm->conn, request, why);
	json_decref(reply);
	return reply ? 0 : -EIO;
}

/* What has come since; false: nothing. */
static bool take_walks(const struct stats_map *map, uint64_t *serial,
		       const struct options *options, struct walks *walks)
{
	struct stats_walk walk;
	bool any = false;

	while (walks->nr < options->count &&
	       stats_next_walk(map, *serial, &walk)) {
		*serial = walk.serial;
		add(walks, &walk);
		if (options->json)
			print_json(&walk);
		any = true;
	}
	return any;
}

/* Until there are enough, or none comes any more. */
static void follow(const struct stats_map *map, uint64_t serial,
		   const struct options *options, struct walks *walks)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	long long end_ms = fdmsg_now_ms() + PATIENCE_MS;

	while (walks->nr < options->count && fdmsg_now_ms() < end_ms) {
		if (take_walks(map, &serial, options, walks))
			end_ms = fdmsg_now_ms() + PATIENCE_MS;
		else
			nanosleep(&pause, NULL);
	}
}

static int report(const struct options *options, const struct walks *walks)
{
	if (!walks->nr) {
		log_err("walk: %s/%s: no request came in %d s; is the guest using the disk?",
			options->vm, options->disk, PATIENCE_MS / 1000);
		return EXIT_FAILURE;
	}
	if (!options->json) {
		print_picture(options, &walks->last);
		print_averages(walks);
	}
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct options *options)
{
	static struct stats_vm vm;
	static struct walks walks;
	char why[CLIENT_WHY_MAX];
	struct stats_process *process;
	uint64_t serial = 0;
	int ret;

	if (stats_vm_open(&vm, options->vm, why)) {
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	process = stats_vm_find(&vm, options->disk);
	if (process)
		serial = stats_last_walk(&process->map);
	ret = ask(&vm, options, options->count, why);
	if (ret)
		log_err("%s/%s: %s", options->vm, options->disk, why);
	else
		follow(&process->map, serial, options, &walks);
	/* Nobody waits for the rest. */
	if (!ret && walks.nr < options->count) {
		client_close(&vm.conn);
		if (client_connect(options->vm, &vm.conn, why) == 0)
			ask(&vm, options, 0, why);
	}
	stats_vm_close(&vm);
	return ret ? EXIT_FAILURE : report(options, &walks);
}

static int parse_count(const char *text, uint64_t *count)
{
	char *end;

	errno = 0;
	*count = strtoull(text, &end, 10);
	return errno || *text < '0' || *text > '9' || *end || !*count ||
	       *count > COUNT_MAX ? -EINVAL : 0;
}

static int walk(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .count = COUNT_DEFAULT };
	int option;

	while ((option = getopt_long(argc, argv, ":j", longs, NULL)) != -1) {
		if (option == 'j')
			options.json = true;
		else if (option != 'n')
			return cmd_bad_option(&cmd_walk, argc, argv);
		else if (parse_count(optarg, &options.count))
			return cmd_usage_error(&cmd_walk,
					       "--count %s: expected a number from 1 to %d",
					       optarg, COUNT_MAX);
	}
	if (argc - optind != 2)
		return cmd_usage_error(&cmd_walk,
				       "the names of a VM and of a disk are needed");
	options.vm = argv[optind];
	options.disk = argv[optind + 1];
	return run(&options);
}

const struct command cmd_walk = {
	.name = "walk",
	.args = "NAME DISK [--count N] [--json]",
	.summary = "Follow requests of a disk through their six steps",
	.help = "      --count N  how many, 1 to 100000 (100); the last is drawn\n"
		"  -j, --json     the steps of each in nanoseconds, an object a line\n",
	.run = walk,
};
