/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a virtio-pci function (core process, C6, C7): started and reset
 * by the driver, failed by its back-end and taken up by the next, marked as in
 * need of a reset by what the guest did wrong.  Everything here runs under the
 * function's lock.
 *
 * Between two back-ends nothing waits: what the driver does is kept in front,
 * and vhost_front_attach() tells it to the successor.
 */
#include "vmm-core/virtio_pci.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <unistd.h>

#include "vmm-core/report.h"

/*
 * A successor said READY, so it answers; one that does not is given up before
 * the main thread, which may be who asks, is missed.
 */
#define RELINK_MS		2000

#define ISR_CONFIG		2	/* virtio 1.2, 4.1.4.5 */

/* virtio 1.2, 4.1.5.1.4: a config change, or DEVICE_NEEDS_RESET */
static void config_interrupt(struct virtio_pci *dev)
{
	const uint64_t one = 1;

	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	dev->isr |= ISR_CONFIG;
	/* Full means that the interrupt is pending already. */
	if (write(dev->config_fd, &one, sizeof(one)) < 0)
		log_debug("%s: config interrupt is pending", dev->backend.name);
}

static void mark_needs_reset(struct virtio_pci *dev)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	config_interrupt(dev);
}

void virtio_pci_needs_reset(struct virtio_pci *dev, const char *why)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	mark_needs_reset(dev);
	/* The guest may go round this as often as it likes. */
	if (!log_allowed(&dev->log_limit, 5))
		return;
	log_warn("%s: device needs a reset by its driver: %s",
		 dev->backend.name, why);
	report_event(LIFE_EVENT_DEVICE_NEEDS_RESET, dev->backend.index, "%s",
		     why);
}

void virtio_pci_check(struct virtio_pci *dev, struct virtio_backend *backend,
		      int err)
{
	bool in_flight;

	if (!err)
		return;
	in_flight = vhost_front_may_lose(&backend->front);
	if (backend->given_up || (backend->foreign && in_flight))
		mark_needs_reset(dev);
	if (backend->failure_reported)
		return;
	backend->failure_reported = true;
	report_device_failed(backend->index, backend->link, in_flight,
			     err == -ETIMEDOUT ?
				"no answer within its deadline" :
			     err == -EPIPE ? "process hung up" :
			     err == -EREMOTEIO ? "process refused a request" :
				"process broke the vhost-user protocol");
}

/* Nobody comes: the guest hears of it, and goes on with its other devices. */
static void give_up(struct virtio_pci *dev, struct virtio_backend *backend)
{
	vhost_front_drop(&backend->front);
	backend->given_up = true;
	mark_needs_reset(dev);
}

static void succeed(struct virtio_pci *dev, struct virtio_backend *backend,
		    const struct relink *relink)
{
	struct vhost_front *front = &backend->front;
	uint8_t config[VHOST_USER_CONFIG_MAX];
	int err;

	backend->link = relink->link;
	backend->failure_reported = false;
	backend->given_up = false;
	if (relink->needs_reset) {
		vhost_front_forget(front);
		mark_needs_reset(dev);
	}
	memcpy(config, front->config, sizeof(config));
	front->timeout_ms = RELINK_MS;
	err = vhost_front_attach(front, relink->fd);
	front->timeout_ms = VHOST_FRONT_TIMEOUT_MS;
	/* The guest sees the first one's. */
	if (!err && front == dev->front &&
	    memcmp(config, front->config, sizeof(config)) != 0) {
		dev->config_generation++;
		config_interrupt(dev);
	}
	virtio_pci_check(dev, backend, err);
}

static void take_successor(struct virtio_pci *dev,
			   struct virtio_backend *backend)
{
	struct relink relink;

	if (!relink_take(&backend->successor, &relink))
		return;
	if (relink.fd < 0) {
		give_up(dev, backend);
		return;
	}
	succeed(dev, backend, &relink);
}

void virtio_pci_set_queue_defaults(struct virtio_pci *dev)
{
	for (unsigned int i = 0; i < dev->front->nr_queues; i++) {
		struct vhost_front_queue *queue = &dev->front->queue[i];

		queue->ready = false;
		queue->size = VHOST_FRONT_QUEUE_SIZE;
		queue->desc = 0;
		queue->driver = 0;
		queue->device = 0;
	}
}

void virtio_pci_reset(struct virtio_pci *dev)
{
	struct virtio_backend *one = &dev->backend;

	do
		virtio_pci_check(dev, one, vhost_front_stop(&one->front));
	while ((one = one->next));
	/* virtio 1.2, 2.4.1 and 4.1.4.3.1: all as after power-on */
	msix_unbind_all(&dev->msix);
	virtio_pci_set_queue_defaults(dev);
	msix_drain(dev->front->err_fd);
	dev->device_feature_select = 0;
	dev->driver_feature_select = 0;
	dev->driver_features = 0;
	dev->queue_select = 0;
	dev->isr = 0;
	dev->status = 0;
	dev->start_waits = false;
}

/*
 * Is one of several between two processes?  What the former had begun may still
 * go on in the host, and it is its successor that has waited for the end of it
 * (devproc/blk/raw.c); what the others write after a reset must not be before.
 */
static bool lacks_one(const struct virtio_pci *dev)
{
	const struct virtio_backend *one = dev->backend.next ? &dev->backend :
							       NULL;

	for (; one; one = one->next)
		if (one->front.link_fd < 0 && !one->given_up)
			return true;
	return false;
}

/* timeout_ms: for each back-end. */
static void start_all(struct virtio_pci *dev, int timeout_ms)
{
	struct virtio_backend *one = &dev->backend;

	dev->start_waits = false;
	do {
		one->front.timeout_ms = timeout_ms;
		virtio_pci_check(dev, one,
				 vhost_front_start(&one->front,
						   dev->driver_features));
		one->front.timeout_ms = VHOST_FRONT_TIMEOUT_MS;
	} while ((one = one->next));
}

void virtio_pci_start(struct virtio_pci *dev)
{
	if (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		virtio_pci_needs_reset(dev, "DRIVER_OK without FEATURES_OK");
		return;
	}
	dev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (lacks_one(dev))
		dev->start_waits = true;
	else
		start_all(dev, VHOST_FRONT_TIMEOUT_MS);
}

void virtio_pci_refresh_config(struct virtio_pci *dev)
{
	int changed;

	if (!dev->config_stale)
		return;
	/* First, so that a change during the call is not missed. */
	dev->config_stale = false;
	changed = vhost_front_read_config(dev->front);
	if (changed > 0)
		dev->config_generation++;
	else
		virtio_pci_check(dev, &dev->backend, changed);
}

void virtio_pci_read_config(struct virtio_pci *dev, uint32_t offset,
			    void *data, uint32_t len)
{
	uint8_t config[VHOST_USER_CONFIG_MAX];

	virtio_pci_refresh_config(dev);
	memcpy(config, dev->front->config, sizeof(config));
	/* A back-end may have more queues than this function shows. */
	if (dev->virtio_id == VIRTIO_ID_BLOCK)
		pci_put16(config + offsetof(struct virtio_blk_config,
					    num_queues),
			  dev->front->nr_queues);
	memcpy(data, config + offset, len);
}

/*
 * virtio 1.2, 5.2.4 and 5.3.4: the two fields that a driver may write, each
 * with a feature of its own.  A back-end need not bear any other write, and
 * the guest must not be able to end it.
 */
static bool config_is_writable(const struct virtio_pci *dev, uint32_t offset,
			       uint32_t len)
{
	uint64_t features = dev->front->features;

	if (dev->virtio_id == VIRTIO_ID_BLOCK)
		return features >> VIRTIO_BLK_F_CONFIG_WCE & 1 && len == 1 &&
		       offset == offsetof(struct virtio_blk_config, wce);
	if (dev->virtio_id == VIRTIO_ID_CONSOLE)
		return features >> VIRTIO_CONSOLE_F_EMERG_WRITE & 1 &&
		       len == 4 &&
		       offset == offsetof(struct virtio_console_config,
					  emerg_wr);
	return false;
}

static void write_config(struct virtio_pci *dev,
			 struct virtio_backend *backend, uint32_t offset,
			 const void *data, uint32_t len)
{
	struct vhost_front *front = &backend->front;

	virtio_pci_check(dev, backend, vhost_front_write_config(front, offset,
								data, len));
	if (dev->virtio_id != VIRTIO_ID_BLOCK)
		return;
	front->kept_config.set = true;
	front->kept_config.offset = (uint16_t)offset;
	memcpy(&front->kept_config.value, data, 1);
}

void virtio_pci_write_config(struct virtio_pci *dev, uint32_t offset,
			     const void *data, uint32_t len)
{
	struct virtio_backend *one = &dev->backend;

	if (!config_is_writable(dev, offset, len))
		return;
	do
		write_config(dev, one, offset, data, len);
	while ((one = one->next));
	/* What it made of it is the back-end's to say. */
	dev->config_stale = true;
}

static void look_at_link(struct virtio_pci *dev,
			 struct virtio_backend *backend)
{
	/* Of one that has been dropped before, all is said. */
	if (backend->front.link_fd < 0 || !vhost_front_is_gone(&backend->front))
		return;
	vhost_front_drop(&backend->front);
	virtio_pci_check(dev, backend, -EPIPE);
}

void virtio_pci_act_on(struct virtio_pci *dev, unsigned int events)
{
	struct virtio_backend *one = &dev->backend;
	int changed;

	do {
		if (events & VIRTIO_PCI_EVENT_RELINK_MASK)
			take_successor(dev, one);
		if (events & VIRTIO_PCI_EVENT_LINK_MASK)
			look_at_link(dev, one);
	} while ((one = one->next));
	if (dev->start_waits && !lacks_one(dev))
		start_all(dev, RELINK_MS);
	if (events & VIRTIO_PCI_EVENT_CHANNEL_MASK) {
		changed = vhost_front_take_channel(dev->front);
		if (changed < 0)
			virtio_pci_check(dev, &dev->backend, changed);
		/* The vCPU that reads config space asks the back-end. */
		else if (changed && !dev->config_stale) {
			dev->config_stale = true;
			config_interrupt(dev);
		}
	}
	/* A reset in between has taken it back. */
	if (events & VIRTIO_PCI_EVENT_ERR_MASK &&
	    msix_drain(dev->front->err_fd))
		virtio_pci_needs_reset(dev, "its process found a broken ring");
}
