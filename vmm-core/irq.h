/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts and doorbells: who may ask KVM for them, in one place.
 *
 * GSIs 0..23 are the I/O APIC's pins (identity routed, and to the PICs);
 * MSI vectors get GSIs from IRQ_FIRST_MSI on.  All calls are thread-safe and
 * are used by the main thread and by vCPU threads.
 */
#ifndef VMM_CORE_IRQ_H
#define VMM_CORE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/layout.h"

#define IRQ_FIRST_MSI	24
#define IRQ_MAX_MSI	1024

/* Irqchip made and routed; before any other call.  Return: 0 or -errno. */
int irq_init(int vm_fd);

/* A GSI for one MSI-X vector; never given back.  Return: gsi or -ENOSPC. */
int irq_alloc_msi(void);

/* Route gsi to (address, data) and tell KVM.  KVM api.rst: KVM_SET_GSI_ROUTING */
int irq_set_msi(unsigned int gsi, uint64_t address, uint32_t data);

/* An eventfd becomes an interrupt.  KVM api.rst: KVM_IRQFD */
int irq_assign_fd(unsigned int gsi, int event_fd);
int irq_deassign_fd(unsigned int gsi, int event_fd);

/* Set a pin's level from the core itself.  KVM api.rst: KVM_IRQ_LINE */
int irq_set_level(unsigned int gsi, bool level);

/*
 * A guest write of any value and width at (pio or mmio) addr signals event_fd
 * without leaving the kernel.  KVM api.rst: KVM_IOEVENTFD, len 0 for MMIO.
 */
int doorbell_assign(uint64_t mmio_addr, int event_fd);
int doorbell_deassign(uint64_t mmio_addr, int event_fd);

#endif
