/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of a virtio-pci function (virtio 1.2, 4.1.4), read and
 * written by vCPU threads: heavy exits, all of them set-up.  The only
 * register of the data path is a queue's notify address, which KVM answers
 * itself (D1); a write to it arrives here only through the window of
 * configuration space.
 *
 * A write that the specification forbids is ignored, or costs the device its
 * DEVICE_NEEDS_RESET bit; nothing else.
 */
#include <linux/virtio_config.h>
#include <stddef.h>
#include <unistd.h>

#include "vmm-core/guest_mem.h"
#include "vmm-core/virtio_pci.h"

#define DRIVER_STATUS_BITS \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_FAILED)

#define F_VERSION_1_MASK	(1ull << VIRTIO_F_VERSION_1)
#define F_RING_PACKED_MASK	(1ull << VIRTIO_F_RING_PACKED)

/* NULL: queue_select names none. */
static struct vhost_front_queue *selected_queue(struct virtio_pci *dev)
{
	if (dev->queue_select >= dev->front->nr_queues)
		return NULL;
	return &dev->front->queue[dev->queue_select];
}

static uint32_t half(uint64_t value, uint32_t select)
{
	return select < 2 ? (uint32_t)(value >> 32 * select) : 0;
}

/* --- common configuration -------------------------------------------------- */

static void fill_queue(const struct virtio_pci *dev,
		       const struct vhost_front_queue *queue,
		       struct virtio_pci_common_cfg *cfg)
{
	cfg->queue_size = queue->size;
	cfg->queue_msix_vector = dev->msix.source[dev->queue_select].vector;
	cfg->queue_enable = queue->ready;
	cfg->queue_notify_off = dev->queue_select;
	cfg->queue_desc_lo = half(queue->desc, 0);
	cfg->queue_desc_hi = half(queue->desc, 1);
	cfg->queue_avail_lo = half(queue->driver, 0);
	cfg->queue_avail_hi = half(queue->driver, 1);
	cfg->queue_used_lo = half(queue->device, 0);
	cfg->queue_used_hi = half(queue->device, 1);
}

static uint32_t common_read(struct virtio_pci *dev, uint32_t offset,
			    unsigned int size)
{
	const struct vhost_front_queue *queue = selected_queue(dev);
	struct virtio_pci_common_cfg cfg = {
		.device_feature_select = dev->device_feature_select,
		.device_feature = half(dev->front->features,
				       dev->device_feature_select),
		.guest_feature_select = dev->driver_feature_select,
		.guest_feature = half(dev->driver_features,
				      dev->driver_feature_select),
		.msix_config = dev->msix.source[dev->front->nr_queues].vector,
		.num_queues = dev->front->nr_queues,
		.device_status = dev->status,
		.queue_select = dev->queue_select,
		.queue_msix_vector = MSIX_NO_VECTOR,
	};
	uint32_t value = 0;

	/* virtio 1.2, 4.1.4.3.1: a queue that is not there has size 0 */
	if (queue)
		fill_queue(dev, queue, &cfg);
	if (offset <= VIRTIO_PCI_COMMON_CFGGENERATION &&
	    offset + size > VIRTIO_PCI_COMMON_CFGGENERATION) {
		virtio_pci_refresh_config(dev);
		cfg.config_generation = dev->config_generation;
	}
	memcpy(&value, (const uint8_t *)&cfg + offset, size);
	return value;
}

static void write_dfselect(struct virtio_pci *dev, uint32_t value)
{
	dev->device_feature_select = value;
}

static void write_gfselect(struct virtio_pci *dev, uint32_t value)
{
	dev->driver_feature_select = value;
}

static void write_features(struct virtio_pci *dev, uint32_t value)
{
	unsigned int shift = 32 * dev->driver_feature_select;

	/* virtio 1.2, 3.1.1: settled once FEATURES_OK is set */
	if (dev->driver_feature_select > 1 ||
	    dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	dev->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	dev->driver_features |= (uint64_t)value << shift;
}

static void write_config_vector(struct virtio_pci *dev, uint32_t value)
{
	msix_bind(&dev->msix, dev->front->nr_queues, (uint16_t)value);
}

static bool features_are_acceptable(const struct virtio_pci *dev)
{
	return dev->driver_features & F_VERSION_1_MASK &&
	       !(dev->driver_features & ~dev->front->features);
}

/* virtio 1.2, 2.1 and 3.1.1: bits are only ever added, until 0 is written */
static void write_status(struct virtio_pci *dev, uint32_t value)
{
	uint8_t added = value & DRIVER_STATUS_BITS & ~dev->status;

	if (!value) {
		virtio_pci_reset(dev);
		return;
	}
	if (added & VIRTIO_CONFIG_S_FEATURES_OK &&
	    !features_are_acceptable(dev)) {
		if (log_allowed(&dev->log_limit, 5))
			log_warn("%s: driver's features %#llx refused",
				 dev->backend.name,
				 (unsigned long long)dev->driver_features);
		added &= (uint8_t)~(VIRTIO_CONFIG_S_FEATURES_OK |
				    VIRTIO_CONFIG_S_DRIVER_OK);
	}
	dev->status |= added & (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_pci_start(dev);
}

static void write_queue_select(struct virtio_pci *dev, uint32_t value)
{
	dev->queue_select = (uint16_t)value;
}

/* The selected queue, if the driver may still change it. */
static struct vhost_front_queue *queue_to_set_up(struct virtio_pci *dev)
{
	struct vhost_front_queue *queue = selected_queue(dev);

	/* virtio 1.2, 4.1.5.1.3: everything before queue_enable */
	return queue && !queue->ready ? queue : NULL;
}

static bool is_packed(const struct virtio_pci *dev)
{
	return dev->driver_features & F_RING_PACKED_MASK;
}

static void write_queue_size(struct virtio_pci *dev, uint32_t value)
{
	struct vhost_front_queue *queue = queue_to_set_up(dev);

	if (!queue)
		return;
	/*
	 * virtio 1.2, 4.1.4.3.2: at most what was offered; a power of 2, if
	 * the queue is a split one
	 */
	if (!value || value > VHOST_FRONT_QUEUE_SIZE ||
	    (value & (value - 1) && !is_packed(dev))) {
		virtio_pci_needs_reset(dev,
			"queue size is no power of two, or too large");
		return;
	}
	queue->size = (uint16_t)value;
}

static void write_queue_vector(struct virtio_pci *dev, uint32_t value)
{
	if (selected_queue(dev))
		msix_bind(&dev->msix, dev->queue_select, (uint16_t)value);
}

static bool area_is_ram(uint64_t address, uint64_t len, uint64_t align)
{
	return !(address & (align - 1)) && guest_mem_span(address, len);
}

/* virtio 1.2, 2.7 and 2.8.10: sizes and alignments of the three areas */
static bool queue_is_in_ram(const struct vhost_front_queue *queue,
			    bool packed)
{
	uint64_t size = queue->size;

	if (packed)
		return area_is_ram(queue->desc, 16 * size, 16) &&
		       area_is_ram(queue->driver, 4, 4) &&
		       area_is_ram(queue->device, 4, 4);
	return area_is_ram(queue->desc, 16 * size, 16) &&
	       area_is_ram(queue->driver, 6 + 2 * size, 2) &&
	       area_is_ram(queue->device, 6 + 8 * size, 4);
}

static void write_queue_enable(struct virtio_pci *dev, uint32_t value)
{
	struct vhost_front_queue *queue = queue_to_set_up(dev);

	/* virtio 1.2, 4.1.4.3.2: the driver must not write 0 */
	if (!queue || value != 1)
		return;
	if (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
	    dev->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		virtio_pci_needs_reset(dev, "queue enabled out of turn");
		return;
	}
	if (!queue_is_in_ram(queue, is_packed(dev))) {
		virtio_pci_needs_reset(dev, "queue is misaligned or not in RAM");
		return;
	}
	queue->ready = true;
}

static void set_half(uint64_t *address, unsigned int which, uint32_t value)
{
	*address &= ~((uint64_t)UINT32_MAX << 32 * which);
	*address |= (uint64_t)value << 32 * which;
}

/* One half of one of the three addresses, which lie side by side. */
static void write_queue_address(struct virtio_pci *dev, uint32_t offset,
				uint32_t value)
{
	struct vhost_front_queue *queue = queue_to_set_up(dev);
	unsigned int which = offset % 8 / 4;

	if (!queue)
		return;
	if (offset < VIRTIO_PCI_COMMON_Q_AVAILLO)
		set_half(&queue->desc, which, value);
	else if (offset < VIRTIO_PCI_COMMON_Q_USEDLO)
		set_half(&queue->driver, which, value);
	else
		set_half(&queue->device, which, value);
}

/* virtio 1.2, 4.1.3.1: a field is accessed by its own width */
static const struct common_field {
	uint8_t offset;
	uint8_t size;
	void (*write)(struct virtio_pci *dev, uint32_t value);
} common_fields[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, write_dfselect },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, write_gfselect },
	{ VIRTIO_PCI_COMMON_GF, 4, write_features },
	{ VIRTIO_PCI_COMMON_MSIX, 2, write_config_vector },
	{ VIRTIO_PCI_COMMON_STATUS, 1, write_status },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, write_queue_select },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, write_queue_size },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, write_queue_vector },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, write_queue_enable },
};

static void common_write(struct virtio_pci *dev, uint32_t offset,
			 unsigned int size, uint32_t value)
{
	if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && size == 4) {
		write_queue_address(dev, offset, value);
		return;
	}
	for (size_t i = 0; i < sizeof(common_fields) / sizeof(*common_fields);
	     i++)
		if (common_fields[i].offset == offset &&
		    common_fields[i].size == size)
			common_fields[i].write(dev, value);
}

/* --- the other structures -------------------------------------------------- */

/* virtio 1.2, 4.1.4.5: reading clears */
static uint32_t isr_read(struct virtio_pci *dev, uint32_t offset,
			 unsigned int size)
{
	uint32_t isr = dev->isr;

	(void)offset;
	(void)size;
	/* The back-end raises eventfds, not ISR bits. */
	if (msix_take_unsent(&dev->msix, dev->front->nr_queues))
		isr |= 1;
	dev->isr = 0;
	return isr;
}

static uint32_t device_read(struct virtio_pci *dev, uint32_t offset,
			    unsigned int size)
{
	uint32_t value = 0;

	virtio_pci_read_config(dev, offset, &value, size);
	return value;
}

static void device_write(struct virtio_pci *dev, uint32_t offset,
			 unsigned int size, uint32_t value)
{
	virtio_pci_write_config(dev, offset, &value, size);
}

/*
 * A doorbell that KVM did not see.  The back-end holds this eventfd too, but
 * none of Bulkhead's devices has a system call to make it blocking.
 */
static void notify_write(struct virtio_pci *dev, uint32_t offset,
			 unsigned int size, uint32_t value)
{
	const uint64_t one = 1;
	unsigned int index = offset / VIRTIO_PCI_NOTIFY_STRIDE;

	(void)size;
	(void)value;
	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK) ||
	    !dev->front->queue[index].ready)
		return;
	/* It fails if the counter is full, and then the back-end is awake. */
	if (write(dev->front->queue[index].kick_fd, &one, sizeof(one)) < 0)
		log_debug("%s: queue %u is awake already", dev->backend.name,
			  index);
}

static uint32_t table_read(struct virtio_pci *dev, uint32_t offset,
			   unsigned int size)
{
	return msix_table_read(&dev->msix, offset, size);
}

static void table_write(struct virtio_pci *dev, uint32_t offset,
			unsigned int size, uint32_t value)
{
	msix_table_write(&dev->msix, offset, size, value);
}

static uint32_t pba_read(struct virtio_pci *dev, uint32_t offset,
			 unsigned int size)
{
	return msix_pba_read(&dev->msix, offset, size);
}

/* --- the BAR --------------------------------------------------------------- */

struct area {
	uint32_t offset;
	uint32_t (*read)(struct virtio_pci *dev, uint32_t offset,
			 unsigned int size);
	void (*write)(struct virtio_pci *dev, uint32_t offset,
		      unsigned int size, uint32_t value);
};

static const struct area areas[] = {
	{ VIRTIO_PCI_COMMON, common_read, common_write },
	{ VIRTIO_PCI_ISR_REG, isr_read, NULL },
	{ VIRTIO_PCI_DEVICE, device_read, device_write },
	{ VIRTIO_PCI_NOTIFY, NULL, notify_write },
	{ VIRTIO_PCI_MSIX_TABLE, table_read, table_write },
	{ VIRTIO_PCI_MSIX_PBA, pba_read, NULL },
};

static uint32_t area_bytes(const struct virtio_pci *dev, uint32_t offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON:
		return VIRTIO_PCI_COMMON_BYTES;
	case VIRTIO_PCI_ISR_REG:
		return VIRTIO_PCI_ISR_BYTES;
	case VIRTIO_PCI_DEVICE:
		return dev->front->config_bytes;
	case VIRTIO_PCI_NOTIFY:
		return dev->front->nr_queues * VIRTIO_PCI_NOTIFY_STRIDE;
	case VIRTIO_PCI_MSIX_TABLE:
		return MSIX_TABLE_BYTES(dev->msix.nr_vectors);
	case VIRTIO_PCI_MSIX_PBA:
		return MSIX_PBA_BYTES(dev->msix.nr_vectors);
	default:
		return 0;
	}
}

/* The area that holds all of [offset, offset + size), or NULL. */
static const struct area *find_area(const struct virtio_pci *dev,
				    uint64_t offset, unsigned int size)
{
	for (size_t i = 0; i < sizeof(areas) / sizeof(*areas); i++)
		if (offset >= areas[i].offset &&
		    offset + size <= areas[i].offset +
				     area_bytes(dev, areas[i].offset))
			return &areas[i];
	return NULL;
}

uint32_t virtio_pci_bar_read(struct pci_function *fn, uint64_t offset,
			     unsigned int size)
{
	struct virtio_pci *dev = virtio_pci_of(fn);
	const struct area *area = find_area(dev, offset, size);

	if (!area || !area->read)
		return 0;
	return area->read(dev, (uint32_t)offset - area->offset, size);
}

void virtio_pci_bar_write(struct pci_function *fn, uint64_t offset,
			  unsigned int size, uint32_t value)
{
	struct virtio_pci *dev = virtio_pci_of(fn);
	const struct area *area = find_area(dev, offset, size);

	if (area && area->write)
		area->write(dev, (uint32_t)offset - area->offset, size, value);
}
