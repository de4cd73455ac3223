/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-pci functions on the PCI bus of the core process (C6): each is a
 * function whose device is a vhost-user back-end in another process, or in
 * several.  This file answers for their configuration space, and hears of what
 * their back-ends do; virtio_pci_make.c makes them.
 *
 * Threads: vCPU threads come in through registers, with the function's lock,
 * and may wait for the back-end as long as vhost_front's deadline lets them.
 * The main thread comes in through virtio_pci_dispatch() and does not wait for
 * a vCPU: it notes what happened in fn.events, and whoever has or gets the
 * lock acts upon it.  Only a successor's handshake may be what it waits for,
 * and the start of a device that was put off until then.
 */
#include "vmm-core/virtio_pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <sys/epoll.h>

#include "ipc/fdmsg.h"
#include "ipc/log.h"
#include "vmm-core/irq.h"
#include "vmm-core/pci.h"

#define BAR	VIRTIO_PCI_BAR

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

	for (unsigned int i = 0; i < dev->front->nr_queues; i++) {
		int kick_fd = dev->front->queue[i].kick_fd;
		int err = 0;

		if (dev->doorbell_base)
			doorbell_deassign(doorbell(dev->doorbell_base, i),
					  kick_fd);
		if (base)
			err = doorbell_assign(doorbell(base, i), kick_fd);
		if (err && log_allowed(&dev->log_limit, 1))
			log_perr(-err, "%s: slow doorbell, queue %u",
				 dev->backend.name, i);
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
	for (struct virtio_pci *dev = virtio_pci_next(NULL); dev;
	     dev = virtio_pci_next(dev)) {
		for (struct virtio_backend *one = &dev->backend; one;
		     one = one->next) {
			one->watched_link_fd = one->front.link_fd;
			watch(one->watched_link_fd, EPOLLRDHUP | EPOLLET,
			      "link");
		}
		watch(dev->front->channel_fd, EPOLLIN | EPOLLET, "channel");
		watch(dev->front->err_fd, EPOLLIN | EPOLLET, "ring errors");
	}
}

/* The back-end that the supervisor counts so, and its function. */
static struct virtio_backend *find_backend(unsigned int index,
					   struct virtio_pci **dev)
{
	for (*dev = virtio_pci_next(NULL); *dev; *dev = virtio_pci_next(*dev))
		for (struct virtio_backend *one = &(*dev)->backend; one;
		     one = one->next)
			if (one->index == index)
				return one;
	return NULL;
}

int virtio_pci_relink(unsigned int index, const struct relink *relink)
{
	struct virtio_pci *dev;
	struct virtio_backend *backend = find_backend(index, &dev);

	if (!backend) {
		fdmsg_close_all(&relink->fd, relink->fd >= 0);
		return -ENODEV;
	}
	if (relink->fd >= 0)
		backend->watched_link_fd = relink->fd;
	relink_post(&backend->successor, relink);
	atomic_fetch_or(&dev->fn.events, VIRTIO_PCI_EVENT_RELINK_MASK);
	run_events(&dev->fn);
	return 0;
}

/* VIRTIO_PCI_EVENT_*_MASK that fd stands for; 0: not one of dev's. */
static unsigned int event_of(const struct virtio_pci *dev, int fd)
{
	for (const struct virtio_backend *one = &dev->backend; one;
	     one = one->next)
		if (fd == one->watched_link_fd)
			return VIRTIO_PCI_EVENT_LINK_MASK;
	if (fd == dev->front->channel_fd)
		return VIRTIO_PCI_EVENT_CHANNEL_MASK;
	return fd == dev->front->err_fd ? VIRTIO_PCI_EVENT_ERR_MASK : 0;
}

void virtio_pci_dispatch(int fd)
{
	for (struct virtio_pci *dev = virtio_pci_next(NULL); dev;
	     dev = virtio_pci_next(dev)) {
		unsigned int event = event_of(dev, fd);

		if (!event)
			continue;
		atomic_fetch_or(&dev->fn.events, event);
		run_events(&dev->fn);
	}
}

const struct pci_function_ops virtio_pci_function_ops = {
	.config_reading = config_reading,
	.config_written = config_written,
	.bar_read = virtio_pci_bar_read,
	.bar_write = virtio_pci_bar_write,
	.bar_moved = bar_moved,
	.run_events = run_events,
};
