/* SPDX-License-Identifier: Apache-2.0 */
/* A driver and its machine for the tests of virtio-pci, see the header. */
#include "tests/unit/virtio_driver.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/log.h"
#include "tests/unit/fake_kvm.h"
#include "vmm-core/bus.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/pci.h"

struct fake_backend fake;
struct driver driver;
int machine_watched[3 * LIFE_MAX_DEVICES];
unsigned int machine_nr_watched;

void machine_watch(int fd, uint32_t events, const char *what)
{
	(void)events;
	(void)what;
	machine_watched[machine_nr_watched++] = fd;
}

/* The main loop, as if each fd was ready. */
void machine_main_loop(void)
{
	for (unsigned int i = 0; i < machine_nr_watched; i++)
		virtio_pci_dispatch(machine_watched[i]);
}

/* --- a guest's accesses ---------------------------------------------------- */

uint64_t driver_load(uint64_t addr, unsigned int size)
{
	uint64_t value = 0;

	bus_access(BUS_MMIO, addr, &value, size, 0);
	return value;
}

void driver_store(uint64_t addr, unsigned int size, uint64_t value)
{
	if (!fake_kvm_ring(addr))
		bus_access(BUS_MMIO, addr, &value, size, 1);
}

uint64_t driver_config_at(unsigned int reg)
{
	return PCI_ECAM_BASE + (driver.slot << 15) + reg;
}

uint32_t driver_get(unsigned int field, unsigned int size)
{
	return (uint32_t)driver_load(driver.bar + driver.common + field, size);
}

void driver_set(unsigned int field, unsigned int size, uint32_t value)
{
	driver_store(driver.bar + driver.common + field, size, value);
}

uint8_t driver_status(void)
{
	return (uint8_t)driver_get(VIRTIO_PCI_COMMON_STATUS, 1);
}

static void note_virtio_cap(unsigned int cap)
{
	uint32_t offset = (uint32_t)driver_load(driver_config_at(cap + 8), 4);
	uint32_t length = (uint32_t)driver_load(driver_config_at(cap + 12), 4);

	switch (driver_load(driver_config_at(cap + VIRTIO_PCI_CAP_CFG_TYPE), 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		ck_assert_uint_ge(length, 56);
		driver.common = offset;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		driver.isr = offset;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		driver.device = offset;
		driver.device_bytes = length;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		driver.notify = offset;
		driver.notify_step = (uint32_t)driver_load(driver_config_at(cap + 16), 4);
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		driver.window_cap = cap;
		break;
	default:
		ck_abort_msg("unknown virtio capability");
	}
}

/* Walk the capability list of device number slot, switch the BAR on. */
void driver_probe(unsigned int slot)
{
	unsigned int cap;
	unsigned int nr = 0;

	memset(&driver, 0, sizeof(driver));
	driver.slot = slot;
	cap = (unsigned int)driver_load(driver_config_at(PCI_CAPABILITY_LIST), 1);
	for (; cap; cap = (unsigned int)driver_load(driver_config_at(cap + 1), 1)) {
		ck_assert_uint_lt(nr++, 16);
		if (driver_load(driver_config_at(cap), 1) == PCI_CAP_ID_VNDR) {
			note_virtio_cap(cap);
		} else {
			ck_assert_uint_eq(driver_load(driver_config_at(cap), 1),
					  PCI_CAP_ID_MSIX);
			driver.msix_cap = cap;
			driver.msix_table = (uint32_t)driver_load(driver_config_at(cap + 4), 4);
			driver.msix_pba = (uint32_t)driver_load(driver_config_at(cap + 8), 4);
		}
	}
	driver.bar = driver_load(driver_config_at(PCI_BASE_ADDRESS_0), 4) & ~15ull;
	driver_store(driver_config_at(PCI_COMMAND), 2, PCI_COMMAND_MEMORY |
					 PCI_COMMAND_MASTER);
}

void driver_set_up_msix(void)
{
	uint64_t table = driver.bar + driver.msix_table;

	for (unsigned int i = 0; i <= CONFIG_VECTOR; i++) {
		driver_store(table + 16 * i, 8, MSG_ADDRESS);
		driver_store(table + 16 * i + 8, 4, MSG_DATA + i);
		driver_store(table + 16 * i + 12, 4, 0);
	}
	driver_store(driver_config_at(driver.msix_cap + PCI_MSIX_FLAGS), 2,
	      PCI_MSIX_FLAGS_ENABLE);
	driver_set(VIRTIO_PCI_COMMON_MSIX, 2, CONFIG_VECTOR);
}

void driver_set_address(unsigned int field, uint64_t address)
{
	driver_set(field, 4, (uint32_t)address);
	driver_set(field + 4, 4, (uint32_t)(address >> 32));
}

void driver_set_up_queue(unsigned int index, uint32_t size, uint64_t desc)
{
	driver_set(VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	driver_set(VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	driver_set(VIRTIO_PCI_COMMON_Q_MSIX, 2, index);
	driver_set_address(VIRTIO_PCI_COMMON_Q_DESCLO, desc);
	driver_set_address(VIRTIO_PCI_COMMON_Q_AVAILLO, desc + 0x1000);
	driver_set_address(VIRTIO_PCI_COMMON_Q_USEDLO, desc + 0x2000);
	driver_set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

void driver_accept_features(uint64_t features)
{
	driver_set(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	driver_set(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)features);
	driver_set(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	driver_set(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32));
}

/* virtio 1.2, 3.1.1: up to FEATURES_OK */
void driver_begin(void)
{
	driver_begin_with(VERSION_1);
}

void driver_begin_with(uint64_t features)
{
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1,
		   driver_status() | VIRTIO_CONFIG_S_DRIVER);
	driver_accept_features(features);
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1,
	    driver_status() | VIRTIO_CONFIG_S_FEATURES_OK);
}

void driver_run(void)
{
	driver_begin();
	driver_set_up_msix();
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		driver_set_up_queue(i, 128, 0x10000 * (i + 1));
	driver_set(VIRTIO_PCI_COMMON_STATUS, 1, RUNNING);
}

unsigned int machine_interrupts(unsigned int vector)
{
	return fake_kvm_interrupts(MSG_ADDRESS, MSG_DATA + vector);
}

bool machine_take_signal(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

void machine_signal_fd(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

/* --- the machine ----------------------------------------------------------- */

static int add(uint32_t index, enum life_role role, uint32_t nr_queues,
	       bool packed)
{
	struct life_core_device life = {
		.index = index, .role = role, .nr_queues = nr_queues,
		.packed = packed, .nr_processes = 1, .of = index, .name = "dev",
	};

	return virtio_pci_add(&life, fake_backend_run(&fake), -1);
}

int machine_add(uint32_t index, enum life_role role, uint32_t nr_queues)
{
	return add(index, role, nr_queues, false);
}

void machine_add_packed_disk(void)
{
	ck_assert_int_eq(add(0, LIFE_ROLE_BLK, NR_QUEUES, true), 0);
	driver_probe(1);
}

void machine_make(void)
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

void machine_set_up(void)
{
	machine_make();
	ck_assert_int_eq(machine_add(0, LIFE_ROLE_BLK, NR_QUEUES), 0);
	virtio_pci_watch(machine_watch);
	ck_assert_uint_eq(machine_nr_watched, 3);
	driver_probe(1);
}

void machine_tear_down(void)
{
	fake_backend_end(&fake);
}

TCase *machine_new_case(Suite *all, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, machine_set_up, machine_tear_down);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(all, tcase);
	return tcase;
}

int machine_run(Suite *all)
{
	SRunner *runner = srunner_create(all);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
