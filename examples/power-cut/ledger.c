/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program to cut the power of: it appends records to a log and promises each
 * of them once it is on the disk.  With --forget it has a bug that no test on
 * a running system finds: one fsync() is missing.  docs/POWER-CUT.md.
 *
 *	ledger write DIR COUNT DEVICE OFFSET [--forget]
 *	ledger promise DEVICE OFFSET N	says so for any other program
 *	ledger promised DEVICE OFFSET	prints the last N
 *	ledger check DIR N		are records 1 to N there, whole?
 *
 * A promise is a sector of the disk itself, at OFFSET, beyond the end of its
 * file system: so an image of a power cut has the promises that were made by
 * then, and no flush makes them; they are what the outside world was told.
 *
 * DIR/log is records, one after the other; DIR/index says how many count.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR_BYTES	512
#define MAGIC		0x5245474445444c31u

struct record {
	uint64_t number;
	uint8_t data[1000];
	uint64_t sum;		/* of all before it */
};

/* Also what the sector of a promise begins with. */
struct count {
	uint64_t magic;
	uint64_t number;
	uint64_t sum;
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "ledger: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t sum_of(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t sum = 0xcbf29ce484222325;	/* FNV-1a */

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

static struct count make_count(uint64_t number)
{
	struct count count = { .magic = MAGIC, .number = number };

	count.sum = sum_of(&count, offsetof(struct count, sum));
	return count;
}

/* 0 for one that was never written, or is not whole. */
static uint64_t number_of(const struct count *count)
{
	return count->magic == MAGIC &&
	       count->sum == sum_of(count, offsetof(struct count, sum)) ?
		count->number : 0;
}

static struct record make_record(uint64_t number)
{
	struct record record = { .number = number };

	for (size_t i = 0; i < sizeof(record.data); i++)
		record.data[i] = (uint8_t)(number * 31 + i);
	record.sum = sum_of(&record, offsetof(struct record, sum));
	return record;
}

/* --- promises ------------------------------------------------------------------ */

/* O_DIRECT, so that it goes now; without a flush, which would help the bug. */
static void promise(const char *device, off_t offset, uint64_t number)
{
	static uint8_t sector[SECTOR_BYTES]
		__attribute__((aligned(SECTOR_BYTES)));
	struct count count = make_count(number);
	int fd = open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);

	memcpy(sector, &count, sizeof(count));
	if (fd < 0 || pwrite(fd, sector, sizeof(sector), offset) !=
			      sizeof(sector))
		fail(device);
	close(fd);
}

static uint64_t promised(const char *device, off_t offset)
{
	struct count count;
	int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, &count, sizeof(count), offset) !=
			      sizeof(count))
		fail(device);
	close(fd);
	return number_of(&count);
}

/* --- the ledger ------------------------------------------------------------------ */

static int open_in(const char *dir, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0 && (errno != ENOENT || flags & O_CREAT))
		fail(path);
	return fd;
}

static void write_all(const char *dir, uint64_t nr, const char *device,
		      off_t offset, bool forget)
{
	int log = open_in(dir, "log", O_WRONLY | O_CREAT | O_TRUNC);
	int index = open_in(dir, "index", O_WRONLY | O_CREAT | O_TRUNC);
	int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0 || fsync(log) || fsync(index) || fsync(folder))
		fail(dir);
	for (uint64_t n = 1; n <= nr; n++) {
		struct record record = make_record(n);
		struct count count = make_count(n);

		if (write(log, &record, sizeof(record)) != sizeof(record))
			fail("log");
		/* The bug: the index may be on the disk before its record. */
		if (!forget && fsync(log))
			fail("log");
		if (pwrite(index, &count, sizeof(count), 0) != sizeof(count) ||
		    fsync(index))
			fail("index");
		promise(device, offset, n);
	}
}

static int check(const char *dir, uint64_t promised_nr)
{
	int log = open_in(dir, "log", O_RDONLY);
	int index = open_in(dir, "index", O_RDONLY);
	struct count count = { 0 };
	struct record record;
	uint64_t nr;

	if (index >= 0 && pread(index, &count, sizeof(count), 0) < 0)
		fail("index");
	nr = number_of(&count);
	if (nr < promised_nr) {
		printf("record %llu was promised, the index ends at %llu\n",
		       (unsigned long long)promised_nr,
		       (unsigned long long)nr);
		return 1;
	}
	for (uint64_t n = 1; n <= nr; n++) {
		struct record want = make_record(n);

		if (log >= 0 && read(log, &record, sizeof(record)) ==
					sizeof(record) &&
		    !memcmp(&record, &want, sizeof(want)))
			continue;
		printf("the index has %llu records, number %llu is not there\n",
		       (unsigned long long)nr, (unsigned long long)n);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "write") && argc >= 6) {
		write_all(argv[2], strtoull(argv[3], NULL, 10), argv[4],
			  strtoll(argv[5], NULL, 10),
			  argc > 6 && !strcmp(argv[6], "--forget"));
		return 0;
	}
	if (!strcmp(verb, "promise") && argc == 5) {
		promise(argv[2], strtoll(argv[3], NULL, 10),
			strtoull(argv[4], NULL, 10));
		return 0;
	}
	if (!strcmp(verb, "promised") && argc == 4) {
		printf("%llu\n", (unsigned long long)
		       promised(argv[2], strtoll(argv[3], NULL, 10)));
		return 0;
	}
	if (!strcmp(verb, "check") && argc == 4)
		return check(argv[2], strtoull(argv[3], NULL, 10));
	fprintf(stderr, "usage: ledger write DIR COUNT DEVICE OFFSET [--forget]\n"
			"       ledger promise DEVICE OFFSET N\n"
			"       ledger promised DEVICE OFFSET\n"
			"       ledger check DIR N\n");
	return 2;
}
