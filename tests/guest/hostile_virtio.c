/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest "hostile": every virtio register in every state, MSI-X tables with any
 * address, and rings that no driver would make.
 */
#include "tests/guest/hostile.h"
#include "tests/guest/virtio.h"
#include "vmm-core/layout.h"

#define RAM_END		0x4000000ull	/* 64 MiB */
#define DESC_INDIRECT	4
#define AVAIL		0x2000u		/* from RING_BASE */
#define USED		0x3000u
#define INDIRECT	0x4000u
#define HEADERS		0x8000u
#define MSIX_CAP_ID	0x11

static uint64_t any_bar(void)
{
	return functions[below(nr_functions)].bar;
}

void attack_registers(uint32_t n)
{
	/* What a driver would write next, and what it would not. */
	static const uint8_t statuses[] = { 0, 1, 3, 11, 15, 4, 0x40, 0x80, 0xff };

	while (n--) {
		uint64_t at = any_bar();

		switch (below(6)) {
		case 0:
			mmio_write8(at + STATUS,
				    statuses[below(sizeof(statuses))]);
			break;
		case 1:
			mmio_write32(at + FEATURE_SELECT, below(3));
			mmio_write32(at + FEATURES, (uint32_t)edge());
			break;
		case 2:
			touch(at + below(BAR_BYTES), below(4), (int)below(2),
			      edge());
			break;
		case 3:		/* doorbells, of queues that are not there too */
			touch(at + BAR_NOTIFY + below(160), below(4), 1,
			      edge());
			break;
		default:
			touch(at + below(64), below(4), (int)below(2), edge());
			break;
		}
	}
}

static void enable_msix(const struct function *fn, uint16_t control)
{
	uint64_t config = PCI_ECAM_BASE + ((uint64_t)fn->slot << 15);
	uint32_t cap = mmio_read8(config + 0x34);

	for (uint32_t i = 0; i < 16 && cap; i++) {
		if (mmio_read8(config + cap) == MSIX_CAP_ID)
			mmio_write16(config + cap + 2, control);
		cap = mmio_read8(config + cap + 1);
	}
}

void attack_msix(uint32_t n, int harmless)
{
	while (n--) {
		const struct function *fn = &functions[below(nr_functions)];
		uint64_t entry = fn->bar + BAR_TABLE + 16 * below(36);
		uint64_t address = below(2) ? edge() :
				   LAPIC_BASE + 4 * below(0x40000);
		uint32_t data = (uint32_t)edge();

		/* NMI, INIT and SMI would be this guest's own end. */
		if (harmless)
			data &= ~0x700u;
		mmio_write32(entry, (uint32_t)address);
		mmio_write32(entry + 4, (uint32_t)(address >> 32));
		mmio_write32(entry + 8, data);
		mmio_write32(entry + 12, below(4) ? 0 : (uint32_t)edge());
		enable_msix(fn, (uint16_t)(below(4) << 14));
		mmio_write16(fn->bar + MSIX_CONFIG, (uint16_t)below(40));
		mmio_write16(fn->bar + QUEUE_SELECT, (uint16_t)below(40));
		mmio_write16(fn->bar + QUEUE_MSIX, (uint16_t)below(40));
	}
}

/* --- rings ------------------------------------------------------------------- */

static struct desc *ring_desc(void)
{
	return (struct desc *)(uint64_t)RING_BASE;
}

/* An address that a device should not touch, or one that it may. */
static uint64_t buffer_address(void)
{
	switch (below(6)) {
	case 0:
		return edge();
	case 1:		/* the ring itself */
		return RING_BASE + below(RING_BYTES);
	case 2:
		return RAM_END - below(64);
	case 3:		/* a device's registers */
		return any_bar() + below(BAR_BYTES);
	default:
		return RING_BASE + HEADERS + 16 * below(256);
	}
}

static uint32_t buffer_bytes(void)
{
	static const uint32_t sizes[] = {
		0, 1, 15, 16, 17, 511, 512, 513, 4096, 65536, 0x7fffffff,
		0x80000000, 0xffffffff, 65535 * 16, 16 * 16,
	};

	return sizes[below(sizeof(sizes) / sizeof(sizes[0]))];
}

static void make_descriptors(struct desc *chain, uint32_t nr, uint32_t depth)
{
	for (uint32_t i = 0; i < nr; i++) {
		chain[i].addr = buffer_address();
		chain[i].len = buffer_bytes();
		chain[i].flags = (uint16_t)below(below(16) ? 4 : 0x10000);
		chain[i].next = (uint16_t)(below(4) ? i + 1 : below(nr + 2));
		if (depth && !below(6)) {
			chain[i].addr = RING_BASE + INDIRECT;
			chain[i].flags |= DESC_INDIRECT;
		}
	}
}

/* A header that means something, so that the request behind it is begun. */
static void make_headers(void)
{
	static const uint8_t types[] = { 0, 1, 4, 8, 11, 13, 2, 99 };

	for (uint32_t i = 0; i < 8; i++) {
		uint64_t at = RING_BASE + HEADERS + 256 * i;

		mmio_write32(at, types[below(sizeof(types))]);
		mmio_write64(at + 8, below(3) ? below(4096) : edge());
		ring_desc()[2 * i].addr = at;
		ring_desc()[2 * i].len = 16;
		ring_desc()[2 * i].flags = DESC_NEXT;
	}
}

static void make_ring(void)
{
	make_descriptors(ring_desc(), 32, 1);
	make_descriptors((struct desc *)(RING_BASE + INDIRECT + 0ull), 16, 1);
	if (below(2))
		make_headers();
	for (uint32_t i = 0; i < 16; i++)
		mmio_write16(RING_BASE + AVAIL + 4 + 2 * i,
			     (uint16_t)(below(8) ? 2 * below(16) : edge()));
}

/* virtio 1.2, 2.8.1: slots of any lap, of both, or of none */
static void make_packed_ring(void)
{
	static const uint16_t laps[] = { 0x80, 0x8000, 0x80, 0x8000, 0x8080, 0 };
	struct desc *ring = ring_desc();

	make_descriptors(ring, 32, 1);
	make_descriptors((struct desc *)(RING_BASE + INDIRECT + 0ull), 16, 1);
	if (below(2))
		make_headers();
	for (uint32_t i = 0; i < 16; i++) {
		uint16_t flags = below(4) ? ring[i].flags & 7 :
					    (uint16_t)edge();

		/* The id lies where a split ring's descriptor has flags. */
		ring[i].flags = (uint16_t)(below(8) ? i : edge());
		ring[i].next = flags | laps[below(sizeof(laps) / 2)];
	}
	/* The driver's event suppression. */
	mmio_write32(RING_BASE + AVAIL, (uint32_t)(below(4) ? below(3) << 16 :
						   edge()));
}

static void put_address(uint64_t at, uint64_t address)
{
	mmio_write32(at, (uint32_t)address);
	mmio_write32(at + 4, (uint32_t)(address >> 32));
}

static void start_queue(uint64_t at, uint16_t queue)
{
	static const uint16_t sizes[] = { 256, 128, 16, 1, 2, 0, 3, 512, 0xffff };
	int good = below(4) != 0;

	mmio_write16(at + QUEUE_SELECT, queue);
	mmio_write16(at + QUEUE_SIZE,
		     good ? 16 : sizes[below(sizeof(sizes) / 2)]);
	put_address(at + QUEUE_DESC, good ? RING_BASE : edge());
	put_address(at + QUEUE_DRIVER, good ? RING_BASE + AVAIL : edge());
	put_address(at + QUEUE_DEVICE, good ? RING_BASE + USED : edge());
	mmio_write16(at + QUEUE_ENABLE, 1);
}

/* Does the device that was started last have packed rings? */
static int is_packed;

/* VERSION_1, and RING_PACKED half of the time, if it is offered */
static uint32_t choose_high_features(uint64_t at)
{
	mmio_write32(at, 1);
	is_packed = below(2) && mmio_read32(at + 4) & 4;
	return is_packed ? 5 : 1;
}

static void start_device(uint64_t at)
{
	mmio_write8(at + STATUS, 0);
	mmio_write16(RING_BASE + AVAIL + 2, 0);
	mmio_write16(RING_BASE + USED + 2, 0);
	mmio_write8(at + STATUS, 1);
	mmio_write8(at + STATUS, 3);
	mmio_write32(at + FEATURE_SELECT, 0);
	/* Indirect descriptors, event index: sometimes. */
	mmio_write32(at + FEATURES, below(4) << 28);
	mmio_write32(at + FEATURE_SELECT, 1);
	mmio_write32(at + FEATURES, choose_high_features(at));
	mmio_write8(at + STATUS, 11);
	for (uint16_t queue = 0; queue < 1 + below(3); queue++)
		start_queue(at, queue);
	mmio_write8(at + STATUS, 15);
}

/* One more, many more, or as many as an index can say. */
static void show_more(void)
{
	mmio_write16(RING_BASE + AVAIL + 2, (uint16_t)
		     (mmio_read16(RING_BASE + AVAIL + 2) +
		      (below(4) ? 1 + below(8) : edge())));
}

void attack_rings(uint32_t n)
{
	while (n--) {
		uint64_t at = any_bar();

		if (!below(4))
			start_device(at);
		if (is_packed) {
			make_packed_ring();
			barrier();
		} else {
			make_ring();
			barrier();
			show_more();
		}
		mmio_write16(at + BAR_NOTIFY + 4 * below(3), 0);
		mmio_read8(at + STATUS);
	}
}
