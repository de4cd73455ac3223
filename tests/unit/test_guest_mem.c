/* SPDX-License-Identifier: Apache-2.0 */
/* devproc/guest_mem.c: no address becomes a pointer outside of its region. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devproc/guest_mem.h"

#define PAGE	4096ull
#define USER	0x10000000ull	/* user address of gpa 0 */

static int make_file(uint64_t bytes)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static int add(uint64_t gpa, uint64_t size, uint64_t offset, uint64_t file)
{
	struct vhost_user_region region = {
		.gpa = gpa, .size = size, .user_addr = USER + gpa,
		.mmap_offset = offset,
	};

	return guest_mem_add(&region, make_file(file));
}

static void clear(void)
{
	guest_mem_clear();
}

START_TEST(a_buffer_is_one_span)
{
	struct iovec span;

	ck_assert_int_eq(add(0, 4 * PAGE, 0, 4 * PAGE), 0);
	ck_assert_int_eq(guest_mem_span(100, 200, &span, 1), 1);
	ck_assert_uint_eq(span.iov_len, 200);
	ck_assert_ptr_eq(span.iov_base,
			 guest_mem_from_user(USER + 100, 200, 1));
}

START_TEST(a_buffer_across_regions_is_a_span_each)
{
	struct iovec spans[3];

	ck_assert_int_eq(add(0, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(add(2 * PAGE, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(add(PAGE, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(guest_mem_span(10, 2 * PAGE, spans, 3), 3);
	ck_assert_uint_eq(spans[0].iov_len, PAGE - 10);
	ck_assert_uint_eq(spans[1].iov_len, PAGE);
	ck_assert_uint_eq(spans[2].iov_len, 10);
	ck_assert_ptr_eq(spans[1].iov_base,
			 guest_mem_from_user(USER + PAGE, 1, 1));
	ck_assert_int_eq(guest_mem_span(10, 2 * PAGE, spans, 2), -E2BIG);
	ck_assert_int_eq(guest_mem_span(10, 10, spans, 0), -E2BIG);
}

/* Each is not, or not wholly, in the two regions [0, 2) and [4, 5) pages. */
static const struct {
	uint64_t gpa;
	uint64_t len;
} outside[] = {
	{ 2 * PAGE, 1 },
	{ 2 * PAGE - 1, 2 },
	{ 0, 2 * PAGE + 1 },
	{ 3 * PAGE, PAGE },
	{ 3 * PAGE, 2 * PAGE },
	{ 5 * PAGE, 1 },
	{ 5 * PAGE - 1, 2 },
	{ 0, 0 },
	{ 0, UINT64_MAX },
	{ UINT64_MAX, 1 },
	{ UINT64_MAX - 4, 8 },
	{ 1, UINT64_MAX },
	{ 1ull << 63, 1 },
};

START_TEST(an_address_outside_is_refused)
{
	struct iovec spans[4];

	ck_assert_int_eq(add(0, 2 * PAGE, 0, 2 * PAGE), 0);
	ck_assert_int_eq(add(4 * PAGE, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(guest_mem_span(outside[_i].gpa, outside[_i].len,
					spans, 4), -EFAULT);
}

START_TEST(a_user_address_needs_room_and_alignment)
{
	ck_assert_int_eq(add(0, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(add(PAGE, PAGE, 0, PAGE), 0);
	ck_assert_ptr_nonnull(guest_mem_from_user(USER + 16, 32, 16));
	ck_assert_ptr_null(guest_mem_from_user(USER + 8, 32, 16));
	ck_assert_ptr_nonnull(guest_mem_from_user(USER + PAGE - 16, 16, 16));
	/* Contiguous for the front-end, not for us. */
	ck_assert_ptr_null(guest_mem_from_user(USER + PAGE - 16, 17, 16));
	ck_assert_ptr_null(guest_mem_from_user(USER - 1, 1, 1));
	ck_assert_ptr_null(guest_mem_from_user(USER + 2 * PAGE, 1, 1));
	ck_assert_ptr_null(guest_mem_from_user(USER, UINT64_MAX, 1));
}

/* Regions that are refused, with [0x10, 0x11) pages there already. */
static const struct {
	const char *why;
	uint64_t gpa, size, user_addr, offset, file;
} refused[] = {
	{ "empty", 0, 0, 0, 0, PAGE },
	{ "gpa wraps", UINT64_MAX - PAGE, 2 * PAGE, 0, 0, 2 * PAGE },
	{ "user address wraps", 0, 2 * PAGE, UINT64_MAX - PAGE, 0, 2 * PAGE },
	{ "offset wraps", 0, PAGE, 0, UINT64_MAX - 1, PAGE },
	{ "offset negative", 0, PAGE, 0, 1ull << 63, PAGE },
	{ "file too small", 0, 2 * PAGE, 0, 0, 2 * PAGE - 1 },
	{ "file ends before offset", 0, PAGE, 0, PAGE, PAGE },
	{ "same gpa", 0x10 * PAGE, PAGE, 0, 0, PAGE },
	{ "gpa overlaps", 0xf * PAGE, 2 * PAGE, 0, 0, 2 * PAGE },
	{ "user address overlaps", 0, PAGE, USER + 0x10 * PAGE, 0, PAGE },
};

START_TEST(a_region_that_cannot_be_is_refused)
{
	struct vhost_user_region region = {
		.gpa = refused[_i].gpa, .size = refused[_i].size,
		.user_addr = refused[_i].user_addr,
		.mmap_offset = refused[_i].offset,
	};
	int fd = make_file(refused[_i].file);

	ck_assert_int_eq(add(0x10 * PAGE, PAGE, 0, PAGE), 0);
	ck_assert_msg(guest_mem_add(&region, fd) == -EINVAL, "%s",
		      refused[_i].why);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}

START_TEST(what_is_not_a_file_is_refused)
{
	struct vhost_user_region region = { .size = PAGE };

	ck_assert_int_eq(guest_mem_add(&region, open("/dev/zero", O_RDWR)),
			 -EINVAL);
}

START_TEST(the_table_has_an_end)
{
	for (uint64_t i = 0; i < VHOST_USER_MAX_REGIONS; i++)
		ck_assert_int_eq(add(i * PAGE, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(add(100 * PAGE, PAGE, 0, PAGE), -ENOSPC);
	guest_mem_clear();
	ck_assert_int_eq(add(100 * PAGE, PAGE, 0, PAGE), 0);
}

START_TEST(an_offset_within_a_page_is_kept)
{
	int fd = make_file(2 * PAGE);
	struct vhost_user_region region = {
		.gpa = 0, .size = PAGE, .user_addr = USER, .mmap_offset = 100,
	};
	struct iovec span;

	ck_assert_int_eq(pwrite(fd, "x", 1, 150), 1);
	ck_assert_int_eq(guest_mem_add(&region, fd), 0);
	ck_assert_int_eq(guest_mem_span(50, 1, &span, 1), 1);
	ck_assert_int_eq(*(char *)span.iov_base, 'x');
}

START_TEST(a_removed_region_is_gone)
{
	struct vhost_user_region region = {
		.gpa = PAGE, .size = PAGE, .user_addr = USER + PAGE,
	};
	struct vhost_user_region other = region;
	struct iovec span;

	ck_assert_int_eq(add(0, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(add(PAGE, PAGE, 0, PAGE), 0);
	other.size = PAGE / 2;
	ck_assert_int_eq(guest_mem_remove(&other), -ENOENT);
	ck_assert_int_eq(guest_mem_remove(&region), 0);
	ck_assert_int_eq(guest_mem_remove(&region), -ENOENT);
	ck_assert_int_eq(guest_mem_span(PAGE, 1, &span, 1), -EFAULT);
	ck_assert_int_eq(guest_mem_span(0, 1, &span, 1), 1);
}

static uint64_t bytes_now;

static void on_added(uint8_t *host, uint64_t bytes)
{
	*host = 'a';	/* it is there */
	bytes_now += bytes;
}

static void on_removed(uint8_t *host, uint64_t bytes)
{
	*host = 'r';	/* it is there still */
	bytes_now -= bytes;
}

START_TEST(a_watcher_hears_of_each_mapping)
{
	static const struct guest_mem_watcher watcher = { on_added,
							  on_removed };
	struct vhost_user_region region = {
		.gpa = PAGE, .size = PAGE, .user_addr = USER + PAGE,
	};

	guest_mem_watch(&watcher);
	ck_assert_int_eq(add(0, 3 * PAGE, 0, PAGE), -EINVAL);
	ck_assert_uint_eq(bytes_now, 0);
	ck_assert_int_eq(add(0, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(add(PAGE, PAGE, 0, PAGE), 0);
	ck_assert_int_eq(add(2 * PAGE, 2 * PAGE, 0, 2 * PAGE), 0);
	ck_assert_uint_eq(bytes_now, 4 * PAGE);
	ck_assert_int_eq(guest_mem_remove(&region), 0);
	ck_assert_uint_eq(bytes_now, 3 * PAGE);
	guest_mem_clear();
	ck_assert_uint_eq(bytes_now, 0);
	guest_mem_watch(NULL);
}

int main(void)
{
	Suite *suite = suite_create("guest_mem");
	TCase *tc = tcase_create("guest_mem");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, NULL, clear);
	tcase_add_test(tc, a_buffer_is_one_span);
	tcase_add_test(tc, a_buffer_across_regions_is_a_span_each);
	tcase_add_loop_test(tc, an_address_outside_is_refused, 0,
			    sizeof(outside) / sizeof(outside[0]));
	tcase_add_test(tc, a_user_address_needs_room_and_alignment);
	tcase_add_loop_test(tc, a_region_that_cannot_be_is_refused, 0,
			    sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tc, what_is_not_a_file_is_refused);
	tcase_add_test(tc, the_table_has_an_end);
	tcase_add_test(tc, an_offset_within_a_page_is_kept);
	tcase_add_test(tc, a_removed_region_is_gone);
	tcase_add_test(tc, a_watcher_hears_of_each_mapping);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
