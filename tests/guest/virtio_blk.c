/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: a virtio-blk driver, from the enumeration of the PCI bus to MSI-X
 * interrupts.  Prints each step; reads sector 0, writes and reads back sector
 * 8, flushes, then does what the command line names ("move", "misbehave",
 * "loop").
 *
 * Every request has an interrupt vector of its own, so that IRR tells without
 * a handler which ones came.
 */
#include "tests/guest/lib.h"
#include "vmm-core/layout.h"

#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc
#define BLK_ID		0x10421af4u	/* virtio 1.2, 4.1.2: vendor, device */
#define CAP_VENDOR	0x09
#define CAP_MSIX	0x11

/* virtio 1.2, 4.1.4.3: offsets in the common configuration */
#define FEATURE_SELECT	8
#define FEATURES	12
#define MSIX_CONFIG	16
#define STATUS		20
#define QUEUE_SELECT	22
#define QUEUE_SIZE	24
#define QUEUE_MSIX	26
#define QUEUE_ENABLE	28
#define QUEUE_NOTIFY	30
#define QUEUE_DESC	32
#define QUEUE_DRIVER	40
#define QUEUE_DEVICE	48

#define T_IN		0
#define T_OUT		1
#define T_FLUSH		4
#define DESC_NEXT	1
#define DESC_WRITE	2
#define SECTOR		512
#define SIZE		8u		/* of the queue */

#define FIRST_VECTOR	0x50
#define LOOKS		2000000u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

static struct desc desc[SIZE] __attribute__((aligned(16)));
static struct {
	uint16_t flags, idx, ring[SIZE], used_event;
} driver __attribute__((aligned(2)));
static struct {
	uint16_t flags, idx;
	struct { uint32_t id, len; } ring[SIZE];
	uint16_t avail_event;
} device __attribute__((aligned(4)));

static struct { uint32_t type, ioprio; uint64_t sector; } header;
static uint8_t data[SECTOR] __attribute__((aligned(SECTOR)));
static uint8_t done;

static uint64_t bar, common, notify, table;
static uint32_t notify_step;
static uint32_t slot;			/* device number of the disk */
static uint32_t msix_cap;
static uint8_t vector = FIRST_VECTOR;

static uint32_t config_read(uint32_t reg)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | (reg & ~3u));
	return in32(PCI_DATA) >> 8 * (reg & 3);
}

static void config_write(uint32_t reg, uint32_t value)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | reg);
	out32(PCI_DATA, value);
}

static int find_disk(void)
{
	for (slot = 1; slot < 32; slot++)
		if (config_read(0) == BLK_ID)
			return 1;
	return 0;
}

static void note_cap(uint32_t cap)
{
	uint32_t offset = config_read(cap + 8);

	if ((config_read(cap) & 0xff) == CAP_MSIX) {
		msix_cap = cap;
		table = bar + (config_read(cap + 4) & ~7u);
		return;
	}
	if ((config_read(cap) & 0xff) != CAP_VENDOR)
		return;
	switch (config_read(cap + 3) & 0xff) {
	case 1:
		common = bar + offset;
		break;
	case 2:
		notify = bar + offset;
		notify_step = config_read(cap + 16);
		break;
	}
}

static void find_caps(void)
{
	uint32_t cap = config_read(0x34) & 0xff;

	bar = (uint64_t)config_read(0x14) << 32 | (config_read(0x10) & ~15u);
	for (uint32_t n = 0; cap && n < 16; n++) {
		note_cap(cap);
		cap = config_read(cap + 1) & 0xff;
	}
	config_write(0x04, 0x6);	/* memory space, bus master */
}

/* PCI 3.0, 6.8.2: the entry is changed while it is masked. */
static void next_vector(void)
{
	mmio_write32(table + 12, 1);
	mmio_write32(table, LAPIC_BASE);
	mmio_write32(table + 4, 0);
	mmio_write32(table + 8, ++vector);
	mmio_write32(table + 12, 0);
}

static void queue_set_up(void)
{
	mmio_write16(common + QUEUE_SELECT, 0);
	mmio_write16(common + QUEUE_SIZE, SIZE);
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

/* virtio 1.2, 3.1.1 */
static void driver_start(void)
{
	mmio_write8(common + STATUS, 0);
	mmio_write8(common + STATUS, 1);
	mmio_write8(common + STATUS, 3);
	mmio_write32(common + FEATURE_SELECT, 0);
	mmio_write32(common + FEATURES, 0);
	mmio_write32(common + FEATURE_SELECT, 1);
	mmio_write32(common + FEATURES, 1);	/* VIRTIO_F_VERSION_1 */
	mmio_write8(common + STATUS, 3 | 8);
	config_write(msix_cap, 0x80000000u);	/* MSI-X on */
	queue_set_up();
	mmio_write8(common + STATUS, 3 | 8 | 4);
	put_value("status", mmio_read8(common + STATUS));
}

/* Not by interrupt: a device may send one that means nothing. */
static int used_wait(uint16_t goal)
{
	for (uint32_t i = 0; i < LOOKS; i++)
		if (*(volatile uint16_t *)&device.idx == goal)
			return 1;
	return 0;
}

/* One request, until it is in the used ring. */
static void request_use(uint32_t type, uint64_t sector, uint16_t data_flags)
{
	uint16_t goal = (uint16_t)(driver.idx + 1);
	int has_data = type != T_FLUSH;

	header.type = type;
	header.sector = sector;
	done = 0xff;
	desc[0] = (struct desc){ (uint64_t)&header, 16, DESC_NEXT,
				 has_data ? 1 : 2 };
	desc[1] = (struct desc){ (uint64_t)data, SECTOR,
				 (uint16_t)(DESC_NEXT | data_flags), 2 };
	desc[2] = (struct desc){ (uint64_t)&done, 1, DESC_WRITE, 0 };
	driver.ring[driver.idx % SIZE] = 0;
	barrier();
	driver.idx = goal;
	barrier();
	mmio_write16(notify, 0);
	if (!used_wait(goal))
		put("not used\n");
}

/* One request, its completion by interrupt.  Return: its status byte. */
static uint8_t request(uint32_t type, uint64_t sector, uint16_t data_flags)
{
	next_vector();
	request_use(type, sector, data_flags);
	if (!irq_wait(vector, LOOKS))
		put("no interrupt\n");
	return *(volatile uint8_t *)&done;
}

static void fill(uint8_t seed)
{
	for (int i = 0; i < SECTOR; i++)
		data[i] = (uint8_t)(seed + i * 7);
}

static int is_filled(uint8_t seed)
{
	for (int i = 0; i < SECTOR; i++)
		if (data[i] != (uint8_t)(seed + i * 7))
			return 0;
	return 1;
}

static void read_write_flush(void)
{
	put_value("read", request(T_IN, 0, DESC_WRITE));
	data[16] = 0;
	put((const char *)data);
	put("\n");
	fill(3);
	put_value("write", request(T_OUT, 8, 0));
	put_value("flush", request(T_FLUSH, 0, 0));
	fill(0);
	put_value("again", request(T_IN, 8, DESC_WRITE));
	put_value("same", (uint64_t)is_filled(3));
	put_value("beyond", request(T_IN, 1ull << 40, DESC_WRITE));
}

/* The BAR elsewhere: registers, doorbell and table go with it. */
static void move_bar(void)
{
	uint64_t old = bar;
	uint64_t to = PCI_MMIO_BASE + 0x1000000u;

	config_write(0x04, 0);
	config_write(0x10, (uint32_t)to);
	config_write(0x04, 0x6);
	common += to - old;
	notify += to - old;
	table += to - old;
	put_value("old", mmio_read32(old + 16));
	put_value("status", mmio_read8(common + STATUS));
	put_value("read", request(T_IN, 8, DESC_WRITE));
	put_value("same", (uint64_t)is_filled(3));
}

/*
 * PCI 3.0, 6.8.3.4: what a masked vector would have sent is pending, and is
 * sent when the mask goes.  At the end one is left pending for the reset.
 */
static void mask(void)
{
	next_vector();
	mmio_write32(table + 12, 1);
	request_use(T_IN, 8, DESC_WRITE);
	put_value("early", (uint64_t)irq_wait(vector, 1000));
	mmio_write32(table + 12, 0);
	put_value("late", (uint64_t)irq_wait(vector, LOOKS));
	mmio_write32(table + 12, 1);
	request_use(T_IN, 8, DESC_WRITE);
}

/* A queue outside of RAM: the device says so, and lives after a reset. */
static void misbehave(void)
{
	mmio_write8(common + STATUS, 0);
	mmio_write8(common + STATUS, 3);
	mmio_write32(common + FEATURE_SELECT, 1);
	mmio_write32(common + FEATURES, 1);
	mmio_write8(common + STATUS, 3 | 8);
	mmio_write16(common + QUEUE_SIZE, SIZE);
	mmio_write32(common + QUEUE_DESC, PCI_MMIO_BASE);
	mmio_write16(common + QUEUE_ENABLE, 1);
	put_value("status", mmio_read8(common + STATUS));
	notify -= notify_step * mmio_read16(common + QUEUE_NOTIFY);
	driver.idx = 0;
	device.idx = 0;
	driver_start();
	put_value("read", request(T_IN, 8, DESC_WRITE));
	put_value("same", (uint64_t)is_filled(3));
}

/* Completions are polled for: what a busy disk costs is the host's alone. */
_Noreturn static void read_for_ever(void)
{
	request(T_IN, 8, DESC_WRITE);
	put("reading\n");
	for (;;) {
		driver.ring[driver.idx % SIZE] = 0;
		barrier();
		driver.idx++;
		barrier();
		mmio_write16(notify, 0);
		used_wait(driver.idx);
	}
}

void guest_main(const char *cmdline)
{
	lapic_enable();
	if (!find_disk()) {
		put("no disk\n");
		power_off();
	}
	find_caps();
	driver_start();
	read_write_flush();
	if (text_equal(cmdline, "move"))
		move_bar();
	if (text_equal(cmdline, "mask"))
		mask();
	if (text_equal(cmdline, "misbehave"))
		misbehave();
	if (text_equal(cmdline, "loop"))
		read_for_ever();
	/* A driver that ends in order: the ring is stopped, then the power. */
	mmio_write8(common + STATUS, 0);
	put_value("status", mmio_read8(common + STATUS));
	put("done\n");
	power_off();
}
