/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/blk/qcow2*.c on images of qemu-img, judged by qemu-img: read right,
 * written right, whole after a kill or a power cut at any moment.
 *
 * QCOW2_ROUNDS=N does the random tests N times as often.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/qcow2_rig.h"

#define SECTOR		512u
#define DISK_BYTES	(4u << 20)
#define SECTORS		(DISK_BYTES / SECTOR)
#define MAX_OPS		2000
#define DEPTH		12
#define LENGTH(a)	(int)(sizeof(a) / sizeof((a)[0]))

static char dir[64], image[RIG_PATH_MAX], mid[RIG_PATH_MAX],
	base[RIG_PATH_MAX], flat[RIG_PATH_MAX], cut[RIG_PATH_MAX];
static char out[4096], why[QCOW2_WHY_MAX + 64];
static uint8_t disk[DISK_BYTES], expected[DISK_BYTES];

#define SHELL(...) do { \
		int status_ = rig_shell(out, sizeof(out), __VA_ARGS__); \
		ck_assert_msg(status_ == 0, "status %d: %.900s", status_, out); \
	} while (0)

static unsigned int rounds(void)
{
	const char *text = getenv("QCOW2_ROUNDS");

	return text ? (unsigned int)atoi(text) : 1;
}

static void set_up(void)
{
	snprintf(dir, sizeof(dir), "/var/tmp/bulkhead-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(mid, sizeof(mid), "%s/mid", dir);
	snprintf(base, sizeof(base), "%s/base.raw", dir);
	snprintf(flat, sizeof(flat), "%s/flat", dir);
	snprintf(cut, sizeof(cut), "%s/cut", dir);
	rig_seed(1);
	rig_no_fallocate(false);
	rig_fail_after(0, 0);
}

static void tear_down(void)
{
	SHELL("rm -rf %s", dir);
}

/* --- contents by which it shows who wrote them ---------------------------------- */

#define BASE_ID	0xffffffu	/* was in the backing file */

static void fill(uint8_t *at, uint64_t sector, uint64_t nr, uint64_t id)
{
	for (uint64_t n = 0; n < nr; n++)
		for (unsigned int i = 0; i < SECTOR; i += 8) {
			uint64_t word = 0xb01dull << 48 | id << 24 |
					(sector + n);

			memcpy(at + n * SECTOR + i, &word, 8);
		}
}

/* A raw file in which some parts were written and others not. */
static void make_base(const char *path, uint64_t bytes)
{
	FILE *f;

	memset(disk, 0, sizeof(disk));
	for (uint64_t sector = 0; sector < bytes / SECTOR; ) {
		uint64_t nr = 1 + rig_random(200);

		if (nr > bytes / SECTOR - sector)
			nr = bytes / SECTOR - sector;
		if (rig_random(2))
			fill(disk + sector * SECTOR, sector, nr, BASE_ID);
		sector += nr;
	}
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(disk, 1, bytes, f), bytes);
	fclose(f);
}

static void load(const char *path, uint8_t *to)
{
	FILE *f = fopen(path, "re");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fread(to, 1, DISK_BYTES, f), DISK_BYTES);
	fclose(f);
}

/* --- what was done to the disk ---------------------------------------------------- */

static struct op {
	bool zero;
	uint64_t sector, nr;
	size_t begun, ended;	/* changes in the log; ended 0: was not */
} ops[MAX_OPS];
static unsigned int nr_ops;
static size_t synced_at[MAX_OPS];	/* log length, once a flush was done */
static unsigned int synced_ops[MAX_OPS];	/* that were done when it began */
static unsigned int nr_syncs;

static struct running {
	struct rig_request request;
	unsigned int op;
	bool used;
	uint8_t data[256 * SECTOR];
} running[DEPTH];

static bool is_busy(uint64_t sector, uint64_t nr)
{
	for (int i = 0; i < DEPTH; i++) {
		const struct op *op = &ops[running[i].op];

		if (running[i].used && sector < op->sector + op->nr &&
		    op->sector < sector + nr)
			return true;
	}
	return false;
}

static void begin_one(struct running *slot, bool zeroes)
{
	static const enum blk_op zero_ops[] = {
		BLK_OP_ZERO, BLK_OP_ZERO_UNMAP, BLK_OP_ZERO_WRITE,
	};
	struct op *op = &ops[nr_ops];
	uint64_t nr = rig_random(4) ? 1 + rig_random(16) :
				      1 + rig_random(256);
	uint64_t sector = rig_random(SECTORS - nr + 1);

	/* Like a file system, now and then in whole clusters. */
	if (!rig_random(3)) {
		sector &= ~(uint64_t)127;
		nr = 128;
	}
	if (nr_ops == MAX_OPS || is_busy(sector, nr))
		return;
	*op = (struct op) {
		.zero = zeroes && !rig_random(5), .sector = sector, .nr = nr,
		.begun = rig_log_length(),
	};
	slot->used = true;
	slot->op = nr_ops++;
	fill(slot->data, sector, nr, slot->op + 1);
	if (op->zero)
		rig_begin(&slot->request, zero_ops[rig_random(3)],
			  sector * SECTOR, nr * SECTOR, NULL);
	else
		rig_begin(&slot->request, BLK_OP_WRITE, sector * SECTOR,
			  nr * SECTOR, slot->data);
}

static void collect(void)
{
	for (int i = 0; i < DEPTH; i++) {
		struct running *slot = &running[i];

		if (!slot->used || !slot->request.done)
			continue;
		ck_assert_msg(slot->request.err == 0, "write of %llu: %s",
			      (unsigned long long)ops[slot->op].sector,
			      strerror(slot->request.err));
		ops[slot->op].ended = rig_log_length() + 1;
		slot->used = false;
	}
}

static void finish_all(void)
{
	while (rig_step())
		collect();
	collect();
	for (int i = 0; i < DEPTH; i++)
		ck_assert_msg(!running[i].used, "a request hangs");
}

static void flush(void)
{
	finish_all();
	synced_ops[nr_syncs] = nr_ops;
	ck_assert_int_eq(rig_do(BLK_OP_FLUSH, 0, 0, NULL), 0);
	synced_at[nr_syncs++] = rig_log_length();
}

/* nr writes, up to DEPTH at a time, a flush now and then. */
static void work_on(unsigned int nr, bool zeroes)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct running *slot = &running[rig_random(DEPTH)];

		if (!slot->used)
			begin_one(slot, zeroes);
		for (uint64_t n = rig_random(6); n > 0 && rig_step(); n--)
			collect();
		if (!rig_random(25))
			flush();
	}
}

static void begin_history(void)
{
	nr_ops = nr_syncs = 0;
	memset(running, 0, sizeof(running));
}

/*
 * Is every sector of disk[] what it may be?  first[] is what was there at
 * first; ops below `stable` that have ended are on the disk, and those that
 * were begun when the log had less than `length` entries may be.
 */
static void check_history(const uint8_t *first, unsigned int stable,
			  size_t length)
{
	static uint8_t want[SECTOR];

	for (uint64_t sector = 0; sector < SECTORS; sector++) {
		const uint8_t *is = disk + sector * SECTOR;
		bool good = false;
		int n;

		for (n = (int)nr_ops - 1; n >= 0 && !good; n--) {
			const struct op *op = &ops[n];

			if (sector < op->sector ||
			    sector >= op->sector + op->nr ||
			    (op->begun >= length && op->begun))
				continue;
			memset(want, 0, sizeof(want));
			if (!op->zero)
				fill(want, sector, 1, (uint64_t)n + 1);
			good = !memcmp(is, want, SECTOR);
			if ((unsigned int)n < stable && op->ended)
				break;
		}
		if (!good && n < 0)
			good = !memcmp(is, first + sector * SECTOR, SECTOR);
		ck_assert_msg(good, "sector %llu is 0x%llx, op %d was the last that is stable",
			      (unsigned long long)sector,
			      (unsigned long long)*(const uint64_t *)is, n);
	}
}

static void read_all(void)
{
	for (uint64_t at = 0; at < DISK_BYTES; ) {
		uint64_t bytes = (1 + rig_random(400)) * SECTOR;

		if (bytes > DISK_BYTES - at)
			bytes = DISK_BYTES - at;
		ck_assert_int_eq(rig_do(BLK_OP_READ, at, bytes, disk + at), 0);
		at += bytes;
	}
}

/* --- the images ------------------------------------------------------------------- */

static const struct sort {
	const char *options;	/* of qemu-img create */
	int behind;		/* 0: nothing, 1: raw, 2: qcow2 on raw */
} sorts[] = {
	{ "compat=1.1", 0 },
	{ "compat=0.10", 0 },
	{ "compat=1.1,cluster_size=512", 0 },
	{ "compat=1.1,cluster_size=4096,refcount_bits=1", 0 },
	{ "compat=1.1,cluster_size=2M,refcount_bits=64", 0 },
	{ "compat=1.1,lazy_refcounts=on,refcount_bits=8", 0 },
	{ "compat=1.1,preallocation=metadata", 0 },
	{ "compat=0.10,cluster_size=1k", 1 },
	{ "compat=1.1", 1 },
	{ "compat=1.1,cluster_size=4k,refcount_bits=2", 2 },
	{ "compat=1.1,cluster_size=512,refcount_bits=32", 2 },
	{ "compat=1.1,preallocation=full", 0 },
};

static const char *files[3];
static unsigned int nr_files;

static void make_image(const struct sort *sort)
{
	memset(expected, 0, sizeof(expected));
	files[0] = image;
	nr_files = 1;
	if (!sort->behind) {
		SHELL("qemu-img create -f qcow2 -o %s %s %u", sort->options,
		      image, DISK_BYTES);
		return;
	}
	/* Smaller than what is on top of it. */
	make_base(base, DISK_BYTES - 70 * SECTOR);
	memcpy(expected, disk, sizeof(expected));
	files[nr_files++] = base;
	if (sort->behind == 2) {
		SHELL("qemu-img create -f qcow2 -b %s -F raw %s %u", base, mid,
		      DISK_BYTES);
		SHELL("qemu-io -f qcow2 -c 'write -P 7 1M 100k' -c 'write -z 2M 256k' -c 'write -c -P 9 3M 64k' %s",
		      mid);
		memset(expected + (1u << 20), 7, 100u << 10);
		memset(expected + (2u << 20), 0, 256u << 10);
		memset(expected + (3u << 20), 9, 64u << 10);
		files[2] = base;
		files[1] = mid;
		nr_files = 3;
	}
	SHELL("qemu-img create -f qcow2 -o %s -b %s -F %s %s %u",
	      sort->options, files[1], sort->behind == 2 ? "qcow2" : "raw",
	      image, DISK_BYTES);
}

static void open_it(bool writable)
{
	int ret = rig_open(files, nr_files, writable, why);

	ck_assert_msg(ret == 0, "%s", why);
}

static void check_by_qemu(const char *path)
{
	SHELL("qemu-img check -f qcow2 %s", path);
	SHELL("qemu-img convert -f qcow2 -O raw %s %s", path, flat);
	load(flat, disk);
}

/* --- tests ------------------------------------------------------------------------- */

static const char *const made[] = {
	"convert -O qcow2 -o compat=0.10",
	"convert -O qcow2 -o compat=1.1",
	"convert -O qcow2 -o cluster_size=512",
	"convert -O qcow2 -o cluster_size=2M",
	"convert -O qcow2 -o refcount_bits=1",
	"convert -O qcow2 -o preallocation=metadata",
	"convert -O qcow2 -o preallocation=full",
	"convert -O qcow2 -o lazy_refcounts=on",
	"convert -c -O qcow2",
	"convert -c -O qcow2 -o compat=0.10,cluster_size=4k",
	"convert -c -O qcow2 -o compression_type=zstd",
	"convert -c -O qcow2 -o compression_type=zstd,cluster_size=2M",
	"convert -c -O qcow2 -o cluster_size=512",
};

START_TEST(what_qemu_has_made_is_read)
{
	make_base(base, DISK_BYTES);
	memcpy(expected, disk, sizeof(expected));
	SHELL("qemu-img %s -f raw %s %s",
	      /* "convert" first, its options behind */
	      made[_i], base, image);
	files[0] = image;
	nr_files = 1;
	open_it(false);
	read_all();
	ck_assert_mem_eq(disk, expected, DISK_BYTES);
	ck_assert_int_eq(rig_do(BLK_OP_WRITE, 0, SECTOR, disk), EIO);
	ck_assert_int_eq(rig_close(), 0);
}
END_TEST

START_TEST(a_chain_is_read_through)
{
	make_image(&sorts[_i]);
	open_it(false);
	read_all();
	ck_assert_mem_eq(disk, expected, DISK_BYTES);
	ck_assert_int_eq(rig_close(), 0);
}
END_TEST

START_TEST(random_writes_are_what_qemu_reads)
{
	for (unsigned int round = 0; round < rounds(); round++) {
		rig_seed(100 + round);
		rig_no_fallocate(round % 2);
		make_image(&sorts[_i]);
		begin_history();
		open_it(true);
		work_on(300, true);
		finish_all();
		read_all();
		check_history(expected, nr_ops, SIZE_MAX);
		ck_assert_int_eq(rig_close(), 0);
		check_by_qemu(image);
		check_history(expected, nr_ops, SIZE_MAX);
		SHELL("rm -f %s %s %s", image, mid, base);
	}
}
END_TEST

START_TEST(compressed_clusters_are_replaced)
{
	make_base(base, DISK_BYTES);
	memcpy(expected, disk, sizeof(expected));
	SHELL("qemu-img convert -c -O qcow2 -f raw %s %s", base, image);
	files[0] = image;
	nr_files = 1;
	begin_history();
	open_it(true);
	work_on(200, true);
	finish_all();
	ck_assert_int_eq(rig_close(), 0);
	check_by_qemu(image);
	check_history(expected, nr_ops, SIZE_MAX);
}
END_TEST

START_TEST(a_discard_leaves_zeroes_or_what_was_there)
{
	static const uint8_t zeroes[64u << 10];

	make_image(&sorts[0]);
	open_it(true);
	fill(disk, 0, 256, 1);
	ck_assert_int_eq(rig_do(BLK_OP_WRITE, 0, 128u << 10, disk), 0);
	ck_assert_int_eq(rig_do(BLK_OP_DISCARD, 0, 64u << 10, NULL), 0);
	ck_assert_int_eq(rig_do(BLK_OP_DISCARD, 1u << 20, 1u << 20, NULL), 0);
	ck_assert_int_eq(rig_close(), 0);
	check_by_qemu(image);
	ck_assert_mem_eq(disk, zeroes, sizeof(zeroes));
}
END_TEST

/* Killed again and again; what the guest was told is there each time. */
START_TEST(a_kill_loses_nothing_that_was_done)
{
	for (unsigned int round = 0; round < 2 * rounds(); round++) {
		rig_seed(1000 + round);
		make_image(&sorts[_i]);
		begin_history();
		for (int life = 0; life < 4; life++) {
			open_it(true);
			work_on(40, true);
			rig_kill();
			memset(running, 0, sizeof(running));
		}
		open_it(true);
		read_all();
		check_history(expected, nr_ops, SIZE_MAX);
		ck_assert_int_eq(rig_close(), 0);
		check_by_qemu(image);
		check_history(expected, nr_ops, SIZE_MAX);
		SHELL("rm -f %s %s %s", image, mid, base);
	}
}
END_TEST

/* Leaks are what a cut may leave; qemu-img says so with status 3. */
static void check_no_corruption(const char *path)
{
	int status = rig_shell(out, sizeof(out), "qemu-img check -f qcow2 %s",
			       path);

	ck_assert_msg(status == 0 || status == 3, "status %d: %.900s", status,
		      out);
}

static void check_cut(size_t length, uint64_t seed)
{
	unsigned int stable = 0;

	rig_log_cut(cut, length, seed);
	check_no_corruption(cut);
	for (unsigned int i = 0; i < nr_syncs; i++)
		if (synced_at[i] <= length)
			stable = synced_ops[i];
	files[0] = cut;
	open_it(true);
	read_all();
	check_history(expected, stable, length);
	ck_assert_int_eq(rig_close(), 0);
	SHELL("qemu-img check -f qcow2 %s", cut);
	files[0] = image;
}

START_TEST(a_power_cut_loses_nothing_that_was_flushed)
{
	rig_seed(2000);
	make_image(&sorts[_i]);
	begin_history();
	rig_log_begin(image);
	open_it(true);
	work_on(150, true);
	finish_all();
	ck_assert_int_eq(rig_close(), 0);
	rig_log_stop();
	for (unsigned int i = 0; i < nr_syncs; i++)
		check_cut(synced_at[i], i);
	for (unsigned int i = 0; i < 6 * rounds(); i++)
		check_cut(rig_random(rig_log_length() + 1), 5000 + i);
	rig_log_end();
}
END_TEST

/* Any one operation fails: an error for a request, and nothing worse. */
START_TEST(an_io_error_corrupts_nothing)
{
	for (unsigned int n = 1; n < 60; n += 1 + n / 8) {
		unsigned int failed = 0;

		rig_seed(3000 + n);
		make_image(&sorts[_i ? 8 : 0]);
		open_it(true);
		rig_fail_after(n, -ENOSPC);
		for (unsigned int i = 0; i < 40; i++) {
			uint64_t sector = rig_random(SECTORS - 8);

			fill(disk, sector, 8, i + 1);
			failed += rig_do(BLK_OP_WRITE, sector * SECTOR,
					 8 * SECTOR, disk) != 0;
		}
		ck_assert_uint_le(failed, 2);
		rig_fail_after(0, 0);
		ck_assert_int_eq(rig_close(), 0);
		SHELL("qemu-img check -f qcow2 %s", image);
		SHELL("rm -f %s %s", image, base);
	}
}
END_TEST

START_TEST(its_dirty_bit_is_set_while_it_grows)
{
	make_image(&sorts[0]);
	open_it(true);
	SHELL("test $(od -An -tu1 -j79 -N1 %s) -eq 0", image);
	ck_assert_int_eq(rig_do(BLK_OP_WRITE, 0, SECTOR, disk), 0);
	SHELL("test $(od -An -tu1 -j79 -N1 %s) -eq 1", image);
	ck_assert_int_eq(rig_close(), 0);
	SHELL("test $(od -An -tu1 -j79 -N1 %s) -eq 0", image);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qcow2");
	TCase *tc = tcase_create("qcow2");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (rig_shell(out, sizeof(out), "qemu-img --version")) {
		printf("ok 1 - qcow2 # SKIP no qemu-img; install qemu-utils\n1..1\n");
		return 0;
	}
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 100 * (double)rounds());
	tcase_add_loop_test(tc, what_qemu_has_made_is_read, 0, LENGTH(made));
	tcase_add_loop_test(tc, a_chain_is_read_through, 7, 11);
	tcase_add_loop_test(tc, random_writes_are_what_qemu_reads, 0,
			    LENGTH(sorts));
	tcase_add_test(tc, compressed_clusters_are_replaced);
	tcase_add_test(tc, a_discard_leaves_zeroes_or_what_was_there);
	tcase_add_loop_test(tc, a_kill_loses_nothing_that_was_done, 0,
			    LENGTH(sorts));
	tcase_add_loop_test(tc, a_power_cut_loses_nothing_that_was_flushed, 0,
			    LENGTH(sorts));
	tcase_add_loop_test(tc, an_io_error_corrupts_nothing, 0, 2);
	tcase_add_test(tc, its_dirty_bit_is_set_while_it_grows);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
