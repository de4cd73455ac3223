/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that is being moved: the real bulkhead-blk, confined, with two files,
 * copies one to the other while the guest, which is this test, writes.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"
#include "tests/wire/storm.h"

#define DISK_BYTES	(24u << 20)

static struct child child;
static struct front front;
static struct front_queue *queue = &front.queue[0];
static struct front_blk blk[STORM_DEPTH];
static int old_fd, new_fd;
static unsigned int seed = 1;
static struct storm storm = {
	.front = &front, .queue = &front.queue[0], .blk = blk,
	.disk_bytes = DISK_BYTES, .seed = 1,
};

static int make_file(void)
{
	char path[] = "/var/tmp/bulkhead-test-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	return fd;
}

/* Every third of the 512 KiB pieces is a hole. */
static void make_files(void)
{
	static uint32_t piece[128 << 10];

	old_fd = make_file();
	new_fd = make_file();
	for (unsigned int i = 0; i < DISK_BYTES / sizeof(piece); i++) {
		for (size_t n = 0; n < sizeof(piece) / sizeof(*piece); n++)
			piece[n] = (uint32_t)(i * 2654435761u + n);
		if (i % 3 != 2)
			ck_assert_int_eq(pwrite(old_fd, piece, sizeof(piece),
						i * sizeof(piece)),
					 sizeof(piece));
	}
}

static void give_birth(bool move, bool write_through)
{
	const struct life_birth_blk birth = {
		.nr_queues = 1, .discard = 1, .nr_extra = move, .move = move,
		.cache = write_through ? LIFE_CACHE_WRITETHROUGH :
					 LIFE_CACHE_WRITEBACK,
		.throttle.burst_s = 1,
	};
	const struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &birth,
		.link_type = SOCK_STREAM, .res_fd = dup(old_fd),
		.res2_fd = -1, .extra_fd = move ? &new_fd : NULL,
	};

	child_start(&child, &spec);
}

static void start(bool write_through)
{
	static const struct front_options options = { .inflight = true };

	give_birth(true, write_through);
	front_start(&front, child.link, &options);
	for (unsigned int i = 0; i < STORM_DEPTH; i++)
		front_blk_init(&front, &blk[i], STORM_ROOM, 0);
}

/* The same file, for reading or for writing only. */
static void reopen(int *fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	again = open(path, flags | O_CLOEXEC);
	ck_assert_int_ge(again, 0);
	close(*fd);
	*fd = again;
}

static void expect_same(void)
{
	const uint8_t *a = mmap(NULL, DISK_BYTES, PROT_READ, MAP_SHARED,
				old_fd, 0);
	const uint8_t *b = mmap(NULL, DISK_BYTES, PROT_READ, MAP_SHARED,
				new_fd, 0);

	ck_assert_ptr_ne(a, MAP_FAILED);
	ck_assert_ptr_ne(b, MAP_FAILED);
	for (unsigned int i = 0; i < DISK_BYTES / 512; i++)
		ck_assert_msg(!memcmp(a + i * 512ul, b + i * 512ul, 512),
			      "sector %u differs", i);
}

START_TEST(an_idle_disk_is_copied)
{
	start(false);
	ck_assert_uint_eq(child_wait_moved(&child), 0);
	ck_assert_uint_eq(child.stats->disk.moved_bytes, DISK_BYTES);
	expect_same();
	/* Holes stay holes. */
	ck_assert_int_ge(lseek(new_fd, 0, SEEK_HOLE), 0);
	ck_assert_int_lt(lseek(new_fd, 0, SEEK_HOLE), DISK_BYTES);
	child_stop(&child);
}
END_TEST

/* _i 1: each write ends stable. */
START_TEST(both_are_the_same_whatever_the_guest_does)
{
	start(_i == 1);
	storm_begin(&storm);
	ck_assert_uint_eq(storm_until_moved(&storm, &child), 0);
	storm_on(&storm, 200);
	/* The pivot: it finishes what it has in hand. */
	child_stop(&child);
	storm_take(&storm, false);
	expect_same();
	ck_assert_uint_eq(child.stats->queue[0].errors, 0);
}
END_TEST

/* What the other file does not take is no error of the disk. */
START_TEST(a_target_that_fails_is_given_up)
{
	reopen(&new_fd, O_RDONLY);
	start(false);
	storm_begin(&storm);
	ck_assert_uint_eq(storm_until_moved(&storm, &child), EBADF);
	storm_on(&storm, 50);
	child_stop(&child);
	storm_take(&storm, false);
	ck_assert_uint_eq(child.stats->queue[0].errors, 0);
}
END_TEST

/* It was said that both are the same, and a write comes that one cannot take. */
START_TEST(a_target_that_fails_at_the_last_moment_does_not_take_over)
{
	struct life_msg msg;

	close(new_fd);
	new_fd = memfd_create("target", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(new_fd, 0);
	ck_assert_int_eq(ftruncate(new_fd, DISK_BYTES), 0);
	start(false);
	ck_assert_uint_eq(child_wait_moved(&child), 0);
	ck_assert_int_eq(fcntl(new_fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], VIRTIO_BLK_T_OUT, 0,
				       512), VIRTIO_BLK_S_OK);
	child_expect(&child, LIFE_BLK_MOVED, &msg);
	ck_assert_uint_eq(msg.u.blk_moved.err, EPERM);
	child_send(&child, LIFE_STOP, -1);
	ck_assert_int_eq(child_wait(&child), 1);
}
END_TEST

START_TEST(an_image_that_cannot_be_read_is_not_moved)
{
	reopen(&old_fd, O_WRONLY);
	start(false);
	ck_assert_uint_eq(child_wait_moved(&child), EBADF);
	child_stop(&child);
}
END_TEST

/* Killed anywhere: what the guest was told of is in the old file. */
START_TEST(a_kill_leaves_the_old_file_whole)
{
	static uint8_t wanted[DISK_BYTES / 512], found[512];
	unsigned int nr = 0;

	start(false);
	for (unsigned int i = 0; i < 300 + 100 * (unsigned int)_i; i++) {
		uint64_t sector = (uint64_t)rand_r(&seed) % (DISK_BYTES / 512);

		memset(front_blk_data(&front, &blk[0]), (int)(i | 1), 512);
		ck_assert_uint_eq(front_blk_do(queue, &blk[0],
					       VIRTIO_BLK_T_OUT, sector, 512),
				  VIRTIO_BLK_S_OK);
		wanted[sector] = (uint8_t)(i | 1);
	}
	kill(child.pid, SIGKILL);
	child_wait_signal(&child, SIGKILL);
	for (unsigned int i = 0; i < DISK_BYTES / 512; i++) {
		if (!wanted[i])
			continue;
		ck_assert_int_eq(pread(old_fd, found, 512, i * 512l), 512);
		ck_assert_uint_eq(found[0], wanted[i]);
		ck_assert_uint_eq(found[511], wanted[i]);
		nr++;
	}
	ck_assert_uint_gt(nr, 200);
}
END_TEST

/* Killed in the storm, born again with an empty target: it is copied anew. */
START_TEST(it_starts_over_after_a_kill)
{
	start(false);
	storm_begin(&storm);
	storm_on(&storm, 10);
	kill(child.pid, SIGKILL);
	child_wait_signal(&child, SIGKILL);
	ck_assert_int_eq(ftruncate(new_fd, 0), 0);
	ck_assert_int_eq(ftruncate(new_fd, DISK_BYTES), 0);
	give_birth(true, false);
	front_reconnect(&front, child.link);
	while (child.stats->disk.moved_bytes < DISK_BYTES)
		storm_on(&storm, 1);
	ck_assert_uint_eq(child_wait_moved(&child), 0);
	child_stop(&child);
	storm_take(&storm, false);
	expect_same();
}
END_TEST

START_TEST(an_exchange_does_not_wait_for_the_copy)
{
	start(false);
	child_stop(&child);
	give_birth(false, false);
	front_reconnect(&front, child.link);
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], VIRTIO_BLK_T_OUT, 0,
				       512), VIRTIO_BLK_S_OK);
	child_stop(&child);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mirror");
	TCase *tc = tcase_create("mirror");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_files, NULL);
	tcase_add_test(tc, an_idle_disk_is_copied);
	tcase_add_loop_test(tc, both_are_the_same_whatever_the_guest_does, 0,
			    2);
	tcase_add_test(tc, a_target_that_fails_is_given_up);
	tcase_add_test(tc,
		       a_target_that_fails_at_the_last_moment_does_not_take_over);
	tcase_add_test(tc, an_image_that_cannot_be_read_is_not_moved);
	tcase_add_loop_test(tc, a_kill_leaves_the_old_file_whole, 0, 3);
	tcase_add_test(tc, it_starts_over_after_a_kill);
	tcase_add_test(tc, an_exchange_does_not_wait_for_the_copy);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
