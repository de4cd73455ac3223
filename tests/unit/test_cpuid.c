/* SPDX-License-Identifier: Apache-2.0 */
/* vmm-core/cpuid.c: topology, ids and timing on an Intel and an AMD table. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/cpuid.h"

static union cpuid_table table;

static void add(uint32_t leaf, uint32_t subleaf, uint32_t eax, uint32_t ebx,
		uint32_t ecx, uint32_t edx)
{
	table.head.entries[table.head.nent++] = (struct kvm_cpuid_entry2){
		.function = leaf, .index = subleaf, .eax = eax, .ebx = ebx,
		.ecx = ecx, .edx = edx,
	};
}

static const struct kvm_cpuid_entry2 *get(uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < table.head.nent; i++)
		if (table.head.entries[i].function == leaf &&
		    table.head.entries[i].index == subleaf)
			return &table.head.entries[i];
	return NULL;
}

static unsigned int count(uint32_t leaf)
{
	unsigned int nr = 0;

	for (uint32_t i = 0; i < table.head.nent; i++)
		nr += table.head.entries[i].function == leaf;
	return nr;
}

/* As a host with 16 cores of two threads would say it. */
static void fill_common(void)
{
	memset(&table, 0, sizeof(table));
	add(1, 0, 0x906ea, 0x07200800, 0x76da3203, 0x1f8bfbff);
	add(0xb, 0, 1, 2, 0x100, 7);
	add(0xb, 1, 5, 32, 0x201, 7);
	add(0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
}

static void fill_intel(void)
{
	fill_common();
	add(0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(4, 0, 0x1c004121, 0x01c0003f, 63, 0);
	add(4, 1, 0x1c004122, 0x01c0003f, 63, 0);
	add(4, 2, 0x1c004143, 0x00c0003f, 1023, 0);
	add(4, 3, 0x1c03c163, 0x03c0003f, 12287, 6);
	add(4, 4, 0, 0, 0, 0);
	add(0x12, 0, 1, 0, 0, 0);
	add(0x15, 0, 2, 176, 24000000, 0);
	add(0x16, 0, 2100, 4200, 100, 0);
	add(0x1f, 0, 1, 2, 0x100, 7);
	add(0x1f, 1, 5, 32, 0x201, 7);
}

static void fill_amd(void)
{
	fill_common();
	add(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
	add(0x80000001, 0, 0x830f10, 0, 0x75c237fd, 0x2fd3fbff);
	add(0x80000008, 0, 0x3030, 0, 0x701f, 0);
	add(0x8000001d, 0, 0x4121, 0, 0, 0);
	add(0x8000001d, 3, 0x1c163, 0, 0, 0);
	add(0x8000001e, 0, 7, 0x103, 0x300, 0);
	add(0x80000026, 0, 1, 2, 0x100, 7);
}

static struct cpuid_machine machine_of(unsigned int nr)
{
	return (struct cpuid_machine){
		.nr_vcpus = nr, .tsc_khz = 2500000, .has_tsc_deadline = 1,
	};
}

static void shape(unsigned int index, unsigned int nr)
{
	struct cpuid_machine machine = machine_of(nr);

	ck_assert_int_eq(cpuid_shape(&table.head, index, &machine), 0);
}

START_TEST(ids_follow_the_index)
{
	/* The same table again and again, as the core uses it. */
	fill_intel();
	for (unsigned int i = 0; i < 6; i++) {
		shape(i, 6);
		ck_assert_uint_eq(get(1, 0)->ebx >> 24, i);
		ck_assert_uint_eq(get(1, 0)->ebx >> 16 & 0xff, 8);
		ck_assert_uint_eq(get(1, 0)->ebx & 0xffff, 0x0800);
		for (unsigned int sub = 0; sub < 3; sub++)
			ck_assert_uint_eq(get(0xb, sub)->edx, i);
		ck_assert_uint_eq(count(0xb), 3);
	}
}
END_TEST

START_TEST(feature_bits)
{
	struct cpuid_machine machine = machine_of(1);

	fill_intel();
	shape(0, 1);
	ck_assert_uint_eq(get(1, 0)->ecx >> 31, 1);
	ck_assert_uint_eq(get(1, 0)->ecx >> 24 & 1, 1);
	ck_assert_uint_eq(get(1, 0)->edx >> 28 & 1, 0);
	machine.has_tsc_deadline = 0;
	ck_assert_int_eq(cpuid_shape(&table.head, 0, &machine), 0);
	ck_assert_uint_eq(get(1, 0)->ecx >> 24 & 1, 0);
	shape(0, 2);
	ck_assert_uint_eq(get(1, 0)->edx >> 28 & 1, 1);
}
END_TEST

START_TEST(topology_leaf)
{
	static const struct {
		unsigned int nr_vcpus;
		unsigned int bits;
	} cases[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 32, 5 } };

	fill_intel();
	shape(0, cases[_i].nr_vcpus);
	ck_assert_uint_eq(get(0xb, 0)->eax, 0);
	ck_assert_uint_eq(get(0xb, 0)->ebx, 1);
	ck_assert_uint_eq(get(0xb, 0)->ecx, 0x100);
	ck_assert_uint_eq(get(0xb, 1)->eax, cases[_i].bits);
	ck_assert_uint_eq(get(0xb, 1)->ebx, cases[_i].nr_vcpus);
	ck_assert_uint_eq(get(0xb, 1)->ecx, 0x201);
	ck_assert_uint_eq(get(0xb, 2)->ecx, 2);
	ck_assert_uint_eq(get(0xb, 2)->ebx, 0);
	ck_assert_uint_eq(count(0x1f), 0);
	ck_assert_uint_eq(count(0x12), 0);
}
END_TEST

START_TEST(intel_caches)
{
	fill_intel();
	shape(1, 4);
	for (unsigned int sub = 0; sub < 3; sub++)
		ck_assert_uint_eq(get(4, sub)->eax >> 14 & 0xfff, 0);
	ck_assert_uint_eq(get(4, 3)->eax >> 14 & 0xfff, 3);
	ck_assert_uint_eq(get(4, 0)->eax >> 26, 3);
	/* Level and type stay, and so does the end of the list. */
	ck_assert_uint_eq(get(4, 3)->eax & 0x3fff, 0x163);
	ck_assert_uint_eq(get(4, 4)->eax, 0);
}
END_TEST

START_TEST(intel_timing)
{
	const struct kvm_cpuid_entry2 *tsc;

	fill_intel();
	shape(0, 1);
	tsc = get(0x15, 0);
	/* TSC = crystal * EBX / EAX */
	ck_assert_uint_eq((uint64_t)tsc->ecx * tsc->ebx / tsc->eax,
			  2500000000u);
	ck_assert_uint_eq(get(0x16, 0)->eax, 2500);
	ck_assert_uint_ge(get(0x40000000, 0)->eax, 0x40000010);
	ck_assert_uint_eq(get(0x40000010, 0)->eax, 2500000);
	ck_assert_uint_eq(get(0x40000010, 0)->ebx, 1000000);
}
END_TEST

START_TEST(amd_leaves)
{
	fill_amd();
	shape(2, 3);
	ck_assert_uint_eq(get(0x80000001, 0)->ecx >> 1 & 1, 1);
	ck_assert_uint_eq(get(0x80000008, 0)->ecx, 0x2002);
	ck_assert_uint_eq(get(0x8000001e, 0)->eax, 2);
	ck_assert_uint_eq(get(0x8000001e, 0)->ebx, 2);
	ck_assert_uint_eq(get(0x8000001e, 0)->ecx, 0);
	ck_assert_uint_eq(get(0x8000001d, 0)->eax >> 14 & 0xfff, 0);
	ck_assert_uint_eq(get(0x8000001d, 3)->eax >> 14 & 0xfff, 3);
	ck_assert_uint_eq(count(0x80000026), 0);
	/* Intel's own. */
	ck_assert_ptr_null(get(0x15, 0));
	shape(0, 1);
	ck_assert_uint_eq(get(0x80000001, 0)->ecx >> 1 & 1, 0);
}
END_TEST

/* VMX and SVM are gone, and the leaf about SVM. */
START_TEST(no_nested_virtualisation)
{
	struct cpuid_machine machine = machine_of(2);

	fill_intel();
	add(0x80000001, 0, 0, 0, 0x3f, 0);
	add(0x8000000a, 0, 1, 2, 0, 3);
	ck_assert_int_eq(cpuid_shape(&table.head, 0, &machine), 0);
	ck_assert(!(get(1, 0)->ecx & 1u << 5));
	ck_assert_uint_eq(get(0x80000001, 0)->ecx & 1u << 2, 0);
	ck_assert_uint_eq(get(0x80000001, 0)->ecx & 1u << 5, 1u << 5);
	ck_assert_ptr_null(get(0x8000000a, 0));
}
END_TEST

START_TEST(a_full_table_is_an_error)
{
	struct cpuid_machine machine = machine_of(2);

	fill_amd();
	while (table.head.nent < CPUID_MAX_ENTRIES)
		add(0x70000000 + table.head.nent, 0, 0, 0, 0, 0);
	ck_assert_int_eq(cpuid_shape(&table.head, 0, &machine), -ENOSPC);
}
END_TEST

START_TEST(a_poor_host_is_no_crash)
{
	struct cpuid_machine machine = machine_of(2);

	memset(&table, 0, sizeof(table));
	ck_assert_int_eq(cpuid_shape(&table.head, 1, &machine), 0);
	ck_assert_ptr_null(get(0xb, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cpuid");
	TCase *tcase = tcase_create("cpuid");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, ids_follow_the_index);
	tcase_add_test(tcase, feature_bits);
	tcase_add_loop_test(tcase, topology_leaf, 0, 5);
	tcase_add_test(tcase, intel_caches);
	tcase_add_test(tcase, intel_timing);
	tcase_add_test(tcase, amd_leaves);
	tcase_add_test(tcase, no_nested_virtualisation);
	tcase_add_test(tcase, a_full_table_is_an_error);
	tcase_add_test(tcase, a_poor_host_is_no_crash);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
