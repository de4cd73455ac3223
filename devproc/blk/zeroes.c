/* SPDX-License-Identifier: Apache-2.0 */
/* See zeroes.h.  bulkhead-blk, D4. */
#include "devproc/blk/zeroes.h"

/*
 * Not const: as a part of the program's file, they would be pages of memory;
 * what nobody ever wrote to is the kernel's one page of zeroes, again and again.
 */
static uint8_t none[ZEROES_BYTES] __attribute__((aligned(4096)));

const uint8_t *zeroes(void)
{
	return none;
}
