/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk: what each cache mode means to the guest and to the host's page
 * cache.  Which writes end stable is read from the disk's record, which has
 * every flush that reached the image.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/replay.h"
#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define DISK_BYTES	(64u << 20)
#define PAGE		4096u
#define BIG_READ	(128u << 10)
#define SECTOR		512u
#define WCE		offsetof(struct virtio_blk_config, wce)

static char dir[64], disk[96], record[96];
static struct child child;
static struct front front;
static struct front_queue *queue = &front.queue[0];
static struct front_blk blk;

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
	fd = open(disk, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(posix_fallocate(fd, 0, DISK_BYTES), 0);
	close(fd);
	fd = open(record, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, &header, sizeof(header)), sizeof(header));
	close(fd);
}

static void tear_down(void)
{
	unlink(disk);
	unlink(record);
	rmdir(dir);
}

/* Return: false, the file system has no O_DIRECT. */
static bool bear(enum life_cache cache)
{
	const struct life_birth_blk birth = {
		.nr_queues = 1, .record = 1, .cache = (uint8_t)cache,
		.direct = life_cache_is_direct(cache),
	};
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &birth,
		.link_type = SOCK_STREAM,
		.res_fd = open(disk, O_RDWR | O_CLOEXEC |
				     (birth.direct ? O_DIRECT : 0)),
		.res2_fd = open(record, O_WRONLY | O_CLOEXEC),
	};

	if (spec.res_fd < 0)
		return false;
	child_start(&child, &spec);
	return true;
}

static bool start(enum life_cache cache, uint64_t without)
{
	const struct front_options options = { .features = ~without };

	if (!bear(cache))
		return false;
	front_start(&front, child.link, &options);
	front_blk_init(&front, &blk, BIG_READ, 0);
	return true;
}

static void finish(void)
{
	child_stop(&child);
	front_end(&front);
}

static uint8_t writeback(void)
{
	struct virtio_blk_config config;

	front_get_config(&front, &config, 60);
	return config.wce;
}

static void do_request(uint32_t type)
{
	ck_assert_uint_eq(front_blk_do(queue, &blk, type, 8,
				       type == VIRTIO_BLK_T_FLUSH ? 0 : PAGE),
			  VIRTIO_BLK_S_OK);
}

/* Flushes that reached the image so far. */
static size_t flushes(void)
{
	char why[REPLAY_WHY_MAX];
	struct replay replay;
	size_t nr;
	int ret = replay_open(record, &replay, why);

	ck_assert_msg(ret == 0, "%s", why);
	nr = replay.nr_flushes;
	replay_close(&replay);
	return nr;
}

static const struct mode {
	enum life_cache cache;
	uint64_t without;	/* features that the driver does not take */
	uint8_t writeback;	/* what it reads then */
	size_t after_write;	/* flushes after one write */
	size_t after_flush;	/* and after one flush more */
} modes[] = {
	{ LIFE_CACHE_NONE, 0, 1, 0, 1 },
	{ LIFE_CACHE_WRITEBACK, 0, 1, 0, 1 },
	{ LIFE_CACHE_WRITETHROUGH, 0, 0, 1, 2 },
	{ LIFE_CACHE_DIRECTSYNC, 0, 0, 1, 2 },
	{ LIFE_CACHE_UNSAFE, 0, 1, 0, 0 },
	/* virtio 1.2, 5.2.5.2: CONFIG_WCE without FLUSH */
	{ LIFE_CACHE_WRITEBACK, 1ull << VIRTIO_BLK_F_FLUSH, 0, 1, 2 },
	{ LIFE_CACHE_WRITEBACK, 1ull << VIRTIO_BLK_F_CONFIG_WCE, 1, 0, 1 },
	{ LIFE_CACHE_WRITETHROUGH, 1ull << VIRTIO_BLK_F_CONFIG_WCE, 0, 1, 2 },
};

START_TEST(each_mode_is_what_the_guest_is_told)
{
	const struct mode *mode = &modes[_i];

	if (!start(mode->cache, mode->without))
		return;
	ck_assert_uint_eq(writeback(), mode->writeback);
	do_request(VIRTIO_BLK_T_OUT);
	ck_assert_uint_eq(flushes(), mode->after_write);
	do_request(VIRTIO_BLK_T_FLUSH);
	ck_assert_uint_eq(flushes(), mode->after_flush);
	finish();
}

START_TEST(the_guest_switches_its_write_cache)
{
	ck_assert(start(LIFE_CACHE_WRITEBACK, 0));
	front_set_config(&front, WCE, 0);
	ck_assert_uint_eq(writeback(), 0);
	do_request(VIRTIO_BLK_T_OUT);
	ck_assert_uint_eq(flushes(), 1);
	front_set_config(&front, WCE, 1);
	ck_assert_uint_eq(writeback(), 1);
	do_request(VIRTIO_BLK_T_OUT);
	ck_assert_uint_eq(flushes(), 1);
	/* Not a value that a driver may write: it harms nobody. */
	front_set_config(&front, WCE, 0x80);
	ck_assert_uint_eq(writeback(), 1);
	finish();
}

START_TEST(a_reset_gives_the_mode_back)
{
	ck_assert(start(LIFE_CACHE_WRITETHROUGH, 0));
	front_set_config(&front, WCE, 1);
	ck_assert_uint_eq(writeback(), 1);
	front_queue_stop(queue);
	front_set_u64(&front, VHOST_USER_SET_STATUS, 0);
	ck_assert_uint_eq(writeback(), 0);
	finish();
}

/* --- the host's page cache ---------------------------------------------------- */

static size_t resident_pages(void)
{
	static unsigned char present[DISK_BYTES / PAGE];
	int fd = open(disk, O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, DISK_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	size_t nr = 0;

	ck_assert(map != MAP_FAILED);
	ck_assert_int_eq(mincore(map, DISK_BYTES, present), 0);
	for (size_t i = 0; i < DISK_BYTES / PAGE; i++)
		nr += present[i] & 1;
	munmap(map, DISK_BYTES);
	close(fd);
	return nr;
}

static void empty_the_cache(void)
{
	int fd = open(disk, O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(fdatasync(fd), 0);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

/* All of the disk is written and read by the guest. */
static void use_all(void)
{
	for (uint64_t at = 0; at < DISK_BYTES; at += BIG_READ) {
		ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_OUT,
					       at / SECTOR, BIG_READ),
				  VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(front_blk_do(queue, &blk, VIRTIO_BLK_T_IN,
					       at / SECTOR, BIG_READ),
				  VIRTIO_BLK_S_OK);
	}
}

START_TEST(only_some_modes_fill_the_hosts_page_cache)
{
	static const enum life_cache direct[] = {
		LIFE_CACHE_NONE, LIFE_CACHE_DIRECTSYNC,
	};

	if (!start(direct[_i], 0))
		return;
	empty_the_cache();
	use_all();
	ck_assert_uint_eq(resident_pages(), 0);
	finish();
}

/* The other way round, so that the test above can fail. */
START_TEST(the_page_cache_holds_the_disk_a_second_time)
{
	ck_assert(start(LIFE_CACHE_WRITEBACK, 0));
	empty_the_cache();
	use_all();
	ck_assert_uint_eq(resident_pages(), DISK_BYTES / PAGE);
	finish();
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("blk cache");
	TCase *tc = tcase_create("blk cache");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, each_mode_is_what_the_guest_is_told, 0,
			    LENGTH(modes));
	tcase_add_test(tc, the_guest_switches_its_write_cache);
	tcase_add_test(tc, a_reset_gives_the_mode_back);
	tcase_add_loop_test(tc, only_some_modes_fill_the_hosts_page_cache, 0, 2);
	tcase_add_test(tc, the_page_cache_holds_the_disk_a_second_time);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
