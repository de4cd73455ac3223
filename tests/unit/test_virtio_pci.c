/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-pci: a driver that keeps the rules finds what it expects. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>

#include "ipc/fdmsg.h"
#include "tests/unit/fake_kvm.h"
#include "tests/unit/virtio_driver.h"
#include "vmm-core/layout.h"

START_TEST(it_is_a_modern_virtio_device)
{
	ck_assert_uint_eq(driver_load(driver_config_at(PCI_VENDOR_ID), 4), 0x10421af4);
	ck_assert_uint_eq(driver_load(driver_config_at(PCI_CLASS_REVISION), 4),
			  0x01800001);
	ck_assert_uint_ge(driver_load(driver_config_at(PCI_SUBSYSTEM_ID), 2), 0x40);
	ck_assert_uint_eq(driver_load(driver_config_at(PCI_INTERRUPT_PIN), 1), 0);
	ck_assert(driver.window_cap && driver.msix_cap);
	ck_assert_uint_eq(driver.device_bytes, 60);
	ck_assert_uint_eq(driver_load(driver_config_at(driver.msix_cap +
						       PCI_MSIX_FLAGS), 2),
			  NR_QUEUES);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_NUMQ, 2), NR_QUEUES);
	ck_assert_uint_eq(driver_status(), 0);
}
END_TEST

START_TEST(features_are_those_of_the_back_end_that_we_know)
{
	uint64_t features;

	driver_set(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	features = (uint64_t)driver_get(VIRTIO_PCI_COMMON_DF, 4) << 32;
	driver_set(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	features |= driver_get(VIRTIO_PCI_COMMON_DF, 4);
	ck_assert_uint_eq(features, F_MASK);
	driver_set(VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_DF, 4), 0);
	driver_set(VIRTIO_PCI_COMMON_DFSELECT, 4, UINT32_MAX);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_DF, 4), 0);
}
END_TEST

START_TEST(a_driver_starts_and_data_flows)
{
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		ck_assert(fake.ring[i].enabled);
		ck_assert_uint_eq(fake.ring[i].num, 128);
		ck_assert_uint_eq(fake.ring[i].addr.desc, 0x10000 * (i + 1));
		machine_take_signal(fake.ring[i].kick_fd);
	}
	/* D1: the doorbell of queue 1 reaches queue 1 only. */
	driver_set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), NR_QUEUES);
	driver_store(driver.bar + driver.notify + driver.notify_step, 2, 1);
	ck_assert(machine_take_signal(fake.ring[1].kick_fd));
	ck_assert(!machine_take_signal(fake.ring[0].kick_fd));
	/* D6: and its call is the interrupt of vector 1. */
	machine_signal_fd(fake.ring[1].call_fd);
	ck_assert_uint_eq(machine_interrupts(1), 1);
	ck_assert_uint_eq(machine_interrupts(0), 0);
}
END_TEST

START_TEST(reset_stops_and_forgets)
{
	driver_run();
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	ck_assert_uint_eq(driver_status(), 0);
	ck_assert_uint_eq(fake_backend_count(&fake,
			  VHOST_USER_GET_VRING_BASE), NR_QUEUES);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_RESET_DEVICE),
			  1);
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		driver_set(VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
		ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
		ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	}
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert(fake.ring[1].enabled);
}
END_TEST

START_TEST(registers_read_back)
{
	driver_begin();
	driver_set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	driver_set_address(VIRTIO_PCI_COMMON_Q_DESCLO, 0x1122334455667788);
	driver_set_address(VIRTIO_PCI_COMMON_Q_AVAILLO, 0x2233445566778899);
	driver_set_address(VIRTIO_PCI_COMMON_Q_USEDLO, 0x33445566778899aa);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x11223344);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x55667788);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_AVAILHI, 4), 0x22334455);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_AVAILLO, 4), 0x66778899);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0x33445566);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_USEDLO, 4), 0x778899aa);
	driver_set(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
	driver_set(VIRTIO_PCI_COMMON_Q_MSIX, 2, NR_QUEUES + 1);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	/* virtio 1.2, 4.1.4.3.1: a queue that is not there */
	driver_set(VIRTIO_PCI_COMMON_Q_SELECT, 2, NR_QUEUES);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	driver_set_up_queue(NR_QUEUES, 16, 0x10000);
	driver_set_up_queue(0xffff, 16, 0x10000);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	ck_assert_uint_eq(driver_status() & NEEDS_RESET, 0);
}
END_TEST

START_TEST(config_space_is_the_back_ends)
{
	uint64_t at = driver.bar + driver.device;

	ck_assert_uint_eq(driver_load(at, 8), 0);
	ck_assert_uint_eq(driver_load(at + NUM_QUEUES_AT, 2), NR_QUEUES);
	driver_store(at + 32, 1, 1);
	ck_assert_uint_eq(fake.config_write.offset, 32);
	ck_assert_uint_eq(fake.config_write.size, 1);
	ck_assert_uint_eq(driver_load(at + 32, 1), 1);
	/* beyond its end */
	ck_assert_uint_eq(driver_load(at + 60, 4), 0);
	driver_store(at + 60, 4, 1);
	ck_assert_uint_eq(fake.config_write.offset, 32);
}
END_TEST

/* virtio 1.2, 5.2.4: a driver that writes what is not its to write */
START_TEST(a_config_write_that_may_not_be_costs_nothing)
{
	uint64_t at = driver.bar + driver.device;

	driver_run();
	fake.ack = 1;
	for (uint32_t i = 0; i < driver.device_bytes; i++)
		if (i != 32)
			driver_store(at + i, 1, 0xff);
	driver_store(at + 32, 4, 0xff);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_CONFIG), 0);
	/* This one is, but the back-end does not like the value. */
	driver_store(at + 32, 1, 0xff);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_CONFIG), 1);
	ck_assert_uint_eq(driver_load(at, 8), 0);
	ck_assert_uint_eq(driver_status(), RUNNING);
}
END_TEST

/* The back-end has these eventfds too; a foreign one can make them wait. */
START_TEST(a_back_end_cannot_make_a_vcpu_wait)
{
	driver_run();
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		ck_assert_int_eq(fcntl(fake.ring[i].err_fd, F_SETFL, 0), 0);
		ck_assert_int_eq(fcntl(fake.ring[i].call_fd, F_SETFL, 0), 0);
		ck_assert_int_eq(fcntl(fake.ring[i].kick_fd, F_SETFL, 0), 0);
	}
	machine_main_loop();
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	ck_assert_uint_eq(driver_status(), 0);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
}
END_TEST

START_TEST(a_config_change_interrupts_and_is_read)
{
	static const struct vhost_user_hdr hdr = {
		VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0,
	};
	uint32_t generation;

	driver_run();
	generation = driver_get(VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	fake.config[0] = 99;
	ck_assert_int_eq(fdmsg_send(fake.channel_fd, &hdr, sizeof(hdr), NULL,
				    0, 100), 0);
	machine_main_loop();
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 1);
	ck_assert_uint_eq(driver_load(driver.bar + driver.isr, 1), 2);
	ck_assert_uint_eq(driver_load(driver.bar + driver.isr, 1), 0);
	ck_assert_uint_eq(driver_load(driver.bar + driver.device, 1), 99);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_CFGGENERATION, 1),
			  (generation + 1) & 0xff);
	machine_main_loop();
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 1);
}
END_TEST

START_TEST(without_msix_the_isr_tells)
{
	driver_begin();
	driver_set_up_queue(0, 16, 0x10000);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	ck_assert_uint_eq(driver_load(driver.bar + driver.isr, 1), 0);
	machine_signal_fd(fake.ring[0].call_fd);
	ck_assert_uint_eq(driver_load(driver.bar + driver.isr, 1), 1);
	ck_assert_uint_eq(driver_load(driver.bar + driver.isr, 1), 0);
}
END_TEST

START_TEST(pending_bits_are_in_the_bar)
{
	driver_run();
	driver_store(driver.bar + driver.msix_table + 12, 4, 1);
	machine_signal_fd(fake.ring[0].call_fd);
	ck_assert_uint_eq(driver_load(driver.bar + driver.msix_pba, 8), 1);
	driver_store(driver.bar + driver.msix_pba, 8, 0);
	ck_assert_uint_eq(driver_load(driver.bar + driver.msix_pba, 8), 1);
	driver_store(driver.bar + driver.msix_table + 12, 4, 0);
	ck_assert_uint_eq(machine_interrupts(0), 1);
	ck_assert_uint_eq(driver_load(driver.bar + driver.msix_pba, 8), 0);
}
END_TEST

START_TEST(doorbells_move_with_the_bar)
{
	const uint64_t old = driver.bar;

	driver_run();
	machine_take_signal(fake.ring[1].kick_fd);
	driver_store(driver_config_at(PCI_COMMAND), 2, 0);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), 0);
	driver.bar = PCI_MMIO_END - 0x4000;
	driver_store(driver_config_at(PCI_BASE_ADDRESS_0), 4, (uint32_t)driver.bar);
	driver_store(driver_config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), NR_QUEUES);
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert(!fake_kvm_ring(old + driver.notify + driver.notify_step));
	driver_store(driver.bar + driver.notify + driver.notify_step, 2, 1);
	ck_assert(machine_take_signal(fake.ring[1].kick_fd));
}
END_TEST

START_TEST(a_doorbell_that_kvm_refuses_is_slow_but_works)
{
	fake_kvm_refuse(-ENOSPC);
	driver_store(driver_config_at(PCI_COMMAND), 2, 0);
	driver_store(driver_config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	fake_kvm_refuse(0);
	driver_run();
	machine_take_signal(fake.ring[0].kick_fd);
	machine_take_signal(fake.ring[1].kick_fd);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), 0);
	driver_store(driver.bar + driver.notify + driver.notify_step, 2, 1);
	ck_assert(machine_take_signal(fake.ring[1].kick_fd));
	driver_store(driver.bar + driver.notify + driver.notify_step * NR_QUEUES, 2,
		     1);
	ck_assert(!machine_take_signal(fake.ring[0].kick_fd));
}
END_TEST

static void set_window(uint32_t bar, uint32_t offset, uint32_t length)
{
	driver_store(driver_config_at(driver.window_cap + VIRTIO_PCI_CAP_BAR),
		     1, bar);
	driver_store(driver_config_at(driver.window_cap + VIRTIO_PCI_CAP_OFFSET),
		     4, offset);
	driver_store(driver_config_at(driver.window_cap + VIRTIO_PCI_CAP_LENGTH),
		     4, length);
}

START_TEST(the_window_reaches_the_bar)
{
	const uint64_t data = driver_config_at(driver.window_cap + 16);

	driver_run();
	machine_take_signal(fake.ring[1].kick_fd);
	/* even while the BAR does not decode */
	driver_store(driver_config_at(PCI_COMMAND), 2, 0);
	set_window(0, driver.common + VIRTIO_PCI_COMMON_NUMQ, 2);
	ck_assert_uint_eq(driver_load(data, 2), NR_QUEUES);
	set_window(0, driver.notify + driver.notify_step, 2);
	driver_store(data, 2, 1);
	ck_assert(machine_take_signal(fake.ring[1].kick_fd));
	set_window(0, driver.common + VIRTIO_PCI_COMMON_STATUS, 1);
	ck_assert_uint_eq(driver_load(data, 1), RUNNING);
	driver_store(data, 1, 0);
	ck_assert_uint_eq(driver_load(data, 1), 0);
}
END_TEST

START_TEST(the_window_is_guarded)
{
	static const struct { uint32_t bar, offset, length; } bad[] = {
		{ 1, VIRTIO_PCI_COMMON_STATUS, 1 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, 0 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, 3 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, 8 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, UINT32_MAX },
		{ 0, UINT32_MAX - 3, 4 },
		{ 0, UINT32_MAX, 1 },
		{ 0, 0x4000, 4 },
		{ 0, 1, 4 },
	};
	const uint64_t data = driver_config_at(driver.window_cap + 16);

	driver_run();
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		set_window(bad[i].bar, bad[i].offset, bad[i].length);
		driver_store(data, 4, 0);
		driver_load(data, 4);
	}
	ck_assert_uint_eq(driver_status(), RUNNING);
}
END_TEST

/* --- packed rings ------------------------------------------------------------- */

#define RING_PACKED	(1ull << VIRTIO_F_RING_PACKED)

static bool is_packed_offered(void)
{
	driver_set(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	return driver_get(VIRTIO_PCI_COMMON_DF, 4) & RING_PACKED >> 32;
}

START_TEST(packed_rings_are_offered_where_they_can_go_on)
{
	machine_add_packed_disk();
	ck_assert(is_packed_offered());
}
END_TEST

/* Without the region no successor would know where it is in the ring. */
START_TEST(packed_rings_need_an_inflight_region)
{
	fake.protocol_features &=
		~(1ull << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD_BIT);
	machine_add_packed_disk();
	ck_assert(!is_packed_offered());
}
END_TEST

/* virtio 1.2, 2.8.10.1: any size; 2.8.10: alignment of the areas */
START_TEST(a_packed_queue_is_told_as_one)
{
	machine_add_packed_disk();
	driver_begin_with(VERSION_1 | RING_PACKED);
	driver_set_up_queue(0, 100, 0x10000);
	driver_set_up_queue(1, 256, RAM_BYTES - 0x3000);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(fake.ring[0].num, 100);
	ck_assert_uint_eq(fake.ring[0].base, 0x80008000);
	ck_assert(fake.ring[1].enabled);
}
END_TEST

static const struct {
	uint32_t size;
	uint64_t desc, driver, device;
} bad_packed[] = {
	{ 0, 0x10000, 0x12000, 0x13000 },
	{ 257, 0x10000, 0x12000, 0x13000 },
	{ 100, 0x10008, 0x12000, 0x13000 },
	{ 100, 0x10000, 0x12002, 0x13000 },
	{ 100, 0x10000, 0x12000, 0x13001 },
	{ 100, RAM_BYTES - 1584, 0x12000, 0x13000 },
	{ 100, 0x10000, RAM_BYTES, 0x13000 },
	{ 100, 0x10000, 0x12000, UINT64_MAX - 3 },
};

START_TEST(a_bad_packed_queue_needs_a_reset)
{
	machine_add_packed_disk();
	driver_begin_with(VERSION_1 | RING_PACKED);
	driver_set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	driver_set(VIRTIO_PCI_COMMON_Q_SIZE, 2, bad_packed[_i].size);
	driver_set_address(VIRTIO_PCI_COMMON_Q_DESCLO, bad_packed[_i].desc);
	driver_set_address(VIRTIO_PCI_COMMON_Q_AVAILLO, bad_packed[_i].driver);
	driver_set_address(VIRTIO_PCI_COMMON_Q_USEDLO, bad_packed[_i].device);
	driver_set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	ck_assert_uint_eq(driver_status() & NEEDS_RESET, NEEDS_RESET);
}
END_TEST

static void add_packed_tests(Suite *all)
{
	TCase *tcase = tcase_create("packed rings");

	tcase_add_checked_fixture(tcase, machine_make, machine_tear_down);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, packed_rings_are_offered_where_they_can_go_on);
	tcase_add_test(tcase, packed_rings_need_an_inflight_region);
	tcase_add_test(tcase, a_packed_queue_is_told_as_one);
	tcase_add_loop_test(tcase, a_bad_packed_queue_needs_a_reset, 0,
			    sizeof(bad_packed) / sizeof(*bad_packed));
	suite_add_tcase(all, tcase);
}

int main(void)
{
	Suite *all = suite_create("virtio_pci");
	TCase *tcase = machine_new_case(all, "virtio_pci");

	tcase_add_test(tcase, it_is_a_modern_virtio_device);
	tcase_add_test(tcase, features_are_those_of_the_back_end_that_we_know);
	tcase_add_test(tcase, a_driver_starts_and_data_flows);
	tcase_add_test(tcase, reset_stops_and_forgets);
	tcase_add_test(tcase, registers_read_back);
	tcase_add_test(tcase, config_space_is_the_back_ends);
	tcase_add_test(tcase, a_config_write_that_may_not_be_costs_nothing);
	tcase_add_test(tcase, a_config_change_interrupts_and_is_read);
	tcase_add_test(tcase, a_back_end_cannot_make_a_vcpu_wait);
	tcase_add_test(tcase, without_msix_the_isr_tells);
	tcase_add_test(tcase, pending_bits_are_in_the_bar);
	tcase_add_test(tcase, doorbells_move_with_the_bar);
	tcase_add_test(tcase, a_doorbell_that_kvm_refuses_is_slow_but_works);
	tcase_add_test(tcase, the_window_reaches_the_bar);
	tcase_add_test(tcase, the_window_is_guarded);
	add_packed_tests(all);
	return machine_run(all);
}
