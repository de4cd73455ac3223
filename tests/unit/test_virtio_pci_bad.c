/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-pci: drivers that break the rules, a guest that writes at random. */
#include <check.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/unit/fake_kvm.h"
#include "tests/unit/virtio_driver.h"
#include "vmm-core/bus.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/layout.h"

START_TEST(features_must_be_acceptable)
{
	static const uint64_t bad[] = {
		0, 1, VERSION_1 | 1ull << 34, VERSION_1 | 1ull << 30,
		VERSION_1 | 1ull << 63, UINT64_MAX,
	};
	uint8_t before = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
		driver_set(VIRTIO_PCI_COMMON_STATUS, 1, before);
		driver_accept_features(bad[i]);
		driver_set(VIRTIO_PCI_COMMON_STATUS, 1,
		    before | VIRTIO_CONFIG_S_FEATURES_OK);
		ck_assert_uint_eq(driver_status(), before);
		driver_set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
		ck_assert_uint_eq(driver_status(), before);
	}
	/* Once they are settled they stay. */
	driver_begin();
	driver_accept_features(UINT64_MAX);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	ck_assert_uint_eq(fake.acked_features & ~(1ull << 30), VERSION_1);
}
END_TEST

START_TEST(a_bad_queue_needs_a_reset)
{
	static const struct {
		uint32_t size;
		uint64_t desc;
	} bad[] = {
		{ 0, 0x10000 }, { 3, 0x10000 }, { 100, 0x10000 },
		{ 512, 0x10000 }, { 0xffff, 0x10000 },
		{ 128, 0x10008 },		/* descriptors not at 16 */
		{ 128, RAM_BYTES - 0x100 },	/* runs out of RAM */
		{ 128, RAM_BYTES }, { 128, PCI_MMIO_BASE },
		{ 128, HIGH_RAM_BASE }, { 128, UINT64_MAX - 0xfff },
		{ 256, UINT64_MAX - 15 },
	};

	driver_begin();
	driver_set_up_queue(0, bad[_i].size, bad[_i].desc);
	ck_assert_uint_eq(driver_status() & NEEDS_RESET, NEEDS_RESET);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_NEEDS_RESET),
			  1);
	/* It does not start like this, and is as new after a reset. */
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_FEATURES),
			  0);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert(fake.ring[0].enabled);
}
END_TEST

START_TEST(driver_ok_needs_features_ok)
{
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_DRIVER_OK);
	ck_assert_uint_eq(driver_status(), NEEDS_RESET);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_FEATURES),
			  0);
}
END_TEST

START_TEST(queues_out_of_turn_need_a_reset)
{
	if (_i == 0)
		driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	else
		driver_run();
	if (_i == 1) {
		driver_begin();
		driver_set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	}
	driver_set_up_queue(0, 16, 0x10000);
	ck_assert_uint_eq(driver_status() & NEEDS_RESET,
			  _i == 2 ? 0 : NEEDS_RESET);
	if (_i == 2)	/* enabled already: nothing changes */
		ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 128);
	driver_set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), _i == 2);
}
END_TEST

START_TEST(status_bits_are_only_added)
{
	driver_run();
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	ck_assert_uint_eq(driver_status(), RUNNING);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0x30 | NEEDS_RESET);
	ck_assert_uint_eq(driver_status(), RUNNING);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FAILED);
	ck_assert_uint_eq(driver_status(), RUNNING | VIRTIO_CONFIG_S_FAILED);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_FEATURES),
			  1);
}
END_TEST

START_TEST(fields_take_their_own_width_only)
{
	driver_begin();
	driver_set(VIRTIO_PCI_COMMON_STATUS, 2, 0);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 4, 0);
	driver_set(VIRTIO_PCI_COMMON_Q_SIZE, 1, 2);
	driver_set(VIRTIO_PCI_COMMON_Q_DESCLO, 2, 0xffff);
	driver_set(VIRTIO_PCI_COMMON_NUMQ, 2, 7);
	ck_assert_uint_eq(driver_status() & VIRTIO_CONFIG_S_FEATURES_OK,
			  VIRTIO_CONFIG_S_FEATURES_OK);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_NUMQ, 2), NR_QUEUES);
}
END_TEST

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *write_at_random(void *opaque)
{
	uint64_t state = *(const uint64_t *)opaque;
	long long end_ms = fdmsg_now_ms() + 1500;

	for (int i = 0; i < 200000 && fdmsg_now_ms() < end_ms; i++) {
		uint64_t r = next_random(&state);
		unsigned int size = 1u << (r >> 8 & 3);
		uint64_t value = r >> 60 ? next_random(&state) : r >> 16 & 0xf;
		uint64_t addr = r & 1 ? driver_config_at(r >> 32 & 0xff) :
				driver.bar + (r >> 32 & 0x3fff);

		if (r & 2)	/* mostly where the registers are */
			addr = driver.bar + driver.common + (r >> 32 & 0x3f);
		if (r & 4)
			bus_access(BUS_MMIO, addr, &value, size, 1);
		else
			driver_load(addr, size);
		/* Keep it decoding, and alive. */
		if (i % 64 == 0) {
			driver_store(driver_config_at(PCI_BASE_ADDRESS_0), 4,
			      (uint32_t)driver.bar);
			driver_store(driver_config_at(PCI_BASE_ADDRESS_1), 4, 0);
			driver_store(driver_config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
		}
		if (i % 512 == 0)
			driver_run();
	}
	return NULL;
}

START_TEST(a_random_guest_breaks_nothing)
{
	static uint64_t seeds[2] = { 0x9e3779b97f4a7c15, 0x2545f4914f6cdd1d };
	pthread_t vcpu[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&vcpu[i], NULL,
						write_at_random, &seeds[i]),
				 0);
	for (int i = 0; i < 100; i++) {
		machine_main_loop();
		usleep(10000);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(vcpu[i], NULL);
	/* The back-end never saw anything it had to refuse. */
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 0);
	driver_store(driver_config_at(PCI_BASE_ADDRESS_0), 4, (uint32_t)driver.bar);
	driver_store(driver_config_at(PCI_BASE_ADDRESS_1), 4, 0);
	driver_store(driver_config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
}
END_TEST

int main(void)
{
	Suite *all = suite_create("virtio_pci_bad");
	TCase *tcase = machine_new_case(all, "virtio_pci_bad");

	tcase_add_test(tcase, features_must_be_acceptable);
	tcase_add_loop_test(tcase, a_bad_queue_needs_a_reset, 0, 12);
	tcase_add_test(tcase, driver_ok_needs_features_ok);
	tcase_add_loop_test(tcase, queues_out_of_turn_need_a_reset, 0, 3);
	tcase_add_test(tcase, status_bits_are_only_added);
	tcase_add_test(tcase, fields_take_their_own_width_only);
	tcase_add_test(tcase, a_random_guest_breaks_nothing);
	return machine_run(all);
}
