/* SPDX-License-Identifier: Apache-2.0 */
/* SSDT: COM1, listed only in a VM that has a serial device. */
#include "vmm-core/layout.h"

DefinitionBlock ("ssdt.aml", "SSDT", 2, "BULKHD", "SERIAL", 1)
{
	Device (\_SB.COM1)
	{
		Name (_HID, EisaId ("PNP0501"))	// 16550A
		Name (_UID, 1)
		Name (_STA, 0x0F)
		Name (_CRS, ResourceTemplate ()
		{
			IO (Decode16, PORT_SERIAL, PORT_SERIAL, 1,
				PORT_SERIAL_LEN)
			IRQ (Edge, ActiveHigh, Exclusive) { IRQ_SERIAL }
		})
	}
}
