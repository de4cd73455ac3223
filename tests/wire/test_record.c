/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk with a record: everything that changed the image is in it, in
 * the image's order, before the guest is told; and read back it is the image.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/replay.h"
#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define DISK_BYTES	(1u << 20)
#define SECTOR		512u
#define DEPTH		32

static char dir[64], disk[96], record[96], made[96];
static struct child child;
static struct front front;
static struct front_queue *queue = &front.queue[0];
static struct front_blk blk[DEPTH];
static struct replay replay;
static char why[REPLAY_WHY_MAX];

static void set_up(void)
{
	struct record_header header = {
		.magic = { 'B', 'H', 'R', 'E', 'C', 'O', 'R', 'D' },
		.version = RECORD_VERSION, .header_bytes = sizeof(header),
		.disk_bytes = DISK_BYTES,
	};
	int fd;

	snprintf(dir, sizeof(dir), "/var/tmp/bulkhead-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(disk, sizeof(disk), "%s/disk", dir);
	snprintf(record, sizeof(record), "%s/record", dir);
	snprintf(made, sizeof(made), "%s/made", dir);
	fd = open(disk, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	fd = open(record, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, &header, sizeof(header)), sizeof(header));
	close(fd);
}

static void tear_down(void)
{
	unlink(disk);
	unlink(record);
	unlink(made);
	rmdir(dir);
}

static void start(int record_flags)
{
	static const struct life_birth_blk usual = {
		.nr_queues = 1, .discard = 1, .record = 1,
	};
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &usual,
		.link_type = SOCK_STREAM,
		.res_fd = open(disk, O_RDWR | O_CLOEXEC),
		.res2_fd = open(record, record_flags | O_CLOEXEC),
	};

	ck_assert_int_ge(spec.res_fd, 0);
	ck_assert_int_ge(spec.res2_fd, 0);
	child_start(&child, &spec);
	front_start(&front, child.link, NULL);
	for (int i = 0; i < DEPTH; i++)
		front_blk_init(&front, &blk[i], 8192, 0);
}

static void finish(void)
{
	child_stop(&child);
	front_end(&front);
}

static void do_write(uint64_t sector, uint32_t len, int fill)
{
	memset(front_blk_data(&front, &blk[0]), fill, len);
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], VIRTIO_BLK_T_OUT,
				       sector, len), VIRTIO_BLK_S_OK);
}

static void do_flush(void)
{
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], VIRTIO_BLK_T_FLUSH, 0,
				       0), VIRTIO_BLK_S_OK);
}

static void open_record(void)
{
	int ret = replay_open(record, &replay, why);

	ck_assert_msg(ret == 0, "%s", why);
	ck_assert_uint_eq(replay.skipped_bytes, 0);
}

/* All of the record, whole, is the disk. */
static void expect_same(size_t last_flush)
{
	static uint8_t one[DISK_BYTES], two[DISK_BYTES];
	struct replay_cut cut = { .flush = last_flush };
	int ret = replay_make(&replay, &cut, NULL, made, why);
	int a = open(disk, O_RDONLY), b = open(made, O_RDONLY);

	ck_assert_msg(ret == 0, "%s", why);
	ck_assert_int_eq(read(a, one, DISK_BYTES), DISK_BYTES);
	ck_assert_int_eq(read(b, two, DISK_BYTES), DISK_BYTES);
	ck_assert_mem_eq(one, two, DISK_BYTES);
	close(a);
	close(b);
}

START_TEST(every_change_is_an_entry)
{
	static const uint32_t ops[] = {
		RECORD_WRITE, RECORD_FLUSH, RECORD_ZERO, RECORD_DISCARD,
		RECORD_WRITE,
	};
	struct virtio_blk_discard_write_zeroes *range;

	start(O_WRONLY);
	do_write(8, 4096, 0x11);
	do_flush();
	range = front_blk_data(&front, &blk[0]);
	*range = (struct virtio_blk_discard_write_zeroes) {
		.sector = 9, .num_sectors = 2,
	};
	ck_assert_uint_eq(front_blk_do(queue, &blk[0],
				       VIRTIO_BLK_T_WRITE_ZEROES, 0,
				       sizeof(*range)), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], VIRTIO_BLK_T_DISCARD, 0,
				       sizeof(*range)), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(front_blk_do(queue, &blk[0], VIRTIO_BLK_T_IN, 0,
				       512), VIRTIO_BLK_S_OK);
	do_write(100, 512, 0x22);
	finish();
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 5);
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(replay.entry[i].op, ops[i]);
	ck_assert_uint_eq(replay.entry[0].offset, 8 * SECTOR);
	ck_assert_uint_eq(replay.entry[0].bytes, 4096);
	ck_assert_uint_eq(replay.entry[1].covers, replay.entry[1].position);
	replay_close(&replay);
}

/* It is in the file by the time the guest sees the status. */
START_TEST(an_entry_is_there_before_the_answer)
{
	start(O_WRONLY);
	for (uint64_t i = 0; i < 50; i++) {
		do_write(i, 512, (int)i);
		open_record();
		ck_assert_uint_eq(replay.nr_entries, i + 1);
		replay_close(&replay);
	}
	finish();
}

struct load {
	uint64_t seed;
	unsigned int left;
};

static bool next_write(void *ctx, struct front_blk *which, uint32_t *type,
		       uint64_t *sector, uint32_t *len)
{
	struct load *load = ctx;

	if (!load->left)
		return false;
	load->left--;
	load->seed = load->seed * 6364136223846793005ull + 1442695040888963407ull;
	*type = load->left % 16 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH;
	*len = *type == VIRTIO_BLK_T_OUT ?
		SECTOR * (1 + (uint32_t)(load->seed >> 60)) : 0;
	/* Requests in flight do not overlap: each slot has its own sectors. */
	*sector = (uint64_t)(which - blk) * 64 + (load->seed >> 40) % 48;
	memset(front_blk_data(&front, which), (int)(load->seed >> 32), *len);
	return true;
}

START_TEST(the_record_of_a_load_is_the_disk)
{
	struct load load = { .seed = 1, .left = 4000 };
	const struct front_blk_job job = { .next = next_write, .ctx = &load };
	size_t nr_flushes = 0;

	start(O_WRONLY);
	front_blk_run(queue, blk, DEPTH, &job);
	do_flush();
	finish();
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 4001);
	nr_flushes = replay.nr_flushes;
	ck_assert_uint_eq(nr_flushes, 251);
	expect_same(nr_flushes);
	replay_close(&replay);
}

START_TEST(the_next_process_goes_on)
{
	start(O_WRONLY);
	do_write(1, 512, 1);
	finish();
	start(O_WRONLY);
	do_write(2, 512, 2);
	do_flush();
	finish();
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 3);
	expect_same(1);
	replay_close(&replay);
}

/* What faults did to a write is what the record has. */
START_TEST(the_record_has_what_reached_the_disk)
{
	struct fault_rule rules[2] = {
		{ .id = 1, .action = FAULT_TORN, .value = 3, .ops = 2,
		  .last_sector = 9 },
		{ .id = 2, .action = FAULT_LOSE, .ops = 2, .first_sector = 50,
		  .last_sector = 60 },
	};

	start(O_WRONLY);
	fault_page_write(child.faults, rules, 2);
	do_write(0, 4096, 1);
	do_write(50, 4096, 2);
	do_write(100, 4096, 3);
	do_flush();
	finish();
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 3);
	ck_assert_uint_eq(replay.entry[0].bytes, 3 * SECTOR);
	expect_same(1);
	replay_close(&replay);
}

START_TEST(a_record_that_cannot_be_written_does_not_stop_the_disk)
{
	start(O_RDONLY);
	do_write(3, 512, 3);
	do_write(4, 512, 4);
	do_flush();
	finish();
	open_record();
	ck_assert_uint_eq(replay.nr_entries, 0);
	replay_close(&replay);
}

int main(void)
{
	Suite *suite = suite_create("record");
	TCase *tc = tcase_create("record");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, every_change_is_an_entry);
	tcase_add_test(tc, an_entry_is_there_before_the_answer);
	tcase_add_test(tc, the_record_of_a_load_is_the_disk);
	tcase_add_test(tc, the_next_process_goes_on);
	tcase_add_test(tc, the_record_has_what_reached_the_disk);
	tcase_add_test(tc, a_record_that_cannot_be_written_does_not_stop_the_disk);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
