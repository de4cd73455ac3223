/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DSDT: what is in every VM.  Addresses come from layout.h through the C
 * preprocessor, then iasl compiles this at build time.
 * "ACPI" is ACPI 6.4.
 */
#include "vmm-core/layout.h"

DefinitionBlock ("dsdt.aml", "DSDT", 2, "BULKHD", "BULKHEAD", 1)
{
	/* ACPI, 7.4.2: type that the guest writes to PM1 control */
	Name (_S5, Package () { SLEEP_TYPE_S5, 0, 0, 0 })

	Scope (_SB)
	{
		/* The PCI root; its one bus is described by MCFG too. */
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))	// PCI Express
			Name (_CID, EisaId ("PNP0A03"))	// PCI
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed,
					MaxFixed, PosDecode,
					0, 0, 0, 0, 1)
				IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed,
					PosDecode, EntireRange,
					0, 0x0000, 0x0CF7, 0, 0x0CF8)
				WordIO (ResourceProducer, MinFixed, MaxFixed,
					PosDecode, EntireRange,
					0, 0x0D00, 0xFFFF, 0, 0xF300)
				DWordMemory (ResourceProducer, PosDecode,
					MinFixed, MaxFixed, NonCacheable,
					ReadWrite,
					0, PCI_MMIO_BASE, PCI_MMIO_LAST, 0,
					PCI_MMIO_BYTES)
			})
		}

		/* PCI Firmware 3.2, 4.1.2: ECAM is a motherboard resource */
		Device (ECAM)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, PCI_ECAM_BASE,
					PCI_ECAM_BYTES)
			})
		}

		/* QEMU, docs/specs/pvpanic: bits written here name a panic */
		Device (PEVT)
		{
			Name (_HID, "QEMU0001")
			Name (_STA, 0x0F)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PORT_PVPANIC, PORT_PVPANIC, 1, 1)
			})
		}
	}
}
