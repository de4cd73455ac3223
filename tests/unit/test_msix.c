/* SPDX-License-Identifier: Apache-2.0 */
/* vmm-core/msix.c: masks, pending bits and who is assigned to KVM when. */
#include <check.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ipc/log.h"
#include "tests/unit/fake_kvm.h"
#include "vmm-core/msix.h"

#define NR		3
#define ADDRESS		0xfee00000ull
#define DATA(vector)	(0x4020u + (vector))
#define MASKED		PCI_MSIX_ENTRY_CTRL_MASKBIT

static struct msix msix;
static int fds[NR];

static void signal_source(unsigned int source)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fds[source], &one, sizeof(one)), sizeof(one));
}

static void write_entry(unsigned int vector, unsigned int field,
			uint32_t value)
{
	msix_table_write(&msix, vector * PCI_MSIX_ENTRY_SIZE + field, 4,
			 value);
}

static void set_mask(unsigned int vector, uint32_t control)
{
	write_entry(vector, PCI_MSIX_ENTRY_VECTOR_CTRL, control);
}

static unsigned int interrupts(unsigned int vector)
{
	return fake_kvm_interrupts(ADDRESS, DATA(vector));
}

static void setup(void)
{
	log_init("test", LOG_LEVEL_ERR);
	fake_kvm_reset();
	for (int i = 0; i < NR; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_eq(msix_init(&msix, "vda", fds, NR), 0);
}

/* As Linux does: addresses while masked, then enable, then unmask. */
static void setup_running(void)
{
	setup();
	msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE |
				PCI_MSIX_FLAGS_MASKALL);
	for (unsigned int i = 0; i < NR; i++) {
		write_entry(i, PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)ADDRESS);
		write_entry(i, PCI_MSIX_ENTRY_UPPER_ADDR, 0);
		write_entry(i, PCI_MSIX_ENTRY_DATA, DATA(i));
		set_mask(i, 0);
		ck_assert_uint_eq(msix_bind(&msix, i, (uint16_t)i), i);
	}
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
	msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE);
}

START_TEST(all_is_masked_at_first)
{
	for (uint32_t i = 0; i < NR; i++)
		ck_assert_uint_eq(msix_table_read(&msix, i * 16 + 12, 4), MASKED);
	msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(msix_bind(&msix, 0, 0), 0);
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
}
END_TEST

START_TEST(an_interrupt_arrives)
{
	ck_assert_uint_eq(fake_kvm_nr_assigned(), NR);
	signal_source(1);
	ck_assert_uint_eq(interrupts(1), 1);
	ck_assert_uint_eq(interrupts(0), 0);
	ck_assert_uint_eq(interrupts(2), 0);
}
END_TEST

START_TEST(a_masked_vector_waits)
{
	set_mask(1, MASKED);
	ck_assert(!fake_kvm_is_assigned(fds[1]));
	ck_assert_uint_eq(msix_pba_read(&msix, 0, 4), 0);
	signal_source(1);
	signal_source(1);
	ck_assert_uint_eq(interrupts(1), 0);
	ck_assert_uint_eq(msix_pba_read(&msix, 0, 4), 1u << 1);
	ck_assert_uint_eq(msix_pba_read(&msix, 4, 4), 0);
	set_mask(1, 0);
	ck_assert_uint_eq(interrupts(1), 1);
	ck_assert_uint_eq(msix_pba_read(&msix, 0, 4), 0);
}
END_TEST

START_TEST(the_function_mask_masks_all)
{
	msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE |
				PCI_MSIX_FLAGS_MASKALL);
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
	for (unsigned int i = 0; i < NR; i++)
		signal_source(i);
	ck_assert_uint_eq(msix_pba_read(&msix, 0, 1), 7);
	set_mask(2, MASKED);
	msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(interrupts(0), 1);
	ck_assert_uint_eq(interrupts(1), 1);
	ck_assert_uint_eq(interrupts(2), 0);
	ck_assert_uint_eq(msix_pba_read(&msix, 0, 2), 4);
}
END_TEST

START_TEST(disabled_sends_nothing)
{
	msix_set_control(&msix, 0);
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
	ck_assert(!msix_take_unsent(&msix, NR));
	signal_source(1);
	ck_assert(msix_take_unsent(&msix, NR));
	ck_assert(!msix_take_unsent(&msix, NR));
	/* Not all sources, if so asked; and none with MSI-X on. */
	signal_source(2);
	ck_assert(!msix_take_unsent(&msix, 2));
	msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE |
				PCI_MSIX_FLAGS_MASKALL);
	ck_assert(!msix_take_unsent(&msix, NR));
}
END_TEST

START_TEST(sources_may_share_a_vector)
{
	ck_assert_uint_eq(msix_bind(&msix, 1, 0), 0);
	ck_assert_uint_eq(msix_bind(&msix, 2, 0), 0);
	for (unsigned int i = 0; i < NR; i++)
		signal_source(i);
	ck_assert_uint_eq(interrupts(0), 3);
	ck_assert_uint_eq(interrupts(1), 0);
	set_mask(0, MASKED);
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
	signal_source(2);
	ck_assert_uint_eq(msix_pba_read(&msix, 0, 4), 1);
	set_mask(0, 0);
	ck_assert_uint_eq(interrupts(0), 4);
}
END_TEST

START_TEST(a_vector_that_is_not_there_is_none)
{
	static const uint16_t none[] = { NR, NR + 1, 2048, 0xfffe, 0xffff };

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		ck_assert_uint_eq(msix_bind(&msix, 0, none[i]),
				  MSIX_NO_VECTOR);
		ck_assert(!fake_kvm_is_assigned(fds[0]));
		signal_source(0);
		ck_assert_uint_eq(msix_pba_read(&msix, 0, 4), 0);
		/* What came while there was no vector is gone. */
		ck_assert_uint_eq(msix_bind(&msix, 0, 0), 0);
		ck_assert_uint_eq(interrupts(0), 0);
	}
}
END_TEST

START_TEST(an_entry_may_change_while_it_is_live)
{
	write_entry(1, PCI_MSIX_ENTRY_DATA, DATA(7));
	signal_source(1);
	ck_assert_uint_eq(interrupts(7), 1);
	ck_assert_uint_eq(interrupts(1), 0);
	ck_assert_uint_eq(msix_table_read(&msix, 16 + 8, 4), DATA(7));
}
END_TEST

START_TEST(table_reads_in_pieces_and_takes_dwords_only)
{
	ck_assert_uint_eq(msix_table_read(&msix, 16 + 8, 2),
			  DATA(1) & 0xffff);
	ck_assert_uint_eq(msix_table_read(&msix, 16 + 9, 1), DATA(1) >> 8);
	msix_table_write(&msix, 16 + 8, 2, 0);
	msix_table_write(&msix, 16 + 12, 1, 1);
	ck_assert_uint_eq(msix_table_read(&msix, 16 + 8, 4), DATA(1));
	ck_assert(fake_kvm_is_assigned(fds[1]));
	/* reserved bits of the control word stay 0 */
	set_mask(1, UINT32_MAX);
	ck_assert_uint_eq(msix_table_read(&msix, 16 + 12, 4), MASKED);
}
END_TEST

START_TEST(unbinding_forgets_what_was_pending)
{
	set_mask(0, MASKED);
	signal_source(0);
	msix_unbind_all(&msix);
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
	ck_assert_uint_eq(msix_pba_read(&msix, 0, 4), 0);
	ck_assert_uint_eq(msix_bind(&msix, 0, 0), 0);
	set_mask(0, 0);
	ck_assert_uint_eq(interrupts(0), 0);
	ck_assert_uint_eq(msix_table_read(&msix, 8, 4), DATA(0));
}
END_TEST

START_TEST(kvm_may_refuse)
{
	set_mask(1, MASKED);
	fake_kvm_refuse(-EINVAL);
	set_mask(1, 0);
	write_entry(0, PCI_MSIX_ENTRY_DATA, DATA(9));
	ck_assert(!fake_kvm_is_assigned(fds[1]));
	fake_kvm_refuse(0);
	signal_source(1);
	set_mask(1, MASKED);
	set_mask(1, 0);
	ck_assert_uint_eq(interrupts(1), 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *all = suite_create("msix");
	TCase *fresh = tcase_create("fresh");
	TCase *running = tcase_create("running");

	tcase_add_checked_fixture(fresh, setup, NULL);
	tcase_add_checked_fixture(running, setup_running, NULL);
	tcase_add_test(fresh, all_is_masked_at_first);
	tcase_add_test(running, an_interrupt_arrives);
	tcase_add_test(running, a_masked_vector_waits);
	tcase_add_test(running, the_function_mask_masks_all);
	tcase_add_test(running, disabled_sends_nothing);
	tcase_add_test(running, sources_may_share_a_vector);
	tcase_add_test(running, a_vector_that_is_not_there_is_none);
	tcase_add_test(running, an_entry_may_change_while_it_is_live);
	tcase_add_test(running, table_reads_in_pieces_and_takes_dwords_only);
	tcase_add_test(running, unbinding_forgets_what_was_pending);
	tcase_add_test(running, kvm_may_refuse);
	suite_add_tcase(all, fresh);
	suite_add_tcase(all, running);
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
