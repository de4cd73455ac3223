/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/replay.c: a record made by hand, and the images that come of it.  An
 * oracle says of each sector which contents it may have.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/replay.h"

#define SECTOR		512u
#define NR_SECTORS	64u
#define DISK_BYTES	(NR_SECTORS * SECTOR)

static char dir[64], record[96], image[96], base[96];
static int fd;
static uint64_t end;
static struct replay replay;
static char why[REPLAY_WHY_MAX];
static uint8_t disk[DISK_BYTES];

static void set_up(void)
{
	struct record_header header = {
		.magic = { 'B', 'H', 'R', 'E', 'C', 'O', 'R', 'D' },
		.version = RECORD_VERSION, .header_bytes = sizeof(header),
		.disk_bytes = DISK_BYTES,
	};

	snprintf(dir, sizeof(dir), "/tmp/test-replay-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(record, sizeof(record), "%s/record", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(base, sizeof(base), "%s/base", dir);
	fd = open(record, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, &header, sizeof(header)), sizeof(header));
	end = sizeof(header);
}

static void tear_down(void)
{
	close(fd);
	unlink(record);
	unlink(image);
	unlink(base);
	rmdir(dir);
}

static uint64_t put(enum record_op op, uint64_t sector, uint64_t nr,
		    uint8_t fill, uint64_t covers)
{
	struct record_entry entry = {
		.magic = RECORD_ENTRY_MAGIC, .op = op, .position = end,
		.offset = sector * SECTOR, .bytes = nr * SECTOR,
		.covers = covers,
	};
	uint8_t data[DISK_BYTES];

	ck_assert_int_eq(pwrite(fd, &entry, sizeof(entry), (off_t)end),
			 sizeof(entry));
	end += sizeof(entry);
	if (op == RECORD_WRITE) {
		memset(data, fill, sizeof(data));
		ck_assert_int_eq(pwrite(fd, data, nr * SECTOR, (off_t)end),
				 (ssize_t)(nr * SECTOR));
		end += nr * SECTOR;
	}
	return entry.position;
}

static void put_flush(void)
{
	put(RECORD_FLUSH, 0, 0, 0, end);
}

static void open_record(void)
{
	int ret = replay_open(record, &replay, why);

	ck_assert_msg(ret == 0, "%s", why);
}

static void make_cut(struct replay_cut *cut, const char *from)
{
	int ret = replay_make(&replay, cut, from, image, why);
	int in;

	ck_assert_msg(ret == 0, "%s", why);
	in = open(image, O_RDONLY);
	ck_assert_int_eq(read(in, disk, sizeof(disk)), sizeof(disk));
	ck_assert_int_eq(lseek(in, 0, SEEK_END), DISK_BYTES);
	close(in);
}

static struct replay_cut make(size_t flush, bool some, uint64_t seed,
			      const char *from)
{
	struct replay_cut cut = { .flush = flush, .some = some, .seed = seed };

	make_cut(&cut, from);
	return cut;
}

/* The byte that all of the sector has. */
static int sector_is(unsigned int sector)
{
	const uint8_t *at = disk + sector * SECTOR;

	for (unsigned int i = 1; i < SECTOR; i++)
		if (at[i] != at[0])
			ck_abort_msg("sector %u is torn within", sector);
	return at[0];
}

START_TEST(a_flush_keeps_what_came_before_it)
{
	put(RECORD_WRITE, 0, 2, 1, 0);
	put_flush();
	put(RECORD_WRITE, 1, 2, 2, 0);
	put(RECORD_ZERO, 0, 1, 0, 0);
	put_flush();
	put(RECORD_WRITE, 5, 1, 3, 0);
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 6);
	ck_assert_uint_eq(replay.nr_flushes, 2);
	make(0, false, 0, NULL);
	ck_assert_int_eq(sector_is(0), 0);
	make(1, false, 0, NULL);
	ck_assert_int_eq(sector_is(0), 1);
	ck_assert_int_eq(sector_is(1), 1);
	ck_assert_int_eq(sector_is(2), 0);
	ck_assert_uint_eq(make(2, false, 0, NULL).lost, 1);
	ck_assert_int_eq(sector_is(0), 0);
	ck_assert_int_eq(sector_is(1), 2);
	ck_assert_int_eq(sector_is(2), 2);
	ck_assert_int_eq(sector_is(5), 0);
	replay_close(&replay);
}

/* What was written while the flush ran is not what it promised. */
START_TEST(a_flush_covers_only_what_it_was_begun_after)
{
	uint64_t second;

	put(RECORD_WRITE, 0, 1, 1, 0);
	second = put(RECORD_WRITE, 1, 1, 2, 0);
	put(RECORD_FLUSH, 0, 0, 0, second);
	open_record();
	make(1, false, 0, NULL);
	ck_assert_int_eq(sector_is(0), 1);
	ck_assert_int_eq(sector_is(1), 0);
	replay_close(&replay);
}

/* Two at a time: the one that ends last was begun first. */
START_TEST(a_flush_takes_nothing_back)
{
	uint64_t second;

	put(RECORD_WRITE, 0, 1, 1, 0);
	second = put(RECORD_WRITE, 1, 1, 2, 0);
	put(RECORD_FLUSH, 0, 0, 0, end);
	put(RECORD_FLUSH, 0, 0, 0, second);
	open_record();
	make(2, false, 0, NULL);
	ck_assert_int_eq(sector_is(0), 1);
	ck_assert_int_eq(sector_is(1), 2);
	replay_close(&replay);
}

static void set_flags(uint32_t flags)
{
	ck_assert_int_eq(pwrite(fd, &flags, sizeof(flags),
				offsetof(struct record_header, flags)),
			 sizeof(flags));
}

/* Of a format: writes make it longer, zeroes do not, and it is cut. */
START_TEST(a_file_that_grows)
{
	struct stat st;

	set_flags(RECORD_GROWS);
	put(RECORD_ZERO, NR_SECTORS, 4, 0, 0);
	put_flush();
	put(RECORD_WRITE, NR_SECTORS + 2, 1, 7, 0);
	put_flush();
	put(RECORD_SIZE, 0, NR_SECTORS + 1, 0, 0);
	put_flush();
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 6);
	for (size_t i = 1; i <= 3; i++) {
		struct replay_cut cut = { .flush = i };

		ck_assert_int_eq(replay_make(&replay, &cut, NULL, image, why),
				 0);
		ck_assert_int_eq(stat(image, &st), 0);
		ck_assert_int_eq(st.st_size, (off_t)SECTOR * (NR_SECTORS +
				 (i == 1 ? 0 : i == 2 ? 3 : 1)));
	}
	replay_close(&replay);
}

START_TEST(a_disk_does_not_grow)
{
	put(RECORD_SIZE, 0, 1, 0, 0);
	put(RECORD_WRITE, NR_SECTORS, 1, 7, 0);
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 0);
	replay_close(&replay);
	set_flags(RECORD_GROWS << 1);
	ck_assert_int_eq(replay_open(record, &replay, why), -EINVAL);
}

START_TEST(the_base_is_below_it)
{
	uint8_t old[DISK_BYTES];
	int out = open(base, O_WRONLY | O_CREAT, 0600);

	memset(old, 9, sizeof(old));
	ck_assert_int_eq(write(out, old, sizeof(old)), sizeof(old));
	close(out);
	put(RECORD_WRITE, 7, 1, 1, 0);
	put(RECORD_DISCARD, 8, 1, 0, 0);
	put_flush();
	open_record();
	make(1, false, 0, base);
	ck_assert_int_eq(sector_is(6), 9);
	ck_assert_int_eq(sector_is(7), 1);
	ck_assert_int_eq(sector_is(8), 0);
	ck_assert_int_eq(sector_is(63), 9);
	ck_assert_int_eq(replay_make(&replay, &(struct replay_cut){ 0 }, base,
				     base, why), -EINVAL);
	ck_assert_int_eq(truncate(base, 512), 0);
	ck_assert_int_eq(replay_make(&replay, &(struct replay_cut){ 0 }, base,
				     image, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "shorter than the disk"));
	replay_close(&replay);
}

/*
 * Three writes of the same eight sectors after a flush: each sector holds
 * one of the three, or what the flush promised, and over many seeds all of
 * that is seen, as are torn writes; what is beyond the next flush never is.
 */
START_TEST(some_of_what_came_after_may_be_there)
{
	size_t torn = 0, whole = 0, lost = 0;
	unsigned int seen = 0, mixed = 0;

	put(RECORD_WRITE, 0, 8, 1, 0);
	put_flush();
	put(RECORD_WRITE, 0, 8, 2, 0);
	put(RECORD_WRITE, 0, 8, 3, 0);
	put(RECORD_WRITE, 0, 8, 4, 0);
	put_flush();
	put(RECORD_WRITE, 0, 8, 5, 0);
	open_record();
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct replay_cut cut = make(1, true, seed, NULL);
		int first = sector_is(0);

		ck_assert_uint_eq(cut.whole + cut.torn + cut.lost, 3);
		torn += cut.torn;
		whole += cut.whole;
		lost += cut.lost;
		for (unsigned int i = 0; i < 8; i++) {
			ck_assert_int_ge(sector_is(i), 1);
			ck_assert_int_le(sector_is(i), 4);
			seen |= 1u << sector_is(i);
			mixed += sector_is(i) != first;
		}
		ck_assert_int_eq(sector_is(8), 0);
	}
	ck_assert_uint_eq(seen, 0x1e);
	ck_assert_uint_gt(mixed, 60);
	ck_assert_uint_gt(torn, 60);
	ck_assert_uint_gt(whole, 150);
	ck_assert_uint_gt(lost, 60);
	replay_close(&replay);
}

/*
 * A disk whose sectors are 4096 bytes: eight of ours are torn as one.  The
 * write begins in the middle of one and ends in the middle of another.
 */
START_TEST(larger_sectors_are_torn_as_one)
{
	unsigned int torn = 0;

	put(RECORD_WRITE, 4, 16, 1, 0);
	open_record();
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct replay_cut cut = {
			.some = true, .seed = seed, .sector_bytes = 4096,
		};

		make_cut(&cut, NULL);
		torn += cut.torn == 1;
		for (unsigned int i = 5; i < 20; i++)
			if (i % 8)
				ck_assert_int_eq(sector_is(i),
						 sector_is(i - 1));
	}
	ck_assert_uint_gt(torn, 20);
	replay_close(&replay);
}

START_TEST(the_same_seed_makes_the_same_image)
{
	uint8_t first[DISK_BYTES];
	unsigned int differs = 0;

	for (unsigned int i = 0; i < 16; i++)
		put(RECORD_WRITE, i * 4, 4, (uint8_t)(i + 1), 0);
	open_record();
	make(0, true, 7, NULL);
	memcpy(first, disk, sizeof(first));
	make(0, true, 7, NULL);
	ck_assert_mem_eq(first, disk, sizeof(first));
	for (uint64_t seed = 8; seed < 16; seed++) {
		make(0, true, seed, NULL);
		differs += memcmp(first, disk, sizeof(first)) != 0;
	}
	ck_assert_uint_eq(differs, 8);
	replay_close(&replay);
}

/* Killed in the middle of an append: the entries around it are good. */
START_TEST(what_is_no_entry_is_passed_over)
{
	uint64_t hole;

	put(RECORD_WRITE, 0, 1, 1, 0);
	hole = put(RECORD_WRITE, 1, 1, 2, 0);
	put(RECORD_WRITE, 2, 1, 3, 0);
	put_flush();
	put(RECORD_WRITE, 3, 1, 4, 0);
	ck_assert_int_eq(pwrite(fd, "\0\0\0\0", 4, (off_t)hole), 4);
	ck_assert_int_eq(ftruncate(fd, (off_t)end - 1), 0);
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 3);
	ck_assert_uint_gt(replay.skipped_bytes, 0);
	make(1, false, 0, NULL);
	ck_assert_int_eq(sector_is(0), 1);
	ck_assert_int_eq(sector_is(1), 0);
	ck_assert_int_eq(sector_is(2), 3);
	replay_close(&replay);
}

/* One field of an entry that lies. */
static const struct {
	size_t offset;
	uint64_t value;
	size_t bytes;
} lies[] = {
	{ offsetof(struct record_entry, op), 0, 4 },
	{ offsetof(struct record_entry, op), 9, 4 },
	{ offsetof(struct record_entry, position), 8, 8 },
	{ offsetof(struct record_entry, offset), DISK_BYTES, 8 },
	{ offsetof(struct record_entry, offset), UINT64_MAX, 8 },
	{ offsetof(struct record_entry, offset), 1, 8 },
	{ offsetof(struct record_entry, bytes), UINT64_MAX - 511, 8 },
	{ offsetof(struct record_entry, bytes), 1024, 8 },
	{ offsetof(struct record_entry, covers), UINT64_MAX, 8 },
};

START_TEST(an_entry_that_lies_is_none)
{
	uint64_t last = put(RECORD_WRITE, 0, 1, 1, 0);

	ck_assert_int_eq(pwrite(fd, &lies[_i].value, lies[_i].bytes,
				(off_t)(last + lies[_i].offset)),
			 (ssize_t)lies[_i].bytes);
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 0);
	replay_close(&replay);
}

START_TEST(what_is_no_record_is_refused)
{
	ck_assert_int_eq(pwrite(fd, "X", 1, 0), 1);
	ck_assert_int_eq(replay_open(record, &replay, why), -EINVAL);
	ck_assert_str_eq(why, "not a record of a disk");
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(replay_open(record, &replay, why), -EINVAL);
	ck_assert_int_eq(replay_open("/nowhere/x", &replay, why), -ENOENT);
}

int main(void)
{
	Suite *suite = suite_create("replay");
	TCase *tc = tcase_create("replay");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_flush_keeps_what_came_before_it);
	tcase_add_test(tc, a_flush_covers_only_what_it_was_begun_after);
	tcase_add_test(tc, a_flush_takes_nothing_back);
	tcase_add_test(tc, a_file_that_grows);
	tcase_add_test(tc, a_disk_does_not_grow);
	tcase_add_test(tc, the_base_is_below_it);
	tcase_add_test(tc, some_of_what_came_after_may_be_there);
	tcase_add_test(tc, larger_sectors_are_torn_as_one);
	tcase_add_test(tc, the_same_seed_makes_the_same_image);
	tcase_add_test(tc, what_is_no_entry_is_passed_over);
	tcase_add_loop_test(tc, an_entry_that_lies_is_none, 0,
			    sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, what_is_no_record_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
