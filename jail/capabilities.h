/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up capabilities for good: in a birth (C4), and after exec (C5). */
#ifndef JAIL_CAPABILITIES_H
#define JAIL_CAPABILITIES_H

/*
 * Close the ways by which the thread could get a capability again: empty the
 * bounding and the ambient set, lock the securebits.  Needs CAP_SETPCAP.
 * Return: 0, -EPERM without that, other -errno.
 */
int capabilities_lock(void);

/* Give up all that the thread has.  Return: 0 or -errno. */
int capabilities_clear(void);

#endif
