/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that is moved to another format while its guest, which is this test,
 * writes: the real bulkhead-blk, confined, from each kind of image to each.
 * qemu-img judges what came of it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/disk.h"
#include "tests/wire/qcow2_disk.h"
#include "tests/wire/storm.h"

/* More than one group of clusters, and no whole number of either. */
#define DISK_BYTES	((40u << 20) + 3 * 4096)

_Static_assert(DISK_BYTES == 41955328, "as in the chain below");

static struct front_blk blk[STORM_DEPTH];
static struct storm storm = {
	.front = &q_front, .queue = &q_front.queue[0], .blk = blk,
	.disk_bytes = DISK_BYTES, .seed = 1,
};

static const struct source {
	const char *name[3];	/* the image first */
	unsigned int nr;
	const char *made;	/* out of old.raw, how */
} sources[] = {
	{ { "old.raw" }, 1, ":" },
	{ { "old.qcow2" }, 1, "qemu-img convert -O qcow2 old.raw old.qcow2" },
	{ { "packed.qcow2" }, 1,
	  "qemu-img convert -c -O qcow2 old.raw packed.qcow2" },
	{ { "small.qcow2" }, 1,
	  "qemu-img convert -O qcow2 -o cluster_size=4096 old.raw small.qcow2" },
	/* The backing file ends where its disk does not. */
	{ { "top.qcow2", "middle.qcow2", "base.raw" }, 3,
	  "head -c 31M old.raw >base.raw && "
	  "qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 41955328 && "
	  "qemu-io -c 'write -P 7 5M 9M' -c 'write -z 25M 1M' middle.qcow2 && "
	  "qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 && "
	  "qemu-io -c 'write -P 9 12M 300k' top.qcow2" },
};
static const char *const targets[] = { "new.raw", "new.qcow2" };

#define NR_SOURCES	(sizeof(sources) / sizeof(sources[0]))
#define NR_PAIRS	(NR_SOURCES * 2)
#define NR_KINDS	3	/* of sources: raw, compressed, a chain */

/* Pieces with data, and holes. */
static void make_source(const struct source *source)
{
	q_shell("truncate -s %u old.raw && "
		"for at in 0 3 4 11 25 31 39; do "
		"dd if=/dev/urandom of=old.raw bs=1M seek=$at count=1 "
		"conv=notrunc; done", DISK_BYTES);
	q_shell("%s", source->made);
}

static void make_target(const char *name)
{
	struct qcow2_flat flat;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", q_dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	if (q_is_raw(name)) {
		ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	} else {
		ck_assert_int_eq(qcow2_flat_plan(DISK_BYTES, &flat), 0);
		ck_assert_int_eq(disk_flat_fill(fd, &flat), 0);
	}
	close(fd);
}

static const char *format_of(const char *name)
{
	return q_is_raw(name) ? "raw" : "qcow2";
}

static void start(const struct source *source, const char *target)
{
	make_source(source);
	make_target(target);
	q_target = target;
	q_start(source->name, source->nr, false);
	for (unsigned int i = 0; i < STORM_DEPTH; i++)
		front_blk_init(&q_front, &blk[i], STORM_ROOM, 0);
}

static void expect_same(const char *old, const char *new)
{
	q_shell("qemu-img compare -f %s -F %s %s %s", format_of(old),
		format_of(new), old, new);
	if (!q_is_raw(new))
		q_shell("qemu-img check -q -f qcow2 %s", new);
	if (!q_is_raw(old))
		q_shell("qemu-img check -q -f qcow2 %s", old);
}

START_TEST(from_each_to_each_whatever_the_guest_does)
{
	const struct source *source = &sources[_i / 2];
	const char *target = targets[_i % 2];

	start(source, target);
	storm_begin(&storm);
	ck_assert_uint_eq(storm_until_moved(&storm, &q_child), 0);
	/* It writes on, also to clusters that nobody had written to. */
	storm_on(&storm, 100);
	child_stop(&q_child);
	storm_take(&storm, false);
	ck_assert_uint_eq(q_child.stats->queue[0].errors, 0);
	front_end(&q_front);
	expect_same(source->name[0], target);
	if (q_is_raw(target))
		return;
	/* The next process has it alone. */
	q_target = NULL;
	q_start(&target, 1, false);
	ck_assert_uint_eq(q_child.stats->disk.capacity_bytes, DISK_BYTES);
	for (unsigned int i = 0; i < STORM_DEPTH; i++)
		front_blk_init(&q_front, &blk[i], STORM_ROOM, 0);
	storm_begin(&storm);
	storm_on(&storm, 50);
	q_stop();
	q_shell("qemu-img check -q -f qcow2 %s", target);
}
END_TEST

/* Nobody writes: what is not there is not there in the new image either. */
START_TEST(an_idle_disk_takes_no_more_room_than_it_has_data)
{
	struct stat st;
	char path[256];

	start(&sources[_i * 2], "new.qcow2");
	ck_assert_uint_eq(child_wait_moved(&q_child), 0);
	ck_assert_uint_eq(q_child.stats->disk.moved_bytes, DISK_BYTES);
	ck_assert_uint_eq(q_child.stats->queue[0].bytes_read, 0);
	q_stop();
	expect_same(sources[_i * 2].name[0], "new.qcow2");
	snprintf(path, sizeof(path), "%s/new.qcow2", q_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, 20 << 20);
	q_shell("! qemu-img map new.qcow2 | grep -i error; "
		"qemu-img info new.qcow2 | grep -c 'backing' | grep -qx 0");
}
END_TEST

/* Killed anywhere: the old image is sound, and so is the new one, as far as it came. */
START_TEST(a_kill_leaves_both_sound)
{
	const struct source *source = &sources[_i * 2];

	start(source, "new.qcow2");
	storm_begin(&storm);
	storm_on(&storm, 1 + (unsigned int)_i * 5);
	q_kill();
	q_shell("qemu-img check new.qcow2 || test $? -eq 3");
	if (!q_is_raw(source->name[0]))
		q_shell("qemu-img check %s || test $? -eq 3",
			source->name[0]);
	/* The next one copies anew. */
	make_target("new.qcow2");
	q_start(source->name, source->nr, false);
	for (unsigned int i = 0; i < STORM_DEPTH; i++)
		front_blk_init(&q_front, &blk[i], STORM_ROOM, 0);
	storm_begin(&storm);
	ck_assert_uint_eq(storm_until_moved(&storm, &q_child), 0);
	child_stop(&q_child);
	storm_take(&storm, false);
	front_end(&q_front);
	expect_same(source->name[0], "new.qcow2");
}
END_TEST

/* A file that was made for another disk is none to write to. */
START_TEST(a_target_of_another_size_is_refused)
{
	make_source(&sources[1]);
	make_target("new.qcow2");
	q_shell("truncate -s +64K new.qcow2");
	q_target = "new.qcow2";
	q_start(sources[1].name, 1, false);
	ck_assert_uint_eq(child_wait_moved(&q_child), EINVAL);
	ck_assert_uint_eq(q_do(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	q_stop();
}
END_TEST

/* Whatever the size of the disk: an empty image of it is sound, and writable. */
START_TEST(a_flat_image_of_any_size_is_sound)
{
	static const uint64_t sizes[] = {
		512, 65536, 65536 + 512, 512ull << 20, (512ull << 20) + 512,
		100ull << 30,
	};
	struct qcow2_flat flat;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/flat.qcow2", q_dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(qcow2_flat_plan(sizes[_i], &flat), 0);
	ck_assert_int_eq(disk_flat_fill(fd, &flat), 0);
	close(fd);
	q_shell("qemu-img check -q -f qcow2 flat.qcow2");
	q_shell("qemu-img info flat.qcow2 | grep -q ' (%llu bytes)'",
		(unsigned long long)sizes[_i]);
}
END_TEST

START_TEST(a_disk_that_is_too_large_is_refused)
{
	struct qcow2_flat flat;

	/* The larger the disk, the larger its clusters. */
	ck_assert_int_eq(qcow2_flat_plan(7ull << 40, &flat), 0);
	ck_assert_uint_eq(flat.header.cluster_bits, 16);
	ck_assert_int_eq(qcow2_flat_plan(9ull << 40, &flat), 0);
	ck_assert_uint_eq(flat.header.cluster_bits, 17);
	ck_assert_int_eq(qcow2_flat_plan(200ull << 40, &flat), 0);
	ck_assert_uint_eq(flat.header.cluster_bits, 21);
	ck_assert_int_eq(qcow2_flat_plan(1ull << 50, &flat), -EFBIG);
	ck_assert_int_eq(qcow2_flat_plan(UINT64_MAX - 511, &flat), -EFBIG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("move_formats");
	TCase *tc = tcase_create("move_formats");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (q_skip("a disk is moved to another format"))
		return EXIT_SUCCESS;
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, q_set_up, q_tear_down);
	tcase_add_loop_test(tc, from_each_to_each_whatever_the_guest_does, 0,
			    NR_PAIRS);
	tcase_add_loop_test(tc, an_idle_disk_takes_no_more_room_than_it_has_data,
			    0, NR_KINDS);
	tcase_add_loop_test(tc, a_kill_leaves_both_sound, 0, NR_KINDS);
	tcase_add_test(tc, a_target_of_another_size_is_refused);
	tcase_add_loop_test(tc, a_flat_image_of_any_size_is_sound, 0, 6);
	tcase_add_test(tc, a_disk_that_is_too_large_is_refused);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
