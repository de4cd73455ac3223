/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk on a host disk of 4096-byte blocks: the guest's sectors have
 * 512 bytes all the same, and neighbours in a block do not harm each other.
 * The disk is a loop device, which takes root.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define DISK_BYTES	(8u << 20)
#define BLOCK		4096u
#define SECTOR		512u
#define NR_SECTORS	(DISK_BYTES / SECTOR)
#define DEPTH		32
#define LONGEST		64u	/* sectors of one request; more than a buffer */
#define MAX_BYTES	(2 * LONGEST * SECTOR)

static struct child child;
static struct front front;
static struct front_queue *queue = &front.queue[0];
static int file_fd = -1, loop_fd = -1;
static uint8_t model[DISK_BYTES];

/* Return: a free loop device on file_fd with blocks of 4096 bytes, or -1. */
static int make_loop(char path[32])
{
	struct loop_config config = {
		.fd = (uint32_t)file_fd, .block_size = BLOCK,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = -1;

	/* Somebody else may take the one that is named. */
	for (int tries = 0; control >= 0 && fd < 0 && tries < 10; tries++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(path, 32, "/dev/loop%d", n);
		fd = n < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			break;
		if (ioctl(fd, LOOP_CONFIGURE, &config) != 0) {
			close(fd);
			fd = -1;
		}
	}
	if (control >= 0)
		close(control);
	return fd;
}

static int start_disk(void)
{
	static const struct life_birth_blk birth = {
		.nr_queues = 1, .direct = 1, .discard = 1, .block_device = 1,
	};
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &birth,
		.link_type = SOCK_STREAM, .res2_fd = -1,
	};
	char path[32];

	file_fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(file_fd, 0);
	for (size_t i = 0; i < DISK_BYTES; i++)
		model[i] = (uint8_t)(i / SECTOR * 31 + i);
	ck_assert_int_eq(pwrite(file_fd, model, DISK_BYTES, 0), DISK_BYTES);
	loop_fd = make_loop(path);
	if (loop_fd < 0)
		return -1;
	spec.res_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	ck_assert_int_ge(spec.res_fd, 0);
	child_start(&child, &spec);
	front_start(&front, child.link, NULL);
	return 0;
}

static void set_up(void)
{
	ck_assert_int_eq(start_disk(), 0);
}

static void compare_disk(void)
{
	static uint8_t now[DISK_BYTES];

	ck_assert_int_eq(fsync(loop_fd), 0);
	ck_assert_int_eq(pread(loop_fd, now, DISK_BYTES, 0), DISK_BYTES);
	ck_assert_mem_eq(now, model, DISK_BYTES);
}

static void tear_down(void)
{
	child_stop(&child);
	compare_disk();
	close(loop_fd);
	close(file_fd);
}

START_TEST(the_guest_is_told_both_sizes)
{
	struct virtio_blk_config config;

	front_get_config(&front, &config, 60);
	ck_assert_uint_eq(config.blk_size, SECTOR);
	ck_assert_uint_ge(config.physical_block_exp, 3);
}

/* First sector and length in sectors of requests that cut blocks. */
static const struct { uint64_t sector; uint32_t nr; } odd[] = {
	{ 0, 1 }, { 7, 1 }, { 7, 2 }, { 3, 10 }, { 1, 15 }, { 8, 9 },
	{ NR_SECTORS - 1, 1 }, { 5, 2 * LONGEST }, { 16, 16 },
};

START_TEST(odd_ranges_are_read_and_written)
{
	uint64_t at = odd[_i].sector * SECTOR;
	uint32_t len = odd[_i].nr * SECTOR;
	struct front_blk blk;
	uint8_t *data;

	front_blk_init(&front, &blk, MAX_BYTES, 0);
	data = front_blk_data(&front, &blk);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_IN,
				       odd[_i].sector, len), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(data, model + at, len);
	for (uint32_t i = 0; i < len; i++)
		model[at + i] = data[i] = (uint8_t)(i * 3 + i / SECTOR + 1);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_OUT,
				       odd[_i].sector, len), VIRTIO_BLK_S_OK);
}

START_TEST(odd_ranges_become_zero)
{
	struct virtio_blk_discard_write_zeroes *range;
	struct front_blk blk;

	front_blk_init(&front, &blk, sizeof(*range), 0);
	range = front_blk_data(&front, &blk);
	*range = (struct virtio_blk_discard_write_zeroes) {
		.sector = 13, .num_sectors = 150, .flags = (uint32_t)_i,
	};
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_WRITE_ZEROES,
				       0, sizeof(*range)), VIRTIO_BLK_S_OK);
	memset(model + 13 * SECTOR, 0, 150 * SECTOR);
	/* A hint that cannot be followed. */
	range->flags = 0;
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_DISCARD, 0,
				       sizeof(*range)), VIRTIO_BLK_S_OK);
}

/* Each request in flight has sectors of its own, in blocks that others share. */
struct storm {
	unsigned int left;
	unsigned int seed;
	bool busy[NR_SECTORS];
};

struct span { uint32_t first, nr; };

static struct span span_of(const struct front_blk *blk)
{
	return (struct span) { (uint32_t)(blk->user >> 32),
			       (uint32_t)blk->user };
}

static bool is_free(const struct storm *storm, struct span span)
{
	for (uint32_t i = 0; i < span.nr; i++)
		if (storm->busy[span.first + i])
			return false;
	return true;
}

static void mark(struct storm *storm, struct span span, bool busy)
{
	memset(&storm->busy[span.first], busy, span.nr);
}

/* Crowded, so that most blocks are shared. */
static struct span choose(struct storm *storm)
{
	struct span span;

	do {
		span.nr = rand_r(&storm->seed) % 3 ?
			1 + (uint32_t)rand_r(&storm->seed) % 9 :
			1 + (uint32_t)rand_r(&storm->seed) % (2 * LONGEST);
		span.first = (uint32_t)rand_r(&storm->seed) %
			     (1024 - span.nr);
	} while (!is_free(storm, span));
	return span;
}

static bool next(void *ctx, struct front_blk *blk, uint32_t *type,
		 uint64_t *sector, uint32_t *len)
{
	struct storm *storm = ctx;
	uint8_t *data = front_blk_data(&front, blk);
	struct span span;

	if (storm->left == 0)
		return false;
	storm->left--;
	span = choose(storm);
	mark(storm, span, true);
	blk->user = (uint64_t)span.first << 32 | span.nr;
	*type = rand_r(&storm->seed) % 4 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	*sector = span.first;
	*len = span.nr * SECTOR;
	if (*type == VIRTIO_BLK_T_OUT) {
		memset(data, rand_r(&storm->seed), *len);
		memcpy(model + span.first * SECTOR, data, *len);
	}
	return true;
}

static void done(void *ctx, struct front_blk *blk, uint8_t status)
{
	struct span span = span_of(blk);

	ck_assert_uint_eq(status, VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(front_blk_data(&front, blk),
			 model + span.first * SECTOR, span.nr * SECTOR);
	mark(ctx, span, false);
}

START_TEST(neighbours_in_a_block_do_not_harm_each_other)
{
	static struct front_blk blks[DEPTH];
	static struct storm storm = { .left = 3000 };
	const struct front_blk_job job = {
		.next = next, .done = done, .ctx = &storm,
	};

	storm.seed = (unsigned int)_i + 1;
	for (int i = 0; i < DEPTH; i++)
		front_blk_init(&front, &blks[i], MAX_BYTES,
			       i % 2 ? 0 : SECTOR);
	front_blk_run(queue, blks, DEPTH, &job);
	ck_assert_uint_eq(storm.left, 0);
}

/*
 * Two processes, each with a sector of one block, would read the block at once,
 * and the last one take back what the first one wrote.
 */
START_TEST(it_is_not_shared_between_processes)
{
	const struct life_birth_blk birth = {
		.nr_queues = 1, .direct = 1, .discard = 1, .block_device = 1,
		.shared = 1, .read_only = (uint8_t)_i,
	};
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &birth,
		.link_type = SOCK_STREAM, .res2_fd = -1,
	};
	static struct child other;
	char name[32], path[32], why[LIFE_TEXT_MAX] = "";
	ssize_t len;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", loop_fd);
	len = readlink(name, path, sizeof(path) - 1);
	ck_assert_int_gt(len, 0);
	path[len] = '\0';
	spec.res_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	ck_assert_int_ge(spec.res_fd, 0);
	ck_assert_int_eq(child_try(&other, &spec, why), _i);
	if (_i)
		child_stop(&other);
}

static bool can_have_loop(void)
{
	char path[32];
	int fd;

	file_fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (file_fd < 0 || ftruncate(file_fd, BLOCK))
		return false;
	fd = make_loop(path);
	close(file_fd);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("blk odd");
	TCase *tc = tcase_create("blk odd");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (!can_have_loop()) {
		puts("ok 1 - odd_ranges_are_read_and_written # SKIP it takes a loop device, which root may make\n1..1");
		return 0;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, the_guest_is_told_both_sizes);
	tcase_add_loop_test(tc, odd_ranges_are_read_and_written, 0,
			    LENGTH(odd));
	tcase_add_loop_test(tc, odd_ranges_become_zero, 0, 2);
	tcase_add_loop_test(tc, neighbours_in_a_block_do_not_harm_each_other,
			    0, 2);
	/* _i: read_only. */
	tcase_add_loop_test(tc, it_is_not_shared_between_processes, 0, 2);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
