/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead-blk: what each request does to the disk and to the guest. */
#include <check.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <unistd.h>

#include "tests/wire/blk_rig.h"

START_TEST(the_config_space_is_that_of_the_image)
{
	struct virtio_blk_config config;

	start();
	front_get_config(&front, &config, 60);
	ck_assert_uint_eq(config.capacity, DISK_BYTES / SECTOR);
	ck_assert_uint_eq(config.blk_size, 512);
	ck_assert_uint_eq(config.num_queues, 2);
	ck_assert_uint_eq(config.seg_max, 126);
	ck_assert_uint_eq(config.max_discard_seg, 1);
	ck_assert(front.features >> VIRTIO_BLK_F_FLUSH & 1);
	ck_assert(!(front.features >> VIRTIO_BLK_F_RO & 1));
	child_stop(&child);
}

/* Lengths and misalignments; the latter take a bounce buffer with O_DIRECT. */
static const struct {
	uint32_t len, skew;
	uint64_t sector;
} moves[] = {
	{ 512, 0, 0 },
	{ 512, 0, DISK_BYTES / SECTOR - 1 },
	{ 4096, 0, 3 },
	{ 4096, 8, 5 },
	{ 65536, 0, 1 },
	{ 65536, 24, 1 },
	{ 1 << 20, 0, 100 },
	{ 1 << 20, 1, 100 },
};

START_TEST(data_is_read)
{
	struct front_blk blk;

	start();
	front_blk_init(&front, &blk, moves[_i].len, moves[_i].skew);
	read_and_check(&blk, moves[_i].sector, moves[_i].len);
	child_stop(&child);
	ck_assert_uint_eq(child.stats->queue[0].bytes_read, moves[_i].len);
	ck_assert_uint_eq(child.stats->queue[0].requests, 1);
}

START_TEST(data_is_written)
{
	static uint8_t back[1 << 20];
	struct front_blk blk;
	uint8_t *data;

	start_with(&usual, _i % 2 ? &no_flush : NULL);
	_i /= 2;
	front_blk_init(&front, &blk, moves[_i].len, moves[_i].skew);
	data = front_blk_data(&front, &blk);
	for (uint32_t i = 0; i < moves[_i].len; i++)
		data[i] = (uint8_t)(i * 7 + i / 512);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_OUT,
				       moves[_i].sector, moves[_i].len),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(blk.written, 1);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_FLUSH, 0, 0),
			  VIRTIO_BLK_S_OK);
	read_disk(back, moves[_i].len, (off_t)moves[_i].sector * SECTOR);
	ck_assert_int_eq(memcmp(back, data, moves[_i].len), 0);
	child_stop(&child);
	ck_assert_uint_eq(child.stats->queue[0].bytes_written, moves[_i].len);
}

START_TEST(ranges_become_zero)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
		VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_WRITE_ZEROES,
	};
	struct virtio_blk_discard_write_zeroes *range;
	uint64_t words[3 * 4096 / 8];
	struct front_blk blk;

	start_with(&usual, _i == 3 ? &no_flush : NULL);
	front_blk_init(&front, &blk, sizeof(*range), 0);
	range = front_blk_data(&front, &blk);
	*range = (struct virtio_blk_discard_write_zeroes) {
		.sector = 16, .num_sectors = 8, .flags = _i == 2,
	};
	ck_assert_uint_eq(front_blk_do(queue, &blk, types[_i], 0,
				       sizeof(*range)), VIRTIO_BLK_S_OK);
	read_disk(words, sizeof(words), 8 * SECTOR);
	/* The sectors beside the range are as they were. */
	for (size_t i = 0; i < sizeof(words) / 8; i++)
		ck_assert_uint_eq(words[i], i < 512 || i >= 1024 ?
				  8 + i / 64 : 0);
	child_stop(&child);
}

START_TEST(the_serial_number_is_told)
{
	struct front_blk blk;

	start();
	front_blk_init(&front, &blk, 20, 0);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_GET_ID, 0,
				       20), VIRTIO_BLK_S_OK);
	ck_assert_str_eq(front_blk_data(&front, &blk), "a serial number");
	child_stop(&child);
}

START_TEST(wrong_requests_are_answered)
{
	struct front_blk blk;

	start();
	front_blk_init(&front, &blk, 4096, 0);
	ck_assert_uint_eq(front_blk_do(queue, &blk, 99, 0, 512),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_IN,
				       DISK_BYTES / SECTOR, 512),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_OUT, 0, 100),
			  VIRTIO_BLK_S_IOERR);
	read_and_check(&blk, 1, 4096);
	child_stop(&child);
	ck_assert_uint_eq(child.stats->queue[0].errors, 3);
}

START_TEST(a_chain_without_status_comes_back_empty)
{
	struct front_buf out = { .len = 16 };
	uint32_t written = 77;

	start();
	out.gpa = front_alloc(&front, 16, 16);
	ck_assert_int_ge(front_add(queue, &out, 1, NULL, 0, NULL), 0);
	front_kick(queue);
	ck_assert(front_take_wait(queue, NULL, &written, FRONT_TIMEOUT_MS));
	ck_assert_uint_eq(written, 0);
	child_stop(&child);
}

START_TEST(a_read_only_disk_stays_as_it_is)
{
	struct life_birth_blk blk_birth = usual;
	struct front_blk blk;

	blk_birth.read_only = 1;
	start_with(&blk_birth, NULL);
	ck_assert(front.features >> VIRTIO_BLK_F_RO & 1);
	ck_assert(!(front.features >> VIRTIO_BLK_F_DISCARD & 1));
	front_blk_init(&front, &blk, 512, 0);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_OUT, 0, 512),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_FLUSH, 0, 0),
			  VIRTIO_BLK_S_OK);
	read_and_check(&blk, 0, 512);
	child_stop(&child);
}

START_TEST(a_disk_that_shrinks_fails_its_requests)
{
	struct front_blk blk;

	start();
	front_blk_init(&front, &blk, 4096, 0);
	ck_assert_int_eq(ftruncate(disk_fd, 8192), 0);
	ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_IN, 100,
				       4096), VIRTIO_BLK_S_IOERR);
	read_and_check(&blk, 0, 4096);
	child_stop(&child);
}

/* It has grown, and its other processes do not know yet. */
START_TEST(processes_of_one_disk_have_one_size)
{
	struct life_birth_blk birth = usual;
	struct virtio_blk_config config;

	birth.shared = 1;
	birth.size_bytes = DISK_BYTES / 2;
	start_with(&birth, NULL);
	front_get_config(&front, &config, 8);
	ck_assert_uint_eq(config.capacity, DISK_BYTES / 2 / SECTOR);
	child_stop(&child);
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("blk");
	TCase *tc = tcase_create("blk");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_disk, remove_disk);
	tcase_add_test(tc, the_config_space_is_that_of_the_image);
	tcase_add_loop_test(tc, data_is_read, 0, LENGTH(moves));
	tcase_add_loop_test(tc, data_is_written, 0, 2 * LENGTH(moves));
	tcase_add_loop_test(tc, ranges_become_zero, 0, 4);
	tcase_add_test(tc, the_serial_number_is_told);
	tcase_add_test(tc, wrong_requests_are_answered);
	tcase_add_test(tc, a_chain_without_status_comes_back_empty);
	tcase_add_test(tc, a_read_only_disk_stays_as_it_is);
	tcase_add_test(tc, a_disk_that_shrinks_fails_its_requests);
	tcase_add_test(tc, processes_of_one_disk_have_one_size);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
