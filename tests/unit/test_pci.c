/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm-core/pci.c and pci_bar.c, reached as a guest does: through the bus, by
 * ports CF8/CFC and by ECAM.
 */
#include <check.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "ipc/log.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/pci.h"
#include "vmm-core/pci_priv.h"

#define SLOT		3
#define OTHER_SLOT	31
#define BAR_BYTES	0x4000u
#define BAR_HOME	(PCI_MMIO_BASE + 0x10000u)
#define CAP_BYTES	20
#define COMMAND_ALL	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | \
			 PCI_COMMAND_INTX_DISABLE)

static struct pci_function fn;
static struct pci_function other;
static unsigned int nr_written;
static unsigned int last_offset;
static unsigned int last_size;
static uint64_t bar_last_offset;
static uint32_t bar_last_value;
static unsigned int nr_moves;
static unsigned int nr_event_runs;

static void config_reading(struct pci_function *f, unsigned int offset,
			   unsigned int size)
{
	(void)f;
	last_offset = offset;
	last_size = size;
}

static void config_written(struct pci_function *f, unsigned int offset,
			   unsigned int size)
{
	(void)f;
	(void)offset;
	(void)size;
	nr_written++;
}

static uint32_t bar_read(struct pci_function *f, uint64_t offset,
			 unsigned int size)
{
	ck_assert_ptr_eq(f, &fn);
	bar_last_offset = offset;
	return (uint32_t)offset + 0x100 * size;
}

static void bar_write(struct pci_function *f, uint64_t offset,
		      unsigned int size, uint32_t value)
{
	(void)f;
	(void)size;
	bar_last_offset = offset;
	bar_last_value = value;
}

static void bar_moved(struct pci_function *f, uint64_t base)
{
	ck_assert_uint_eq(f->bar_base, base);
	nr_moves++;
}

static void run_events(struct pci_function *f)
{
	atomic_store(&f->events, 0);
	nr_event_runs++;
}

static const struct pci_function_ops ops = {
	.config_reading = config_reading,
	.config_written = config_written,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_moved = bar_moved,
	.run_events = run_events,
};

static void setup(void)
{
	log_init("test", LOG_LEVEL_ERR);
	ck_assert_int_eq(pci_init(), 0);
	pci_function_init(&fn, "fn", 0x1af4, 0x1042, 0x018000, 1);
	fn.ops = &ops;
	pci_bar_init(&fn, BAR_HOME, BAR_BYTES);
	ck_assert_int_eq(pci_attach_function(SLOT, &fn), 0);
	pci_function_init(&other, "other", 0x1af4, 0x1044, 0xff0000, 1);
	other.ops = &ops;
	pci_bar_init(&other, BAR_HOME + BAR_BYTES, BAR_BYTES);
	ck_assert_int_eq(pci_attach_function(OTHER_SLOT, &other), 0);
}

/* --- a guest's accesses ---------------------------------------------------- */

static uint64_t load(enum bus_space space, uint64_t addr, unsigned int size)
{
	uint64_t value = 0;

	bus_access(space, addr, &value, size, 0);
	return value;
}

static void store(enum bus_space space, uint64_t addr, unsigned int size,
		  uint64_t value)
{
	bus_access(space, addr, &value, size, 1);
}

static uint64_t ecam(unsigned int slot, unsigned int reg)
{
	return PCI_ECAM_BASE + (slot << 15) + reg;
}

static void ecam_store(unsigned int reg, unsigned int size, uint32_t value)
{
	store(BUS_MMIO, ecam(SLOT, reg), size, value);
}

static uint32_t ecam_load(unsigned int reg, unsigned int size)
{
	return (uint32_t)load(BUS_MMIO, ecam(SLOT, reg), size);
}

static void port_select(unsigned int bus, unsigned int devfn, unsigned int reg)
{
	store(BUS_PIO, 0xcf8, 4, 1u << 31 | bus << 16 | devfn << 8 | reg);
}

START_TEST(the_host_bridge_is_there)
{
	ck_assert_uint_eq(load(BUS_MMIO, ecam(0, 0), 4), 0x00081b36);
	ck_assert_uint_eq(load(BUS_MMIO, ecam(0, PCI_CLASS_DEVICE), 2),
			  0x0600);
	port_select(0, 0, 0);
	ck_assert_uint_eq(load(BUS_PIO, 0xcfc, 4), 0x00081b36);
	/* It has nothing to decode, and takes no BAR. */
	store(BUS_MMIO, ecam(0, PCI_BASE_ADDRESS_0), 4, UINT32_MAX);
	ck_assert_uint_eq(load(BUS_MMIO, ecam(0, PCI_BASE_ADDRESS_0), 4), 0);
}
END_TEST

START_TEST(what_is_not_there_reads_as_ones)
{
	for (unsigned int slot = 1; slot < 32; slot++)
		if (slot != SLOT && slot != OTHER_SLOT)
			ck_assert_uint_eq(load(BUS_MMIO, ecam(slot, 0), 4),
					  UINT32_MAX);
	/* other functions of a device that has one; extended space */
	ck_assert_uint_eq(load(BUS_MMIO, ecam(SLOT, 0) + 0x1000, 4),
			  UINT32_MAX);
	ck_assert_uint_eq(load(BUS_MMIO, ecam(SLOT, 0x100), 4), UINT32_MAX);
	ck_assert_uint_eq(load(BUS_MMIO, ecam(SLOT, 0xffc), 4), UINT32_MAX);
	store(BUS_MMIO, ecam(SLOT, 0x100), 4, 0);
	/* other buses; enable bit not set */
	port_select(1, SLOT << 3, 0);
	ck_assert_uint_eq(load(BUS_PIO, 0xcfc, 4), UINT32_MAX);
	port_select(0, SLOT << 3 | 1, 0);
	ck_assert_uint_eq(load(BUS_PIO, 0xcfc, 4), UINT32_MAX);
	store(BUS_PIO, 0xcf8, 4, SLOT << 11);
	ck_assert_uint_eq(load(BUS_PIO, 0xcfc, 4), UINT32_MAX);
}
END_TEST

START_TEST(ports_and_ecam_show_the_same)
{
	for (unsigned int reg = 0; reg < PCI_CONFIG_BYTES; reg++) {
		port_select(0, SLOT << 3, reg & 0xfc);
		for (unsigned int size = 1; size <= 4; size *= 2) {
			if (reg & (size - 1))
				continue;
			ck_assert_uint_eq(load(BUS_PIO, 0xcfc + (reg & 3),
					       size),
					  ecam_load(reg, size));
			ck_assert_uint_eq(last_offset, reg);
			ck_assert_uint_eq(last_size, size);
		}
	}
}
END_TEST

START_TEST(only_a_dword_reaches_the_address_port)
{
	store(BUS_PIO, 0xcf8, 4, 0xffffffff);
	ck_assert_uint_eq(load(BUS_PIO, 0xcf8, 4), 0x80fffffc);
	store(BUS_PIO, 0xcf8, 2, 0);
	store(BUS_PIO, 0xcf8, 1, 0);
	store(BUS_PIO, 0xcfa, 2, 0);
	ck_assert_uint_eq(load(BUS_PIO, 0xcf8, 4), 0x80fffffc);
	ck_assert_uint_eq(load(BUS_PIO, 0xcf8, 2), 0xffff);
	/* nor does an access across its end reach the data port */
	ck_assert_uint_eq(load(BUS_PIO, 0xcfa, 4), UINT32_MAX);
}
END_TEST

START_TEST(odd_accesses_do_nothing)
{
	ck_assert_uint_eq(load(BUS_MMIO, ecam(SLOT, 1), 2), 0xffff);
	ck_assert_uint_eq(load(BUS_MMIO, ecam(SLOT, 2), 4), UINT32_MAX);
	ck_assert_uint_eq(load(BUS_MMIO, ecam(SLOT, 0), 8), UINT64_MAX);
	store(BUS_MMIO, ecam(SLOT, PCI_COMMAND), 8, UINT64_MAX);
	store(BUS_MMIO, ecam(SLOT, PCI_COMMAND - 1), 4, UINT32_MAX);
	ck_assert_uint_eq(nr_written, 0);
	ck_assert_uint_eq(ecam_load(PCI_COMMAND, 2), 0);
}
END_TEST

START_TEST(only_what_may_be_written_is)
{
	for (unsigned int reg = 0; reg < PCI_CONFIG_BYTES; reg += 4) {
		uint32_t before = ecam_load(reg, 4);
		uint32_t expected = before;

		ecam_store(reg, 4, UINT32_MAX);
		if (reg == PCI_COMMAND)
			expected |= COMMAND_ALL;
		else if (reg == PCI_CACHE_LINE_SIZE || reg == PCI_INTERRUPT_LINE)
			expected |= 0xff;
		else if (reg == PCI_BASE_ADDRESS_0)
			expected = ~(BAR_BYTES - 1) |
				   PCI_BASE_ADDRESS_MEM_TYPE_64;
		else if (reg == PCI_BASE_ADDRESS_1)
			expected = UINT32_MAX;
		ck_assert_uint_eq(ecam_load(reg, 4), expected);
	}
	ecam_store(PCI_COMMAND + 1, 1, 0);
	ck_assert_uint_eq(ecam_load(PCI_COMMAND, 2),
			  COMMAND_ALL & ~PCI_COMMAND_INTX_DISABLE);
}
END_TEST

START_TEST(capabilities_are_a_list)
{
	uint8_t first = pci_add_capability(&fn, PCI_CAP_ID_VNDR, CAP_BYTES - 1);
	uint8_t second = pci_add_capability(&fn, PCI_CAP_ID_MSIX, 12);

	ck_assert_uint_eq(first, PCI_FIRST_CAP);
	ck_assert_uint_eq(second, PCI_FIRST_CAP + CAP_BYTES);
	ck_assert(ecam_load(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	ck_assert_uint_eq(ecam_load(PCI_CAPABILITY_LIST, 1), first);
	ck_assert_uint_eq(ecam_load(first, 2), second << 8 | PCI_CAP_ID_VNDR);
	ck_assert_uint_eq(ecam_load(second, 2), PCI_CAP_ID_MSIX);
	while (pci_add_capability(&fn, PCI_CAP_ID_VNDR, CAP_BYTES))
		ck_assert_uint_ge(fn.caps_end, PCI_FIRST_CAP);
	ck_assert_uint_eq(pci_add_capability(&fn, PCI_CAP_ID_VNDR, 255), 0);
}
END_TEST

START_TEST(a_slot_is_taken_once)
{
	ck_assert_int_eq(pci_attach_function(SLOT, &other), -EBUSY);
	ck_assert_int_eq(pci_attach_function(0, &other), -EBUSY);
	ck_assert_int_eq(pci_attach_function(32, &other), -EBUSY);
}
END_TEST

/* --- the BAR --------------------------------------------------------------- */

static void move(uint64_t address)
{
	ecam_store(PCI_BASE_ADDRESS_0, 4, (uint32_t)address);
	ecam_store(PCI_BASE_ADDRESS_1, 4, (uint32_t)(address >> 32));
}

static bool decodes(uint64_t address)
{
	bar_last_offset = UINT64_MAX;
	return load(BUS_MMIO, address + 0x10, 4) == 0x410 &&
	       bar_last_offset == 0x10;
}

START_TEST(the_bar_decodes_when_told_to)
{
	ck_assert(!decodes(BAR_HOME));
	ecam_store(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert(decodes(BAR_HOME));
	ck_assert_uint_eq(nr_moves, 1);
	ecam_store(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	ck_assert(!decodes(BAR_HOME));
	ck_assert_uint_eq(nr_moves, 2);
}
END_TEST

START_TEST(the_bar_tells_its_size)
{
	ecam_store(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	move(UINT64_MAX);
	ck_assert_uint_eq(ecam_load(PCI_BASE_ADDRESS_0, 4),
			  ~(BAR_BYTES - 1) | PCI_BASE_ADDRESS_MEM_TYPE_64);
	ck_assert_uint_eq(ecam_load(PCI_BASE_ADDRESS_1, 4), UINT32_MAX);
	ck_assert(!decodes(BAR_HOME));
	move(BAR_HOME);
	ck_assert(decodes(BAR_HOME));
}
END_TEST

START_TEST(the_bar_moves)
{
	const uint64_t to = PCI_MMIO_END - BAR_BYTES;

	ecam_store(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	move(to);
	ck_assert(!decodes(BAR_HOME));
	ck_assert(decodes(to));
	ck_assert_uint_eq(load(BUS_MMIO, to + BAR_BYTES, 4),
			  load(BUS_MMIO, ecam(0, 0), 4));
}
END_TEST

START_TEST(a_bar_in_a_wrong_place_answers_to_nothing)
{
	static const uint64_t wrong[] = {
		0, BAR_BYTES, PCI_MMIO_BASE - BAR_BYTES, PCI_MMIO_END,
		PCI_ECAM_BASE, LAPIC_BASE, HIGH_RAM_BASE,
		HIGH_RAM_BASE + BAR_HOME, 0xffffffffffffc000ull,
		BAR_HOME + BAR_BYTES,	/* the other function is there */
	};

	store(BUS_MMIO, ecam(OTHER_SLOT, PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	ecam_store(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		move(wrong[i]);
		ck_assert_uint_eq(fn.bar_base, 0);
		ck_assert(!decodes(BAR_HOME));
		move(BAR_HOME);
		ck_assert(decodes(BAR_HOME));
	}
	ck_assert_uint_eq(other.bar_base, BAR_HOME + BAR_BYTES);
	ck_assert_uint_eq(load(BUS_MMIO, ecam(0, 0), 4), 0x00081b36);
}
END_TEST

START_TEST(the_bar_takes_each_width)
{
	ecam_store(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(load(BUS_MMIO, BAR_HOME + 3, 1), 0x03);
	ck_assert_uint_eq(load(BUS_MMIO, BAR_HOME + 2, 2), 0x202);
	ck_assert_uint_eq(load(BUS_MMIO, BAR_HOME + 8, 8),
			  0x40cull << 32 | 0x408);
	store(BUS_MMIO, BAR_HOME + 8, 8, 0x1122334455667788);
	ck_assert_uint_eq(bar_last_offset, 12);
	ck_assert_uint_eq(bar_last_value, 0x11223344);
	/* across its boundary: nothing */
	bar_last_offset = UINT64_MAX;
	store(BUS_MMIO, BAR_HOME + 2, 4, 0);
	ck_assert_uint_eq(load(BUS_MMIO, BAR_HOME + 1, 2), 0xffff);
	ck_assert_uint_eq(load(BUS_MMIO, BAR_HOME + 4, 8), UINT64_MAX);
	ck_assert_uint_eq(bar_last_offset, UINT64_MAX);
}
END_TEST

START_TEST(unlocking_runs_what_was_left)
{
	atomic_store(&fn.events, 1);
	ecam_load(0, 4);
	ck_assert_uint_eq(nr_event_runs, 1);
	ecam_load(0, 4);
	ck_assert_uint_eq(nr_event_runs, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *all = suite_create("pci");
	TCase *config = tcase_create("configuration space");
	TCase *bar = tcase_create("BAR");

	tcase_add_checked_fixture(config, setup, NULL);
	tcase_add_checked_fixture(bar, setup, NULL);
	tcase_add_test(config, the_host_bridge_is_there);
	tcase_add_test(config, what_is_not_there_reads_as_ones);
	tcase_add_test(config, ports_and_ecam_show_the_same);
	tcase_add_test(config, only_a_dword_reaches_the_address_port);
	tcase_add_test(config, odd_accesses_do_nothing);
	tcase_add_test(config, only_what_may_be_written_is);
	tcase_add_test(config, capabilities_are_a_list);
	tcase_add_test(config, a_slot_is_taken_once);
	tcase_add_test(config, unlocking_runs_what_was_left);
	tcase_add_test(bar, the_bar_decodes_when_told_to);
	tcase_add_test(bar, the_bar_tells_its_size);
	tcase_add_test(bar, the_bar_moves);
	tcase_add_test(bar, a_bar_in_a_wrong_place_answers_to_nothing);
	tcase_add_test(bar, the_bar_takes_each_width);
	suite_add_tcase(all, config);
	suite_add_tcase(all, bar);
	return all;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
