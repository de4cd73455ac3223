/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead replay: images that a power cut would have left (docs/RECORD.md). */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/replay.h"
#include "ipc/fault.h"

#define CUTS_MAX	100000
#define SECTOR_MIN	512
#define SECTOR_MAX	65536

enum mode { MODE_NONE, MODE_LIST, MODE_AT, MODE_EVERY, MODE_RANDOM };

struct request {
	enum mode mode;
	bool two_modes;
	uint64_t number;	/* of --at, of --random */
	bool seeded;
	uint64_t seed;
	uint64_t sector_bytes;
	const char *out;
	const char *base;
	const char *record;
};

static int parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno || *text < '0' || *text > '9' || *end || *out > max ?
		-EINVAL : 0;
}

static void set_mode(struct request *request, enum mode mode)
{
	request->two_modes |= request->mode != MODE_NONE;
	request->mode = mode;
}

static int take_option(int option, struct request *request)
{
	switch (option) {
	case 'l':
		set_mode(request, MODE_LIST);
		return 0;
	case 'e':
		set_mode(request, MODE_EVERY);
		return 0;
	case 'a':
		set_mode(request, MODE_AT);
		return parse_number(optarg, UINT32_MAX, &request->number);
	case 'r':
		set_mode(request, MODE_RANDOM);
		return parse_number(optarg, CUTS_MAX, &request->number);
	case 's':
		request->seeded = true;
		return parse_number(optarg, INT64_MAX, &request->seed);
	case 'S':
		return parse_number(optarg, SECTOR_MAX,
				    &request->sector_bytes) ||
		       request->sector_bytes < SECTOR_MIN ||
		       request->sector_bytes & (request->sector_bytes - 1) ?
			-EINVAL : 0;
	case 'o':
		request->out = optarg;
		return 0;
	default:
		request->base = optarg;
		return 0;
	}
}

static int parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "at", required_argument, NULL, 'a' },
		{ "every-flush", no_argument, NULL, 'e' },
		{ "random", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ "sector", required_argument, NULL, 'S' },
		{ "out", required_argument, NULL, 'o' },
		{ "base", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return cmd_bad_option(&cmd_replay, argc, argv);
		if (take_option(option, request))
			return cmd_usage_error(&cmd_replay,
					       "'%s' is no number for that",
					       optarg);
	}
	if (optind + 1 != argc)
		return cmd_usage_error(&cmd_replay, "one record is needed");
	if (request->mode == MODE_NONE || request->two_modes)
		return cmd_usage_error(&cmd_replay,
				       "one of --list, --at, --every-flush and --random is needed");
	if (request->mode != MODE_LIST && !request->out)
		return cmd_usage_error(&cmd_replay, "--out IMAGE is needed");
	request->record = argv[optind];
	return 0;
}

/* --- what is done ------------------------------------------------------------------ */

static void print_list(const struct replay *replay)
{
	size_t flush = 0, writes = 0;

	printf("disk %llu bytes, %zu entries, %zu flushes\n",
	       (unsigned long long)replay->disk_bytes, replay->nr_entries,
	       replay->nr_flushes);
	for (size_t i = 0; i < replay->nr_entries; i++) {
		if (replay->entry[i].op != RECORD_FLUSH) {
			writes++;
			continue;
		}
		printf("flush %zu after %zu writes\n", ++flush, writes);
		writes = 0;
	}
	printf("%zu writes after the last flush\n", writes);
}

static int make(const struct replay *replay, const struct request *request,
		struct replay_cut *cut, const char *out)
{
	char why[REPLAY_WHY_MAX];

	if (replay_make(replay, cut, request->base, out, why)) {
		log_err("%s", why);
		return EXIT_FAILURE;
	}
	printf("%s: flush %zu of %zu; of what came after: %zu whole, %zu torn, %zu lost\n",
	       out, cut->flush, replay->nr_flushes, cut->whole, cut->torn,
	       cut->lost);
	return EXIT_SUCCESS;
}

/* Cut number n: IMAGE.n, n from 1. */
static int make_one_of(const struct replay *replay,
		       const struct request *request, struct replay_cut *cut,
		       uint64_t n)
{
	char out[PATH_MAX];

	if (snprintf(out, sizeof(out), "%s.%llu", request->out,
		     (unsigned long long)n) >= (int)sizeof(out)) {
		log_err("%s: the path is too long", request->out);
		return EXIT_FAILURE;
	}
	return make(replay, request, cut, out);
}

/* Cut number n after that flush; of --random, or if a seed was given. */
static struct replay_cut cut_with(const struct request *request, size_t flush,
				  bool some, uint64_t n)
{
	return (struct replay_cut) {
		.flush = flush, .some = some,
		.seed = fault_random(request->seed, n),
		.sector_bytes = (uint32_t)request->sector_bytes,
	};
}

static int make_at(const struct replay *replay, const struct request *request)
{
	struct replay_cut cut = cut_with(request, request->number,
					 request->seeded, request->number);

	if (request->number <= replay->nr_flushes)
		return make(replay, request, &cut, request->out);
	log_err("%s: there is no flush %llu, the last one is %zu",
		request->record, (unsigned long long)request->number,
		replay->nr_flushes);
	return EXIT_FAILURE;
}

static int make_every(const struct replay *replay,
		      const struct request *request)
{
	int status = EXIT_SUCCESS;

	for (size_t i = 1; !status && i <= replay->nr_flushes; i++) {
		struct replay_cut cut = cut_with(request, i, request->seeded,
						 i);

		status = make_one_of(replay, request, &cut, i);
	}
	return status;
}

static int make_random(const struct replay *replay,
		       const struct request *request)
{
	int status = EXIT_SUCCESS;

	for (uint64_t i = 1; !status && i <= request->number; i++) {
		struct replay_cut cut = cut_with(request, 0, true, i);

		cut.flush = cut.seed % (replay->nr_flushes + 1);
		status = make_one_of(replay, request, &cut, i);
	}
	return status;
}

static int run(const struct replay *replay, const struct request *request)
{
	switch (request->mode) {
	case MODE_LIST:
		print_list(replay);
		return EXIT_SUCCESS;
	case MODE_AT:
		return make_at(replay, request);
	case MODE_EVERY:
		return make_every(replay, request);
	default:
		return make_random(replay, request);
	}
}

static int replay_main(int argc, char **argv)
{
	struct request request = { 0 };
	struct replay replay;
	char why[REPLAY_WHY_MAX];
	int status = parse(argc, argv, &request);

	if (status)
		return status;
	if (replay_open(request.record, &replay, why)) {
		log_err("%s: %s", request.record, why);
		return EXIT_FAILURE;
	}
	if (replay.skipped_bytes)
		log_warn("%s: %llu bytes are no entries and were passed over",
			 request.record,
			 (unsigned long long)replay.skipped_bytes);
	status = run(&replay, &request);
	replay_close(&replay);
	return status;
}

const struct command cmd_replay = {
	.name = "replay",
	.args = "RECORD (--list | --at FLUSH | --every-flush | --random N) [--out IMAGE]",
	.summary = "Make the images that a power cut would have left",
	.help = "      --list         print the flushes of the record\n"
		"      --at FLUSH     what that flush (0: none yet) has made sure of\n"
		"      --every-flush  the same for each, as IMAGE.1, IMAGE.2, ...\n"
		"      --random N     N cuts with some of what came later, whole or torn\n"
		"      --seed N       which ones; with --at and --every-flush: some, too\n"
		"      --sector BYTES what the disk writes whole or not at all; 512\n"
		"      --out IMAGE    where the image goes\n"
		"      --base IMAGE   the disk as it was at first; zeroes if not given\n",
	.run = replay_main,
};
