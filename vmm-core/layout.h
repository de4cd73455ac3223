/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that a guest sees: addresses and ports.  Definitions only, as
 * the .asl files include this too, through the C preprocessor.
 */
#ifndef VMM_CORE_LAYOUT_H
#define VMM_CORE_LAYOUT_H

/* Guest-physical memory. */
#define PCI_MMIO_BASE	0xc0000000	/* = LOW_RAM_END; BARs are placed here */
#define PCI_MMIO_END	0xe0000000
#define PCI_MMIO_LAST	0xdfffffff	/* the two again, for iasl: */
#define PCI_MMIO_BYTES	0x20000000	/* it folds no constants there */
#define PCI_ECAM_BASE	0xe0000000	/* bus 0 only: 1 MiB */
#define PCI_ECAM_BYTES	0x00100000
#define LOW_RAM_END	PCI_MMIO_BASE
#define IOAPIC_BASE	0xfec00000
#define LAPIC_BASE	0xfee00000
#define KVM_TSS_BASE	0xfffbd000	/* Intel: three pages that only KVM uses */
#define KVM_IDENTITY_BASE	0xfffbc000	/* and one more */

/* Ports. */
#define PORT_SERIAL	0x3f8		/* COM1 */
#define PORT_SERIAL_LEN	8
#define PORT_PVPANIC	0x505
#define PORT_PM1_EVENT	0x600		/* ACPI: PM1a status, enable */
#define PORT_PM1_EVENT_LEN	4
#define PORT_PM1_CONTROL	0x604
#define PORT_PM1_CONTROL_LEN	2
#define PORT_RESET	0xcf9

/* Interrupts. */
#define IRQ_SERIAL	4		/* ISA COM1, edge */
#define IRQ_SCI		9		/* ACPI, level */

#define SLEEP_TYPE_S5	5		/* SLP_TYP of _S5 and of PM1 control */
#define RESET_VALUE	6		/* written to PORT_RESET */

#endif
