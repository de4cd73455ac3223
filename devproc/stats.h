/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the statistics page (ipc/pages.h): one writer, this process. */
#ifndef DEVPROC_STATS_H
#define DEVPROC_STATS_H

#include <stdint.h>

/* Add to a counter that other processes read. */
static inline void stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

#endif
