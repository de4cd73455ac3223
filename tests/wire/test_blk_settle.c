/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk after a predecessor that was killed: what that one had begun
 * has ended before the new process serves.  The predecessor's direct writes
 * are played by this process: a killed one's go on just like them.
 */
#include <check.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wire/child.h"

#define NR_WRITES	32
#define WRITE_BYTES	(4u << 20)	/* together: far longer than a birth */

static char path[64];
static struct io_uring predecessor;
static void *data;

static void set_up(void)
{
	snprintf(path, sizeof(path), "/var/tmp/bulkhead-test-XXXXXX");
	close(mkstemp(path));
	data = mmap(NULL, WRITE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(data, MAP_FAILED);
	ck_assert_int_eq(io_uring_queue_init(NR_WRITES, &predecessor, 0), 0);
}

static void tear_down(void)
{
	io_uring_queue_exit(&predecessor);
	munmap(data, WRITE_BYTES);
	unlink(path);
}

/* -1: the file system has no O_DIRECT. */
static int open_image(void)
{
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);

	if (fd >= 0)
		ck_assert_int_eq(posix_fallocate(fd, 0, (off_t)NR_WRITES *
						 WRITE_BYTES), 0);
	return fd;
}

static void begin_writes(int fd)
{
	for (unsigned int i = 0; i < NR_WRITES; i++)
		io_uring_prep_write(io_uring_get_sqe(&predecessor), fd, data,
				    WRITE_BYTES, (uint64_t)i * WRITE_BYTES);
	ck_assert_int_eq(io_uring_submit(&predecessor), NR_WRITES);
}

static unsigned int nr_ended(void)
{
	return io_uring_cq_ready(&predecessor);
}

static void wait_for_writes(void)
{
	struct io_uring_cqe *cqe;

	for (unsigned int i = 0; i < NR_WRITES; i++) {
		ck_assert_int_eq(io_uring_wait_cqe(&predecessor, &cqe), 0);
		ck_assert_int_eq(cqe->res, WRITE_BYTES);
		io_uring_cqe_seen(&predecessor, cqe);
	}
}

/*
 * A disk may be faster than a process that a busy machine lets wait: then once
 * more, until not all of them have ended.
 */
static void begin_unended_writes(int fd)
{
	for (int tries = 0; tries < 50; tries++) {
		begin_writes(fd);
		if (nr_ended() < NR_WRITES)
			return;
		wait_for_writes();
	}
	ck_abort_msg("the disk ends everything at once");
}

START_TEST(what_a_predecessor_began_has_ended)
{
	const struct life_birth_blk birth = {
		.nr_queues = 1, .direct = 1, .cache = LIFE_CACHE_NONE,
	};
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &birth,
		.link_type = SOCK_STREAM, .res_fd = open_image(),
		.res2_fd = -1,
	};
	struct child child;
	int fd;

	if (spec.res_fd < 0)
		return;
	fd = dup(spec.res_fd);
	/* The first ones allocate nothing any more, and are not waited for. */
	begin_writes(fd);
	wait_for_writes();
	begin_unended_writes(fd);
	child_start(&child, &spec);
	ck_assert_uint_eq(nr_ended(), NR_WRITES);
	wait_for_writes();
	child_stop(&child);
	close(child.link);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk settle");
	TCase *tcase = tcase_create("blk_settle");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, what_a_predecessor_began_has_ended);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
