/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware (ACPI 6.4, 4.8): PM1 event and control block, power
 * button, S5, and the reset register.
 */
#ifndef VMM_CORE_ACPI_PM_H
#define VMM_CORE_ACPI_PM_H

/*
 * Ports onto the bus.  A guest that enters S5 or resets is reported, and the
 * process ends, on the vCPU's thread.  Return: 0 or -errno.
 */
int acpi_pm_init(void);

/* The user presses the power button.  Main thread. */
void acpi_pm_power_button(void);

#endif
