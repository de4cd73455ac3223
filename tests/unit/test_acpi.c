/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm-core/acpi.c: every pointer leads to a table, every table sums to zero,
 * and ACPICA's disassembler, which knows the specification, has no complaint.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm-core/acpi.h"

#define AREA_GPA	0xe0000u
#define AREA_BYTES	0x20000u
#define HEADER_BYTES	36u

static uint8_t area[AREA_BYTES];
static int used;

static uint32_t read32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t read64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint8_t sum(const uint8_t *bytes, uint32_t len)
{
	uint8_t total = 0;

	while (len--)
		total = (uint8_t)(total + *bytes++);
	return total;
}

/* A table that lies wholly in what was written, and sums to zero. */
static const uint8_t *table_at(uint64_t gpa)
{
	uint64_t at = gpa - AREA_GPA;
	uint32_t length;

	ck_assert_uint_ge(gpa, AREA_GPA);
	ck_assert_uint_le(at + HEADER_BYTES, (uint64_t)used);
	length = read32(area + at + 4);
	ck_assert_uint_ge(length, HEADER_BYTES);
	ck_assert_uint_le(at + length, (uint64_t)used);
	ck_assert_uint_eq(sum(area + at, length), 0);
	return area + at;
}

static const uint8_t *xsdt(void)
{
	ck_assert_mem_eq(area, "RSD PTR ", 8);
	ck_assert_uint_eq(sum(area, 20), 0);
	ck_assert_uint_eq(sum(area, 36), 0);
	return table_at(read64(area + 24));
}

static unsigned int nr_listed(void)
{
	return (read32(xsdt() + 4) - HEADER_BYTES) / 8;
}

static const uint8_t *listed(unsigned int i)
{
	return table_at(read64(xsdt() + HEADER_BYTES + 8 * i));
}

static const uint8_t *find(const char *signature)
{
	for (unsigned int i = 0; i < nr_listed(); i++)
		if (memcmp(listed(i), signature, 4) == 0)
			return listed(i);
	return NULL;
}

static void build(unsigned int nr_vcpus, bool has_serial)
{
	struct acpi_machine machine = {
		.nr_vcpus = nr_vcpus, .has_serial = has_serial,
	};

	used = acpi_write(&machine, area, sizeof(area), AREA_GPA);
	ck_assert_int_gt(used, 0);
}

START_TEST(tables_are_linked_and_sum_to_zero)
{
	const uint8_t *fadt;

	build(4, true);
	ck_assert_uint_eq(nr_listed(), 4);
	ck_assert_ptr_nonnull(find("APIC"));
	ck_assert_ptr_nonnull(find("MCFG"));
	ck_assert_ptr_nonnull(find("SSDT"));
	fadt = find("FACP");
	ck_assert_ptr_nonnull(fadt);
	ck_assert_mem_eq(table_at(read64(fadt + 140)), "DSDT", 4);
	ck_assert_uint_eq(read32(fadt + 40), read64(fadt + 140));
	/* FACS has no checksum, but an alignment */
	ck_assert_uint_eq(read32(fadt + 36) % 64, 0);
	ck_assert_mem_eq(area + read32(fadt + 36) - AREA_GPA, "FACS", 4);
}
END_TEST

START_TEST(fadt_names_the_ports)
{
	const uint8_t *fadt;

	build(1, true);
	fadt = find("FACP");
	ck_assert_uint_eq(read32(fadt + 56), PORT_PM1_EVENT);
	ck_assert_uint_eq(read32(fadt + 64), PORT_PM1_CONTROL);
	ck_assert_uint_eq(fadt[46], IRQ_SCI);
	ck_assert_uint_eq(read64(fadt + 120), PORT_RESET);
	ck_assert_uint_eq(fadt[128], RESET_VALUE);
	/* Not hardware-reduced; reset register; fixed power button. */
	ck_assert_uint_eq(read32(fadt + 112) >> 20 & 1, 0);
	ck_assert_uint_eq(read32(fadt + 112) >> 10 & 1, 1);
	ck_assert_uint_eq(read32(fadt + 112) >> 4 & 1, 0);
	/* No 8042. */
	ck_assert_uint_eq(fadt[109] & 2, 0);
}
END_TEST

START_TEST(madt_has_a_lapic_per_vcpu)
{
	static const unsigned int counts[] = { 1, 2, 32 };
	unsigned int nr = counts[_i];
	unsigned int next = 0;
	const uint8_t *madt;
	uint32_t at = 44;

	build(nr, false);
	madt = find("APIC");
	while (at < read32(madt + 4)) {
		const uint8_t *entry = madt + at;

		ck_assert_uint_ge(entry[1], 2);
		if (entry[0] == 0) {
			ck_assert_uint_eq(entry[3], next);
			ck_assert_uint_eq(read32(entry + 4), 1);
			next++;
		}
		at += entry[1];
	}
	ck_assert_uint_eq(at, read32(madt + 4));
	ck_assert_uint_eq(next, nr);
}
END_TEST

START_TEST(serial_only_where_there_is_one)
{
	build(1, false);
	ck_assert_ptr_null(find("SSDT"));
	ck_assert_uint_eq(nr_listed(), 3);
}
END_TEST

START_TEST(a_small_area_is_refused)
{
	struct acpi_machine machine = { .nr_vcpus = 32, .has_serial = true };
	int needed;

	needed = acpi_write(&machine, area, sizeof(area), AREA_GPA);
	ck_assert_int_gt(needed, 0);
	for (int bytes = 0; bytes < needed; bytes += 7)
		ck_assert_int_eq(acpi_write(&machine, area, (uint32_t)bytes,
					    AREA_GPA), -ENOSPC);
	ck_assert_int_eq(acpi_write(&machine, area, (uint32_t)needed,
				    AREA_GPA), needed);
}
END_TEST

static void write_table(const char *folder, unsigned int nr,
			const uint8_t *table)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/t%u.dat", folder, nr);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(table, read32(table + 4), 1, file), 1);
	fclose(file);
}

static int shell(const char *folder, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && { %s; } >out 2>&1", folder,
		 command);
	return system(line);
}

START_TEST(iasl_reads_them_back)
{
	char folder[] = "/tmp/test_acpi.XXXXXX";
	unsigned int nr;
	int found;
	int clean;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	build(2, true);
	nr = nr_listed();
	for (unsigned int i = 0; i < nr; i++)
		write_table(folder, i, listed(i));
	write_table(folder, nr, table_at(read64(find("FACP") + 140)));
	write_table(folder, nr + 1, xsdt());

	/* Disassemble all; compile the AML again, warnings being errors. */
	clean = shell(folder, "for t in *.dat; do iasl -d $t || exit 1; done; "
		      "grep -l '^DefinitionBlock' *.dsl | xargs -n 1 iasl -we");
	found = shell(folder,
		      "! grep -i 'invalid\\|incorrect\\|unknown\\|past end' *.dsl"
		      " && grep -q PNP0A08 *.dsl && grep -q PNP0501 *.dsl"
		      " && grep -q QEMU0001 *.dsl && grep -q '_S5' *.dsl");
	if (clean != 0 || found != 0)
		shell(folder, "cat out >&2");
	shell(folder, "rm -f *.dat *.dsl *.aml out");
	rmdir(folder);
	ck_assert_int_eq(clean, 0);
	ck_assert_int_eq(found, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("acpi");
	TCase *tcase = tcase_create("acpi");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, tables_are_linked_and_sum_to_zero);
	tcase_add_test(tcase, fadt_names_the_ports);
	tcase_add_loop_test(tcase, madt_has_a_lapic_per_vcpu, 0, 3);
	tcase_add_test(tcase, serial_only_where_there_is_one);
	tcase_add_test(tcase, a_small_area_is_refused);
	tcase_add_test(tcase, iasl_reads_them_back);
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
