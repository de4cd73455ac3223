/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-pci functions on the PCI bus of the core process (C6): each is a
 * function whose device is a vhost-user back-end in another process.  This
 * file makes them, answers for their configuration space, and hears of what
 * their back-ends do.
 *
 * Threads: vCPU threads come in through registers, with the function's lock,
 * and may wait for the back-end as long as vhost_front's deadline lets them.
 * The main thread comes in through virtio_pci_dispatch() and does not wait for
 * a vCPU: it notes what happened in fn.events, and whoever has or gets the
 * lock acts upon it.  Only a successor's handshake may be what it waits for.
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
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "vmm-core/chores.h"
#include "vmm-core/irq.h"
#include "vmm-core/pci.h"

#define VENDOR_VIRTIO		0x1af4	/* virtio 1.2, 4.1.2 */
#define DEVICE_ID_BASE		0x1040
#define SUBSYSTEM_ID		0x1100	/* SHOULD be 0x40 or more */
#define REVISION		1
#define BAR			0
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
static unsigned int nr_prepared;
static uint16_t queues_each;

/* --- configuration space -------------------------------------------------- */

/*
 * virtio 1.2, 4.1.4.9: pci_cfg_data stands for length bytes of the BAR at
 * offset.  Does the access touch it, and is what it stands for valid?
 */
static bool window_is_hit(const struct virtio_pci *dev, unsigned int offset,
			  unsigned int size, uint32_t *bar_offset,
			  uint32_t *len)
{
	const uint8_t *cap = dev->fn.config + dev->window_cap;
	unsigned int data = dev->window_cap + sizeof(struct virtio_pci_cap);

	if (offset + size <= data || offset >= data + 4)
		return false;
	*bar_offset = pci_get32(cap + VIRTIO_PCI_CAP_OFFSET);
	*len = pci_get32(cap + VIRTIO_PCI_CAP_LENGTH);
	return cap[VIRTIO_PCI_CAP_BAR] == BAR &&
	       (*len == 1 || *len == 2 || *len == 4) &&
	       !(*bar_offset & (*len - 1));
}

static uint8_t *window_data(struct virtio_pci *dev)
{
	return dev->fn.config + dev->window_cap +
	       sizeof(struct virtio_pci_cap);
}

static void config_reading(struct pci_function *fn, unsigned int offset,
			   unsigned int size)
{
	struct virtio_pci *dev = virtio_pci_of(fn);
	uint32_t bar_offset;
	uint32_t len;

	if (window_is_hit(dev, offset, size, &bar_offset, &len))
		pci_put32(window_data(dev),
			  virtio_pci_bar_read(fn, bar_offset, len));
}

static void config_written(struct pci_function *fn, unsigned int offset,
			   unsigned int size)
{
	struct virtio_pci *dev = virtio_pci_of(fn);
	unsigned int flags = dev->msix_cap + PCI_MSIX_FLAGS;
	uint32_t bar_offset;
	uint32_t len;

	if (offset < flags + 2 && offset + size > flags)
		msix_set_control(&dev->msix, pci_get16(fn->config + flags));
	if (window_is_hit(dev, offset, size, &bar_offset, &len))
		virtio_pci_bar_write(fn, bar_offset, len,
				     pci_get32(window_data(dev)));
}

static uint64_t doorbell(uint64_t bar_base, unsigned int queue)
{
	return bar_base + VIRTIO_PCI_NOTIFY + queue * VIRTIO_PCI_NOTIFY_STRIDE;
}

/*
 * KVM answers the queues' notify addresses.  Where it will not, the write
 * comes to virtio_pci_bar_write() as any other.
 */
static void bar_moved(struct pci_function *fn, uint64_t base)
{
	struct virtio_pci *dev = virtio_pci_of(fn);

	for (unsigned int i = 0; i < dev->front.nr_queues; i++) {
		int kick_fd = dev->front.queue[i].kick_fd;
		int err = 0;

		if (dev->doorbell_base)
			doorbell_deassign(doorbell(dev->doorbell_base, i),
					  kick_fd);
		if (base)
			err = doorbell_assign(doorbell(base, i), kick_fd);
		if (err && log_allowed(&dev->log_limit, 1))
			log_perr(-err, "%s: slow doorbell, queue %u", dev->name,
				 i);
	}
	dev->doorbell_base = base;
}

/* --- events --------------------------------------------------------------- */

static void run_events(struct pci_function *fn)
{
	do {
		/* Who has the lock comes here when it lets go of it. */
		if (pthread_mutex_trylock(&fn->lock) != 0)
			return;
		virtio_pci_act_on(virtio_pci_of(fn),
				  atomic_exchange(&fn->events, 0));
		pthread_mutex_unlock(&fn->lock);
	} while (atomic_load(&fn->events));
}

/*
 * Edge-triggered, as what is to be done may be left to the vCPU thread that
 * has the lock.
 */
void virtio_pci_watch(void (*watch)(int fd, uint32_t events, const char *what))
{
	for (unsigned int i = 0; i < nr_prepared; i++) {
		struct virtio_pci *dev = &devices[i];

		if (!dev->is_on_bus)
			continue;
		dev->watched_link_fd = dev->front.link_fd;
		watch(dev->watched_link_fd, EPOLLRDHUP | EPOLLET, "link");
		watch(dev->front.channel_fd, EPOLLIN | EPOLLET, "channel");
		watch(dev->front.err_fd, EPOLLIN | EPOLLET, "ring errors");
	}
}

int virtio_pci_relink(unsigned int index, const struct relink *relink)
{
	struct virtio_pci *dev;

	if (index >= nr_prepared || !devices[index].is_on_bus) {
		fdmsg_close_all(&relink->fd, relink->fd >= 0);
		return -ENODEV;
	}
	dev = &devices[index];
	if (relink->fd >= 0)
		dev->watched_link_fd = relink->fd;
	relink_post(&dev->successor, relink);
	atomic_fetch_or(&dev->fn.events, VIRTIO_PCI_EVENT_RELINK_MASK);
	run_events(&dev->fn);
	return 0;
}

/* VIRTIO_PCI_EVENT_*_MASK that fd stands for; 0: not one of dev's. */
static unsigned int event_of(const struct virtio_pci *dev, int fd)
{
	if (fd == dev->watched_link_fd)
		return VIRTIO_PCI_EVENT_LINK_MASK;
	if (fd == dev->front.channel_fd)
		return VIRTIO_PCI_EVENT_CHANNEL_MASK;
	return fd == dev->front.err_fd ? VIRTIO_PCI_EVENT_ERR_MASK : 0;
}

void virtio_pci_dispatch(int fd)
{
	for (unsigned int i = 0; i < nr_prepared; i++) {
		unsigned int event = 0;

		if (devices[i].is_on_bus)
			event = event_of(&devices[i], fd);
		if (!event)
			continue;
		atomic_fetch_or(&devices[i].fn.events, event);
		run_events(&devices[i].fn);
	}
}

/* --- making --------------------------------------------------------------- */

static const struct pci_function_ops function_ops = {
	.config_reading = config_reading,
	.config_written = config_written,
	.bar_read = virtio_pci_bar_read,
	.bar_write = virtio_pci_bar_write,
	.bar_moved = bar_moved,
	.run_events = run_events,
};

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
	if (dev->front.config_bytes)
		add_virtio_cap(dev, VIRTIO_PCI_CAP_DEVICE_CFG, plain,
			       VIRTIO_PCI_DEVICE, dev->front.config_bytes);
	where = add_virtio_cap(dev, VIRTIO_PCI_CAP_NOTIFY_CFG,
			       sizeof(struct virtio_pci_notify_cap),
			       VIRTIO_PCI_NOTIFY, dev->front.nr_queues *
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

	pci_function_init(fn, dev->name, VENDOR_VIRTIO,
			  (uint16_t)(DEVICE_ID_BASE + kind->virtio_id),
			  kind->class_code, REVISION);
	fn->ops = &function_ops;
	pci_put16(fn->config + PCI_SUBSYSTEM_VENDOR_ID, VENDOR_VIRTIO);
	pci_put16(fn->config + PCI_SUBSYSTEM_ID, SUBSYSTEM_ID);
	pci_bar_init(fn, PCI_MMIO_BASE + dev->index * VIRTIO_PCI_BAR_BYTES,
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
	struct vhost_front *front = &dev->front;
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
	front->pipelined = !dev->foreign;
	if (dev->foreign)
		front->wake = chores_wake;
}

/* One interrupt source per queue, and the last for config changes. */
static int set_up_msix(struct virtio_pci *dev)
{
	int fds[MSIX_MAX_VECTORS];
	unsigned int nr = 0;

	while (nr < dev->front.nr_queues) {
		fds[nr] = dev->front.queue[nr].call_fd;
		nr++;
	}
	fds[nr++] = dev->config_fd;
	return msix_init(&dev->msix, dev->name, fds, nr);
}

static void close_spare_fds(struct virtio_pci *dev)
{
	for (unsigned int i = dev->front.nr_queues; i < queues_each; i++) {
		close(dev->front.queue[i].kick_fd);
		close(dev->front.queue[i].call_fd);
		dev->front.queue[i].kick_fd = -1;
		dev->front.queue[i].call_fd = -1;
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
	err = pci_attach_function(dev->index + 1, &dev->fn);
	dev->is_on_bus = !err;
	return err;
}

int virtio_pci_add(const struct life_core_device *life, int link_fd,
		   int inflight_fd)
{
	const struct kind *kind = find_kind(life->role);
	struct virtio_pci *dev;
	int err;

	if (!kind || life->index >= nr_prepared ||
	    kind->min_queues > queues_each) {
		log_err("%s: device %u of role %u has no place on the bus",
			life->name, life->index, life->role);
		fdmsg_close_all(&link_fd, 1);
		fdmsg_close_all(&inflight_fd, inflight_fd >= 0);
		return -EINVAL;
	}
	dev = &devices[life->index];
	memcpy(dev->name, life->name, sizeof(dev->name));
	dev->foreign = life->foreign;
	dev->packed = life->packed;
	set_up_front(dev, kind, life->nr_queues, inflight_fd);

	err = vhost_front_attach(&dev->front, link_fd);
	if (err)
		return err;
	err = add_device(dev, kind);
	if (err) {
		log_perr(-err, "%s: not added to the PCI bus", dev->name);
		vhost_front_drop(&dev->front);
	}
	return err;
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

static int prepare_device(struct virtio_pci *dev)
{
	int pair[2];
	int err;

	vhost_front_init(&dev->front, dev->name);
	relink_init(&dev->successor, -1);
	err = place_eventfd(&dev->config_fd);
	if (!err)
		err = place_eventfd(&dev->front.err_fd);
	for (unsigned int i = 0; i < queues_each && !err; i++) {
		err = place_eventfd(&dev->front.queue[i].kick_fd);
		if (!err)
			err = place_eventfd(&dev->front.queue[i].call_fd);
	}
	if (!err && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		err = -errno;
	if (err)
		return err;
	dev->front.channel_fd = place(pair[0]);
	dev->front.channel_peer_fd = place(pair[1]);
	if (dev->front.channel_fd < 0)
		return dev->front.channel_fd;
	return dev->front.channel_peer_fd < 0 ? dev->front.channel_peer_fd : 0;
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
		devices[i].index = i;
		err = prepare_device(&devices[i]);
	}
	if (err)
		log_perr(-err, "eventfds for %u devices; is RLIMIT_NOFILE too low?",
			 nr_devices);
	return err;
}
