/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in for KVM in unit tests of the core: it implements
 * vmm-core/irq.h and report_event() and remembers what it was asked.
 *
 * As KVM does, it looks at an eventfd's count when the eventfd is assigned,
 * and consumes the count of an assigned one.
 */
#ifndef TESTS_UNIT_FAKE_KVM_H
#define TESTS_UNIT_FAKE_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/report.h"

/* Forget everything; GSIs start again at IRQ_FIRST_MSI. */
void fake_kvm_reset(void);

/* From now on each irq and doorbell call fails with this -errno (0: works). */
void fake_kvm_refuse(int err);

/* Deliver what assigned eventfds count; how many interrupts has data got? */
unsigned int fake_kvm_interrupts(uint64_t address, uint32_t data);

bool fake_kvm_is_assigned(int event_fd);
unsigned int fake_kvm_nr_assigned(void);

/* A guest's write to addr: signals the doorbell's eventfd, if there is one. */
bool fake_kvm_ring(uint64_t addr);
unsigned int fake_kvm_nr_doorbells(void);

/* Events reported to the supervisor, of one kind; and the last one's index. */
unsigned int fake_kvm_nr_events(enum life_core_event_kind kind);
unsigned int fake_kvm_event_index(void);

#endif
