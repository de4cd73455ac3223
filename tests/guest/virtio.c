/* SPDX-License-Identifier: Apache-2.0 */
/* Guest: the start of a virtio-blk driver, see virtio.h. */
#include "tests/guest/virtio.h"

#include "vmm-core/layout.h"

#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc
#define BLK_ID		0x10421af4u	/* virtio 1.2, 4.1.2: vendor, device */
#define CAP_VENDOR	0x09
#define CAP_MSIX	0x11

struct desc desc[MAX_SIZE] __attribute__((aligned(16)));
struct driver_ring driver __attribute__((aligned(4)));
struct device_ring device __attribute__((aligned(4)));

uint64_t bar, common, notify, disk_config, table;
uint32_t notify_step;
uint16_t queue_index;
static uint32_t slot;			/* device number of the disk */
static uint32_t msix_cap;

uint32_t config_read(uint32_t reg)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | (reg & ~3u));
	return in32(PCI_DATA) >> 8 * (reg & 3);
}

void config_write(uint32_t reg, uint32_t value)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | reg);
	out32(PCI_DATA, value);
}

int find_disk(void)
{
	for (slot = 1; slot < 32; slot++)
		if (config_read(0) == BLK_ID)
			return 1;
	return 0;
}

/* PCI 3.0, 6.2.5.1: bit 2 says that the next register is the upper half. */
static uint64_t bar_address(uint32_t index)
{
	uint32_t reg = 0x10 + 4 * index;
	uint32_t low = config_read(reg);
	uint64_t high = low & 4 ? config_read(reg + 4) : 0;

	return high << 32 | (low & ~15u);
}

/* Other machines' devices have their parts in several BARs. */
static void note_cap(uint32_t cap)
{
	uint32_t offset = config_read(cap + 8);
	uint32_t word = config_read(cap + 4);

	if ((config_read(cap) & 0xff) == CAP_MSIX) {
		msix_cap = cap;
		table = bar_address(word & 7) + (word & ~7u);
		return;
	}
	if ((config_read(cap) & 0xff) != CAP_VENDOR)
		return;
	switch (config_read(cap + 3) & 0xff) {
	case 1:
		bar = bar_address(word & 0xff);
		common = bar + offset;
		break;
	case 4:
		disk_config = bar_address(word & 0xff) + offset;
		break;
	case 2:
		notify = bar_address(word & 0xff) + offset;
		notify_step = config_read(cap + 16);
		break;
	}
}

void find_caps(void)
{
	uint32_t cap = config_read(0x34) & 0xff;

	bar = bar_address(0);
	for (uint32_t n = 0; cap && n < 16; n++) {
		note_cap(cap);
		cap = config_read(cap + 1) & 0xff;
	}
	config_write(0x04, 0x6);	/* memory space, bus master */
}

/* PCI 3.0, 6.8.2: the entry is changed while it is masked. */
void set_vector(uint8_t vector)
{
	mmio_write32(table + 12, 1);
	mmio_write32(table, LAPIC_BASE);
	mmio_write32(table + 4, 0);
	mmio_write32(table + 8, vector);
	mmio_write32(table + 12, 0);
}

static void queue_set_up(uint32_t size)
{
	mmio_write16(common + QUEUE_SELECT, queue_index);
	mmio_write16(common + QUEUE_SIZE, (uint16_t)size);
	mmio_write16(common + QUEUE_MSIX, 0);
	mmio_write32(common + QUEUE_DESC, (uint32_t)(uint64_t)desc);
	mmio_write32(common + QUEUE_DESC + 4, 0);
	mmio_write32(common + QUEUE_DRIVER, (uint32_t)(uint64_t)&driver);
	mmio_write32(common + QUEUE_DRIVER + 4, 0);
	mmio_write32(common + QUEUE_DEVICE, (uint32_t)(uint64_t)&device);
	mmio_write32(common + QUEUE_DEVICE + 4, 0);
	notify += notify_step * mmio_read16(common + QUEUE_NOTIFY);
	mmio_write16(common + QUEUE_ENABLE, 1);
}

static uint64_t offered_features(void)
{
	uint64_t low;

	mmio_write32(common + DEVICE_FEATURE_SELECT, 0);
	low = mmio_read32(common + DEVICE_FEATURES);
	mmio_write32(common + DEVICE_FEATURE_SELECT, 1);
	return (uint64_t)mmio_read32(common + DEVICE_FEATURES) << 32 | low;
}

/* virtio 1.2, 3.1.1 */
uint64_t driver_start_with(uint32_t size, uint64_t features)
{
	mmio_write8(common + STATUS, 0);
	mmio_write8(common + STATUS, 1);
	mmio_write8(common + STATUS, 3);
	features = (features | F_VERSION_1) & offered_features();
	mmio_write32(common + FEATURE_SELECT, 0);
	mmio_write32(common + FEATURES, (uint32_t)features);
	mmio_write32(common + FEATURE_SELECT, 1);
	mmio_write32(common + FEATURES, (uint32_t)(features >> 32));
	mmio_write8(common + STATUS, 3 | 8);
	config_write(msix_cap, 0x80000000u);	/* MSI-X on */
	queue_set_up(size);
	mmio_write8(common + STATUS, 3 | 8 | 4);
	put_value("status", mmio_read8(common + STATUS));
	return features;
}

void driver_start(uint32_t size)
{
	driver_start_with(size, 0);
}
