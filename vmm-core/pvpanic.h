/* SPDX-License-Identifier: Apache-2.0 */
/* The port by which a guest says that it panicked (QEMU, docs/specs/pvpanic). */
#ifndef VMM_CORE_PVPANIC_H
#define VMM_CORE_PVPANIC_H

/* Port onto the bus.  Return: 0 or -errno. */
int pvpanic_init(void);

#endif
