/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk with guest RAM as registered buffers of its io_uring: the same
 * answers, whatever becomes of the memory table, and where the limit of
 * locked memory does not let it.
 */
#include <check.h>
#include <linux/capability.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "devproc/blk/fixed.h"
#include "tests/wire/blk_rig.h"

#define NR_BLKS		32
#define RAM_BYTES	(64ull << 20)	/* front.h's default */

static struct front_blk blks[NR_BLKS];

static void begin(const struct front_options *options)
{
	struct life_birth_blk birth = usual;

	birth.registered_buffers = 1;
	start_with(&birth, options);
	for (unsigned int i = 0; i < NR_BLKS; i++)
		front_blk_init(&front, &blks[i], 65536, 0);
}

static uint64_t registered_bytes(void)
{
	return child.stats->disk.registered_bytes;
}

/* Whoever has CAP_IPC_LOCK, or as much as the largest of these tests takes. */
static bool may_lock(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	return (geteuid() == 0 &&
		prctl(PR_CAPBSET_READ, CAP_IPC_LOCK, 0, 0, 0) == 1) ||
	       limit.rlim_max >= 400 << 20;
}

/* It goes on between requests, from the first one on. */
static void wait_until_registered(uint64_t bytes)
{
	read_and_check(&blks[0], 0, 4096);
	if (!may_lock())
		return;
	for (int i = 0; i < 1000 && registered_bytes() != bytes; i++)
		usleep(20000);
	ck_assert_uint_eq(registered_bytes(), bytes);
}

static const struct front_options memories[] = {
	{ .nr_regions = 1 },
	{ .nr_regions = 8 },
	{ .nr_regions = 1, .packed = true },
	{ .nr_regions = 3, .ram_bytes = 300ull << 20 },
};

START_TEST(reads_and_writes_are_what_they_are_without)
{
	struct front_options options = memories[_i];
	uint8_t *data, seen[65536];
	uint64_t ios;

	may_lock();
	begin(&options);
	wait_until_registered(options.ram_bytes ? options.ram_bytes :
						  RAM_BYTES);
	for (uint32_t i = 0; i < NR_BLKS; i++)
		read_and_check(&blks[i], i * 8, i % 2 ? 4096 : 65536);
	for (uint32_t i = 0; i < NR_BLKS; i++) {
		data = front_blk_data(&front, &blks[i]);
		memset(data, (int)i + 1, 65536);
		ck_assert_uint_eq(front_blk_do(queue, &blks[i],
			VIRTIO_BLK_T_OUT, 1024 + i * 128, 65536),
			VIRTIO_BLK_S_OK);
		read_disk(seen, sizeof(seen), (1024 + (off_t)i * 128) * SECTOR);
		ck_assert_int_eq(memcmp(seen, data, sizeof(seen)), 0);
	}
	ios = child.stats->disk.registered_ios;
	ck_assert(ios >= 2 * NR_BLKS || !may_lock());
	/* Half in one slice, half in the next. */
	blks[0].data_gpa = FIXED_SLICE_BYTES - 32768;
	read_and_check(&blks[0], 8, 65536);
	ck_assert_uint_eq(child.stats->disk.registered_ios, ios);
	child_stop(&child);
}
END_TEST

/* Requests go through the old table and the new one. */
START_TEST(a_new_table_is_registered_in_place_of_the_old_one)
{
	struct vhost_user_memory memory = { .nr_regions = 1 };

	may_lock();
	begin(NULL);
	memory.region[0].size = RAM_BYTES;
	for (int round = 0; round < 100; round++) {
		for (unsigned int i = 0; i < NR_BLKS; i++)
			ck_assert_int_eq(front_blk_submit(queue, &blks[i],
				VIRTIO_BLK_T_IN, i, 4096), 0);
		front_kick(queue);
		ck_assert_int_eq(vhost_user_send(front.sock,
			VHOST_USER_SET_MEM_TABLE, &memory, 40, &front.ram_fd,
			1, 1, FRONT_TIMEOUT_MS), 0);
		for (unsigned int i = 0; i < NR_BLKS; i++)
			ck_assert(front_take_wait(queue, NULL, NULL,
						  FRONT_TIMEOUT_MS));
	}
	wait_until_registered(RAM_BYTES);
	read_and_check(&blks[0], 40, 4096);
	child_stop(&child);
}
END_TEST

/* The kernel asks whoever has this right for no limit. */
static void limit_locked(rlim_t bytes)
{
	const struct rlimit limit = { bytes, bytes };

	if (geteuid() == 0)
		ck_assert_int_eq(prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0),
				 0);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

START_TEST(what_the_limit_does_not_let_is_done_without)
{
	FILE *log = tmpfile();
	char line[512] = "";
	int err = dup(STDERR_FILENO);

	ck_assert_ptr_nonnull(log);
	limit_locked(4 << 20);
	ck_assert_int_ge(dup2(fileno(log), STDERR_FILENO), 0);
	begin(NULL);
	dup2(err, STDERR_FILENO);
	for (uint32_t i = 0; i < NR_BLKS; i++)
		read_and_check(&blks[i], i * 8, 65536);
	ck_assert_uint_eq(registered_bytes(), 0);
	child_stop(&child);
	rewind(log);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), log));
	ck_assert_msg(strstr(line, "ulimit -Hl") != NULL, "it said: %s", line);
	ck_assert_ptr_null(fgets(line, sizeof(line), log));
	fclose(log);
	close(err);
}
END_TEST

START_TEST(without_being_asked_nothing_is_registered)
{
	start();
	front_blk_init(&front, &blks[0], 4096, 0);
	for (uint64_t i = 0; i < 100; i++)
		read_and_check(&blks[0], i * 8, 4096);
	ck_assert_uint_eq(registered_bytes(), 0);
	ck_assert_uint_eq(child.stats->disk.registered_ios, 0);
	child_stop(&child);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk fixed");
	TCase *tc = tcase_create("blk_fixed");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_disk, remove_disk);
	tcase_add_loop_test(tc, reads_and_writes_are_what_they_are_without, 0,
			    (int)(sizeof(memories) / sizeof(memories[0])));
	tcase_add_test(tc, a_new_table_is_registered_in_place_of_the_old_one);
	tcase_add_test(tc, what_the_limit_does_not_let_is_done_without);
	tcase_add_test(tc, without_being_asked_nothing_is_registered);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
