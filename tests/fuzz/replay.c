/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short, deterministic form of a fuzz target: every kept input, then
 * changes to them that depend on nothing but SEED and their number.
 * Speaks TAP; an input that kills it is printed with its number.
 *
 *	test_fuzz_NAME [FILE...]	those files instead, as libFuzzer would
 */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/tap.h"

#define SEED		0x42554c4bull
#define MAX_INPUTS	512
#define MAX_BYTES	(64u << 10)
#define MUTATIONS	4000
#define LIMIT_MS	2500	/* on a slow machine, fewer of them */

struct seed {
	uint8_t *data;
	size_t size;
};

static struct seed seeds[MAX_INPUTS];
static unsigned int nr_seeds;
static uint64_t state;
static char doing[512];		/* for the handler of fatal signals */

static uint64_t next_random(void)
{
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static uint32_t below(uint32_t limit)
{
	return limit ? (uint32_t)(next_random() >> 32) % limit : 0;
}

static void on_fatal(int sig)
{
	ssize_t written = write(STDOUT_FILENO, doing, strlen(doing));

	(void)written;
	signal(sig, SIG_DFL);
	raise(sig);
}

static void add_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct seed *seed = &seeds[nr_seeds];

	if (!file || nr_seeds == MAX_INPUTS)
		tap_bail_out("%s: cannot be read, or is one too many", path);
	seed->data = malloc(MAX_BYTES);
	if (!seed->data)
		tap_bail_out("no memory");
	seed->size = fread(seed->data, 1, MAX_BYTES, file);
	fclose(file);
	nr_seeds++;
}

static int is_plain(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The order must not depend on the file system's. */
static void add_folder(const char *folder)
{
	struct dirent **names;
	int nr = scandir(folder, &names, is_plain, alphasort);

	for (int i = 0; i < nr; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", folder,
			 names[i]->d_name);
		add_file(path);
		free(names[i]);
	}
	if (nr >= 0)
		free(names);
}

static void run(const struct seed *seed)
{
	/* A copy of exact size: ASan sees a byte too far. */
	uint8_t *copy = malloc(seed->size ? seed->size : 1);

	if (!copy)
		tap_bail_out("no memory");
	memcpy(copy, seed->data, seed->size);
	LLVMFuzzerTestOneInput(copy, seed->size);
	free(copy);
}

static const uint64_t edges[] = {
	0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
	0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
	0x8000000000000000, 0xffffffffffffffff,
};

static void mutate_once(struct seed *seed)
{
	uint32_t at = below((uint32_t)seed->size);
	uint32_t room = (uint32_t)(seed->size - at);
	uint32_t len = 1u << below(4);
	const struct seed *other = &seeds[below(nr_seeds)];

	if (len > room)
		len = room;
	switch (below(6)) {
	case 0:
		seed->data[at] ^= (uint8_t)(1u << below(8));
		break;
	case 1:
		memcpy(seed->data + at,
		       &edges[below(sizeof(edges) / sizeof(edges[0]))], len);
		break;
	case 2:
		seed->data[at] = (uint8_t)next_random();
		break;
	case 3:		/* a piece goes */
		memmove(seed->data + at, seed->data + at + len, room - len);
		seed->size -= len;
		break;
	case 4:		/* a piece comes twice */
		if (seed->size + len > MAX_BYTES)
			break;
		memmove(seed->data + at + len, seed->data + at, room);
		seed->size += len;
		break;
	case 5:		/* the rest is another's */
		if (other->size <= at)
			break;
		memcpy(seed->data + at, other->data + at, other->size - at);
		seed->size = other->size;
		break;
	}
}

static void mutate(struct seed *seed, unsigned int number)
{
	const struct seed *from;

	state = SEED + number * 0x9e3779b97f4a7c15ull;
	from = &seeds[below(nr_seeds)];
	memcpy(seed->data, from->data, from->size);
	seed->size = from->size;
	for (uint32_t i = 1 + below(4); i > 0 && seed->size > 0; i--)
		mutate_once(seed);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static void run_all(void)
{
	for (unsigned int i = 0; i < nr_seeds; i++) {
		snprintf(doing, sizeof(doing), "# died of kept input %u\n", i);
		run(&seeds[i]);
	}
	tap_result(true, "%u kept inputs", nr_seeds);
}

static void run_mutations(void)
{
	struct seed seed = { .data = malloc(MAX_BYTES) };
	long long end_ms = now_ms() + LIMIT_MS;
	unsigned int i;

	if (!seed.data)
		tap_bail_out("no memory");
	for (i = 0; i < MUTATIONS && now_ms() < end_ms; i++) {
		snprintf(doing, sizeof(doing), "# died of change %u\n", i);
		mutate(&seed, i);
		run(&seed);
	}
	free(seed.data);
	tap_result(i > 0, "%u changed inputs, seed %#llx", i, SEED);
}

/* The code under test writes a line for each thing it refuses. */
static void mute(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (!getenv("FUZZ_VERBOSE"))
		dup2(fd, STDERR_FILENO);
	close(fd);
}

static void note_fatal_signals(void)
{
	static const int fatal[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		signal(fatal[i], on_fatal);
}

int main(int argc, char **argv)
{
	const char *name = strstr(basename(argv[0]), "fuzz_");
	char folder[128];

	snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s",
		 name ? name + strlen("fuzz_") : "");
	if (argc > 1)
		for (int i = 1; i < argc; i++)
			add_file(argv[i]);
	else
		add_folder(folder);
	if (nr_seeds == 0)
		tap_bail_out("%s holds no input", folder);
	note_fatal_signals();
	mute();
	LLVMFuzzerInitialize(&argc, &argv);
	run_all();
	if (argc == 1)
		run_mutations();
	return tap_end();
}
