/* SPDX-License-Identifier: Apache-2.0 */
/* vmm-core/bus.c: who gets an access, and what nobody's access reads as. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/bus.h"

struct probe {
	uint64_t offset;
	unsigned int size;
	uint64_t value;
	unsigned int nr_reads;
	unsigned int nr_writes;
	unsigned int owner;
};

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned int size)
{
	struct probe *probe = opaque;

	probe->offset = offset;
	probe->size = size;
	probe->nr_reads++;
	return 0x1122334455667788;
}

static void probe_write(void *opaque, uint64_t offset, unsigned int size,
			uint64_t value)
{
	struct probe *probe = opaque;

	probe->offset = offset;
	probe->size = size;
	probe->value = value;
	probe->nr_writes++;
}

static unsigned int probe_owner(void *opaque)
{
	struct probe *probe = opaque;

	return probe->owner;
}

static const struct bus_ops probe_ops = {
	probe_read, probe_write, probe_owner,
};

/* Each test runs in a process of its own: the bus is empty. */
static struct probe a;
static struct probe b;

START_TEST(who_answers_is_told)
{
	uint32_t data = 0;

	a.owner = 7;
	b.owner = STATS_OWNER_PCI;
	ck_assert_int_eq(bus_add(BUS_PIO, 0x100, 4, &probe_ops, &a), 0);
	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1000, 4, &probe_ops, &b), 0);
	ck_assert_uint_eq(bus_access(BUS_PIO, 0x100, &data, 4, 1), 7);
	ck_assert_uint_eq(bus_access(BUS_MMIO, 0x1000, &data, 4, 0),
			  STATS_OWNER_PCI);
	ck_assert_uint_eq(bus_access(BUS_PIO, 0x200, &data, 4, 0),
			  STATS_OWNER_NOBODY);
}
END_TEST

START_TEST(sizes_and_offsets_arrive)
{
	static const unsigned int sizes[] = { 1, 2, 4, 8 };
	unsigned int size = sizes[_i];
	uint64_t data = 0xa1b2c3d4e5f60718;
	uint64_t mask = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;

	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1000, 0x100, &probe_ops, &a), 0);
	bus_access(BUS_MMIO, 0x1010, &data, size, 1);
	ck_assert_uint_eq(a.offset, 0x10);
	ck_assert_uint_eq(a.size, size);
	ck_assert_uint_eq(a.value, 0xa1b2c3d4e5f60718 & mask);

	data = 0;
	bus_access(BUS_MMIO, 0x1010, &data, size, 0);
	ck_assert_uint_eq(data, 0x1122334455667788 & mask);
}
END_TEST

START_TEST(nobody_reads_as_ones)
{
	uint64_t data = 0;

	ck_assert_int_eq(bus_add(BUS_PIO, 0x100, 4, &probe_ops, &a), 0);
	bus_access(BUS_PIO, 0x200, &data, 4, 0);
	ck_assert_uint_eq(data, UINT32_MAX);
	/* The same number in the other space is somebody else's. */
	bus_access(BUS_MMIO, 0x100, &data, 8, 0);
	ck_assert_uint_eq(data, UINT64_MAX);
	/* Over the end of the range: not its access. */
	data = 0;
	bus_access(BUS_PIO, 0x102, &data, 4, 0);
	ck_assert_uint_eq(data, UINT32_MAX);
	bus_access(BUS_PIO, 0xfe, &data, 4, 1);
	ck_assert_uint_eq(a.nr_reads + a.nr_writes, 0);
	/* Over the end of the address space. */
	data = 0;
	bus_access(BUS_MMIO, UINT64_MAX - 1, &data, 4, 0);
	ck_assert_uint_eq(data, UINT32_MAX);
}
END_TEST

START_TEST(odd_sizes_are_split)
{
	uint8_t data[3] = { 1, 2, 3 };

	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1000, 0x10, &probe_ops, &a), 0);
	bus_access(BUS_MMIO, 0x1000, data, 3, 1);
	ck_assert_uint_eq(a.nr_writes, 3);
	ck_assert_uint_eq(a.size, 1);
	ck_assert_uint_eq(a.offset, 2);
	ck_assert_uint_eq(a.value, 3);
	/* Two bytes inside, one outside. */
	bus_access(BUS_MMIO, 0x100e, data, 3, 0);
	ck_assert_uint_eq(data[0], 0x88);
	ck_assert_uint_eq(data[1], 0x88);
	ck_assert_uint_eq(data[2], 0xff);
}
END_TEST

START_TEST(ports_nest_and_memory_does_not)
{
	uint32_t data = 6;

	ck_assert_int_eq(bus_add(BUS_PIO, 0xcf8, 8, &probe_ops, &a), 0);
	ck_assert_int_eq(bus_add(BUS_PIO, 0xcf9, 1, &probe_ops, &b), 0);
	bus_access(BUS_PIO, 0xcf9, &data, 1, 1);
	ck_assert_uint_eq(b.nr_writes, 1);
	ck_assert_uint_eq(a.nr_writes, 0);
	bus_access(BUS_PIO, 0xcf8, &data, 4, 1);
	bus_access(BUS_PIO, 0xcf8, &data, 1, 1);
	ck_assert_uint_eq(b.nr_writes, 1);
	ck_assert_uint_eq(a.nr_writes, 2);
	/* Neither the same start nor half an overlap. */
	ck_assert_int_eq(bus_add(BUS_PIO, 0xcf8, 4, &probe_ops, &b), -EEXIST);
	ck_assert_int_eq(bus_add(BUS_PIO, 0xcfe, 8, &probe_ops, &b), -EEXIST);

	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1000, 0x100, &probe_ops, &a), 0);
	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1010, 1, &probe_ops, &b),
			 -EEXIST);
	ck_assert_int_eq(bus_add(BUS_MMIO, 0xfff, 2, &probe_ops, &b), -EEXIST);
	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1100, 1, &probe_ops, &b), 0);
}
END_TEST

START_TEST(a_nested_port_may_come_first)
{
	uint8_t data = 6;

	ck_assert_int_eq(bus_add(BUS_PIO, 0xcf9, 1, &probe_ops, &b), 0);
	ck_assert_int_eq(bus_add(BUS_PIO, 0xcf8, 8, &probe_ops, &a), 0);
	bus_access(BUS_PIO, 0xcf9, &data, 1, 1);
	ck_assert_uint_eq(b.nr_writes, 1);
	ck_assert_uint_eq(a.nr_writes, 0);
}
END_TEST

START_TEST(impossible_ranges_are_refused)
{
	ck_assert_int_eq(bus_add(BUS_MMIO, 0, 0, &probe_ops, &a), -EINVAL);
	ck_assert_int_eq(bus_add(BUS_MMIO, UINT64_MAX, 2, &probe_ops, &a),
			 -EINVAL);
	ck_assert_int_eq(bus_add(BUS_MMIO, UINT64_MAX, 1, &probe_ops, &a), 0);
	ck_assert_int_eq(bus_add(BUS_PIO, 0xffff, 2, &probe_ops, &a), -EINVAL);
	ck_assert_int_eq(bus_add(BUS_PIO, 0xffff, 1, &probe_ops, &a), 0);
}
END_TEST

START_TEST(a_moved_range_leaves_nothing_behind)
{
	uint8_t data = 0;

	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1000, 0x100, &probe_ops, &a), 0);
	ck_assert_int_eq(bus_add(BUS_MMIO, 0x2000, 0x100, &probe_ops, &b), 0);
	bus_remove(BUS_MMIO, 0x1000);
	bus_remove(BUS_MMIO, 0x5000);
	bus_access(BUS_MMIO, 0x1000, &data, 1, 0);
	ck_assert_uint_eq(data, 0xff);
	bus_access(BUS_MMIO, 0x2000, &data, 1, 0);
	ck_assert_uint_eq(b.nr_reads, 1);
	ck_assert_int_eq(bus_add(BUS_MMIO, 0x1000, 0x100, &probe_ops, &b), 0);
}
END_TEST

START_TEST(the_table_has_an_end)
{
	int err = 0;
	unsigned int nr = 0;

	while (!err && nr < 1000)
		err = bus_add(BUS_MMIO, 0x1000 * (uint64_t)nr++, 0x1000,
			      &probe_ops, &a);
	ck_assert_int_eq(err, -ENOSPC);
	/* 31 functions with two BARs each must fit. */
	ck_assert_uint_gt(nr, 64);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus");
	TCase *tcase = tcase_create("bus");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, sizes_and_offsets_arrive, 0, 4);
	tcase_add_test(tcase, who_answers_is_told);
	tcase_add_test(tcase, nobody_reads_as_ones);
	tcase_add_test(tcase, odd_sizes_are_split);
	tcase_add_test(tcase, ports_nest_and_memory_does_not);
	tcase_add_test(tcase, a_nested_port_may_come_first);
	tcase_add_test(tcase, impossible_ranges_are_refused);
	tcase_add_test(tcase, a_moved_range_leaves_nothing_behind);
	tcase_add_test(tcase, the_table_has_an_end);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
