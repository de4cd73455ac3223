/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-pci: a disk in two processes.  Queue 0 is of the first, queue 1 of the
 * second; the guest sees one device.
 */
#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/fake_kvm.h"
#include "tests/unit/virtio_driver.h"
#include "vmm-core/pci.h"

#define SECOND		LIFE_MAX_DEVICES	/* its index: behind all devices */
#define WRITEBACK_AT	32		/* in virtio-blk's config space */

static struct fake_backend second, heir;

static const struct life_core_device life[] = {
	{ .index = 0, .role = LIFE_ROLE_BLK, .nr_queues = NR_QUEUES,
	  .nr_processes = 2, .name = "vda" },
	{ .index = SECOND, .role = LIFE_ROLE_BLK, .nr_queues = NR_QUEUES,
	  .process = 1, .nr_processes = 2, .name = "vda.1" },
};

static int add_second(void)
{
	return virtio_pci_add_process(&life[1], fake_backend_run(&second), -1);
}

static void set_up_first(void)
{
	machine_make();
	fake_backend_init(&second);
	ck_assert_int_eq(virtio_pci_add(&life[0], fake_backend_run(&fake), -1),
			 0);
}

static void set_up(void)
{
	set_up_first();
	ck_assert_int_eq(add_second(), 0);
	virtio_pci_watch(machine_watch);
	/* A link each; one channel, one eventfd for broken rings. */
	ck_assert_uint_eq(machine_nr_watched, 4);
	driver_probe(1);
}

static void tear_down(void)
{
	fake_backend_end(&fake);
	fake_backend_end(&second);
}

static void expect_queue(const struct fake_backend *backend,
			 unsigned int mine, unsigned int other)
{
	ck_assert(backend->ring[mine].enabled);
	ck_assert_int_ge(backend->ring[mine].kick_fd, 0);
	ck_assert_int_ge(backend->ring[mine].call_fd, 0);
	ck_assert_uint_gt(backend->ring[mine].addr.used, 0);
	ck_assert(!backend->ring[other].enabled);
	ck_assert_uint_eq(backend->ring[other].num, 0);
	ck_assert_uint_eq(backend->ring[other].addr.used, 0);
}

START_TEST(each_process_has_its_queues)
{
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(driver_get(VIRTIO_PCI_COMMON_NUMQ, 2), NR_QUEUES);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_VRING_NUM),
			  1);
	ck_assert_uint_eq(fake_backend_count(&second,
					     VHOST_USER_SET_VRING_NUM), 1);
	expect_queue(&fake, 0, 1);
	expect_queue(&second, 1, 0);
	ck_assert_uint_eq(fake.acked_features, second.acked_features);
	ck_assert_uint_eq(second.memory.nr_regions, fake.memory.nr_regions);
	/* A back-end channel only for the one whose config space is shown. */
	ck_assert_uint_eq(fake_backend_count(&second,
					     VHOST_USER_SET_BACKEND_REQ_FD), 0);
}
END_TEST

/* Doorbells and interrupts lead past the core, each to and from one process. */
START_TEST(each_is_rung_and_interrupts_for_its_queue)
{
	driver_run();
	machine_take_signal(second.ring[1].kick_fd);
	machine_take_signal(fake.ring[0].kick_fd);
	ck_assert(fake_kvm_ring(driver.bar + driver.notify +
				driver.notify_step));
	ck_assert(machine_take_signal(second.ring[1].kick_fd));
	ck_assert(!machine_take_signal(fake.ring[0].kick_fd));
	machine_signal_fd(second.ring[1].call_fd);
	ck_assert_uint_eq(machine_interrupts(1), 1);
	ck_assert_uint_eq(machine_interrupts(0), 0);
}
END_TEST

START_TEST(either_may_find_a_broken_ring)
{
	driver_run();
	machine_signal_fd(second.ring[1].err_fd);
	machine_main_loop();
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
}
END_TEST

START_TEST(a_reset_stops_both)
{
	driver_run();
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	ck_assert_uint_eq(driver_status(), 0);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_GET_VRING_BASE),
			  1);
	ck_assert_uint_eq(fake_backend_count(&second,
					     VHOST_USER_GET_VRING_BASE), 1);
	ck_assert_uint_eq(fake_backend_count(&second, VHOST_USER_RESET_DEVICE),
			  1);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	expect_queue(&second, 1, 0);
}
END_TEST

START_TEST(both_hear_of_the_write_cache)
{
	driver_run();
	driver_store(driver.bar + driver.device + WRITEBACK_AT, 1, 1);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_CONFIG), 1);
	ck_assert_uint_eq(fake_backend_count(&second, VHOST_USER_SET_CONFIG),
			  1);
	ck_assert_uint_eq(second.config_write.offset, WRITEBACK_AT);
	ck_assert_uint_eq(second.config_write.data[0], 1);
}
END_TEST

static void succeed_second(bool needs_reset)
{
	struct relink relink = { .link = 1, .needs_reset = needs_reset };

	fake_backend_init(&heir);
	relink.fd = fake_backend_run(&heir);
	ck_assert_int_eq(virtio_pci_relink(SECOND, &relink), 0);
}

START_TEST(a_successor_of_one_does_not_touch_the_other)
{
	unsigned int seen;

	driver_run();
	driver_store(driver.bar + driver.device + WRITEBACK_AT, 1, 1);
	shutdown(second.sock, SHUT_RDWR);
	machine_main_loop();
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
	ck_assert_uint_eq(fake_kvm_event_index(), SECOND);
	seen = fake.nr_seen;
	succeed_second(false);
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(fake_backend_count(&heir, VHOST_USER_SET_CONFIG), 1);
	expect_queue(&heir, 1, 0);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_VRING_NUM),
			  1);
	ck_assert_uint_eq(fake.nr_seen, seen);
	/* The config space that the guest sees is the first one's. */
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 0);
	fake_backend_end(&heir);
}
END_TEST

START_TEST(the_config_space_is_the_first_ones)
{
	uint8_t config[sizeof(heir.config)];

	driver_run();
	memcpy(config, second.config, sizeof(config));
	shutdown(second.sock, SHUT_RDWR);
	machine_main_loop();
	fake_backend_init(&heir);
	heir.config[0] = (uint8_t)(config[0] + 1);
	ck_assert_int_eq(virtio_pci_relink(SECOND, &(struct relink){
		.link = 1, .fd = fake_backend_run(&heir) }), 0);
	ck_assert_uint_eq(machine_interrupts(CONFIG_VECTOR), 0);
	ck_assert_uint_eq(driver_load(driver.bar + driver.device, 1),
			  fake.config[0]);
	fake_backend_end(&heir);
}
END_TEST

START_TEST(a_successor_of_one_may_need_a_reset)
{
	driver_run();
	shutdown(second.sock, SHUT_RDWR);
	machine_main_loop();
	succeed_second(true);
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(fake_backend_count(&heir, VHOST_USER_SET_VRING_NUM),
			  0);
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	expect_queue(&heir, 1, 0);
	fake_backend_end(&heir);
}
END_TEST

/*
 * What a process had begun when it was killed goes on for a while, and only its
 * successor knows when it has ended.  Before, no process may write anew.
 */
START_TEST(a_start_waits_for_the_successor_of_each)
{
	driver_run();
	shutdown(second.sock, SHUT_RDWR);
	machine_main_loop();
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_VRING_NUM),
			  1);
	succeed_second(false);
	ck_assert_uint_eq(driver_status(), RUNNING);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_VRING_NUM),
			  2);
	expect_queue(&fake, 0, 1);
	expect_queue(&heir, 1, 0);
	fake_backend_end(&heir);
}
END_TEST

START_TEST(a_start_does_not_wait_for_ever)
{
	const struct relink none = { .fd = -1 };

	driver_run();
	shutdown(second.sock, SHUT_RDWR);
	machine_main_loop();
	driver_run();
	ck_assert_int_eq(virtio_pci_relink(SECOND, &none), 0);
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_VRING_NUM),
			  2);
	/* Put off, and taken back by a reset. */
	succeed_second(false);
	shutdown(heir.sock, SHUT_RDWR);
	machine_main_loop();
	driver_run();
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	fake_backend_end(&heir);
	succeed_second(false);
	ck_assert_uint_eq(driver_status(), 0);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_VRING_NUM),
			  2);
	fake_backend_end(&heir);
}
END_TEST

START_TEST(without_one_the_guest_must_reset)
{
	const struct relink none = { .fd = -1 };

	driver_run();
	shutdown(second.sock, SHUT_RDWR);
	machine_main_loop();
	ck_assert_int_eq(virtio_pci_relink(SECOND, &none), 0);
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	/* In vain, as its queue is served by nobody. */
	driver_run();
	ck_assert_uint_eq(driver_status(), RUNNING | NEEDS_RESET);
	ck_assert_int_eq(virtio_pci_relink(SECOND + 1, &none), -ENODEV);
}
END_TEST

/* A guest that has begun to reset is not told again of whom it lacks. */
START_TEST(what_is_over_is_no_news)
{
	const struct relink none = { .fd = -1 };

	driver_run();
	shutdown(second.sock, SHUT_RDWR);
	machine_main_loop();
	ck_assert_int_eq(virtio_pci_relink(SECOND, &none), 0);
	driver_begin();
	ck_assert_uint_eq(driver_status() & NEEDS_RESET, 0);
	shutdown(fake.sock, SHUT_RDWR);
	machine_main_loop();
	ck_assert_uint_eq(driver_status() & NEEDS_RESET, 0);
}
END_TEST

/* _i: what the second one lacks of what the first has offered. */
START_TEST(a_second_process_has_what_the_first_has)
{
	if (_i == 0)
		second.features &= ~(1ull << 9);	/* VIRTIO_BLK_F_FLUSH */
	else
		second.nr_queues = 1;
	ck_assert_int_eq(add_second(), -EPROTO);
}
END_TEST

static const struct life_core_device wrong[] = {
	{ .index = SECOND, .process = 1, .nr_processes = 2, .of = 1 },
	{ .index = SECOND, .process = 1, .nr_processes = 2, .of = 99 },
	{ .index = 1, .process = 1, .nr_processes = 2 },
	{ .index = SECOND, .process = 2, .nr_processes = 2 },
	{ .index = SECOND, .process = 1 },
	{ .index = 2 * LIFE_MAX_DEVICES, .process = 1, .nr_processes = 2 },
};

START_TEST(a_second_process_needs_a_first)
{
	ck_assert_int_eq(virtio_pci_add_process(&wrong[_i],
						fake_backend_run(&second), -1),
			 -EINVAL);
}
END_TEST

int main(void)
{
	Suite *all = suite_create("virtio_pci_processes");
	TCase *tcase = tcase_create("two");
	TCase *adding = tcase_create("adding");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, each_process_has_its_queues);
	tcase_add_test(tcase, each_is_rung_and_interrupts_for_its_queue);
	tcase_add_test(tcase, either_may_find_a_broken_ring);
	tcase_add_test(tcase, a_reset_stops_both);
	tcase_add_test(tcase, both_hear_of_the_write_cache);
	tcase_add_test(tcase, a_successor_of_one_does_not_touch_the_other);
	tcase_add_test(tcase, the_config_space_is_the_first_ones);
	tcase_add_test(tcase, a_successor_of_one_may_need_a_reset);
	tcase_add_test(tcase, a_start_waits_for_the_successor_of_each);
	tcase_add_test(tcase, a_start_does_not_wait_for_ever);
	tcase_add_test(tcase, without_one_the_guest_must_reset);
	tcase_add_test(tcase, what_is_over_is_no_news);
	suite_add_tcase(all, tcase);
	tcase_add_checked_fixture(adding, set_up_first, tear_down);
	tcase_add_loop_test(adding, a_second_process_has_what_the_first_has, 0,
			    2);
	tcase_add_loop_test(adding, a_second_process_needs_a_first, 0,
			    sizeof(wrong) / sizeof(*wrong));
	suite_add_tcase(all, adding);
	return machine_run(all);
}
