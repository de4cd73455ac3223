/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed number of bounce buffers, see bounce.h.  bulkhead-blk, D4. */
#include "devproc/blk/bounce.h"

#include <stddef.h>

#define NR_BOUNCE	16

static uint8_t bounce[NR_BOUNCE][BOUNCE_BYTES] __attribute__((aligned(4096)));
static uint32_t bounce_free = (1u << NR_BOUNCE) - 1;	/* bit n: buffer n */

uint8_t *bounce_take(void)
{
	unsigned int n;

	if (!bounce_free)
		return NULL;
	n = (unsigned int)__builtin_ctz(bounce_free);
	bounce_free &= ~(1u << n);
	return bounce[n];
}

void bounce_drop(const uint8_t *buf)
{
	bounce_free |= 1u << ((size_t)(buf - bounce[0]) / BOUNCE_BYTES);
}
