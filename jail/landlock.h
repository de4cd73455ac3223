/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock: deny everything that the running kernel can deny. */
#ifndef JAIL_LANDLOCK_H
#define JAIL_LANDLOCK_H

/*
 * Put the calling thread, and all that it starts, into a domain without a
 * single rule.  Files, and the fds of devices, that are open already stay
 * usable.  Needs no_new_privs or CAP_SYS_ADMIN.
 * Return: the kernel's ABI version (> 0); 0 if the kernel has no Landlock or
 * has it switched off; -errno.
 */
int landlock_deny_all(void);

#endif
