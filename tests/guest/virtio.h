/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the virtio-blk guests share: enumeration of the PCI bus, the driver's
 * start (virtio 1.2, 3.1.1), MSI-X vectors, and the memory of one queue.
 */
#ifndef TESTS_GUEST_VIRTIO_H
#define TESTS_GUEST_VIRTIO_H

#include "tests/guest/lib.h"

/* virtio 1.2, 4.1.4.3: offsets in the common configuration */
#define DEVICE_FEATURE_SELECT	0
#define DEVICE_FEATURES	4
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

/* virtio 1.2, 5.2.3 and 6 */
#define F_BLK_FLUSH	(1ull << 9)
#define F_BLK_CONFIG_WCE	(1ull << 11)
#define F_INDIRECT_DESC	(1ull << 28)
#define F_EVENT_IDX	(1ull << 29)
#define F_VERSION_1	(1ull << 32)
#define F_RING_PACKED	(1ull << 34)

#define T_IN		0
#define T_OUT		1
#define T_FLUSH		4
#define DESC_NEXT	1
#define DESC_WRITE	2
#define DESC_INDIRECT	4
#define SECTOR		512
#define MAX_SIZE	128u		/* of the queue */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* A smaller queue may use these too, unless it negotiates event indices. */
struct driver_ring {
	uint16_t flags, idx, ring[MAX_SIZE], used_event;
};
struct device_ring {
	uint16_t flags, idx;
	struct { uint32_t id, len; } ring[MAX_SIZE];
	uint16_t avail_event;
};

struct blk_header {
	uint32_t type, ioprio;
	uint64_t sector;
};

extern struct desc desc[MAX_SIZE];
extern struct driver_ring driver;
extern struct device_ring device;

extern uint64_t bar, common, notify, disk_config, table;
extern uint32_t notify_step;
extern uint16_t queue_index;	/* of the queue that is driven; 0 */

/* The disk's config space. */
uint32_t config_read(uint32_t reg);
void config_write(uint32_t reg, uint32_t value);

/* The first disk on the bus, its structures and its decoding. */
int find_disk(void);
void find_caps(void);

/* Entry 0 of its table means this vector. */
void set_vector(uint8_t vector);

/*
 * Reset, negotiate, one queue of size descriptors (queue_index), DRIVER_OK.  features: what
 * is wanted beside VERSION_1.  Return: what of it there is.
 */
uint64_t driver_start_with(uint32_t size, uint64_t features);
void driver_start(uint32_t size);

#endif
