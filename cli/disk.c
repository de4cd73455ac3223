/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead disk: its verbs and what they print.  See disk.h. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/config_priv.h"
#include "cli/disk.h"

#define DEFAULT_CLUSTER_BITS	16
#define MAX_CHAIN		CONFIG_MAX_BACKING

struct request {
	const char *cluster_size;
	const char *backing;	/* FILE:FORMAT; of commit, all of the chain */
	bool chain;
	bool repair;
};

static int failed(const char *path, const char *why)
{
	/* Lines about opening name the image themselves. */
	if (path)
		log_err("%s: %s", path, why);
	else
		log_err("%s", why);
	return EXIT_FAILURE;
}

/* Open, ask, close.  Return: exit status, after a line if it is no success. */
static int ask(const char *path, enum disk_job job, uint64_t bytes,
	       struct disk_answer *answer)
{
	char why[DISK_WHY_MAX];
	int fd = disk_open(path, job >= DISK_REPAIR, why);
	int ret;

	if (fd < 0)
		return failed(NULL, why);
	ret = disk_ask(fd, job, bytes, answer, why);
	close(fd);
	return ret ? failed(path, why) : EXIT_SUCCESS;
}

/* Bytes, or with K, M, G, T behind them. */
static int parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned int shift = 0;

	errno = 0;
	*bytes = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
	}
	if (errno || *text < '0' || *text > '9' || *end ||
	    *bytes > (uint64_t)INT64_MAX >> shift)
		return cmd_usage_error(&cmd_disk,
				       "'%s' is no size; expected one such as 512M or 20G",
				       text);
	*bytes <<= shift;
	return EXIT_SUCCESS;
}

/* --- info ----------------------------------------------------------------------- */

static void print_info(const char *path, const struct qcow2_header *h)
{
	struct stat st = { 0 };

	(void)stat(path, &st);
	printf("image: %s\n", path);
	printf("format: qcow2, version %u\n", h->version);
	printf("disk: %" PRIu64 " bytes (%" PRIu64 " MiB)\n", h->disk_bytes,
	       h->disk_bytes >> 20);
	printf("file: %" PRIu64 " bytes, of which the host has %" PRIu64 "\n",
	       (uint64_t)st.st_size, (uint64_t)st.st_blocks * 512);
	printf("clusters: %u bytes; refcounts: %u bits; compression: %s\n",
	       1u << h->cluster_bits, 1u << h->refcount_order,
	       h->compression == QCOW2_ZSTD ? "zstd" : "zlib");
	if (h->backing[0])
		printf("backing file, as the image has it: %s%s%s\n",
		       h->backing, h->backing_format[0] ? ", format " : "",
		       h->backing_format);
	if (h->nr_snapshots)
		printf("internal snapshots: %u\n", h->nr_snapshots);
	if (h->has_bitmaps)
		printf("persistent bitmaps: yes\n");
	printf("marked: %s%s%s\n",
	       h->incompatible & QCOW2_DIRTY ? "dirty " : "",
	       h->incompatible & QCOW2_CORRUPT ? "corrupt " : "",
	       h->incompatible & (QCOW2_DIRTY | QCOW2_CORRUPT) ? "" : "clean");
}

/* A name in an image is relative to the image's folder. */
static void resolve(const char *image, const char *name, char *out)
{
	const char *slash = strrchr(image, '/');
	int dir = slash && name[0] != '/' ? (int)(slash - image) + 1 : 0;

	snprintf(out, PATH_MAX, "%.*s%s", dir, image, name);
}

/*
 * The operator asked for it: follow the names that the images have, and open
 * what they name, for reading.
 */
static int print_chain(const char *path, struct disk_answer *answer)
{
	static char names[MAX_CHAIN + 1][PATH_MAX];
	const char *formats[MAX_CHAIN + 1];
	unsigned int nr = 0;

	snprintf(names[0], PATH_MAX, "%s", path);
	while (answer->header.backing[0]) {
		if (nr == MAX_CHAIN)
			return failed(path, "its chain has more than 8 backing files, or is a loop");
		resolve(names[nr], answer->header.backing, names[nr + 1]);
		nr++;
		if (!answer->header.backing_format[0])
			return failed(names[nr - 1],
				      "it does not say what format its backing file has; 'qemu-img rebase -u -F' does");
		formats[nr] = strcmp(answer->header.backing_format, "raw") ?
			      "qcow2" : "raw";
		answer->header.backing[0] = '\0';
		if (formats[nr][0] == 'q' &&
		    ask(names[nr], DISK_LOOK, 0, answer))
			return EXIT_FAILURE;
	}
	printf("format = qcow2\n");
	for (unsigned int i = 1; i <= nr; i++)
		printf("%s%s:%s%s", i == 1 ? "backing = " : ", ", names[i],
		       formats[i], i == nr ? "\n" : "");
	return EXIT_SUCCESS;
}

static int info(const struct request *request, char **words)
{
	static struct disk_answer answer;
	int status = ask(words[0], DISK_LOOK, 0, &answer);

	if (status)
		return status;
	if (request->chain)
		return print_chain(words[0], &answer);
	print_info(words[0], &answer.header);
	return EXIT_SUCCESS;
}

/* --- check ---------------------------------------------------------------------- */

static int check(const struct request *request, char **words)
{
	static struct disk_answer answer;
	int status = ask(words[0], request->repair ? DISK_REPAIR : DISK_CHECK,
			 0, &answer);
	bool wrong;

	if (status)
		return status;
	wrong = answer.nr_bad || answer.nr_low || answer.nr_uncounted;
	printf("%s: %" PRIu64 " clusters of data, %" PRIu64 " compressed, %" PRIu64 " of zeroes\n",
	       words[0], answer.nr_data, answer.nr_packed, answer.nr_zero);
	if (answer.nr_bad)
		printf("%s: %" PRIu64 " entries make no sense; the first: %s\n",
		       words[0], answer.nr_bad, answer.why);
	if (answer.nr_low || answer.nr_uncounted)
		printf("%s: %" PRIu64 " clusters are in use and not counted so\n",
		       words[0], answer.nr_low + answer.nr_uncounted);
	if (answer.nr_high)
		printf("%s: %" PRIu64 " clusters are lost: counted, and not in use\n",
		       words[0], answer.nr_high);
	if (answer.repaired)
		printf("%s: %s\n", words[0], wrong || answer.nr_high ?
		       "repaired" : "nothing to repair");
	else if (!wrong && !answer.nr_high)
		printf("%s: clean\n", words[0]);
	return !answer.repaired && (wrong || answer.nr_high) ? EXIT_FAILURE :
							       EXIT_SUCCESS;
}

/* --- create, snapshot, resize ----------------------------------------------------- */

static int parse_cluster(const char *text, uint32_t *bits)
{
	uint64_t bytes = 1u << DEFAULT_CLUSTER_BITS;

	if (text && parse_size(text, &bytes))
		return EXIT_USAGE;
	if (bytes < 512 || bytes > QCOW2_MAX_CLUSTER || bytes & (bytes - 1))
		return cmd_usage_error(&cmd_disk,
				       "a cluster has 512 bytes to 2M, a power of two");
	*bits = (uint32_t)__builtin_ctzll(bytes);
	return EXIT_SUCCESS;
}

/* "FILE:FORMAT" of --backing into shape; name is PATH_MAX bytes for FILE. */
static int parse_backing(const char *text, struct disk_shape *shape,
			 char *name)
{
	const char *colon = strrchr(text, ':');

	if (!colon || (strcmp(colon, ":raw") && strcmp(colon, ":qcow2")))
		return cmd_usage_error(&cmd_disk,
				       "--backing wants FILE:raw or FILE:qcow2");
	snprintf(name, PATH_MAX, "%.*s", (int)(colon - text), text);
	shape->backing = name;
	shape->backing_format = colon + 1;
	return EXIT_SUCCESS;
}

static int make(const char *path, const struct disk_shape *shape)
{
	char why[DISK_WHY_MAX];

	if (disk_create(path, shape, why))
		return failed(NULL, why);
	return EXIT_SUCCESS;
}

static int create(const struct request *request, char **words)
{
	struct disk_shape shape = { .backing = "", .backing_format = "" };
	char name[PATH_MAX];
	int status = parse_size(words[1], &shape.bytes);

	if (!status)
		status = parse_cluster(request->cluster_size,
				       &shape.cluster_bits);
	if (!status && request->backing)
		status = parse_backing(request->backing, &shape, name);
	if (status)
		return status;
	if (shape.bytes == 0 || shape.bytes % 512)
		return cmd_usage_error(&cmd_disk,
				       "a disk has a multiple of 512 bytes");
	return make(words[0], &shape);
}

/* The new image is empty; the old one is what is behind it. */
static int snapshot(const struct request *request, char **words)
{
	static struct disk_answer answer;
	struct disk_shape shape = { .backing_format = "qcow2" };
	char name[PATH_MAX];
	int status = parse_cluster(request->cluster_size,
				   &shape.cluster_bits);

	if (!status)
		status = ask(words[0], DISK_LOOK, 0, &answer);
	if (status)
		return status;
	/* The image says its name relative to itself. */
	if (!realpath(words[0], name))
		return failed(words[0], strerror(errno));
	shape.backing = name;
	shape.bytes = answer.header.disk_bytes;
	return make(words[1], &shape);
}

static int resize(const struct request *request, char **words)
{
	static struct disk_answer answer;
	uint64_t bytes;
	int status = parse_size(words[1], &bytes);

	(void)request;
	if (status)
		return status;
	if (bytes == 0 || bytes % 512)
		return cmd_usage_error(&cmd_disk,
				       "a disk has a multiple of 512 bytes");
	return ask(words[0], DISK_RESIZE, bytes, &answer);
}

/* --- commit ------------------------------------------------------------------------ */

/* Who believes what the image calls its backing file can say so. */
static int name_the_chain(const char *path)
{
	static struct disk_answer answer;
	int status = ask(path, DISK_LOOK, 0, &answer);

	return status ? status : cmd_usage_error(&cmd_disk,
		"say with --backing what is to be written to, as 'bulkhead disk info --chain %s' prints it",
		path);
}

static int commit(const struct request *request, char **words)
{
	struct config_chain chain = { .nr = 0 };
	struct config_value_context in = {
		.value = request->backing, .origin = "--backing",
		.dir = getcwd(NULL, 0),
	};
	const char *why;
	int status;

	if (!request->backing)
		status = name_the_chain(words[0]);
	else if (!in.dir)
		status = failed(NULL, strerror(errno));
	else if ((why = config_parse_chain(&in, &chain)))
		status = cmd_usage_error(&cmd_disk, "--backing: %s", why);
	else if (chain.backing[0].format == LIFE_BLK_RAW && chain.nr > 1)
		status = cmd_usage_error(&cmd_disk,
					 "--backing: what is raw has nothing behind it");
	else
		status = disk_commit_into(words[0], &chain);
	config_free_chain(&chain);
	free((char *)(uintptr_t)in.dir);
	return status;
}

/* --- the command ------------------------------------------------------------------ */

static const struct verb {
	const char *name;
	int nr_words;
	int (*run)(const struct request *request, char **words);
} verbs[] = {
	{ "create", 2, create },
	{ "info", 1, info },
	{ "check", 1, check },
	{ "snapshot", 2, snapshot },
	{ "resize", 2, resize },
	{ "commit", 1, commit },
};

static int take_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "backing", required_argument, NULL, 'b' },
		{ "chain", no_argument, NULL, 'c' },
		{ "cluster-size", required_argument, NULL, 's' },
		{ "repair", no_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			request->backing = optarg;
			break;
		case 'c':
			request->chain = true;
			break;
		case 's':
			request->cluster_size = optarg;
			break;
		case 'r':
			request->repair = true;
			break;
		default:
			return cmd_bad_option(&cmd_disk, argc, argv);
		}
	}
	return EXIT_SUCCESS;
}

static int disk_main(int argc, char **argv)
{
	struct request request = { 0 };
	int status = take_options(argc, argv, &request);

	if (status)
		return status;
	for (unsigned int i = 0; optind < argc &&
	     i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, argv[optind]))
			continue;
		if (argc - optind - 1 != verbs[i].nr_words)
			return cmd_usage_error(&cmd_disk,
					       "%s wants %d arguments",
					       verbs[i].name,
					       verbs[i].nr_words);
		return verbs[i].run(&request, argv + optind + 1);
	}
	return cmd_usage_error(&cmd_disk, "there are create, info, check, snapshot, resize and commit");
}

const struct command cmd_disk = {
	.name = "disk",
	.args = "VERB IMAGE...",
	.summary = "Make, look at, check, grow and commit qcow2 images that no VM has",
	.help = "  create IMAGE SIZE [--backing FILE:FORMAT] [--cluster-size N]\n"
		"  info IMAGE [--chain]        --chain: the lines for [blk], which follow the names in images\n"
		"  check IMAGE [--repair]\n"
		"  snapshot IMAGE NEW          NEW is empty, with IMAGE behind it\n"
		"  resize IMAGE SIZE           larger only\n"
		"  commit IMAGE --backing FILE:FORMAT[,...]\n"
		"                              what it has into the file behind it, which is named\n"
		"                              here with all that is behind that; IMAGE is empty then\n",
	.run = disk_main,
};
