/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real bulkhead-blk, confined and throttled: how many requests a second
 * the guest, which is this test, gets out of it.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define DISK_BYTES	(8u << 20)
#define DEPTH		64
#define NS		1000000000ll
#define TOLERANCE	0.02

/* One disk, its driver and its load. */
struct disk {
	struct child child;
	struct front front;
	struct front_blk blk[DEPTH];
	uint32_t type;
	uint32_t len;
	uint64_t nr_done;
};

static struct disk disk, other;

static const struct throttle_settings none = { .burst_s = 1 };

static struct throttle_settings limit(enum throttle_kind kind, uint64_t rate)
{
	struct throttle_settings settings = none;

	settings.limit[kind].rate = rate;
	return settings;
}

static int make_image(void)
{
	char path[] = "/var/tmp/bulkhead-test-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	return fd;
}

static void give_birth(struct disk *d, const struct throttle_settings *settings,
		       const struct child *group)
{
	const struct life_birth_blk blk = {
		.nr_queues = 1, .discard = 1, .throttle = *settings,
	};
	const struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &blk,
		.link_type = SOCK_STREAM, .res_fd = make_image(),
		.res2_fd = -1, .group = group,
	};

	child_start(&d->child, &spec);
}

static void start(struct disk *d, struct throttle_settings settings,
		  const struct child *group)
{
	static const struct front_options options = {
		.inflight = true, .queue_size = 256,
	};

	give_birth(d, &settings, group);
	front_start(&d->front, d->child.link, &options);
	for (unsigned int i = 0; i < DEPTH; i++)
		front_blk_init(&d->front, &d->blk[i], 64 << 10, 0);
}

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

static void submit(struct disk *d, struct front_blk *blk)
{
	ck_assert_int_eq(front_blk_submit(&d->front.queue[0], blk, d->type,
					  0, d->len), 0);
}

static void load(struct disk *d, uint32_t type, uint32_t len)
{
	d->type = type;
	d->len = len;
	for (unsigned int i = 0; i < DEPTH; i++)
		submit(d, &d->blk[i]);
	front_kick(&d->front.queue[0]);
}

/* Take what is done and ask again.  Return: how many. */
static unsigned int turn(struct disk *d)
{
	unsigned int nr = 0;
	void *cookie;

	while (front_take(&d->front.queue[0], &cookie, NULL)) {
		ck_assert_uint_eq(front_blk_status(&d->front, cookie),
				  VIRTIO_BLK_S_OK);
		submit(d, cookie);
		nr++;
	}
	if (nr)
		front_kick(&d->front.queue[0]);
	d->nr_done += nr;
	return nr;
}

/* Of the last rate_over(), between two looks; ns. */
static long long longest_gap;

/* Return: requests a second. */
static double rate_over(long long ms, struct disk *a, struct disk *b)
{
	long long looked = now_ns(), end = looked + ms * 1000000;
	long long first = 0, last = 0;	/* completions seen; ns */
	uint64_t nr = 0;		/* between them */

	longest_gap = 0;
	while (looked < end) {
		unsigned int done = turn(a) + (b ? turn(b) : 0);
		long long now = now_ns();

		if (now - looked > longest_gap)
			longest_gap = now - looked;
		looked = now;
		if (done && !first)
			first = now;
		else
			nr += done;
		last = done ? now : last;
		poll(NULL, 0, 1);
	}
	return last > first ? (double)nr * NS / (double)(last - first) : 0;
}

/*
 * Once; on a machine that had no time for the disk meanwhile, again.  One that
 * had none for us, so that the disk may have run out of requests, has judged
 * nothing.
 */
static void keeps_rate(long long ms, struct disk *a, struct disk *b,
		       double wanted)
{
	double rate = 0;

	for (int tries = 0, all = 0; tries < 5 && all < 15; all++) {
		rate = rate_over(ms, a, b);
		if (rate < wanted * (1 + TOLERANCE) &&
		    rate > wanted * (1 - TOLERANCE))
			return;
		tries += longest_gap * wanted < DEPTH / 2 * (double)NS;
	}
	ck_abort_msg("%.2f a second, not %.2f", rate, wanted);
}

static void set(struct disk *d, struct throttle_settings settings)
{
	ck_assert_int_eq(life_send(d->child.life, LIFE_BLK_THROTTLE, &settings,
				   NULL, 0, CHILD_TIMEOUT_MS), 0);
	child_synchronise(&d->child);
}

/* The guest goes away with its requests. */
static void end(struct disk *d)
{
	child_stop(&d->child);
}

static const struct {
	enum throttle_kind kind;
	uint64_t rate;
	uint32_t type, len;
	double wanted;
} rates[] = {
	{ THROTTLE_IOPS, 50, VIRTIO_BLK_T_IN, 4096, 50 },
	{ THROTTLE_IOPS_READ, 400, VIRTIO_BLK_T_IN, 512, 400 },
	{ THROTTLE_IOPS_WRITE, 1000, VIRTIO_BLK_T_OUT, 4096, 1000 },
	{ THROTTLE_BYTES, 4 << 20, VIRTIO_BLK_T_OUT, 16384, 256 },
	{ THROTTLE_BYTES_READ, 8 << 20, VIRTIO_BLK_T_IN, 65536, 128 },
	{ THROTTLE_BYTES_WRITE, 1 << 20, VIRTIO_BLK_T_OUT, 4096, 256 },
};

START_TEST(a_rate_is_kept_within_two_percent)
{
	start(&disk, limit(rates[_i].kind, rates[_i].rate), NULL);
	load(&disk, rates[_i].type, rates[_i].len);
	rate_over(200, &disk, NULL);
	keeps_rate(2000, &disk, NULL, rates[_i].wanted);
	ck_assert_uint_ge(disk.child.stats->disk.delayed,
			  disk.nr_done / 2);
	ck_assert_uint_gt(disk.child.stats->disk.delay_us,
			  disk.child.stats->disk.delayed);
	ck_assert_uint_le(disk.child.stats->disk.waiting, DEPTH);
	end(&disk);
}
END_TEST

START_TEST(the_other_direction_is_free)
{
	start(&disk, limit(THROTTLE_IOPS_WRITE, 10), NULL);
	load(&disk, VIRTIO_BLK_T_IN, 512);
	ck_assert(rate_over(1000, &disk, NULL) > 500);
	ck_assert_uint_eq(disk.child.stats->disk.delayed, 0);
	end(&disk);
}
END_TEST

START_TEST(reads_pass_writes_that_wait)
{
	void *cookie;

	/* The second has to wait for a minute. */
	start(&disk, limit(THROTTLE_BYTES_WRITE, 512), NULL);
	disk.type = VIRTIO_BLK_T_OUT;
	disk.len = 60 * 512;
	for (unsigned int i = 0; i < 4; i++)
		submit(&disk, &disk.blk[i]);
	front_kick(&disk.front.queue[0]);
	ck_assert(front_take_wait(&disk.front.queue[0], &cookie, NULL, FRONT_TIMEOUT_MS));
	disk.type = VIRTIO_BLK_T_IN;
	submit(&disk, &disk.blk[4]);
	front_kick(&disk.front.queue[0]);
	ck_assert(front_take_wait(&disk.front.queue[0], &cookie, NULL,
				  FRONT_TIMEOUT_MS));
	ck_assert_ptr_eq(cookie, &disk.blk[4]);
	/* A flush is not held up either. */
	ck_assert_uint_eq(front_blk_do(&disk.front.queue[0], &disk.blk[4],
				       VIRTIO_BLK_T_FLUSH, 0, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk.child.stats->disk.waiting, 3);
	end(&disk);
}
END_TEST

START_TEST(a_burst_comes_first)
{
	struct throttle_settings settings = limit(THROTTLE_IOPS, 100);
	unsigned int nr = 0;
	long long began, took;

	settings.limit[THROTTLE_IOPS].burst = 1000;
	settings.burst_s = 1;
	start(&disk, settings, NULL);
	began = now_ns();
	load(&disk, VIRTIO_BLK_T_IN, 512);
	/* Far more than the rate, which gives 250 in the longest of times. */
	for (; now_ns() - began < NS ||
	     (nr < 300 && now_ns() - began < 5 * NS / 2); poll(NULL, 0, 1))
		nr += turn(&disk);
	took = now_ns() - began;
	ck_assert_uint_ge(nr, 300);
	ck_assert_int_le(nr, 1000 + 100 * took / NS);
	keeps_rate(3000, &disk, NULL, 100);
	end(&disk);
}
END_TEST

START_TEST(it_changes_while_requests_wait)
{
	start(&disk, limit(THROTTLE_IOPS, 1), NULL);
	load(&disk, VIRTIO_BLK_T_IN, 512);
	child_synchronise(&disk.child);
	ck_assert_uint_ge(disk.child.stats->disk.waiting, DEPTH - 2);
	set(&disk, limit(THROTTLE_IOPS, 200));
	rate_over(500, &disk, NULL);
	keeps_rate(2000, &disk, NULL, 200);
	set(&disk, none);
	ck_assert(rate_over(1000, &disk, NULL) > 500);
	ck_assert_uint_eq(disk.child.stats->disk.waiting, 0);
	end(&disk);
}
END_TEST

START_TEST(a_group_shares_one_budget)
{
	start(&disk, limit(THROTTLE_IOPS, 300), NULL);
	start(&other, limit(THROTTLE_IOPS, 300), &disk.child);
	load(&disk, VIRTIO_BLK_T_IN, 4096);
	load(&other, VIRTIO_BLK_T_OUT, 4096);
	rate_over(300, &disk, &other);
	keeps_rate(2000, &disk, &other, 300);
	/* Neither starves. */
	ck_assert_uint_ge(disk.nr_done, 30);
	ck_assert_uint_ge(other.nr_done, 30);
	/* What one leaves, the other may have. */
	end(&other);
	keeps_rate(2000, &disk, NULL, 300);
	end(&disk);
}
END_TEST

/* A member that is somebody else's by now writes what it likes. */
START_TEST(a_lying_member_does_not_break_the_others)
{
	struct throttle_page *page;

	start(&disk, limit(THROTTLE_IOPS, 100), NULL);
	page = mmap(NULL, THROTTLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, disk.child.throttle_fd, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	memset(page, 0xff, sizeof(*page));
	load(&disk, VIRTIO_BLK_T_IN, 512);
	child_synchronise(&disk.child);
	ck_assert_uint_eq(disk.child.stats->disk.waiting, DEPTH);
	/* Its settings, said again, put an end to that. */
	set(&disk, limit(THROTTLE_IOPS, 100));
	rate_over(300, &disk, NULL);
	keeps_rate(2000, &disk, NULL, 100);
	end(&disk);
}
END_TEST

/* Killed, and born again with the same page, region and rings. */
START_TEST(it_survives_rebirth)
{
	const struct throttle_settings settings = limit(THROTTLE_IOPS, 100);
	struct child old;

	start(&disk, settings, NULL);
	load(&disk, VIRTIO_BLK_T_IN, 512);
	rate_over(300, &disk, NULL);
	old = disk.child;
	ck_assert_int_eq(kill(old.pid, SIGKILL), 0);
	child_wait_signal(&disk.child, SIGKILL);
	give_birth(&disk, &settings, &old);
	front_reconnect(&disk.front, disk.child.link);
	rate_over(200, &disk, NULL);
	keeps_rate(2000, &disk, NULL, 100);
	end(&disk);
}
END_TEST

/* Those that wait are the next process's; the end does not wait for them. */
START_TEST(an_exchange_loses_nothing)
{
	struct throttle_settings settings = limit(THROTTLE_IOPS, 1);
	struct child old;
	long long began;
	int left = DEPTH;

	start(&disk, settings, NULL);
	load(&disk, VIRTIO_BLK_T_IN, 512);
	child_synchronise(&disk.child);
	while (turn(&disk))
		poll(NULL, 0, 10);
	old = disk.child;
	began = now_ns();
	child_stop(&disk.child);
	ck_assert_int_lt(now_ns() - began, 3 * NS);
	/* A second may have passed, and then another one's turn had come. */
	while (front_take(&disk.front.queue[0], NULL, NULL))
		left--;
	ck_assert_int_ge(left, DEPTH - 4);
	settings = limit(THROTTLE_IOPS, 1000);
	give_birth(&disk, &settings, &old);
	front_reconnect(&disk.front, disk.child.link);
	for (; left > 0; left--) {
		void *cookie;

		ck_assert(front_take_wait(&disk.front.queue[0], &cookie, NULL,
					  FRONT_TIMEOUT_MS));
		ck_assert_uint_eq(front_blk_status(&disk.front, cookie),
				  VIRTIO_BLK_S_OK);
	}
	end(&disk);
}
END_TEST

/* Nor can a driver get its requests past the limit by resetting the device. */
START_TEST(a_reset_does_not_do_what_waits)
{
	void *cookie;
	int errors = 0;

	start(&disk, limit(THROTTLE_IOPS_READ, 1), NULL);
	load(&disk, VIRTIO_BLK_T_IN, 512);
	child_synchronise(&disk.child);
	front_queue_stop(&disk.front.queue[0]);
	for (int i = 0; i < DEPTH; i++) {
		ck_assert(front_take(&disk.front.queue[0], &cookie, NULL));
		errors += front_blk_status(&disk.front, cookie) ==
			  VIRTIO_BLK_S_IOERR;
	}
	ck_assert_int_ge(errors, DEPTH - 2);
	ck_assert_uint_eq(disk.child.stats->disk.waiting, 0);
	end(&disk);
}
END_TEST

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("throttle");
	TCase *tc = tcase_create("throttle");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_rate_is_kept_within_two_percent, 0,
			    LENGTH(rates));
	tcase_add_test(tc, the_other_direction_is_free);
	tcase_add_test(tc, reads_pass_writes_that_wait);
	tcase_add_test(tc, a_burst_comes_first);
	tcase_add_test(tc, it_changes_while_requests_wait);
	tcase_add_test(tc, a_group_shares_one_budget);
	tcase_add_test(tc, a_lying_member_does_not_break_the_others);
	tcase_add_test(tc, it_survives_rebirth);
	tcase_add_test(tc, an_exchange_loses_nothing);
	tcase_add_test(tc, a_reset_does_not_do_what_waits);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
