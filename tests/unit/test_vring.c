/* SPDX-License-Identifier: Apache-2.0 */
/* devproc/vring_split.c: what a driver may do, and all that it may not. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devproc/guest_mem.h"
#include "devproc/vring_priv.h"

#define SIZE		8
#define RAM_BYTES	(1u << 20)
#define HALF		(RAM_BYTES / 2)	/* where one region ends */
#define AVAIL_GPA	0x1000
#define USED_GPA	0x2000
#define TABLE_GPA	0x4000
#define DATA_GPA	0x20000

static const struct vhost_user_vring_addr areas = {
	.desc = 0, .avail = AVAIL_GPA, .used = USED_GPA,
};
static struct vring vring;
static struct stats_queue stats;
static struct iovec spans[16];
static struct vring_chain chain;

/* The driver's view. */
static uint8_t *ram;
static struct vring_descriptor *desc;
static struct vring_available *avail;
static struct vring_used_ring *used;

static void map_ram(void)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct vhost_user_region low = { .size = HALF };
	struct vhost_user_region high = {
		.gpa = HALF, .size = HALF, .user_addr = HALF,
		.mmap_offset = HALF,
	};

	ck_assert_int_eq(ftruncate(fd, RAM_BYTES), 0);
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	ck_assert_int_eq(guest_mem_add(&low, dup(fd)), 0);
	ck_assert_int_eq(guest_mem_add(&high, fd), 0);
}

static void set_up(void)
{
	map_ram();
	desc = (struct vring_descriptor *)ram;
	avail = (struct vring_available *)(ram + AVAIL_GPA);
	used = (struct vring_used_ring *)(ram + USED_GPA);
	memset(&stats, 0, sizeof(stats));
	vring_init(&vring, 0, &stats);
	vring.size = SIZE;
	ck_assert_int_eq(vring_map(&vring, &areas), 0);
	vring.indirect = true;
	vring.call_fd = eventfd(0, EFD_NONBLOCK);
	vring.err_fd = eventfd(0, EFD_NONBLOCK);
	chain = (struct vring_chain){ .spans = spans, .max_spans = 16 };
	ck_assert_int_eq(vring_start(&vring), 0);
	vring.running = true;
}

static void tear_down(void)
{
	close(vring.call_fd);
	close(vring.err_fd);
	guest_mem_clear();
	munmap(ram, RAM_BYTES);
}

static void describe(struct vring_descriptor *at, uint64_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	*at = (struct vring_descriptor){ addr, len, flags, next };
}

static void offer(uint16_t head)
{
	avail->ring[avail->idx % SIZE] = head;
	avail->idx++;
}

static bool fired(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void expect_broken(void)
{
	ck_assert_int_eq(vring_pop(&vring, &chain), -EPROTO);
	ck_assert(vring.broken);
	ck_assert(fired(vring.err_fd));
	/* And it stays so, quietly. */
	ck_assert_int_eq(vring_pop(&vring, &chain), 0);
	ck_assert(!fired(vring.err_fd));
	ck_assert(!vring_rearm(&vring));
}

/* --- what is right -------------------------------------------------------- */

START_TEST(an_empty_ring_has_nothing)
{
	ck_assert_int_eq(vring_pop(&vring, &chain), 0);
	ck_assert(!vring_has_work(&vring));
	vring_publish(&vring);
	ck_assert(!fired(vring.call_fd));
}

START_TEST(a_chain_is_spans_in_order)
{
	describe(&desc[3], DATA_GPA, 16, VRING_DESC_NEXT, 1);
	describe(&desc[1], DATA_GPA + 100, 50, VRING_DESC_NEXT, 7);
	describe(&desc[7], DATA_GPA + 4096, 512,
		 VRING_DESC_NEXT | VRING_DESC_WRITE, 0);
	describe(&desc[0], DATA_GPA + 9, 1, VRING_DESC_WRITE, 0);
	offer(3);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.head, 3);
	ck_assert_uint_eq(chain.nr_out, 2);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.out_bytes, 66);
	ck_assert_uint_eq(chain.in_bytes, 513);
	ck_assert(!chain.cut);
	ck_assert_ptr_eq(spans[2].iov_base,
			 guest_mem_from_user(DATA_GPA + 4096, 1, 1));
	ck_assert_uint_eq(vring_in_flight(&vring), 1);
	ck_assert_uint_eq(stats.in_flight, 1);
	ck_assert_int_eq(vring_pop(&vring, &chain), 0);
}

START_TEST(an_indirect_table_is_a_chain)
{
	struct vring_descriptor *table = (void *)(ram + TABLE_GPA);

	describe(&table[0], DATA_GPA, 16, VRING_DESC_NEXT, 2);
	describe(&table[2], DATA_GPA, 8, VRING_DESC_WRITE, 0);
	describe(&desc[5], TABLE_GPA, 3 * 16, VRING_DESC_INDIRECT, 0);
	offer(5);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.head, 5);
	ck_assert_uint_eq(chain.out_bytes, 16);
	ck_assert_uint_eq(chain.in_bytes, 8);
}

START_TEST(an_indirect_table_may_end_a_chain)
{
	struct vring_descriptor *table = (void *)(ram + TABLE_GPA);

	describe(&desc[0], DATA_GPA, 16, VRING_DESC_NEXT, 1);
	describe(&desc[1], TABLE_GPA, 16, VRING_DESC_INDIRECT, 0);
	describe(&table[0], DATA_GPA, 8, VRING_DESC_WRITE, 0);
	offer(0);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, 1);
	ck_assert_uint_eq(chain.nr_in, 1);
}

START_TEST(a_buffer_across_regions_is_two_spans)
{
	describe(&desc[0], HALF - 10, 30, VRING_DESC_WRITE, 0);
	offer(0);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.in_bytes, 30);
	ck_assert_uint_eq(spans[0].iov_len, 10);
	ck_assert_uint_eq(spans[1].iov_len, 20);
	ck_assert_uint_eq(vring_chain_write(&chain, 5, "0123456789", 10), 10);
	ck_assert_int_eq(memcmp(ram + HALF - 5, "0123456789", 10), 0);
}

START_TEST(copies_end_with_the_chain)
{
	char buf[64];

	describe(&desc[0], DATA_GPA, 4, VRING_DESC_NEXT, 1);
	describe(&desc[1], DATA_GPA + 100, 4, VRING_DESC_NEXT, 2);
	describe(&desc[2], DATA_GPA + 200, 4, VRING_DESC_WRITE, 0);
	memcpy(ram + DATA_GPA, "abcd", 4);
	memcpy(ram + DATA_GPA + 100, "efgh", 4);
	offer(0);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(vring_chain_read(&chain, 0, buf, sizeof(buf)), 8);
	ck_assert_int_eq(memcmp(buf, "abcdefgh", 8), 0);
	ck_assert_uint_eq(vring_chain_read(&chain, 3, buf, 3), 3);
	ck_assert_int_eq(memcmp(buf, "def", 3), 0);
	ck_assert_uint_eq(vring_chain_read(&chain, 8, buf, 1), 0);
	ck_assert_uint_eq(vring_chain_write(&chain, 2, "xyz", 3), 2);
	ck_assert_int_eq(memcmp(ram + DATA_GPA + 202, "xy", 2), 0);
}

START_TEST(a_long_chain_is_cut_and_keeps_its_end)
{
	chain.max_spans = 2;
	describe(&desc[0], DATA_GPA, 16, VRING_DESC_NEXT, 1);
	describe(&desc[1], DATA_GPA, 16, VRING_DESC_NEXT, 2);
	describe(&desc[2], DATA_GPA, 16, VRING_DESC_NEXT, 3);
	describe(&desc[3], DATA_GPA, 512, VRING_DESC_NEXT | VRING_DESC_WRITE,
		 4);
	describe(&desc[4], DATA_GPA + 77, 1, VRING_DESC_WRITE, 0);
	offer(0);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert(chain.cut);
	ck_assert_uint_eq(chain.nr_out, 1);
	ck_assert_uint_eq(chain.nr_in, 1);
	ck_assert_uint_eq(chain.in_bytes, 513);
	ck_assert_ptr_eq(spans[1].iov_base,
			 guest_mem_from_user(DATA_GPA + 77, 1, 1));
	ck_assert_uint_eq(spans[1].iov_len, 1);
}

START_TEST(a_cut_by_a_border_keeps_the_last_byte)
{
	chain.max_spans = 2;
	describe(&desc[0], DATA_GPA, 16, VRING_DESC_NEXT, 1);
	describe(&desc[1], HALF - 10, 30, VRING_DESC_WRITE, 0);
	offer(0);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert(chain.cut);
	ck_assert_uint_eq(chain.nr_out, 1);
	ck_assert_uint_eq(chain.nr_in, 1);
	ck_assert_ptr_eq(spans[1].iov_base,
			 guest_mem_from_user(HALF + 19, 1, 1));
}

START_TEST(an_unpopped_chain_comes_again)
{
	describe(&desc[2], DATA_GPA, 16, 0, 0);
	offer(2);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	vring_unpop(&vring, chain.head);
	ck_assert_uint_eq(vring_in_flight(&vring), 0);
	ck_assert(vring_has_work(&vring));
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.head, 2);
}

START_TEST(a_ring_that_does_not_run_gives_nothing)
{
	describe(&desc[0], DATA_GPA, 16, 0, 0);
	offer(0);
	vring.running = false;
	ck_assert_int_eq(vring_pop(&vring, &chain), 0);
	ck_assert(!vring_rearm(&vring));
	vring.running = true;
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
}

/* --- giving back, and telling --------------------------------------------- */

static void pop_all(unsigned int nr)
{
	for (uint16_t i = 0; i < nr; i++) {
		describe(&desc[i], DATA_GPA, 16, VRING_DESC_WRITE, 0);
		offer(i);
	}
	for (unsigned int i = 0; i < nr; i++)
		ck_assert_int_eq(vring_pop(&vring, &chain), 1);
}

START_TEST(a_batch_is_one_index_and_one_call)
{
	pop_all(3);
	vring_push(&vring, 2, 11);
	vring_push(&vring, 0, 22);
	ck_assert_uint_eq(used->idx, 0);
	vring_publish(&vring);
	ck_assert_uint_eq(used->idx, 2);
	ck_assert_uint_eq(used->ring[0].id, 2);
	ck_assert_uint_eq(used->ring[0].len, 11);
	ck_assert_uint_eq(used->ring[1].id, 0);
	ck_assert(fired(vring.call_fd));
	ck_assert_uint_eq(stats.interrupts, 1);
	ck_assert_uint_eq(stats.requests, 2);
	ck_assert_uint_eq(stats.in_flight, 1);
	vring_publish(&vring);
	ck_assert(!fired(vring.call_fd));
}

/*
 * A driver may offer a head again once it is pushed, even before it is told
 * so: as fast as it is served, for ever.
 */
START_TEST(a_batch_is_no_longer_than_the_ring)
{
	describe(&desc[0], DATA_GPA, 16, VRING_DESC_WRITE, 0);
	for (unsigned int i = 1; i <= 3 * VRING_MAX_SIZE; i++) {
		offer(0);
		ck_assert_int_eq(vring_pop(&vring, &chain), 1);
		vring_push(&vring, 0, 1);
		ck_assert_uint_le(vring.nr_batch, SIZE);
		ck_assert_uint_lt((uint16_t)(i - used->idx), SIZE + 1);
	}
	vring_publish(&vring);
	ck_assert_uint_eq(used->idx, 3 * VRING_MAX_SIZE);
	ck_assert_uint_eq(stats.requests, 3 * VRING_MAX_SIZE);
}

START_TEST(a_driver_may_ask_for_no_interrupts)
{
	pop_all(1);
	avail->flags = VRING_AVAIL_NO_INTERRUPT;
	vring_push(&vring, 0, 0);
	vring_publish(&vring);
	ck_assert_uint_eq(used->idx, 1);
	ck_assert(!fired(vring.call_fd));
}

/* used_event, from old to now: is a call due?  (virtio 1.2, 2.7.7.2) */
static const struct {
	uint16_t event, old;
	uint8_t pushed;
	bool call;
} events[] = {
	{ 0, 0, 1, true },
	{ 1, 0, 1, false },
	{ 1, 0, 2, true },
	{ 1, 0, 3, true },
	{ 3, 0, 3, false },
	{ 0, 1, 1, false },
	{ 0xffff, 0xffff, 1, true },
	{ 0xfffe, 0xffff, 1, false },
	{ 0, 0xffff, 1, false },
	{ 0, 0xffff, 2, true },
	{ 0, 0xfffe, 3, true },
	{ 0x8000, 0, 3, false },
};

START_TEST(event_index_says_when_to_call)
{
	used->idx = events[_i].old;
	vring.base = events[_i].old;
	avail->idx = events[_i].old;
	vring.event_idx = true;
	ck_assert_int_eq(vring_start(&vring), 0);
	vring.running = true;
	vring.split.called_valid = true;
	vring.split.called_used = events[_i].old;
	avail->ring[SIZE] = events[_i].event;
	pop_all(events[_i].pushed);
	for (uint16_t i = 0; i < events[_i].pushed; i++)
		vring_push(&vring, i, 0);
	vring_publish(&vring);
	ck_assert_int_eq(fired(vring.call_fd), events[_i].call);
}

START_TEST(event_index_first_time_calls)
{
	vring.event_idx = true;
	avail->ring[SIZE] = 500;
	pop_all(1);
	vring_push(&vring, 0, 0);
	vring_publish(&vring);
	ck_assert(fired(vring.call_fd));
}

START_TEST(rearming_asks_for_the_next_kick)
{
	uint16_t *avail_event = (uint16_t *)(void *)&used->ring[SIZE];

	vring.event_idx = true;
	pop_all(3);
	ck_assert(!vring_rearm(&vring));
	ck_assert_uint_eq(*avail_event, 3);
	offer(5);
	ck_assert(vring_rearm(&vring));
	ck_assert_uint_eq(*avail_event, 3);
}

/* virtio 1.2, 2.7.10.1: would a driver that adds nr chains kick? */
static bool is_kicked_for(uint16_t avail_event, uint16_t now, uint16_t nr)
{
	return (uint16_t)(now + nr - avail_event - 1) < nr;
}

START_TEST(disarming_asks_for_no_kick)
{
	uint16_t *avail_event = (uint16_t *)(void *)&used->ring[SIZE];

	vring.event_idx = true;
	pop_all(3);
	vring_disarm(&vring);
	for (uint16_t nr = 1; nr <= SIZE; nr++)
		ck_assert(!is_kicked_for(*avail_event, 3, nr));
	ck_assert(!vring_rearm(&vring));
	for (uint16_t nr = 1; nr <= SIZE; nr++)
		ck_assert(is_kicked_for(*avail_event, 3, nr));
	vring.event_idx = false;
	vring_disarm(&vring);
	ck_assert_uint_eq(used->flags, VRING_USED_NO_NOTIFY);
	ck_assert(!vring_rearm(&vring));
	ck_assert_uint_eq(used->flags, 0);
}

START_TEST(a_ring_goes_round_many_times)
{
	for (unsigned int i = 0; i < 65536 / SIZE + 5; i++) {
		pop_all(SIZE);
		for (uint16_t head = SIZE; head-- > 0; )
			vring_push(&vring, head, 1);
		vring_publish(&vring);
		ck_assert_uint_eq(used->idx, avail->idx);
	}
}

/* --- what is left over by the process before ------------------------------ */

START_TEST(left_over_requests_come_first)
{
	static _Alignas(64) uint8_t region[4096];
	const uint16_t order[] = { 4, 1, 6 };

	for (uint16_t i = 0; i < SIZE; i++)
		describe(&desc[i], DATA_GPA, 16, 0, 0);
	memset(region, 0, sizeof(region));
	ck_assert_int_eq(vring_track(&vring, region, SIZE), 0);
	for (int i = 0; i < 3; i++)
		offer(order[i]);
	ck_assert_int_eq(vring_start(&vring), 0);
	vring.running = true;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	vring_push(&vring, 1, 0);
	vring_publish(&vring);

	/* Here it dies; the next one starts at the used index, 1. */
	offer(2);
	vring.base = used->idx;
	ck_assert_int_eq(vring_track(&vring, region, SIZE), 0);
	ck_assert_int_eq(vring_start(&vring), 0);
	vring.running = true;
	ck_assert(vring_has_work(&vring));
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.head, 4);
	vring_unpop(&vring, chain.head);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.head, 4);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.head, 6);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(chain.head, 2);
	ck_assert_int_eq(vring_pop(&vring, &chain), 0);
	ck_assert_uint_eq(vring.split.last_avail, 4);

	/* The last left over one ends, and its head comes in the ring again. */
	vring_push(&vring, 6, 0);
	offer(6);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	vring_unpop(&vring, 6);
	ck_assert_uint_eq(vring.split.last_avail, 4);
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	ck_assert_uint_eq(vring.split.last_avail, 5);
	ck_assert_int_eq(vring_pop(&vring, &chain), 0);
}

/* --- what is wrong -------------------------------------------------------- */

/* One or two descriptors that make a chain broken; the head is 0. */
static const struct {
	const char *why;
	struct vring_descriptor first, second;
} broken[] = {
	{ "address outside", { RAM_BYTES, 16, 0, 0 }, { 0 } },
	{ "buffer leaves RAM", { RAM_BYTES - 8, 16, 0, 0 }, { 0 } },
	{ "address wraps", { UINT64_MAX - 7, 16, 0, 0 }, { 0 } },
	{ "length 0", { DATA_GPA, 0, 0, 0 }, { 0 } },
	{ "next too large", { DATA_GPA, 16, VRING_DESC_NEXT, SIZE }, { 0 } },
	{ "next far too large", { DATA_GPA, 16, VRING_DESC_NEXT, 0xffff },
	  { 0 } },
	{ "loop to itself", { DATA_GPA, 16, VRING_DESC_NEXT, 0 }, { 0 } },
	{ "loop of two", { DATA_GPA, 16, VRING_DESC_NEXT, 1 },
	  { DATA_GPA, 16, VRING_DESC_NEXT, 0 } },
	{ "read after write",
	  { DATA_GPA, 16, VRING_DESC_NEXT | VRING_DESC_WRITE, 1 },
	  { DATA_GPA, 16, 0, 0 } },
	{ "lengths wrap", { 0, RAM_BYTES, VRING_DESC_NEXT, 1 },
	  { 0, UINT32_MAX, 0, 0 } },
	{ "table and next",
	  { TABLE_GPA, 16, VRING_DESC_INDIRECT | VRING_DESC_NEXT, 1 },
	  { DATA_GPA, 16, 0, 0 } },
	{ "table of size 0", { TABLE_GPA, 0, VRING_DESC_INDIRECT, 0 }, { 0 } },
	{ "table not of entries", { TABLE_GPA, 24, VRING_DESC_INDIRECT, 0 },
	  { 0 } },
	{ "table too long", { TABLE_GPA, 16 * (VRING_MAX_SIZE + 1),
			      VRING_DESC_INDIRECT, 0 }, { 0 } },
	{ "table outside", { RAM_BYTES, 16, VRING_DESC_INDIRECT, 0 }, { 0 } },
	{ "table across regions", { HALF - 16, 32, VRING_DESC_INDIRECT, 0 },
	  { 0 } },
};

START_TEST(a_broken_chain_stops_the_queue)
{
	desc[0] = broken[_i].first;
	desc[1] = broken[_i].second;
	offer(0);
	expect_broken();
}

/* The same within an indirect table. */
static const struct vring_descriptor broken_tables[][2] = {
	{ { TABLE_GPA, 16, VRING_DESC_INDIRECT, 0 }, { 0 } },
	{ { DATA_GPA, 16, VRING_DESC_NEXT, 2 }, { 0 } },
	{ { DATA_GPA, 16, VRING_DESC_NEXT, 1 },
	  { DATA_GPA, 16, VRING_DESC_NEXT, 0 } },
	{ { RAM_BYTES, 16, 0, 0 }, { 0 } },
};

START_TEST(a_broken_table_stops_the_queue)
{
	struct vring_descriptor *table = (void *)(ram + TABLE_GPA);

	describe(&desc[0], TABLE_GPA, 2 * 16, VRING_DESC_INDIRECT, 0);
	memcpy(table, broken_tables[_i], sizeof(broken_tables[_i]));
	offer(0);
	expect_broken();
}

START_TEST(a_table_needs_the_feature)
{
	vring.indirect = false;
	describe(&desc[0], TABLE_GPA, 16, VRING_DESC_INDIRECT, 0);
	offer(0);
	expect_broken();
}

START_TEST(a_head_too_large_stops_the_queue)
{
	offer(SIZE);
	expect_broken();
}

START_TEST(a_jump_of_the_index_stops_the_queue)
{
	avail->idx = SIZE + 1;
	expect_broken();
}

START_TEST(a_head_in_flight_stops_the_queue)
{
	pop_all(2);
	offer(1);
	expect_broken();
	/* What is in flight still ends. */
	vring_push(&vring, 0, 0);
	vring_push(&vring, 1, 0);
	vring_publish(&vring);
	ck_assert_uint_eq(used->idx, 2);
	ck_assert_uint_eq(vring_in_flight(&vring), 0);
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("vring");
	TCase *tc = tcase_create("vring");
	SRunner *runner = srunner_create(suite);
	int failed;

	/* The machine may be busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, an_empty_ring_has_nothing);
	tcase_add_test(tc, a_chain_is_spans_in_order);
	tcase_add_test(tc, an_indirect_table_is_a_chain);
	tcase_add_test(tc, an_indirect_table_may_end_a_chain);
	tcase_add_test(tc, a_buffer_across_regions_is_two_spans);
	tcase_add_test(tc, copies_end_with_the_chain);
	tcase_add_test(tc, a_long_chain_is_cut_and_keeps_its_end);
	tcase_add_test(tc, a_cut_by_a_border_keeps_the_last_byte);
	tcase_add_test(tc, an_unpopped_chain_comes_again);
	tcase_add_test(tc, a_ring_that_does_not_run_gives_nothing);
	tcase_add_test(tc, a_batch_is_one_index_and_one_call);
	tcase_add_test(tc, a_batch_is_no_longer_than_the_ring);
	tcase_add_test(tc, a_driver_may_ask_for_no_interrupts);
	tcase_add_loop_test(tc, event_index_says_when_to_call, 0,
			    LENGTH(events));
	tcase_add_test(tc, event_index_first_time_calls);
	tcase_add_test(tc, rearming_asks_for_the_next_kick);
	tcase_add_test(tc, disarming_asks_for_no_kick);
	tcase_add_test(tc, a_ring_goes_round_many_times);
	tcase_add_test(tc, left_over_requests_come_first);
	tcase_add_loop_test(tc, a_broken_chain_stops_the_queue, 0,
			    LENGTH(broken));
	tcase_add_loop_test(tc, a_broken_table_stops_the_queue, 0,
			    LENGTH(broken_tables));
	tcase_add_test(tc, a_table_needs_the_feature);
	tcase_add_test(tc, a_head_too_large_stops_the_queue);
	tcase_add_test(tc, a_jump_of_the_index_stops_the_queue);
	tcase_add_test(tc, a_head_in_flight_stops_the_queue);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
