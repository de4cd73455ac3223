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
#include "tests/guest/virtio.h"
#include "vmm-core/layout.h"

#define SIZE		8u		/* of the queue */
#define FIRST_VECTOR	0x50
#define LOOKS		2000000u

static struct blk_header header;
static uint8_t data[SECTOR] __attribute__((aligned(SECTOR)));
static uint8_t done;

static uint8_t vector = FIRST_VECTOR;

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
	set_vector(++vector);
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
	set_vector(++vector);
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
	driver_start(SIZE);
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
	driver_start(SIZE);
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
