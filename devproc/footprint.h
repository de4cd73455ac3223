/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that a device process seems to need.  Every device, C4. */
#ifndef DEVPROC_FOOTPRINT_H
#define DEVPROC_FOOTPRINT_H

/*
 * Unmap what the start of the program has touched of its libraries; whatever
 * is still needed is mapped again when it is used, from the page cache.
 * Before confinement.
 */
void footprint_reduce(void);

#endif
