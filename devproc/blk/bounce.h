/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounce buffers: in place of guest memory that O_DIRECT would refuse, or
 * whose contents are to be changed on their way.  bulkhead-blk, D4.
 */
#ifndef DEVPROC_BLK_BOUNCE_H
#define DEVPROC_BLK_BOUNCE_H

#include <stdint.h>

#define BOUNCE_BYTES	(64u << 10)

/* BOUNCE_BYTES, aligned to pages; NULL: none is free now. */
uint8_t *bounce_take(void);
void bounce_drop(const uint8_t *buf);

#endif
