/* SPDX-License-Identifier: Apache-2.0 */
/* See small_pages.h. */
#include "ipc/small_pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* end(3), ld(1): the first byte of .bss, and the one after the last */
extern char __bss_start[], end[];

void small_pages_begin(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)__bss_start + page - 1) & -page;
	uintptr_t to = (uintptr_t)end & -page;

	/* A kernel without huge pages refuses, and has none to give. */
	if (from < to)
		(void)madvise((void *)from, to - from, MADV_NOHUGEPAGE);
}
