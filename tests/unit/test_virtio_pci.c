/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-pci transport as a guest's driver drives it: found through
 * configuration space, set up through the BAR, against a back-end in a thread
 * of this process.  Drivers that break the rules, back-ends that die, and a
 * guest that writes at random.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "tests/unit/fake_kvm.h"
#include "tests/wire/fake_backend.h"
#include "vmm-core/bus.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/pci.h"

#define RAM_BYTES	(2u << 20)
#define NR_QUEUES	2
#define MSG_ADDRESS	0xfee01000ull
#define MSG_DATA	0x40u		/* plus the vector */
#define CONFIG_VECTOR	NR_QUEUES
#define VERSION_1	(1ull << VIRTIO_F_VERSION_1)
#define F_MASK		(VERSION_1 | 1ull << 28 | 1ull << 29 | 0xffffff)
#define NUM_QUEUES_AT	34		/* in virtio-blk's config space */
#define RUNNING \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define NEEDS_RESET	VIRTIO_CONFIG_S_NEEDS_RESET

static struct fake_backend fake;
static int watched[3 * LIFE_MAX_DEVICES];
static unsigned int nr_watched;

/* Where the driver found things; offsets in the BAR. */
static struct driver {
	unsigned int slot;
	uint64_t bar;
	uint32_t common, isr, device, notify, notify_step;
	uint32_t device_bytes;
	uint32_t msix_table, msix_pba;
	unsigned int msix_cap, window_cap;
} drv;

static void watch(int fd, uint32_t events, const char *what)
{
	(void)events;
	(void)what;
	watched[nr_watched++] = fd;
}

/* The main loop, as if each fd was ready. */
static void main_loop(void)
{
	for (unsigned int i = 0; i < nr_watched; i++)
		virtio_pci_dispatch(watched[i]);
}

/* --- a guest's accesses ---------------------------------------------------- */

static uint64_t load(uint64_t addr, unsigned int size)
{
	uint64_t value = 0;

	bus_access(BUS_MMIO, addr, &value, size, 0);
	return value;
}

static void store(uint64_t addr, unsigned int size, uint64_t value)
{
	if (!fake_kvm_ring(addr))
		bus_access(BUS_MMIO, addr, &value, size, 1);
}

static uint64_t config_at(unsigned int reg)
{
	return PCI_ECAM_BASE + (drv.slot << 15) + reg;
}

static uint32_t get(unsigned int field, unsigned int size)
{
	return (uint32_t)load(drv.bar + drv.common + field, size);
}

static void set(unsigned int field, unsigned int size, uint32_t value)
{
	store(drv.bar + drv.common + field, size, value);
}

static uint8_t status(void)
{
	return (uint8_t)get(VIRTIO_PCI_COMMON_STATUS, 1);
}

static void note_virtio_cap(unsigned int cap)
{
	uint32_t offset = (uint32_t)load(config_at(cap + 8), 4);
	uint32_t length = (uint32_t)load(config_at(cap + 12), 4);

	switch (load(config_at(cap + VIRTIO_PCI_CAP_CFG_TYPE), 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		ck_assert_uint_ge(length, 56);
		drv.common = offset;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		drv.isr = offset;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		drv.device = offset;
		drv.device_bytes = length;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		drv.notify = offset;
		drv.notify_step = (uint32_t)load(config_at(cap + 16), 4);
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		drv.window_cap = cap;
		break;
	default:
		ck_abort_msg("unknown virtio capability");
	}
}

/* Walk the capability list of device number slot, switch the BAR on. */
static void probe(unsigned int slot)
{
	unsigned int cap;
	unsigned int nr = 0;

	memset(&drv, 0, sizeof(drv));
	drv.slot = slot;
	cap = (unsigned int)load(config_at(PCI_CAPABILITY_LIST), 1);
	for (; cap; cap = (unsigned int)load(config_at(cap + 1), 1)) {
		ck_assert_uint_lt(nr++, 16);
		if (load(config_at(cap), 1) == PCI_CAP_ID_VNDR) {
			note_virtio_cap(cap);
		} else {
			ck_assert_uint_eq(load(config_at(cap), 1),
					  PCI_CAP_ID_MSIX);
			drv.msix_cap = cap;
			drv.msix_table = (uint32_t)load(config_at(cap + 4), 4);
			drv.msix_pba = (uint32_t)load(config_at(cap + 8), 4);
		}
	}
	drv.bar = load(config_at(PCI_BASE_ADDRESS_0), 4) & ~15ull;
	store(config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY |
					 PCI_COMMAND_MASTER);
}

static void set_up_msix(void)
{
	uint64_t table = drv.bar + drv.msix_table;

	for (unsigned int i = 0; i <= CONFIG_VECTOR; i++) {
		store(table + 16 * i, 8, MSG_ADDRESS);
		store(table + 16 * i + 8, 4, MSG_DATA + i);
		store(table + 16 * i + 12, 4, 0);
	}
	store(config_at(drv.msix_cap + PCI_MSIX_FLAGS), 2,
	      PCI_MSIX_FLAGS_ENABLE);
	set(VIRTIO_PCI_COMMON_MSIX, 2, CONFIG_VECTOR);
}

static void set_address(unsigned int field, uint64_t address)
{
	set(field, 4, (uint32_t)address);
	set(field + 4, 4, (uint32_t)(address >> 32));
}

static void set_up_queue(unsigned int index, uint32_t size, uint64_t desc)
{
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	set(VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	set(VIRTIO_PCI_COMMON_Q_MSIX, 2, index);
	set_address(VIRTIO_PCI_COMMON_Q_DESCLO, desc);
	set_address(VIRTIO_PCI_COMMON_Q_AVAILLO, desc + 0x1000);
	set_address(VIRTIO_PCI_COMMON_Q_USEDLO, desc + 0x2000);
	set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void accept_features(uint64_t features)
{
	set(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	set(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)features);
	set(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	set(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32));
}

/* virtio 1.2, 3.1.1: up to FEATURES_OK */
static void begin_driver(void)
{
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set(VIRTIO_PCI_COMMON_STATUS, 1, status() | VIRTIO_CONFIG_S_DRIVER);
	accept_features(VERSION_1);
	set(VIRTIO_PCI_COMMON_STATUS, 1,
	    status() | VIRTIO_CONFIG_S_FEATURES_OK);
}

static void run_driver(void)
{
	begin_driver();
	set_up_msix();
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		set_up_queue(i, 128, 0x10000 * (i + 1));
	set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
}

static unsigned int interrupts(unsigned int vector)
{
	return fake_kvm_interrupts(MSG_ADDRESS, MSG_DATA + vector);
}

static bool take_signal(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

/* --- the machine ----------------------------------------------------------- */

static int add(uint32_t index, enum life_role role, uint32_t nr_queues)
{
	struct life_core_device life = {
		.index = index, .role = role, .nr_queues = nr_queues,
		.name = "dev",
	};

	return virtio_pci_add(&life, fake_backend_run(&fake), -1);
}

static void setup_machine(void)
{
	int ram = memfd_create("ram", MFD_CLOEXEC);

	log_init("test", LOG_LEVEL_ERR);
	fake_kvm_reset();
	fake_backend_init(&fake);
	ck_assert_int_eq(ftruncate(ram, RAM_BYTES), 0);
	ck_assert_int_eq(dup2(ram, RAM_FD), RAM_FD);
	ck_assert_int_eq(guest_mem_init(RAM_FD, RAM_BYTES), 0);
	ck_assert_int_eq(pci_init(), 0);
	ck_assert_int_eq(virtio_pci_prepare(LIFE_MAX_DEVICES, 4), 0);
}

static void setup(void)
{
	setup_machine();
	ck_assert_int_eq(add(0, LIFE_ROLE_BLK, NR_QUEUES), 0);
	virtio_pci_watch(watch);
	ck_assert_uint_eq(nr_watched, 3);
	probe(1);
}

static void teardown(void)
{
	fake_backend_end(&fake);
}

/* --- a driver that keeps the rules ----------------------------------------- */

START_TEST(it_is_a_modern_virtio_device)
{
	ck_assert_uint_eq(load(config_at(PCI_VENDOR_ID), 4), 0x10421af4);
	ck_assert_uint_eq(load(config_at(PCI_CLASS_REVISION), 4), 0x01800001);
	ck_assert_uint_ge(load(config_at(PCI_SUBSYSTEM_ID), 2), 0x40);
	ck_assert_uint_eq(load(config_at(PCI_INTERRUPT_PIN), 1), 0);
	ck_assert(drv.window_cap && drv.msix_cap);
	ck_assert_uint_eq(drv.device_bytes, 60);
	ck_assert_uint_eq(load(config_at(drv.msix_cap + PCI_MSIX_FLAGS), 2),
			  NR_QUEUES);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), NR_QUEUES);
	ck_assert_uint_eq(status(), 0);
}
END_TEST

START_TEST(features_are_those_of_the_back_end_that_we_know)
{
	uint64_t features;

	set(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	features = (uint64_t)get(VIRTIO_PCI_COMMON_DF, 4) << 32;
	set(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	features |= get(VIRTIO_PCI_COMMON_DF, 4);
	ck_assert_uint_eq(features, F_MASK);
	set(VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DF, 4), 0);
	set(VIRTIO_PCI_COMMON_DFSELECT, 4, UINT32_MAX);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DF, 4), 0);
}
END_TEST

START_TEST(a_driver_starts_and_data_flows)
{
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		ck_assert(fake.ring[i].enabled);
		ck_assert_uint_eq(fake.ring[i].num, 128);
		ck_assert_uint_eq(fake.ring[i].addr.desc, 0x10000 * (i + 1));
		take_signal(fake.ring[i].kick_fd);
	}
	/* D1: the doorbell of queue 1 reaches queue 1 only. */
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), NR_QUEUES);
	store(drv.bar + drv.notify + drv.notify_step, 2, 1);
	ck_assert(take_signal(fake.ring[1].kick_fd));
	ck_assert(!take_signal(fake.ring[0].kick_fd));
	/* D6: and its call is the interrupt of vector 1. */
	signal_fd(fake.ring[1].call_fd);
	ck_assert_uint_eq(interrupts(1), 1);
	ck_assert_uint_eq(interrupts(0), 0);
}
END_TEST

START_TEST(reset_stops_and_forgets)
{
	run_driver();
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(fake_backend_count(&fake,
			  VHOST_USER_GET_VRING_BASE), NR_QUEUES);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_RESET_DEVICE),
			  1);
	ck_assert_uint_eq(fake_kvm_nr_assigned(), 0);
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		set(VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	}
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
	ck_assert(fake.ring[1].enabled);
}
END_TEST

START_TEST(registers_read_back)
{
	begin_driver();
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	set_address(VIRTIO_PCI_COMMON_Q_DESCLO, 0x1122334455667788);
	set_address(VIRTIO_PCI_COMMON_Q_AVAILLO, 0x2233445566778899);
	set_address(VIRTIO_PCI_COMMON_Q_USEDLO, 0x33445566778899aa);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x11223344);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x55667788);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_AVAILHI, 4), 0x22334455);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_AVAILLO, 4), 0x66778899);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0x33445566);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_USEDLO, 4), 0x778899aa);
	set(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
	set(VIRTIO_PCI_COMMON_Q_MSIX, 2, NR_QUEUES + 1);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	/* virtio 1.2, 4.1.4.3.1: a queue that is not there */
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, NR_QUEUES);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	set_up_queue(NR_QUEUES, 16, 0x10000);
	set_up_queue(0xffff, 16, 0x10000);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	ck_assert_uint_eq(status() & NEEDS_RESET, 0);
}
END_TEST

START_TEST(config_space_is_the_back_ends)
{
	uint64_t at = drv.bar + drv.device;

	ck_assert_uint_eq(load(at, 8), 0);
	ck_assert_uint_eq(load(at + NUM_QUEUES_AT, 2), NR_QUEUES);
	store(at + 32, 1, 1);
	ck_assert_uint_eq(fake.config_write.offset, 32);
	ck_assert_uint_eq(fake.config_write.size, 1);
	ck_assert_uint_eq(load(at + 32, 1), 1);
	/* beyond its end */
	ck_assert_uint_eq(load(at + 60, 4), 0);
	store(at + 60, 4, 1);
	ck_assert_uint_eq(fake.config_write.offset, 32);
}
END_TEST

/* virtio 1.2, 5.2.4: a driver that writes what is not its to write */
START_TEST(a_config_write_that_may_not_be_costs_nothing)
{
	uint64_t at = drv.bar + drv.device;

	run_driver();
	fake.ack = 1;
	for (uint32_t i = 0; i < drv.device_bytes; i++)
		if (i != 32)
			store(at + i, 1, 0xff);
	store(at + 32, 4, 0xff);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_CONFIG), 0);
	/* This one is, but the back-end does not like the value. */
	store(at + 32, 1, 0xff);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_CONFIG), 1);
	ck_assert_uint_eq(load(at, 8), 0);
	ck_assert_uint_eq(status(), RUNNING);
}
END_TEST

/* The back-end has these eventfds too; a foreign one can make them wait. */
START_TEST(a_back_end_cannot_make_a_vcpu_wait)
{
	run_driver();
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		ck_assert_int_eq(fcntl(fake.ring[i].err_fd, F_SETFL, 0), 0);
		ck_assert_int_eq(fcntl(fake.ring[i].call_fd, F_SETFL, 0), 0);
		ck_assert_int_eq(fcntl(fake.ring[i].kick_fd, F_SETFL, 0), 0);
	}
	main_loop();
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	ck_assert_uint_eq(status(), 0);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
}
END_TEST

START_TEST(a_config_change_interrupts_and_is_read)
{
	static const struct vhost_user_hdr hdr = {
		VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0,
	};
	uint32_t generation;

	run_driver();
	generation = get(VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	fake.config[0] = 99;
	ck_assert_int_eq(fdmsg_send(fake.channel_fd, &hdr, sizeof(hdr), NULL,
				    0, 100), 0);
	main_loop();
	ck_assert_uint_eq(interrupts(CONFIG_VECTOR), 1);
	ck_assert_uint_eq(load(drv.bar + drv.isr, 1), 2);
	ck_assert_uint_eq(load(drv.bar + drv.isr, 1), 0);
	ck_assert_uint_eq(load(drv.bar + drv.device, 1), 99);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1),
			  (generation + 1) & 0xff);
	main_loop();
	ck_assert_uint_eq(interrupts(CONFIG_VECTOR), 1);
}
END_TEST

START_TEST(without_msix_the_isr_tells)
{
	begin_driver();
	set_up_queue(0, 16, 0x10000);
	set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	ck_assert_uint_eq(load(drv.bar + drv.isr, 1), 0);
	signal_fd(fake.ring[0].call_fd);
	ck_assert_uint_eq(load(drv.bar + drv.isr, 1), 1);
	ck_assert_uint_eq(load(drv.bar + drv.isr, 1), 0);
}
END_TEST

START_TEST(pending_bits_are_in_the_bar)
{
	run_driver();
	store(drv.bar + drv.msix_table + 12, 4, 1);
	signal_fd(fake.ring[0].call_fd);
	ck_assert_uint_eq(load(drv.bar + drv.msix_pba, 8), 1);
	store(drv.bar + drv.msix_pba, 8, 0);
	ck_assert_uint_eq(load(drv.bar + drv.msix_pba, 8), 1);
	store(drv.bar + drv.msix_table + 12, 4, 0);
	ck_assert_uint_eq(interrupts(0), 1);
	ck_assert_uint_eq(load(drv.bar + drv.msix_pba, 8), 0);
}
END_TEST

START_TEST(doorbells_move_with_the_bar)
{
	const uint64_t old = drv.bar;

	run_driver();
	take_signal(fake.ring[1].kick_fd);
	store(config_at(PCI_COMMAND), 2, 0);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), 0);
	drv.bar = PCI_MMIO_END - 0x4000;
	store(config_at(PCI_BASE_ADDRESS_0), 4, (uint32_t)drv.bar);
	store(config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), NR_QUEUES);
	ck_assert_uint_eq(status(), RUNNING);
	ck_assert(!fake_kvm_ring(old + drv.notify + drv.notify_step));
	store(drv.bar + drv.notify + drv.notify_step, 2, 1);
	ck_assert(take_signal(fake.ring[1].kick_fd));
}
END_TEST

START_TEST(a_doorbell_that_kvm_refuses_is_slow_but_works)
{
	fake_kvm_refuse(-ENOSPC);
	store(config_at(PCI_COMMAND), 2, 0);
	store(config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	fake_kvm_refuse(0);
	run_driver();
	take_signal(fake.ring[0].kick_fd);
	take_signal(fake.ring[1].kick_fd);
	ck_assert_uint_eq(fake_kvm_nr_doorbells(), 0);
	store(drv.bar + drv.notify + drv.notify_step, 2, 1);
	ck_assert(take_signal(fake.ring[1].kick_fd));
	store(drv.bar + drv.notify + drv.notify_step * NR_QUEUES, 2, 1);
	ck_assert(!take_signal(fake.ring[0].kick_fd));
}
END_TEST

static void set_window(uint32_t bar, uint32_t offset, uint32_t length)
{
	store(config_at(drv.window_cap + VIRTIO_PCI_CAP_BAR), 1, bar);
	store(config_at(drv.window_cap + VIRTIO_PCI_CAP_OFFSET), 4, offset);
	store(config_at(drv.window_cap + VIRTIO_PCI_CAP_LENGTH), 4, length);
}

START_TEST(the_window_reaches_the_bar)
{
	const uint64_t data = config_at(drv.window_cap + 16);

	run_driver();
	take_signal(fake.ring[1].kick_fd);
	/* even while the BAR does not decode */
	store(config_at(PCI_COMMAND), 2, 0);
	set_window(0, drv.common + VIRTIO_PCI_COMMON_NUMQ, 2);
	ck_assert_uint_eq(load(data, 2), NR_QUEUES);
	set_window(0, drv.notify + drv.notify_step, 2);
	store(data, 2, 1);
	ck_assert(take_signal(fake.ring[1].kick_fd));
	set_window(0, drv.common + VIRTIO_PCI_COMMON_STATUS, 1);
	ck_assert_uint_eq(load(data, 1), RUNNING);
	store(data, 1, 0);
	ck_assert_uint_eq(load(data, 1), 0);
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
	const uint64_t data = config_at(drv.window_cap + 16);

	run_driver();
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		set_window(bad[i].bar, bad[i].offset, bad[i].length);
		store(data, 4, 0);
		load(data, 4);
	}
	ck_assert_uint_eq(status(), RUNNING);
}
END_TEST

/* --- a driver that does not ------------------------------------------------ */

START_TEST(features_must_be_acceptable)
{
	static const uint64_t bad[] = {
		0, 1, VERSION_1 | 1ull << 34, VERSION_1 | 1ull << 30,
		VERSION_1 | 1ull << 63, UINT64_MAX,
	};
	uint8_t before = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
		set(VIRTIO_PCI_COMMON_STATUS, 1, before);
		accept_features(bad[i]);
		set(VIRTIO_PCI_COMMON_STATUS, 1,
		    before | VIRTIO_CONFIG_S_FEATURES_OK);
		ck_assert_uint_eq(status(), before);
		set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
		ck_assert_uint_eq(status(), before);
	}
	/* Once they are settled they stay. */
	begin_driver();
	accept_features(UINT64_MAX);
	set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
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

	begin_driver();
	set_up_queue(0, bad[_i].size, bad[_i].desc);
	ck_assert_uint_eq(status() & NEEDS_RESET, NEEDS_RESET);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_NEEDS_RESET),
			  1);
	/* It does not start like this, and is as new after a reset. */
	set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_FEATURES),
			  0);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
	ck_assert(fake.ring[0].enabled);
}
END_TEST

START_TEST(driver_ok_needs_features_ok)
{
	set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_DRIVER_OK);
	ck_assert_uint_eq(status(), NEEDS_RESET);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_FEATURES),
			  0);
}
END_TEST

START_TEST(queues_out_of_turn_need_a_reset)
{
	if (_i == 0)
		set(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	else
		run_driver();
	if (_i == 1) {
		begin_driver();
		set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
	}
	set_up_queue(0, 16, 0x10000);
	ck_assert_uint_eq(status() & NEEDS_RESET,
			  _i == 2 ? 0 : NEEDS_RESET);
	if (_i == 2)	/* enabled already: nothing changes */
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 128);
	set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), _i == 2);
}
END_TEST

START_TEST(status_bits_are_only_added)
{
	run_driver();
	set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	ck_assert_uint_eq(status(), RUNNING);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0x30 | NEEDS_RESET);
	ck_assert_uint_eq(status(), RUNNING);
	set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FAILED);
	ck_assert_uint_eq(status(), RUNNING | VIRTIO_CONFIG_S_FAILED);
	ck_assert_uint_eq(fake_backend_count(&fake, VHOST_USER_SET_FEATURES),
			  1);
}
END_TEST

START_TEST(fields_take_their_own_width_only)
{
	begin_driver();
	set(VIRTIO_PCI_COMMON_STATUS, 2, 0);
	set(VIRTIO_PCI_COMMON_STATUS, 4, 0);
	set(VIRTIO_PCI_COMMON_Q_SIZE, 1, 2);
	set(VIRTIO_PCI_COMMON_Q_DESCLO, 2, 0xffff);
	set(VIRTIO_PCI_COMMON_NUMQ, 2, 7);
	ck_assert_uint_eq(status() & VIRTIO_CONFIG_S_FEATURES_OK,
			  VIRTIO_CONFIG_S_FEATURES_OK);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), NR_QUEUES);
}
END_TEST

/* --- back-ends that go wrong ----------------------------------------------- */

START_TEST(a_broken_ring_needs_a_reset)
{
	run_driver();
	signal_fd(fake.ring[1].err_fd);
	main_loop();
	ck_assert_uint_eq(status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(interrupts(CONFIG_VECTOR), 1);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_NEEDS_RESET),
			  1);
	ck_assert_uint_eq(fake_kvm_event_index(), 0);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
	main_loop();
	ck_assert_uint_eq(status(), RUNNING);
}
END_TEST

static void give_up(void)
{
	const struct relink none = { .fd = -1 };

	ck_assert_int_eq(virtio_pci_relink(0, &none), 0);
}

START_TEST(a_dead_back_end_is_reported_once)
{
	run_driver();
	shutdown(fake.sock, SHUT_RDWR);
	main_loop();
	main_loop();
	/* It may have a successor, so the guest does not hear of it. */
	ck_assert_uint_eq(status(), RUNNING);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
	give_up();
	ck_assert_uint_eq(status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(interrupts(CONFIG_VECTOR), 1);
	/* The driver may try again, in vain. */
	run_driver();
	ck_assert_uint_eq(status(), RUNNING | NEEDS_RESET);
	store(drv.bar + drv.device + 32, 1, 1);
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
}
END_TEST

START_TEST(a_wrong_answer_fails_the_device)
{
	fake.wrong_request = VHOST_USER_SET_VRING_ADDR;
	fake.wrong = FAKE_OTHER_REQUEST;
	run_driver();
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 1);
	give_up();
	ck_assert_uint_eq(status(), RUNNING | NEEDS_RESET);
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
	run_driver();
	shutdown(fake.sock, SHUT_RDWR);
	if (_i == 0)
		main_loop();	/* else the successor comes before the news */
	succeed(false);
	ck_assert_uint_eq(status(), RUNNING);
	ck_assert_uint_eq(interrupts(CONFIG_VECTOR), 0);
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
	uint64_t at = drv.bar + drv.device + 32;

	run_driver();
	if (_i == 0)
		store(at, 1, 1);
	shutdown(fake.sock, SHUT_RDWR);
	main_loop();
	if (_i == 1)
		store(at, 1, 1);
	succeed(false);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_CONFIG), 1);
	ck_assert_uint_eq(load(at, 1), 1);
	/* A driver that starts anew has set nothing. */
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	run_driver();
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_CONFIG), 1);
	fake_backend_end(&heir);
}
END_TEST

/* What the driver does between two processes is told to the second. */
START_TEST(a_driver_may_start_between_two_processes)
{
	run_driver();
	shutdown(fake.sock, SHUT_RDWR);
	main_loop();
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
	succeed(false);
	ck_assert_uint_eq(status(), RUNNING);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_MEM_TABLE), 1);
	fake_backend_end(&heir);
}
END_TEST

/* on_crash = reset-device: nothing is served until the driver has reset it. */
START_TEST(a_successor_may_need_a_reset)
{
	run_driver();
	shutdown(fake.sock, SHUT_RDWR);
	main_loop();
	succeed(true);
	ck_assert_uint_eq(status(), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(interrupts(CONFIG_VECTOR), 1);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_MEM_TABLE), 0);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
	ck_assert_uint_eq(heir_was_asked(VHOST_USER_SET_MEM_TABLE), 1);
	fake_backend_end(&heir);
}
END_TEST

/* After a device was given up, somebody may have it restarted. */
START_TEST(a_device_that_was_given_up_may_come_back)
{
	run_driver();
	shutdown(fake.sock, SHUT_RDWR);
	main_loop();
	give_up();
	succeed(false);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
	fake_backend_end(&heir);
}
END_TEST

static void *drive(void *unused)
{
	run_driver();
	return unused;
}

/* The vCPU waits for its deadline; the main thread does not wait at all. */
START_TEST(a_hung_back_end_stalls_one_vcpu_for_a_while)
{
	long long begin_ms = fdmsg_now_ms();
	long long worst_ms = 0;
	pthread_t vcpu;

	fake.wrong_request = VHOST_USER_SET_MEM_TABLE;
	fake.wrong = FAKE_SILENCE;
	ck_assert_int_eq(pthread_create(&vcpu, NULL, drive, NULL), 0);
	while (fdmsg_now_ms() - begin_ms < 1000) {
		long long from_ms = fdmsg_now_ms();

		main_loop();
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

	setup_machine();
	fake.nr_queues = cases[_i].offered;
	err = add(5, cases[_i].role, cases[_i].wanted);
	if (err) {
		ck_assert_int_eq(err, cases[_i].queues);
		drv.slot = 6;
		ck_assert_uint_eq(load(config_at(0), 4), UINT32_MAX);
	} else {
		probe(6);
		ck_assert_uint_eq(load(config_at(PCI_DEVICE_ID), 2),
				  cases[_i].device_id);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2),
				  cases[_i].queues);
		ck_assert_uint_eq(drv.device_bytes == 0,
				  cases[_i].role == LIFE_ROLE_RNG);
	}
	fake_backend_end(&fake);
}
END_TEST

START_TEST(every_slot_can_be_filled)
{
	static struct fake_backend fakes[LIFE_MAX_DEVICES];

	setup_machine();
	for (uint32_t i = 0; i < LIFE_MAX_DEVICES; i++) {
		struct life_core_device life = {
			.index = i, .role = LIFE_ROLE_BLK, .nr_queues = 4,
			.name = "vd",
		};

		fake_backend_init(&fakes[i]);
		ck_assert_int_eq(virtio_pci_add(&life,
						fake_backend_run(&fakes[i]),
						-1), 0);
	}
	ck_assert_int_eq(add(LIFE_MAX_DEVICES, LIFE_ROLE_BLK, 1), -EINVAL);
	fake_backend_end(&fake);
	for (unsigned int slot = 1; slot <= LIFE_MAX_DEVICES; slot++) {
		probe(slot);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), 4);
	}
	for (uint32_t i = 0; i < LIFE_MAX_DEVICES; i++)
		fake_backend_end(&fakes[i]);
}
END_TEST

/* --- a guest that writes at random ----------------------------------------- */

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
		uint64_t addr = r & 1 ? config_at(r >> 32 & 0xff) :
				drv.bar + (r >> 32 & 0x3fff);

		if (r & 2)	/* mostly where the registers are */
			addr = drv.bar + drv.common + (r >> 32 & 0x3f);
		if (r & 4)
			bus_access(BUS_MMIO, addr, &value, size, 1);
		else
			load(addr, size);
		/* Keep it decoding, and alive. */
		if (i % 64 == 0) {
			store(config_at(PCI_BASE_ADDRESS_0), 4,
			      (uint32_t)drv.bar);
			store(config_at(PCI_BASE_ADDRESS_1), 4, 0);
			store(config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
		}
		if (i % 512 == 0)
			run_driver();
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
		main_loop();
		usleep(10000);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(vcpu[i], NULL);
	/* The back-end never saw anything it had to refuse. */
	ck_assert_uint_eq(fake_kvm_nr_events(LIFE_EVENT_DEVICE_FAILED), 0);
	store(config_at(PCI_BASE_ADDRESS_0), 4, (uint32_t)drv.bar);
	store(config_at(PCI_BASE_ADDRESS_1), 4, 0);
	store(config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	run_driver();
	ck_assert_uint_eq(status(), RUNNING);
}
END_TEST

static TCase *new_case(Suite *all, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(all, tcase);
	return tcase;
}

static Suite *suite(void)
{
	Suite *all = suite_create("virtio_pci");
	TCase *good = new_case(all, "good driver");
	TCase *bad = new_case(all, "bad driver");
	TCase *back = new_case(all, "bad back-end");
	TCase *adding = tcase_create("adding");

	tcase_add_test(good, it_is_a_modern_virtio_device);
	tcase_add_test(good, features_are_those_of_the_back_end_that_we_know);
	tcase_add_test(good, a_driver_starts_and_data_flows);
	tcase_add_test(good, reset_stops_and_forgets);
	tcase_add_test(good, registers_read_back);
	tcase_add_test(good, config_space_is_the_back_ends);
	tcase_add_test(good, a_config_write_that_may_not_be_costs_nothing);
	tcase_add_test(good, a_config_change_interrupts_and_is_read);
	tcase_add_test(good, a_back_end_cannot_make_a_vcpu_wait);
	tcase_add_test(good, without_msix_the_isr_tells);
	tcase_add_test(good, pending_bits_are_in_the_bar);
	tcase_add_test(good, doorbells_move_with_the_bar);
	tcase_add_test(good, a_doorbell_that_kvm_refuses_is_slow_but_works);
	tcase_add_test(good, the_window_reaches_the_bar);
	tcase_add_test(bad, the_window_is_guarded);
	tcase_add_test(bad, features_must_be_acceptable);
	tcase_add_loop_test(bad, a_bad_queue_needs_a_reset, 0, 12);
	tcase_add_test(bad, driver_ok_needs_features_ok);
	tcase_add_loop_test(bad, queues_out_of_turn_need_a_reset, 0, 3);
	tcase_add_test(bad, status_bits_are_only_added);
	tcase_add_test(bad, fields_take_their_own_width_only);
	tcase_add_test(bad, a_random_guest_breaks_nothing);
	tcase_add_test(back, a_broken_ring_needs_a_reset);
	tcase_add_test(back, a_dead_back_end_is_reported_once);
	tcase_add_test(back, a_wrong_answer_fails_the_device);
	tcase_add_loop_test(back, a_successor_is_told_all, 0, 2);
	tcase_add_test(back, a_driver_may_start_between_two_processes);
	tcase_add_loop_test(back, a_successor_has_the_write_cache_as_the_driver_set_it, 0, 2);
	tcase_add_test(back, a_successor_may_need_a_reset);
	tcase_add_test(back, a_device_that_was_given_up_may_come_back);
	tcase_add_test(back, a_hung_back_end_stalls_one_vcpu_for_a_while);
	tcase_add_loop_test(adding, each_kind_has_its_queues, 0, 10);
	tcase_add_test(adding, every_slot_can_be_filled);
	suite_add_tcase(all, adding);
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
