/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's only requests to KVM about interrupts and doorbells (D1, D6).
 * Owns the GSI routing table; its lock orders the updates of vCPU threads.
 */
#include "vmm-core/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>

#include "ipc/log.h"
#include "vmm-core/kvm_ioctl.h"

#define NR_PINS		24	/* of the I/O APIC */
#define NR_PIC_PINS	16	/* of both PICs together */
#define PIC_PINS	8	/* of one */
#define NR_FIXED	(NR_PINS + NR_PIC_PINS)

/* KVM reads a struct kvm_irq_routing and the entries that follow it. */
union routing_table {
	struct kvm_irq_routing head;
	uint8_t bytes[sizeof(struct kvm_irq_routing) +
		      (NR_FIXED + IRQ_MAX_MSI) *
		      sizeof(struct kvm_irq_routing_entry)];
};

static int irq_vm_fd = -1;
static pthread_mutex_t irq_lock = PTHREAD_MUTEX_INITIALIZER;
/* All below under irq_lock. */
static union routing_table irq_storage;
static struct kvm_irq_routing *const irq_table = &irq_storage.head;
static unsigned int irq_nr_msi;		/* handed out by irq_alloc_msi() */
static uint16_t irq_msi_slot[IRQ_MAX_MSI];	/* entry + 1; 0: no route yet */

static void route_pin(unsigned int gsi, unsigned int chip, unsigned int pin)
{
	irq_table->entries[irq_table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static void route_pins(void)
{
	for (unsigned int gsi = 0; gsi < NR_PINS; gsi++) {
		if (gsi < PIC_PINS)
			route_pin(gsi, KVM_IRQCHIP_PIC_MASTER, gsi);
		else if (gsi < NR_PIC_PINS)
			route_pin(gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - PIC_PINS);
		route_pin(gsi, KVM_IRQCHIP_IOAPIC, gsi);
	}
}

static int vm_ioctl(unsigned long request, void *argument)
{
	return kvm_ioctl(irq_vm_fd, request, argument) < 0 ? -errno : 0;
}

int irq_init(int vm_fd)
{
	int err;

	irq_vm_fd = vm_fd;
	/* KVM api.rst: KVM_CREATE_IRQCHIP, before the first vCPU */
	err = vm_ioctl(KVM_CREATE_IRQCHIP, NULL);
	if (err) {
		log_perr(-err, "KVM_CREATE_IRQCHIP");
		return err;
	}
	route_pins();
	err = vm_ioctl(KVM_SET_GSI_ROUTING, irq_table);
	if (err)
		log_perr(-err, "KVM_SET_GSI_ROUTING");
	return err;
}

int irq_alloc_msi(void)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&irq_lock);
	if (irq_nr_msi < IRQ_MAX_MSI)
		gsi = IRQ_FIRST_MSI + irq_nr_msi++;
	pthread_mutex_unlock(&irq_lock);
	return gsi;
}

static bool msi_same(const struct kvm_irq_routing_entry *a,
		     const struct kvm_irq_routing_entry *b)
{
	return a->u.msi.address_lo == b->u.msi.address_lo &&
	       a->u.msi.address_hi == b->u.msi.address_hi &&
	       a->u.msi.data == b->u.msi.data;
}

/* Write *new into the table and tell KVM; undone if KVM refuses. */
static int route_msi(unsigned int msi, const struct kvm_irq_routing_entry *new)
{
	bool first = irq_msi_slot[msi] == 0;
	unsigned int slot = first ? irq_table->nr : irq_msi_slot[msi] - 1u;
	struct kvm_irq_routing_entry old = irq_table->entries[slot];
	int err;

	irq_table->entries[slot] = *new;
	irq_table->nr += first;
	/* KVM api.rst: KVM_SET_GSI_ROUTING, always the whole table */
	err = vm_ioctl(KVM_SET_GSI_ROUTING, irq_table);
	if (err) {
		irq_table->entries[slot] = old;
		irq_table->nr -= first;
		return err;
	}
	irq_msi_slot[msi] = (uint16_t)(slot + 1);
	return 0;
}

int irq_set_msi(unsigned int gsi, uint64_t address, uint32_t data)
{
	const struct kvm_irq_routing_entry new = {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {
			.address_lo = (uint32_t)address,
			.address_hi = (uint32_t)(address >> 32),
			.data = data,
		},
	};
	unsigned int msi = gsi - IRQ_FIRST_MSI;
	int err = 0;

	pthread_mutex_lock(&irq_lock);
	if (gsi < IRQ_FIRST_MSI || msi >= irq_nr_msi)
		err = -EINVAL;
	/* A new table costs a grace period: only for a real change. */
	else if (irq_msi_slot[msi] == 0 ||
		 !msi_same(&irq_table->entries[irq_msi_slot[msi] - 1], &new))
		err = route_msi(msi, &new);
	pthread_mutex_unlock(&irq_lock);
	return err;
}

static int irqfd(unsigned int gsi, int event_fd, uint32_t flags)
{
	struct kvm_irqfd request = {
		.fd = event_fd,
		.gsi = gsi,
		.flags = flags,
	};

	return vm_ioctl(KVM_IRQFD, &request);
}

int irq_assign_fd(unsigned int gsi, int event_fd)
{
	return irqfd(gsi, event_fd, 0);
}

int irq_deassign_fd(unsigned int gsi, int event_fd)
{
	return irqfd(gsi, event_fd, KVM_IRQFD_FLAG_DEASSIGN);
}

int irq_set_level(unsigned int gsi, bool level)
{
	struct kvm_irq_level request = { .irq = gsi, .level = level };

	return vm_ioctl(KVM_IRQ_LINE, &request);
}

static int ioeventfd(uint64_t mmio_addr, int event_fd, uint32_t flags)
{
	struct kvm_ioeventfd request = {
		.addr = mmio_addr,
		.len = 0,	/* KVM_CAP_IOEVENTFD_ANY_LENGTH */
		.fd = event_fd,
		.flags = flags,
	};

	return vm_ioctl(KVM_IOEVENTFD, &request);
}

int doorbell_assign(uint64_t mmio_addr, int event_fd)
{
	return ioeventfd(mmio_addr, event_fd, 0);
}

int doorbell_deassign(uint64_t mmio_addr, int event_fd)
{
	return ioeventfd(mmio_addr, event_fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
