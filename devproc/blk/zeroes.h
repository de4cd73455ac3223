/* SPDX-License-Identifier: Apache-2.0 */
/* Zeroes to write to a disk.  bulkhead-blk, D4. */
#ifndef DEVPROC_BLK_ZEROES_H
#define DEVPROC_BLK_ZEROES_H

#include <stdint.h>

#define ZEROES_BYTES	(64u << 10)

/* ZEROES_BYTES of them, aligned to pages. */
const uint8_t *zeroes(void);

#endif
