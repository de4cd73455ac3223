/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-pci: back-ends that die, hang, lie or are exchanged for others; and
 * devices of every kind, in every slot.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "tests/unit/fake_kvm.h"
#include "tests/unit/virtio_driver.h"
#include "vmm-core/pci.h"

/* --- back-ends that go wrong ----------------------------------------------- */

START_TEST(a_broken_ring_needs_a_reset)
{
	driver_run();
	machine_signal_fd(fake.ring[1].err_fd);
	machine_main_loop();
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 1);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_NEEDS_RESET),
			  1);
	ck_assert_uint_eq(fake_kvm_event_index(), 0);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	machine_main_loop();
	ck_assert_uint_eq(driver_status(), RUNNING);
}
END_TEST

static void give_up(void)
{
	const struct relink none = { .fd = -1 };

	ck_assert_int_eq(virtio_pci_relink(0, &none), 0);
}

START_TEST(a_dead_back_end_is_reported_once)
{
	driver_run();
	shutdown(fake.sock, SHUT_RDWR);
	machine_main_loop();
	machine_main_loop();
	/* It may have a successor, so the guest does not hear of it. */
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
	give_up();
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 1);
	/* The driver may try again, in vain. */
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	driver_store(driver.bar + driver.device + 32, 1, 1);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
}
END_TEST

START_TEST(a_wrong_answer_fails_the_device)
{
	fake.wrong_request = VHOST_USER_SET_STATUS;
	fake.wrong = FAKE_OTHER_REQUEST;
	driver_run();
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
	give_up();
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
}
END_TEST

/* A second process behind the same function, told what the first knew. */
static struct fake_backend heir;

static void succeed(bool needs_reset)
{
	struct relink relink = { .link = 1, .needs_reset = needs_reset };

	fake_backend_init(&heir);
	relink.fd = fake_backend_run(&heir);
	ck_assert_int_eq(virtio_pci_relink(0, &relink), 0);
}

static unsigned int heir_was_asked(enum vhost_user_request request)
{
	return fake_backend_count(&heir, request);
}

START_TEST(a_successor_is_told_all)
{
	driver_run();
	shutdown(fake.sock, SHUT_RDWR);
	if (_i == 0)
		machine_main_loop();	/* else the successor comes before the news */
	succeed(false);
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 0);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_MEM_TABLE), 1);
	ck_assert_uint_ge(heir_was_asked(VHOST_USER_SET_VRING_KICK), 1);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED),
			  _i == 0);
	fake_backend_end(&heir);
}
END_TEST

/* virtio-blk's `writeback`, also if it was written while nobody was there. */
START_TEST(a_successor_has_the_write_cache_as_the_driver_set_it)
{
	uint64_t at = driver.bar + driver.device + 32;

	driver_run();
	if (_i == 0)
		driver_store(at, 1, 1);
	shutdown(fake.sock, SHUT_RDWR);
	machine_main_loop();
	if (_i == 1)
		driver_store(at, 1, 1);
	succeed(false);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_CONFIG), 1);
	ck_assert_uint_eq(driver_load(at, 1), 1);
	/* A driver that starts anew has set nothing. */
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	driver_run();
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_CONFIG), 1);
	fake_backend_end(&heir);
}
END_TEST

/* What the driver does between two processes is told to the second. */
START_TEST(a_driver_may_start_between_two_processes)
{
	driver_run();
	shutdown(fake.sock, SHUT_RDWR);
	machine_main_loop();
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	succeed(false);
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_MEM_TABLE), 1);
	fake_backend_end(&heir);
}
END_TEST

/* on_crash = reset-device: nothing is served until the driver has reset it. */
START_TEST(a_successor_may_need_a_reset)
{
	driver_run();
	shutdown(fake.sock, SHUT_RDWR);
	machine_main_loop();
	succeed(true);
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 1);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_MEM_TABLE), 0);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_MEM_TABLE), 1);
	fake_backend_end(&heir);
}
END_TEST

/* After a device was given up, somebody may have it restarted. */
START_TEST(a_device_that_was_given_up_may_come_back)
{
	driver_run();
	shutdown(fake.sock, SHUT_RDWR);
	machine_main_loop();
	give_up();
	succeed(false);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	fake_backend_end(&heir);
}
END_TEST

static void *drive(void *unused)
{
	driver_run();
	return unused;
}

/* The vCPU waits for its deadline; the main thread does not wait at all. */
START_TEST(a_hung_back_end_stalls_one_vcpu_for_a_while)
{
	long long begin_ms = fdmsg_now_ms();
	long long worst_ms = 0;
	pthread_t vcpu;

	fake.wrong_request = VHOST_USER_SET_STATUS;
	fake.wrong = FAKE_SILENCE;
	ck_assert_int_eq(pthread_create(&vcpu, NULL, drive, NULL), 0);
	while (fdmsg_now_ms() - begin_ms < 1000) {
		long long from_ms = fdmsg_now_ms();

		machine_main_loop();
		if (fdmsg_now_ms() - from_ms > worst_ms)
			worst_ms = fdmsg_now_ms() - from_ms;
		usleep(1000);
	}
	ck_assert_int_lt(worst_ms, 500);
	pthread_join(vcpu, NULL);
	ck_assert_int_lt(fdmsg_now_ms() - begin_ms, 8000);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
}
END_TEST

/* --- adding ---------------------------------------------------------------- */

START_TEST(each_kind_has_its_queues)
{
	static const struct {
		enum life_role role;
		uint32_t wanted;
		uint64_t offered;
		uint32_t device_id;
		int queues;	/* or -errno */
	} cases[] = {
		{ LIFE_ROLE_BLK, 1, 4, 0x1042, 1 },
		{ LIFE_ROLE_BLK, 0, 4, 0x1042, 1 },
		{ LIFE_ROLE_BLK, 32, 32, 0x1042, 4 },	/* prepared: 4 */
		{ LIFE_ROLE_BLK, 4, 3, 0x1042, 3 },
		{ LIFE_ROLE_BLK, 4, 0, 0x1042, -EPROTO },
		{ LIFE_ROLE_CONSOLE, 1, 4, 0x1043, 2 },
		{ LIFE_ROLE_CONSOLE, 2, 1, 0x1043, -EPROTO },
		{ LIFE_ROLE_RNG, 8, 8, 0x1044, 1 },
		{ LIFE_ROLE_SERIAL, 1, 1, 0, -EINVAL },
		{ LIFE_ROLE_CORE, 1, 1, 0, -EINVAL },
	};
	int err;

	machine_make();
	fake.nr_queues = cases[_i].offered;
	err = machine_add(5, cases[_i].role, cases[_i].wanted);
	if (err) {
		ck_assert_int_eq(err, cases[_i].queues);
		driver.slot = 6;
		ck_assert_uint_eq(driver_load(driver_config_at(0), 4), UINT32_MAX);
	} else {
		driver_probe(6);
		ck_assert_uint_eq(driver_load(driver_config_at(PCI_DEVICE_ID), 2),
				  cases[_i].device_id);
		ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_NUMQ, 2),
				  cases[_i].queues);
		ck_assert_uint_eq(driver.device_bytes == 0,
				  cases[_i].role == LIFE_ROLE_RNG);
	}
	fake_backend_end(&fake);
}
END_TEST

START_TEST(every_slot_can_be_filled)
{
	static struct fake_backend fakes[LIFE_MAX_DEVICES];

	machine_make();
	for (uint32_t i = 0; i < LIFE_MAX_DEVICES; i++) {
		struct life_core_device life = {
			.index = i, .role = LIFE_ROLE_BLK, .nr_queues = 4,
			.nr_processes = 1, .of = i, .name = "vd",
		};

		fake_backend_init(&fakes[i]);
		ck_assert_int_eq(virtio_pci_add(&life,
						fake_backend_run(&fakes[i]),
						-1), 0);
	}
	ck_assert_int_eq(machine_add(LIFE_MAX_DEVICES, LIFE_ROLE_BLK, 1), -EINVAL);
	fake_backend_end(&fake);
	for (unsigned int slot = 1; slot <= LIFE_MAX_DEVICES; slot++) {
		driver_probe(slot);
		ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_NUMQ, 2), 4);
	}
	for (uint32_t i = 0; i < LIFE_MAX_DEVICES; i++)
		fake_backend_end(&fakes[i]);
}
END_TEST

int main(void)
{
	Suite *all = suite_create("virtio_pci_back");
	TCase *tcase = machine_new_case(all, "virtio_pci_back");
	TCase *adding = tcase_create("adding");

	tcase_add_test(tcase, a_broken_ring_needs_a_reset);
	tcase_add_test(tcase, a_dead_back_end_is_reported_once);
	tcase_add_test(tcase, a_wrong_answer_fails_the_device);
	tcase_add_loop_test(tcase, a_successor_is_told_all, 0, 2);
	tcase_add_test(tcase, a_driver_may_start_between_two_processes);
	tcase_add_loop_test(tcase, a_successor_has_the_write_cache_as_the_driver_set_it, 0, 2);
	tcase_add_test(tcase, a_successor_may_need_a_reset);
	tcase_add_test(tcase, a_device_that_was_given_up_may_come_back);
	tcase_add_test(tcase, a_hung_back_end_stalls_one_vcpu_for_a_while);
	tcase_add_loop_test(adding, each_kind_has_its_queues, 0, 10);
	tcase_add_test(adding, every_slot_can_be_filled);
	suite_add_tcase(all, adding);
	return machine_run(all);
}
