/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/vring_packed.c (virtio 1.2, 2.8): what a driver may do, and all that
 * it may not.  What both forms have in common is test_vring.c's, deaths are
 * test_recovery.c's.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devproc/guest_mem.h"
#include "devproc/vring_priv.h"

#define SIZE		6	/* no power of two: it need not be one */
#define RAM_BYTES	(1u << 20)
#define DRIVER_GPA	0x1000
#define DEVICE_GPA	0x2000
#define TABLE_GPA	0x4000
#define DATA_GPA	0x20000
#define FRESH		0x80008000u

static const struct vhost_user_vring_addr areas = {
	.desc = 0, .avail = DRIVER_GPA, .used = DEVICE_GPA,
};
static struct vring vring;
static struct stats_queue stats;
static struct iovec spans[16];
static struct vring_chain chain;

/* The driver's view. */
static uint8_t *ram;
static struct vring_packed_descriptor *desc;
static struct vring_packed_event *driver, *device;
static struct vring_place avail, used;

static void start_at(uint32_t base)
{
	vring.base = base;
	ck_assert_int_eq(vring_start(&vring), 0);
	vring.running = true;
	avail.slot = base & 0x7fff;
	avail.wrap = base >> 15 & 1;
	used.slot = base >> 16 & 0x7fff;
	used.wrap = base >> 31;
}

static void set_up(void)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct vhost_user_region region = { .size = RAM_BYTES };

	ck_assert_int_eq(ftruncate(fd, RAM_BYTES), 0);
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	ck_assert_int_eq(guest_mem_add(&region, fd), 0);
	desc = (struct vring_packed_descriptor *)ram;
	driver = (struct vring_packed_event *)(ram + DRIVER_GPA);
	device = (struct vring_packed_event *)(ram + DEVICE_GPA);
	memset(&stats, 0, sizeof(stats));
	vring_init(&vring, 0, &stats);
	vring.form = &vring_form_packed;
	vring.size = SIZE;
	vring.indirect = true;
	vring.call_fd = eventfd(0, EFD_NONBLOCK);
	vring.err_fd = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(vring_map(&vring, &areas), 0);
	ck_assert_int_eq(vring_track(&vring, NULL, 0), 0);
	chain = (struct vring_chain){ .spans = spans, .max_spans = 16 };
	start_at(FRESH);
}

static void tear_down(void)
{
	close(vring.call_fd);
	close(vring.err_fd);
	guest_mem_clear();
	munmap(ram, RAM_BYTES);
}

/* The next slot; a chain's first, too, is available at once here. */
static void offer(uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	desc[avail.slot] = (struct vring_packed_descriptor){
		.addr = addr, .len = len, .id = id,
		.flags = vring_flags_available(flags, avail.wrap),
	};
	vring_place_advance(&avail, 1, SIZE);
}

static void offer_one(uint16_t id)
{
	offer(DATA_GPA, 16, VRING_DESC_WRITE, id);
}

/* The driver finds the next used descriptor, of a buffer of nr slots. */
static void expect_used(uint16_t id, uint32_t len, uint16_t nr)
{
	uint16_t both = VRING_DESC_AVAIL | VRING_DESC_USED;

	ck_assert_uint_eq(desc[used.slot].flags & both, used.wrap ? both : 0);
	ck_assert_uint_eq(desc[used.slot].id, id);
	ck_assert_uint_eq(desc[used.slot].len, len);
	vring_place_advance(&used, nr, SIZE);
}

static void expect_nothing_used(void)
{
	uint16_t both = VRING_DESC_AVAIL | VRING_DESC_USED;

	ck_assert_uint_ne(desc[used.slot].flags & both, used.wrap ? both : 0);
}

static bool fired(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static uint16_t pop(void)
{
	ck_assert_int_eq(vring_pop(&vring, &chain), 1);
	return chain.head;
}

static void expect_broken(void)
{
	ck_assert_int_eq(vring_pop(&vring, &chain), -EPROTO);
	ck_assert(vring.broken);
	ck_assert(fired(vring.err_fd));
	ck_assert_int_eq(vring_pop(&vring, &chain), 0);
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

/* virtio 1.2, 2.8.6: slots that follow each other, the id in the last. */
START_TEST(a_chain_is_spans_in_order)
{
	offer(DATA_GPA, 16, VRING_DESC_NEXT, 1000);
	offer(DATA_GPA + 4096, 512, VRING_DESC_NEXT | VRING_DESC_WRITE, 1001);
	offer(DATA_GPA + 9, 1, VRING_DESC_WRITE, 77);
	pop();
	ck_assert_uint_eq(chain.nr_out, 1);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.out_bytes, 16);
	ck_assert_uint_eq(chain.in_bytes, 513);
	vring_push(&vring, chain.head, 513);
	vring_publish(&vring);
	expect_used(77, 513, 3);
	expect_nothing_used();
}

/* virtio 1.2, 2.8.7: all of the table, whatever NEXT says there. */
START_TEST(an_indirect_table_is_a_chain)
{
	struct vring_packed_descriptor *table = (void *)(ram + TABLE_GPA);

	table[0] = (struct vring_packed_descriptor){ DATA_GPA, 16, 9, 0 };
	table[1] = (struct vring_packed_descriptor){ DATA_GPA, 8, 9,
		VRING_DESC_WRITE | VRING_DESC_NEXT };
	offer(TABLE_GPA, 2 * 16, VRING_DESC_INDIRECT, 5);
	pop();
	ck_assert_uint_eq(chain.out_bytes, 16);
	ck_assert_uint_eq(chain.in_bytes, 8);
	vring_push(&vring, chain.head, 8);
	vring_publish(&vring);
	expect_used(5, 8, 1);
}

START_TEST(any_id_comes_back_as_it_was)
{
	uint16_t first, second;

	offer_one(0xffff);
	offer_one(0xffff);
	first = pop();
	second = pop();
	ck_assert_uint_ne(first, second);
	vring_push(&vring, second, 0);
	vring_push(&vring, first, 0);
	vring_publish(&vring);
	expect_used(0xffff, 0, 1);
	expect_used(0xffff, 0, 1);
}

START_TEST(a_batch_is_seen_at_once_and_calls_once)
{
	uint16_t heads[3];

	for (uint16_t i = 0; i < 3; i++)
		offer_one(i);
	for (int i = 0; i < 3; i++)
		heads[i] = pop();
	vring_push(&vring, heads[2], 11);
	vring_push(&vring, heads[0], 22);
	expect_nothing_used();
	vring_publish(&vring);
	expect_used(2, 11, 1);
	expect_used(0, 22, 1);
	expect_nothing_used();
	ck_assert(fired(vring.call_fd));
	ck_assert_uint_eq(stats.interrupts, 1);
	ck_assert_uint_eq(stats.in_flight, 1);
}

/* Others are taken between a push and its publish. */
START_TEST(takes_and_pushes_may_mix)
{
	uint16_t head;

	for (unsigned int i = 0; i < 10 * SIZE; i++) {
		offer_one((uint16_t)i);
		head = pop();
		offer_one((uint16_t)(1000 + i));
		vring_push(&vring, head, i);
		head = pop();
		vring_push(&vring, head, 1000 + i);
		vring_publish(&vring);
		expect_used((uint16_t)i, i, 1);
		expect_used((uint16_t)(1000 + i), 1000 + i, 1);
		ck_assert_uint_eq(vring.packed.inflight.nr_free, SIZE);
	}
}

/* Chains of 1, 2, 3 slots, so that they lie across the end in all ways. */
START_TEST(a_ring_goes_round_many_times)
{
	uint16_t heads[3];

	for (unsigned int round = 0; round < 1000; round++) {
		for (uint16_t i = 0; i < 3; i++)
			for (uint16_t k = 0; k <= i; k++)
				offer(DATA_GPA, 16, k < i ? VRING_DESC_NEXT : 0,
				      i);
		for (int i = 0; i < 3; i++)
			heads[i] = pop();
		ck_assert_int_eq(vring_pop(&vring, &chain), 0);
		for (unsigned int i = 0; i < 3; i++)
			vring_push(&vring, heads[(i + round) % 3], 0);
		vring_publish(&vring);
		for (unsigned int i = 0; i < 3; i++)
			expect_used((i + round) % 3,
				    0, (uint16_t)((i + round) % 3 + 1));
		expect_nothing_used();
	}
}

START_TEST(an_unpopped_chain_comes_again)
{
	uint16_t head;

	start_at(0x80058005);	/* across the end */
	offer(DATA_GPA, 16, VRING_DESC_NEXT, 1);
	offer(DATA_GPA, 16, 0, 4);
	head = pop();
	vring_unpop(&vring, head);
	ck_assert_uint_eq(vring_in_flight(&vring), 0);
	ck_assert_uint_eq(vring.packed.inflight.nr_free, SIZE);
	ck_assert(vring_has_work(&vring));
	head = pop();
	vring_push(&vring, head, 0);
	vring_publish(&vring);
	expect_used(4, 0, 2);
}

/* vhost-user: VRING_BASE is both places, and says them again at the end. */
START_TEST(a_ring_stops_where_it_is_and_goes_on_there)
{
	start_at(0x80058005);
	offer_one(1);
	vring_push(&vring, pop(), 0);
	vring_publish(&vring);
	expect_used(1, 0, 1);
	vring_stop(&vring);
	ck_assert_uint_eq(vring.base, 0x00000000);
	ck_assert_int_eq(vring_map(&vring, &areas), 0);
	start_at(vring.base);
	offer_one(2);
	vring_push(&vring, pop(), 0);
	vring_publish(&vring);
	expect_used(2, 0, 1);
	vring_stop(&vring);
	ck_assert_uint_eq(vring.base, 0x00010001);
}

START_TEST(a_base_outside_of_the_ring_is_refused)
{
	vring.base = 0x80008000 | SIZE;
	ck_assert_int_eq(vring_start(&vring), -EINVAL);
	vring.base = 0x80008000 | SIZE << 16;
	ck_assert_int_eq(vring_start(&vring), -EINVAL);
}

/* --- who is to be told ------------------------------------------------------ */

START_TEST(a_driver_may_ask_for_no_interrupts)
{
	offer_one(0);
	driver->flags = VRING_EVENT_DISABLE;
	vring_push(&vring, pop(), 0);
	vring_publish(&vring);
	expect_used(0, 0, 1);
	ck_assert(!fired(vring.call_fd));
}

/*
 * Of the ring at slot `used`, `pushed` buffers are shown; the driver's event
 * is at slot and wrap counter.  (virtio 1.2, 2.8.14; the size is 6.)
 */
static const struct {
	uint16_t used;
	uint16_t pushed;
	uint16_t event;
	bool call;
} events[] = {
	{ 0, 1, 0x8000, true },
	{ 0, 1, 0x8001, false },
	{ 0, 2, 0x8001, true },
	{ 0, 3, 0x8001, true },
	{ 0, 3, 0x8003, false },
	{ 3, 1, 0x8002, false },
	{ 3, 3, 0x8005, true },
	{ 3, 3, 0x0000, false },
	{ 3, 4, 0x0000, true },
	{ 3, 4, 0x8003, true },
	{ 3, 4, 0x0001, false },
	{ 5, 2, 0x8004, false },
	{ 5, 2, 0x8005, true },
	{ 5, 6, 0x0004, true },
	{ 5, 6, 0x0005, false },
	/* Outside of the ring: no harm. */
	{ 0, 1, 0xffff, false },
};

START_TEST(an_event_says_when_to_call)
{
	uint16_t base = (uint16_t)(0x8000 | events[_i].used);
	uint16_t heads[SIZE];

	vring.event_idx = true;
	start_at((uint32_t)base << 16 | base);
	vring.packed.called_valid = true;
	driver->flags = VRING_EVENT_DESC;
	driver->off_wrap = events[_i].event;
	for (uint16_t i = 0; i < events[_i].pushed; i++)
		offer_one(i);
	for (uint16_t i = 0; i < events[_i].pushed; i++)
		heads[i] = pop();
	for (uint16_t i = 0; i < events[_i].pushed; i++)
		vring_push(&vring, heads[i], 0);
	vring_publish(&vring);
	ck_assert_int_eq(fired(vring.call_fd), events[_i].call);
}

START_TEST(the_first_time_calls)
{
	vring.event_idx = true;
	driver->flags = VRING_EVENT_DESC;
	driver->off_wrap = 0x8004;
	offer_one(0);
	vring_push(&vring, pop(), 0);
	vring_publish(&vring);
	ck_assert(fired(vring.call_fd));
}

START_TEST(rearming_asks_for_the_next_kick)
{
	vring.event_idx = true;
	device->flags = VRING_EVENT_DISABLE;
	offer_one(0);
	offer_one(1);
	pop();
	pop();
	ck_assert(!vring_rearm(&vring));
	ck_assert_uint_eq(device->off_wrap, 0x8002);
	ck_assert_uint_eq(device->flags, VRING_EVENT_DESC);
	offer_one(2);
	ck_assert(vring_rearm(&vring));
	vring.event_idx = false;
	ck_assert(vring_rearm(&vring));
	ck_assert_uint_eq(device->flags, VRING_EVENT_ENABLE);
	vring_disarm(&vring);
	ck_assert_uint_eq(device->flags, VRING_EVENT_DISABLE);
}

/* --- what is wrong -------------------------------------------------------- */

static const struct {
	const char *why;
	struct vring_packed_descriptor first, second;
} broken[] = {
	{ "address outside", { RAM_BYTES, 16, 0, 0 }, { 0 } },
	{ "buffer leaves RAM", { RAM_BYTES - 8, 16, 0, 0 }, { 0 } },
	{ "address wraps", { UINT64_MAX - 7, 16, 0, 0 }, { 0 } },
	{ "length 0", { DATA_GPA, 0, 0, 0 }, { 0 } },
	{ "read after write",
	  { DATA_GPA, 16, 0, VRING_DESC_NEXT | VRING_DESC_WRITE },
	  { DATA_GPA, 16, 0, 0 } },
	{ "lengths wrap", { 0, RAM_BYTES, 0, VRING_DESC_NEXT },
	  { 0, UINT32_MAX, 0, 0 } },
	{ "table and next",
	  { TABLE_GPA, 16, 0, VRING_DESC_INDIRECT | VRING_DESC_NEXT },
	  { DATA_GPA, 16, 0, 0 } },
	{ "table at a chain's end", { DATA_GPA, 16, 0, VRING_DESC_NEXT },
	  { TABLE_GPA, 16, 0, VRING_DESC_INDIRECT } },
	{ "table of size 0", { TABLE_GPA, 0, 0, VRING_DESC_INDIRECT }, { 0 } },
	{ "table not of entries", { TABLE_GPA, 24, 0, VRING_DESC_INDIRECT },
	  { 0 } },
	{ "table too long", { TABLE_GPA, 16 * (VRING_MAX_SIZE + 1), 0,
			      VRING_DESC_INDIRECT }, { 0 } },
	{ "table outside", { RAM_BYTES, 16, 0, VRING_DESC_INDIRECT }, { 0 } },
	{ "table of nothing", { TABLE_GPA, 16, 0, VRING_DESC_INDIRECT },
	  { 0 } },
};

static void offer_broken(const struct vring_packed_descriptor *one)
{
	offer(one->addr, one->len, one->flags, one->id);
}

START_TEST(a_broken_chain_stops_the_queue)
{
	offer_broken(&broken[_i].first);
	if (broken[_i].first.flags & VRING_DESC_NEXT)
		offer_broken(&broken[_i].second);
	expect_broken();
	/* Nothing of it was taken. */
	ck_assert_uint_eq(vring.packed.inflight.nr_free, SIZE);
}

START_TEST(a_table_needs_the_feature)
{
	vring.indirect = false;
	offer(TABLE_GPA, 16, VRING_DESC_INDIRECT, 0);
	expect_broken();
}

START_TEST(a_chain_without_end_stops_the_queue)
{
	for (int i = 0; i < SIZE; i++)
		offer(DATA_GPA, 16, VRING_DESC_NEXT, 0);
	expect_broken();
}

/* A lap early: slots that the device has not given back. */
START_TEST(more_than_the_ring_holds_stops_the_queue)
{
	uint16_t heads[SIZE];

	for (uint16_t i = 0; i < SIZE; i++)
		offer_one(i);
	for (int i = 0; i < SIZE; i++)
		heads[i] = pop();
	offer_one(0);
	expect_broken();
	/* What is in flight still ends. */
	for (int i = 0; i < SIZE; i++)
		vring_push(&vring, heads[i], 0);
	vring_publish(&vring);
	ck_assert_uint_eq(vring_in_flight(&vring), 0);
}

/* Of the wrong lap, or used already: nothing is there. */
START_TEST(flags_of_another_lap_are_nothing)
{
	static const uint16_t others[] = {
		0, VRING_DESC_USED, VRING_DESC_AVAIL | VRING_DESC_USED,
	};

	for (int i = 0; i < 3; i++) {
		desc[0] = (struct vring_packed_descriptor){
			.addr = DATA_GPA, .len = 16, .flags = others[i],
		};
		ck_assert(!vring_has_work(&vring));
		ck_assert_int_eq(vring_pop(&vring, &chain), 0);
		ck_assert(!vring.broken);
	}
}

#define LENGTH(array)	((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("vring_packed");
	TCase *tc = tcase_create("vring_packed");
	SRunner *runner = srunner_create(suite);
	int failed;

	/* The machine may be busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, an_empty_ring_has_nothing);
	tcase_add_test(tc, a_chain_is_spans_in_order);
	tcase_add_test(tc, an_indirect_table_is_a_chain);
	tcase_add_test(tc, any_id_comes_back_as_it_was);
	tcase_add_test(tc, a_batch_is_seen_at_once_and_calls_once);
	tcase_add_test(tc, takes_and_pushes_may_mix);
	tcase_add_test(tc, a_ring_goes_round_many_times);
	tcase_add_test(tc, an_unpopped_chain_comes_again);
	tcase_add_test(tc, a_ring_stops_where_it_is_and_goes_on_there);
	tcase_add_test(tc, a_base_outside_of_the_ring_is_refused);
	tcase_add_test(tc, a_driver_may_ask_for_no_interrupts);
	tcase_add_loop_test(tc, an_event_says_when_to_call, 0,
			    LENGTH(events));
	tcase_add_test(tc, the_first_time_calls);
	tcase_add_test(tc, rearming_asks_for_the_next_kick);
	tcase_add_loop_test(tc, a_broken_chain_stops_the_queue, 0,
			    LENGTH(broken));
	tcase_add_test(tc, a_table_needs_the_feature);
	tcase_add_test(tc, a_chain_without_end_stops_the_queue);
	tcase_add_test(tc, more_than_the_ring_holds_stops_the_queue);
	tcase_add_test(tc, flags_of_another_lap_are_nothing);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
