/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk: its queues.  Many requests at once, queues that stop, break,
 * wait, or go on with a successor.
 */
#include <check.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/wire/blk_rig.h"

#define NEEDS_RESET	0x40u

struct count {
	unsigned int left, done, failed;
	uint32_t len;
	uint64_t x;
};

static bool next_read(void *ctx, struct front_blk *blk, uint32_t *type,
		      uint64_t *sector, uint32_t *len)
{
	struct count *count = ctx;

	if (count->left == 0)
		return false;
	count->left--;
	count->x = count->x * 6364136223846793005ull + 1442695040888963407ull;
	blk->user = (count->x >> 33) % (DISK_BYTES / SECTOR - count->len / SECTOR);
	*type = VIRTIO_BLK_T_IN;
	*sector = blk->user;
	*len = count->len;
	return true;
}

static void check_read(void *ctx, struct front_blk *blk, uint8_t status)
{
	struct count *count = ctx;
	uint64_t first;

	memcpy(&first, front_blk_data(&front, blk), sizeof(first));
	count->done++;
	count->failed += status != VIRTIO_BLK_S_OK || first != blk->user;
}

static const struct {
	struct front_options options;
	unsigned int depth;
	uint32_t len, skew;
} loads[] = {
	{ { 0 }, 32, 4096, 0 },
	{ { .no_event_idx = true }, 32, 4096, 0 },
	{ { .indirect = true }, 128, 4096, 0 },
	{ { .queue_size = 1024, .indirect = true }, 1024, 512, 0 },
	{ { .nr_regions = 8 }, 16, 1 << 20, 0 },
	{ { .nr_regions = 8 }, 16, 1 << 18, 40 },
	{ { 0 }, 40, 4096, 8 },
	{ { .inflight = true }, 32, 4096, 0 },
	{ { .queue_size = 4 }, 1, 512, 0 },
	{ { .packed = true }, 32, 4096, 0 },
	{ { .packed = true, .no_event_idx = true }, 32, 4096, 8 },
	{ { .packed = true, .indirect = true }, 128, 4096, 0 },
	{ { .packed = true, .queue_size = 100, .inflight = true }, 33, 4096, 0 },
	{ { .packed = true, .queue_size = 1024, .indirect = true,
	    .inflight = true }, 1024, 512, 0 },
	{ { .packed = true, .queue_size = 3 }, 1, 512, 0 },
};

START_TEST(many_requests_all_come_back)
{
	static struct front_blk blks[1024];
	struct count count = { .left = 3000, .len = loads[_i].len };
	const struct front_blk_job job = { next_read, check_read, &count };

	if (count.len > 65536)
		count.left = 200;
	start_with(&usual, &loads[_i].options);
	ck_assert_int_eq(queue->packed, loads[_i].options.packed);
	for (unsigned int i = 0; i < loads[_i].depth; i++)
		front_blk_init(&front, &blks[i], loads[_i].len,
			       loads[_i].skew);
	front_blk_run(queue, blks, loads[_i].depth, &job);
	ck_assert_uint_eq(count.done, count.len > 65536 ? 200 : 3000);
	ck_assert_uint_eq(count.failed, 0);
	child_stop(&child);
	ck_assert_uint_eq(child.stats->queue[0].in_flight, 0);
}

/* The channel comes last, and must not take an eventfd's place. */
START_TEST(fds_keep_their_numbers)
{
	const struct front_options options = { .nr_queues = 8,
					       .no_event_idx = true,
					       .late_channel = true };
	struct life_birth_blk birth = usual;
	struct front_blk blk;

	birth.nr_queues = 8;
	start_with(&birth, &options);
	front_open_channel(&front);
	front_blk_init(&front, &blk, 512, 0);
	for (unsigned int i = 0; i < 8; i++) {
		queue = &front.queue[i];
		front_called(queue);
		read_and_check(&blk, 3 + i, 512);
		ck_assert(front_call_wait(queue, FRONT_TIMEOUT_MS));
		front_offer_head(queue, 5000);
		front_kick(queue);
		for (int ms = 0; ms < FRONT_TIMEOUT_MS; ms++) {
			if (front_erred(queue))
				break;
			usleep(1000);
			ck_assert_int_lt(ms, FRONT_TIMEOUT_MS - 1);
		}
	}
	child_stop(&child);
}

START_TEST(queues_are_independent)
{
	struct life_birth_blk birth = usual;
	const struct front_options options = { .nr_queues = 8 };
	struct front_blk blk[8];

	birth.nr_queues = 32;
	start_with(&birth, &options);
	ck_assert_uint_eq(front_get_u64(&front, VHOST_USER_GET_QUEUE_NUM), 32);
	for (unsigned int i = 0; i < 8; i++) {
		queue = &front.queue[i];
		front_blk_init(&front, &blk[i], 512, 0);
		ck_assert_int_eq(front_blk_submit(queue, &blk[i],
						  VIRTIO_BLK_T_IN, i, 512), 0);
		front_kick(queue);
	}
	for (unsigned int i = 0; i < 8; i++) {
		ck_assert(front_take_wait(&front.queue[i], NULL, NULL,
					  FRONT_TIMEOUT_MS));
		ck_assert_uint_eq(*(uint64_t *)front_blk_data(&front, &blk[i]),
				  i);
	}
	child_stop(&child);
}

/* More requests than the device has room for wait in their rings. */
START_TEST(more_requests_than_fit_at_once)
{
	const struct front_options options = {
		.nr_queues = 3, .queue_size = 1024, .indirect = true,
		.ram_bytes = 128 << 20,
	};
	struct life_birth_blk birth = usual;
	static struct front_blk blks[3][1024];

	birth.nr_queues = 3;
	start_with(&birth, &options);
	for (unsigned int q = 0; q < 3; q++)
		for (unsigned int i = 0; i < 1024; i++) {
			front_blk_init(&front, &blks[q][i], 4096, 8);
			ck_assert_int_eq(front_blk_submit(&front.queue[q],
				&blks[q][i], VIRTIO_BLK_T_IN, i, 4096), 0);
		}
	for (unsigned int q = 0; q < 3; q++)
		front_kick(&front.queue[q]);
	for (unsigned int q = 0; q < 3; q++)
		for (unsigned int i = 0; i < 1024; i++)
			ck_assert(front_take_wait(&front.queue[q], NULL, NULL,
						  FRONT_TIMEOUT_MS));
	for (unsigned int i = 0; i < 1024; i++)
		ck_assert_uint_eq(front_blk_status(&front, &blks[2][i]),
				  VIRTIO_BLK_S_OK);
	child_stop(&child);
}

/* --- stopping, changing, breaking ----------------------------------------- */

/* Of a loop test: 0 a split ring, 1 a packed one. */
static struct front_options options_of(int packed)
{
	return (struct front_options){ .packed = packed, .inflight = true };
}

START_TEST(a_stopped_queue_has_finished)
{
	const struct front_options options = options_of(_i);
	static struct front_blk blks[64];
	uint32_t base;

	start_with(&usual, &options);
	for (unsigned int i = 0; i < 64; i++) {
		front_blk_init(&front, &blks[i], 4096, i % 2 * 8);
		if (front_blk_submit(queue, &blks[i], VIRTIO_BLK_T_IN, i, 4096))
			break;
	}
	front_kick(queue);
	base = front_queue_stop(queue);
	/* Whatever was taken is done: nothing is between the two indices. */
	if (queue->packed)
		ck_assert_uint_eq(base >> 16, base & 0xffff);
	else
		ck_assert_uint_eq(queue->used->idx, base);
	while (front_take(queue, NULL, NULL))
		;
	front_queue_start(queue, base);
	while (queue->next_used != queue->next_avail)
		ck_assert(front_take_wait(queue, NULL, NULL,
					  FRONT_TIMEOUT_MS));
	child_stop(&child);
}

START_TEST(memory_changes_under_load)
{
	static struct front_blk blks[32];
	struct vhost_user_memory memory = { .nr_regions = 1 };
	const struct front_options options = options_of(_i);

	start_with(&usual, &options);
	memory.region[0].size = front.options.ram_bytes;
	for (unsigned int i = 0; i < 32; i++)
		front_blk_init(&front, &blks[i], 4096, 0);
	for (int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 32; i++)
			ck_assert_int_eq(front_blk_submit(queue, &blks[i],
				VIRTIO_BLK_T_IN, i, 4096), 0);
		front_kick(queue);
		ck_assert_int_eq(vhost_user_send(front.sock,
			VHOST_USER_SET_MEM_TABLE, &memory, 40, &front.ram_fd,
			1, 1, FRONT_TIMEOUT_MS), 0);
		for (unsigned int i = 0; i < 32; i++)
			ck_assert(front_take_wait(queue, NULL, NULL,
						  FRONT_TIMEOUT_MS));
	}
	child_stop(&child);
}

/* CPU time of the device so far, clock ticks. */
static unsigned long device_ticks(void)
{
	unsigned long user = 0, kernel = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", child.pid);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &kernel), 2);
	fclose(f);
	return user + kernel;
}

START_TEST(the_disk_is_polled_for_but_not_for_an_idle_guest)
{
	struct front_blk blk;
	uint64_t polls;
	unsigned long ticks;

	start();
	front_blk_init(&front, &blk, 4096, 0);
	for (uint64_t i = 0; i < 20; i++)
		read_and_check(&blk, i * 8, 4096);
	/* A file system without O_DIRECT does all of it at once. */
	polls = child.stats->disk.polls;
	ck_assert(polls > 0 || !was_direct);
	ck_assert_uint_le(child.stats->disk.polls_in_vain, polls);
	usleep(50000);
	ticks = device_ticks();
	usleep(500000);
	ck_assert_uint_eq(child.stats->disk.polls, polls);
	/* A tick may end in any moment; polling would be fifty. */
	ck_assert_uint_le(device_ticks(), ticks + 5);
	child_stop(&child);
}

/* Reads, 8 at a time, until there have been that many trials.  False: not in time. */
static bool read_until_tried(uint64_t trials, int ms)
{
	static struct front_blk blks[8];
	struct count count = { .len = 4096 };
	const struct front_blk_job job = { next_read, check_read, &count };
	long long end_ms = fdmsg_now_ms() + ms;

	for (unsigned int i = 0; i < 8; i++)
		front_blk_init(&front, &blks[i], count.len, 0);
	while (child.stats->disk.batch_begins < trials) {
		if (fdmsg_now_ms() > end_ms)
			return false;
		count.left = 64;
		front_blk_run(queue, blks, 8, &job);
		ck_assert_uint_eq(count.failed, 0);
	}
	return true;
}

START_TEST(other_scheduling_is_tried)
{
	struct stats_disk *seen;
	struct front_blk blk;

	start();
	seen = &child.stats->disk;
	ck_assert_int_eq(sched_getscheduler(child.pid), SCHED_OTHER);
	ck_assert(read_until_tried(2, 20000));
	/* One at a time, it is not kept for longer than it takes to see that. */
	front_blk_init(&front, &blk, 4096, 0);
	for (uint64_t i = 0; i < 1000 && seen->batch_ends < seen->batch_begins;
	     i++) {
		read_and_check(&blk, i % 100 * 8, 4096);
		usleep(100);
	}
	usleep(50000);
	ck_assert_uint_eq(seen->batch_ends, seen->batch_begins);
	ck_assert_int_eq(sched_getscheduler(child.pid), SCHED_OTHER);
	child_stop(&child);
}

/* Not if nobody asked for it, nor for a disk with limits, however high. */
START_TEST(other_scheduling_is_not_tried)
{
	struct life_birth_blk birth = usual;

	if (_i == 0)
		birth.sched_batch = 0;
	else
		birth.throttle.limit[THROTTLE_IOPS].rate = 20000000;
	start_with(&birth, NULL);
	/* The first trial comes after some 80 ms. */
	ck_assert(!read_until_tried(1, 1500));
	ck_assert_int_eq(sched_getscheduler(child.pid), SCHED_OTHER);
	child_stop(&child);
}

START_TEST(a_disabled_queue_waits)
{
	struct vhost_user_vring_state state = { .index = 0, .num = 0 };
	struct front_blk blk;

	start();
	front_blk_init(&front, &blk, 512, 0);
	ck_assert_int_eq(vhost_user_send(front.sock,
		VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0,
		1, FRONT_TIMEOUT_MS), 0);
	ck_assert_int_eq(front_blk_submit(queue, &blk, VIRTIO_BLK_T_IN, 0,
					  512), 0);
	front_kick(queue);
	ck_assert(!front_take_wait(queue, NULL, NULL, 100));
	state.num = 1;
	ck_assert_int_eq(vhost_user_send(front.sock,
		VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0,
		1, FRONT_TIMEOUT_MS), 0);
	ck_assert(front_take_wait(queue, NULL, NULL, FRONT_TIMEOUT_MS));
	child_stop(&child);
}

/* A guest that breaks one queue loses that queue until it resets the device. */
START_TEST(a_broken_queue_is_reported)
{
	const struct front_options options = { .nr_queues = 2 };
	struct vhost_user_hdr change;
	struct front_blk blk;

	start_with(&usual, &options);
	front_set_u64(&front, VHOST_USER_SET_STATUS, 0xf);
	front_blk_init(&front, &blk, 512, 0);
	front_offer_head(queue, 5000);
	front_kick(queue);
	ck_assert_int_eq(recv(front.backend_sock, &change, sizeof(change),
			      MSG_WAITALL), sizeof(change));
	ck_assert_uint_eq(change.request,
			  VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	ck_assert(front_erred(queue));
	ck_assert_uint_eq(front_get_u64(&front, VHOST_USER_GET_STATUS),
			  0xf | NEEDS_RESET);
	/* The other queue goes on. */
	queue = &front.queue[1];
	read_and_check(&blk, 3, 512);
	/* And after a reset the broken one, too. */
	front_set_u64(&front, VHOST_USER_SET_STATUS, 0);
	ck_assert_uint_eq(front_get_u64(&front, VHOST_USER_GET_STATUS), 0);
	queue = &front.queue[0];
	queue->next_avail = queue->kicked_avail = queue->avail->idx =
		queue->used->idx;
	front_queue_start(queue, queue->used->idx);
	read_and_check(&blk, 4, 512);
	child_stop(&child);
}

/* --- death and rebirth ---------------------------------------------------- */

START_TEST(requests_survive_the_death_of_the_device)
{
	const struct front_options options = options_of(_i);
	static struct front_blk blks[40];
	int round;

	start_with(&usual, &options);
	for (unsigned int i = 0; i < 40; i++)
		front_blk_init(&front, &blks[i], 65536, 0);
	for (round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < 40; i++)
			ck_assert_int_eq(front_blk_submit(queue, &blks[i],
				VIRTIO_BLK_T_IN, i * 8, 65536), 0);
		front_kick(queue);
		usleep((unsigned int)round * 150);
		ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(child.pid, NULL, 0), child.pid);
		close(child.life);
		bear(&usual);
		front_reconnect(&front, child.link);
		for (unsigned int i = 0; i < 40; i++) {
			void *cookie;

			ck_assert(front_take_wait(queue, &cookie, NULL,
						  FRONT_TIMEOUT_MS));
			ck_assert_uint_eq(front_blk_status(&front, cookie),
					  VIRTIO_BLK_S_OK);
		}
		ck_assert(!front_take(queue, NULL, NULL));
	}
	read_and_check(&blks[0], 7, 65536);
	child_stop(&child);
}

/* What the guest may do to its rings meanwhile is not the process's end. */
START_TEST(a_used_index_of_the_guests_own_breaks_the_queue)
{
	const struct front_options options = { .inflight = true };
	static struct front_blk blks[8];

	start_with(&usual, &options);
	for (unsigned int i = 0; i < 8; i++) {
		front_blk_init(&front, &blks[i], 65536, 0);
		ck_assert_int_eq(front_blk_submit(queue, &blks[i],
						  VIRTIO_BLK_T_IN, i * 8,
						  65536), 0);
	}
	ck_assert_int_eq(kill(child.pid, SIGSTOP), 0);
	front_kick(queue);
	/* One by one until something is in flight. */
	for (unsigned int i = 0; i < 1000 && !child.stats->queue[0].in_flight;
	     i++) {
		kill(child.pid, SIGCONT);
		usleep(20);
		kill(child.pid, SIGSTOP);
	}
	ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child.pid, NULL, 0), child.pid);
	close(child.life);
	queue->used->idx += 1000;
	bear(&usual);
	front_reconnect(&front, child.link);
	ck_assert(front_erred(queue));
	ck_assert_uint_ne(front_get_u64(&front, VHOST_USER_GET_STATUS) &
			  NEEDS_RESET, 0);
	child_stop(&child);
}

/* A slot that no buffer can be in. */
START_TEST(a_broken_packed_queue_is_reported)
{
	const struct front_options options = { .nr_queues = 2, .packed = true };
	const struct front_buf nowhere = { 1ull << 40, 512 };
	struct vhost_user_hdr change;
	struct front_blk blk;

	start_with(&usual, &options);
	front_set_u64(&front, VHOST_USER_SET_STATUS, 0xf);
	front_blk_init(&front, &blk, 512, 0);
	ck_assert_int_ge(front_add(queue, &nowhere, 1, NULL, 0, NULL), 0);
	front_kick(queue);
	ck_assert_int_eq(recv(front.backend_sock, &change, sizeof(change),
			      MSG_WAITALL), sizeof(change));
	ck_assert(front_erred(queue));
	ck_assert_uint_eq(front_get_u64(&front, VHOST_USER_GET_STATUS),
			  0xf | NEEDS_RESET);
	queue = &front.queue[1];
	read_and_check(&blk, 3, 512);
	child_stop(&child);
}

/* Its predecessor was the guest's, say: the successor is not. */
START_TEST(an_inflight_region_of_junk_breaks_the_queue)
{
	const struct front_options options = options_of(1);
	struct front_blk blk;
	uint8_t junk[64];

	start_with(&usual, &options);
	front_blk_init(&front, &blk, 512, 0);
	read_and_check(&blk, 3, 512);
	ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child.pid, NULL, 0), child.pid);
	close(child.life);
	memset(junk, 0x5a, sizeof(junk));
	/* All behind version and size. */
	ck_assert_int_eq(pwrite(front.inflight_fd, junk, sizeof(junk), 12),
			 sizeof(junk));
	bear(&usual);
	front_reconnect(&front, child.link);
	ck_assert(front_erred(queue));
	ck_assert_uint_ne(front_get_u64(&front, VHOST_USER_GET_STATUS) &
			  NEEDS_RESET, 0);
	child_stop(&child);
}

/* vhost-user: VRING_BASE of a packed ring is two places, in the ring. */
START_TEST(a_base_outside_of_a_packed_ring_is_refused)
{
	const struct front_options options = { .packed = true };
	struct vhost_user_vring_state state = { .index = 0 };
	uint64_t index = 0;

	start_with(&usual, &options);
	ck_assert_uint_eq(front_queue_stop(queue), 0x80008000u);
	state.num = 0x80008000u | queue->size;
	ck_assert_int_eq(vhost_user_send(front.sock, VHOST_USER_SET_VRING_BASE,
		&state, sizeof(state), NULL, 0, 1, FRONT_TIMEOUT_MS), 0);
	ck_assert_int_eq(vhost_user_send(front.sock, VHOST_USER_SET_VRING_KICK,
		&index, sizeof(index), &queue->kick_fd, 1, 1,
		FRONT_TIMEOUT_MS), -EREMOTEIO);
	child_stop(&child);
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("blk queues");
	TCase *tc = tcase_create("blk_queues");
	TCase *load = tcase_create("blk load");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_disk, remove_disk);
	tcase_set_timeout(load, 60);
	tcase_add_checked_fixture(load, make_disk, remove_disk);
	tcase_add_loop_test(load, many_requests_all_come_back, 0,
			    LENGTH(loads));
	tcase_add_test(tc, fds_keep_their_numbers);
	tcase_add_test(tc, queues_are_independent);
	tcase_add_test(load, more_requests_than_fit_at_once);
	tcase_add_loop_test(load, a_stopped_queue_has_finished, 0, 2);
	tcase_add_loop_test(load, memory_changes_under_load, 0, 2);
	tcase_add_test(tc, the_disk_is_polled_for_but_not_for_an_idle_guest);
	tcase_add_test(tc, other_scheduling_is_tried);
	tcase_add_loop_test(tc, other_scheduling_is_not_tried, 0, 2);
	tcase_add_test(tc, a_disabled_queue_waits);
	tcase_add_test(tc, a_broken_queue_is_reported);
	tcase_add_loop_test(tc, requests_survive_the_death_of_the_device, 0,
			    2);
	tcase_add_test(tc, a_broken_packed_queue_is_reported);
	tcase_add_test(tc, an_inflight_region_of_junk_breaks_the_queue);
	tcase_add_test(tc, a_base_outside_of_a_packed_ring_is_refused);
	tcase_add_test(tc, a_used_index_of_the_guests_own_breaks_the_queue);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, load);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
