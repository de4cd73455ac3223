/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The making of virtio-pci functions (C6): what needs system calls that the
 * policy does not have before the last narrowing, the rest as the supervisor
 * names the devices.  See virtio_pci_bus.c.
 */
#include "vmm-core/virtio_pci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "vmm-core/chores.h"
#include "vmm-core/pci.h"

#define VENDOR_VIRTIO		0x1af4	/* virtio 1.2, 4.1.2 */
#define DEVICE_ID_BASE		0x1040
#define SUBSYSTEM_ID		0x1100	/* SHOULD be 0x40 or more */
#define REVISION		1
#define BAR			VIRTIO_PCI_BAR
#define MSIX_CAP_BYTES		12

/* virtio 1.2, 5.2.4, up to write_zeroes_may_unmap: no secure erase, no zones */
#define BLK_CONFIG_BYTES	60

/* Of the bits that are not the device's own (0..23), those we know. */
#define FEATURE_MASK \
	(0xffffffull | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1)

static const struct kind {
	enum life_role role;
	uint16_t virtio_id;
	uint16_t min_queues;
	uint16_t max_queues;
	uint16_t config_bytes;
	uint32_t class_code;	/* PCI Code and ID Assignment */
} kinds[] = {
	{ LIFE_ROLE_BLK, VIRTIO_ID_BLOCK, 1, VIRTIO_PCI_MAX_QUEUES,
	  BLK_CONFIG_BYTES, 0x018000 },
	{ LIFE_ROLE_CONSOLE, VIRTIO_ID_CONSOLE, 2, 2,
	  sizeof(struct virtio_console_config), 0x078000 },
	/* base class 0xff: in none of the classes */
	{ LIFE_ROLE_RNG, VIRTIO_ID_RNG, 1, 1, 0, 0xff0000 },
};

static struct virtio_pci devices[LIFE_MAX_DEVICES];
/* Of disks in several processes, all but the first; numbered after devices. */
static struct virtio_backend further[LIFE_MAX_DEVICES];
static unsigned int nr_prepared;
static uint16_t queues_each;

struct virtio_pci *virtio_pci_next(const struct virtio_pci *after)
{
	size_t i = after ? (size_t)(after - devices) + 1 : 0;

	while (i < nr_prepared && !devices[i].is_on_bus)
		i++;
	return i < nr_prepared ? &devices[i] : NULL;
}

/* --- configuration space, capabilities ------------------------------------------ */

/* virtio 1.2, 4.1.4: where in the BAR the structure of cfg_type is */
static uint8_t add_virtio_cap(struct virtio_pci *dev, uint8_t cfg_type,
			      uint8_t cap_bytes, uint32_t offset,
			      uint32_t bytes)
{
	uint8_t where = pci_add_capability(&dev->fn, PCI_CAP_ID_VNDR,
					   cap_bytes);
	uint8_t *cap = dev->fn.config + where;

	if (!where)
		return 0;
	cap[VIRTIO_PCI_CAP_LEN] = cap_bytes;
	cap[VIRTIO_PCI_CAP_CFG_TYPE] = cfg_type;
	cap[VIRTIO_PCI_CAP_BAR] = BAR;
	pci_put32(cap + VIRTIO_PCI_CAP_OFFSET, offset);
	pci_put32(cap + VIRTIO_PCI_CAP_LENGTH, bytes);
	return where;
}

static void add_virtio_caps(struct virtio_pci *dev)
{
	const uint8_t plain = sizeof(struct virtio_pci_cap);
	uint8_t where;

	add_virtio_cap(dev, VIRTIO_PCI_CAP_COMMON_CFG, plain,
		       VIRTIO_PCI_COMMON, VIRTIO_PCI_COMMON_BYTES);
	add_virtio_cap(dev, VIRTIO_PCI_CAP_ISR_CFG, plain, VIRTIO_PCI_ISR_REG,
		       VIRTIO_PCI_ISR_BYTES);
	if (dev->front->config_bytes)
		add_virtio_cap(dev, VIRTIO_PCI_CAP_DEVICE_CFG, plain,
			       VIRTIO_PCI_DEVICE, dev->front->config_bytes);
	where = add_virtio_cap(dev, VIRTIO_PCI_CAP_NOTIFY_CFG,
			       sizeof(struct virtio_pci_notify_cap),
			       VIRTIO_PCI_NOTIFY, dev->front->nr_queues *
			       VIRTIO_PCI_NOTIFY_STRIDE);
	pci_put32(dev->fn.config + where + VIRTIO_PCI_NOTIFY_CAP_MULT,
		  VIRTIO_PCI_NOTIFY_STRIDE);
	where = add_virtio_cap(dev, VIRTIO_PCI_CAP_PCI_CFG,
			       sizeof(struct virtio_pci_cfg_cap), 0, 0);
	dev->fn.writable[where + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(dev->fn.writable + where + VIRTIO_PCI_CAP_OFFSET, 0xff,
	       sizeof(struct virtio_pci_cfg_cap) - VIRTIO_PCI_CAP_OFFSET);
	dev->window_cap = where;
}

/* PCI 3.0, 6.8.2 */
static void add_msix_cap(struct virtio_pci *dev)
{
	uint8_t where = pci_add_capability(&dev->fn, PCI_CAP_ID_MSIX,
					   MSIX_CAP_BYTES);
	uint8_t *cap = dev->fn.config + where;

	pci_put16(cap + PCI_MSIX_FLAGS, (uint16_t)(dev->msix.nr_vectors - 1));
	pci_put32(cap + PCI_MSIX_TABLE, VIRTIO_PCI_MSIX_TABLE | BAR);
	pci_put32(cap + PCI_MSIX_PBA, VIRTIO_PCI_MSIX_PBA | BAR);
	pci_put16(dev->fn.writable + where + PCI_MSIX_FLAGS,
		  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	dev->msix_cap = where;
}

static void make_function(struct virtio_pci *dev, const struct kind *kind)
{
	struct pci_function *fn = &dev->fn;

	pci_function_init(fn, dev->backend.name, VENDOR_VIRTIO,
			  (uint16_t)(DEVICE_ID_BASE + kind->virtio_id),
			  kind->class_code, REVISION);
	fn->ops = &virtio_pci_function_ops;
	pci_put16(fn->config + PCI_SUBSYSTEM_VENDOR_ID, VENDOR_VIRTIO);
	pci_put16(fn->config + PCI_SUBSYSTEM_ID, SUBSYSTEM_ID);
	pci_bar_init(fn,
		     PCI_MMIO_BASE + dev->backend.index * VIRTIO_PCI_BAR_BYTES,
		     VIRTIO_PCI_BAR_BYTES);
	add_virtio_caps(dev);
	add_msix_cap(dev);
}

static const struct kind *find_kind(uint32_t role)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].role == role)
			return &kinds[i];
	return NULL;
}

/* What the front-end must know of this machine and this kind of device. */
static void set_up_front(struct virtio_pci *dev, const struct kind *kind,
			 uint32_t wanted_queues, int inflight_fd)
{
	struct vhost_front *front = dev->front;
	uint32_t queues = wanted_queues;

	if (queues > kind->max_queues)
		queues = kind->max_queues;
	if (queues < kind->min_queues)
		queues = kind->min_queues;
	if (queues > queues_each)
		queues = queues_each;
	front->nr_regions = guest_mem_regions(&front->regions);
	front->ram_fd = RAM_FD;
	front->feature_mask = FEATURE_MASK;
	if (dev->packed)
		front->feature_mask |= 1ull << VIRTIO_F_RING_PACKED;
	front->min_queues = kind->min_queues;
	front->max_queues = (uint16_t)queues;
	front->config_bytes = kind->config_bytes;
	front->inflight_fd = inflight_fd;
	front->pipelined = !dev->backend.foreign;
	if (dev->backend.foreign)
		front->wake = chores_wake;
}

/* One interrupt source per queue, and the last for config changes. */
static int set_up_msix(struct virtio_pci *dev)
{
	int fds[MSIX_MAX_VECTORS];
	unsigned int nr = 0;

	while (nr < dev->front->nr_queues) {
		fds[nr] = dev->front->queue[nr].call_fd;
		nr++;
	}
	fds[nr++] = dev->config_fd;
	return msix_init(&dev->msix, dev->backend.name, fds, nr);
}

static void close_spare_fds(struct virtio_pci *dev)
{
	for (unsigned int i = dev->front->nr_queues; i < queues_each; i++) {
		close(dev->front->queue[i].kick_fd);
		close(dev->front->queue[i].call_fd);
		dev->front->queue[i].kick_fd = -1;
		dev->front->queue[i].call_fd = -1;
	}
}

static int add_device(struct virtio_pci *dev, const struct kind *kind)
{
	int err = set_up_msix(dev);

	if (err)
		return err;
	dev->virtio_id = kind->virtio_id;
	virtio_pci_set_queue_defaults(dev);
	close_spare_fds(dev);
	make_function(dev, kind);
	err = pci_attach_function(dev->backend.index + 1, &dev->fn);
	dev->is_on_bus = !err;
	return err;
}

static void init_backend(struct virtio_backend *backend, unsigned int index)
{
	backend->index = index;
	vhost_front_init(&backend->front, backend->name);
	relink_init(&backend->successor, -1);
}

/* Process number n of nr has the queues i with i mod nr = n. */
static uint32_t queues_of_process(const struct life_core_device *life)
{
	uint32_t mask = 0;

	for (unsigned int i = life->process; i < VIRTIO_PCI_MAX_QUEUES;
	     i += life->nr_processes)
		mask |= 1u << i;
	return mask;
}

static int refuse(const struct life_core_device *life, int link_fd,
		  int inflight_fd)
{
	log_err("%s: device %u of role %u, process %u of %u, has no place on the bus",
		life->name, life->index, life->role, life->process + 1,
		life->nr_processes);
	fdmsg_close_all(&link_fd, 1);
	fdmsg_close_all(&inflight_fd, inflight_fd >= 0);
	return -EINVAL;
}

static void name_backend(struct virtio_backend *backend,
			 const struct life_core_device *life)
{
	memcpy(backend->name, life->name, sizeof(backend->name));
	backend->foreign = life->foreign;
	backend->front.queue_mask = queues_of_process(life);
}

int virtio_pci_add(const struct life_core_device *life, int link_fd,
		   int inflight_fd)
{
	const struct kind *kind = find_kind(life->role);
	struct virtio_pci *dev;
	int err;

	if (!kind || life->index >= nr_prepared ||
	    kind->min_queues > queues_each || life->process ||
	    !life->nr_processes)
		return refuse(life, link_fd, inflight_fd);
	dev = &devices[life->index];
	name_backend(&dev->backend, life);
	dev->packed = life->packed;
	set_up_front(dev, kind, life->nr_queues, inflight_fd);

	err = vhost_front_attach(dev->front, link_fd);
	if (err)
		return err;
	err = add_device(dev, kind);
	if (err) {
		log_perr(-err, "%s: not added to the PCI bus", life->name);
		vhost_front_drop(dev->front);
	}
	return err;
}

int virtio_pci_add_process(const struct life_core_device *life, int link_fd,
			   int inflight_fd)
{
	struct virtio_backend *last, *backend;
	struct virtio_pci *dev;

	if (life->of >= nr_prepared || !devices[life->of].is_on_bus ||
	    life->index < nr_prepared ||
	    life->index - nr_prepared >= LIFE_MAX_DEVICES ||
	    life->process >= life->nr_processes)
		return refuse(life, link_fd, inflight_fd);
	dev = &devices[life->of];
	backend = &further[life->index - nr_prepared];
	init_backend(backend, life->index);
	vhost_front_join(&backend->front, dev->front, inflight_fd);
	name_backend(backend, life);
	for (last = &dev->backend; last->next; last = last->next)
		;
	last->next = backend;
	return vhost_front_attach(&backend->front, link_fd);
}

/* --- what needs system calls that the policy does not have ---------------- */

/* fd, moved out of the numbers that ipc/inherit.h gives a meaning. */
static int place(int fd)
{
	int placed;

	if (fd < 0)
		return -errno;
	placed = fcntl(fd, F_DUPFD_CLOEXEC, INHERIT_FD_MAX);
	if (placed < 0)
		placed = -errno;
	close(fd);
	return placed;
}

static int place_eventfd(int *placed)
{
	*placed = place(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	return *placed < 0 ? *placed : 0;
}

static int prepare_device(struct virtio_pci *dev, unsigned int index)
{
	int pair[2];
	int err;

	init_backend(&dev->backend, index);
	dev->front = &dev->backend.front;
	err = place_eventfd(&dev->config_fd);
	if (!err)
		err = place_eventfd(&dev->front->err_fd);
	for (unsigned int i = 0; i < queues_each && !err; i++) {
		err = place_eventfd(&dev->front->queue[i].kick_fd);
		if (!err)
			err = place_eventfd(&dev->front->queue[i].call_fd);
	}
	if (!err && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		err = -errno;
	if (err)
		return err;
	dev->front->channel_fd = place(pair[0]);
	dev->front->channel_peer_fd = place(pair[1]);
	if (dev->front->channel_fd < 0)
		return dev->front->channel_fd;
	err = dev->front->channel_peer_fd;
	return err < 0 ? err : 0;
}

int virtio_pci_prepare(unsigned int nr_devices, unsigned int nr_queues)
{
	int err = 0;

	if (nr_devices > LIFE_MAX_DEVICES ||
	    nr_queues > VIRTIO_PCI_MAX_QUEUES)
		return -EINVAL;
	nr_prepared = nr_devices;
	queues_each = (uint16_t)nr_queues;
	for (unsigned int i = 0; i < nr_devices && !err; i++) {
		err = prepare_device(&devices[i], i);
	}
	if (err)
		log_perr(-err, "eventfds for %u devices; is RLIMIT_NOFILE too low?",
			 nr_devices);
	return err;
}
