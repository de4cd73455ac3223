/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtio-pci function (virtio 1.2, 4.1), modern only.  Shared by
 * virtio_pci.c (its life), virtio_pci_regs.c (its registers in the BAR),
 * virtio_pci_bus.c (its place on the bus) and virtio_pci_make.c (its making);
 * main.c uses pci.h.
 *
 * The registers of a queue live in front.queue[]: what the driver writes is
 * what the back-end is told.
 */
#ifndef VMM_CORE_VIRTIO_PCI_H
#define VMM_CORE_VIRTIO_PCI_H

#include <linux/virtio_pci.h>
#include <stddef.h>

#include "ipc/life.h"
#include "ipc/log.h"
#include "vmm-core/msix.h"
#include "vmm-core/pci_priv.h"
#include "vmm-core/relink.h"
#include "vmm-core/vhost_front.h"

#define VIRTIO_PCI_MAX_QUEUES	VHOST_FRONT_MAX_QUEUES

#define VIRTIO_PCI_BAR		0	/* its number */
/* The BAR, 16 KiB: what the guest masks or maps apart has a page of its own. */
#define VIRTIO_PCI_BAR_BYTES	0x4000u
#define VIRTIO_PCI_COMMON	0x0000u
#define VIRTIO_PCI_COMMON_BYTES	sizeof(struct virtio_pci_common_cfg)
#define VIRTIO_PCI_ISR_REG	0x0200u
#define VIRTIO_PCI_ISR_BYTES	1u
#define VIRTIO_PCI_DEVICE	0x0400u		/* config_bytes of it */
#define VIRTIO_PCI_NOTIFY	0x1000u
#define VIRTIO_PCI_NOTIFY_STRIDE 4u		/* bytes from queue to queue */
#define VIRTIO_PCI_MSIX_TABLE	0x2000u
#define VIRTIO_PCI_MSIX_PBA	0x3000u

/* What may have happened while nobody held the function's lock. */
enum {
	VIRTIO_PCI_EVENT_LINK_MASK = 1,		/* a link hung up, perhaps */
	VIRTIO_PCI_EVENT_CHANNEL_MASK = 2,	/* a message on the channel */
	VIRTIO_PCI_EVENT_ERR_MASK = 4,		/* the back-end gave up a ring */
	VIRTIO_PCI_EVENT_RELINK_MASK = 8,	/* a successor, or its absence */
};

/* A process behind a function.  A disk may have several: life_core_device. */
struct virtio_backend {
	struct vhost_front front;
	struct virtio_backend *next;	/* of the same function */
	char name[LIFE_DEVICE_NAME_MAX];
	unsigned int index;	/* as the supervisor counts */
	unsigned int link;	/* number of front's link */
	int watched_link_fd;	/* main thread's: what its loop was given */
	bool foreign;		/* not ours */
	bool given_up;		/* it failed, and none will follow */
	bool failure_reported;	/* this process's */
	struct relink_box successor;
};

struct virtio_pci {
	struct pci_function fn;
	struct virtio_backend backend;	/* the first; the others by next */
	struct vhost_front *front;	/* its: features, queues, config space */
	struct msix msix;	/* source i: queue i; the last: config */
	unsigned int virtio_id;
	bool is_on_bus;
	uint64_t doorbell_base;	/* BAR of the doorbells that KVM has; 0: none */
	int config_fd;		/* eventfd of config interrupts */
	uint8_t msix_cap;	/* offsets of capabilities in config space */
	uint8_t window_cap;	/* VIRTIO_PCI_CAP_PCI_CFG */

	/* virtio 1.2, 4.1.4.3: the common configuration structure. */
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint64_t driver_features;
	uint16_t queue_select;
	uint8_t status;
	uint8_t isr;
	uint8_t config_generation;

	bool start_waits;	/* for the successor of one of several back-ends */
	bool config_stale;	/* back-end has a newer config space */
	bool packed;		/* the driver may choose packed rings */
	struct log_limit log_limit;
};

/* virtio_pci_make.c: those on the bus; NULL: before the first, after the last. */
struct virtio_pci *virtio_pci_next(const struct virtio_pci *after);

/* virtio_pci_bus.c */
extern const struct pci_function_ops virtio_pci_function_ops;

static inline struct virtio_pci *virtio_pci_of(struct pci_function *fn)
{
	_Static_assert(offsetof(struct virtio_pci, fn) == 0, "fn is first");
	return (struct virtio_pci *)fn;
}

/* virtio_pci_regs.c: accesses inside the BAR, as pci_function_ops has them. */
uint32_t virtio_pci_bar_read(struct pci_function *fn, uint64_t offset,
			     unsigned int size);
void virtio_pci_bar_write(struct pci_function *fn, uint64_t offset,
			  unsigned int size, uint32_t value);

/* virtio_pci.c, all under the function's lock: */

/* Power-on values of all queues' registers. */
void virtio_pci_set_queue_defaults(struct virtio_pci *dev);

/* The driver wrote 0 to status: back-end stopped, registers as new. */
void virtio_pci_reset(struct virtio_pci *dev);

/* The driver set DRIVER_OK. */
void virtio_pci_start(struct virtio_pci *dev);

/* The guest drove the device wrong: DEVICE_NEEDS_RESET, once until reset. */
void virtio_pci_needs_reset(struct virtio_pci *dev, const char *why);

/*
 * err, if it is one, of a call for backend's front: the back-end is no more.  If
 * its successor can do all that it had to do the guest need not know; else
 * DEVICE_NEEDS_RESET.
 */
void virtio_pci_check(struct virtio_pci *dev, struct virtio_backend *backend,
		      int err);

/* Ask the first back-end, if it said that its config space changed. */
void virtio_pci_refresh_config(struct virtio_pci *dev);

/* len bytes of config space at offset, within config_bytes, refreshed. */
void virtio_pci_read_config(struct virtio_pci *dev, uint32_t offset,
			    void *data, uint32_t len);

/* The driver wrote len bytes of it; within config_bytes. */
void virtio_pci_write_config(struct virtio_pci *dev, uint32_t offset,
			     const void *data, uint32_t len);

/* VIRTIO_PCI_EVENT_*_MASK bits: look, and do what follows. */
void virtio_pci_act_on(struct virtio_pci *dev, unsigned int events);

#endif
