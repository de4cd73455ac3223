/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See dio_align.h.  A file of its own for linux/stat.h: what it declares is in
 * the sys/stat.h of some C libraries, and younger here.
 */
#include "ipc/dio_align.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool dio_align(int fd, uint32_t *offset_align, uint32_t *memory_align)
{
	struct statx stx;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) ||
	    !(stx.stx_mask & STATX_DIOALIGN) || !stx.stx_dio_offset_align ||
	    !stx.stx_dio_mem_align)
		return false;
	*offset_align = stx.stx_dio_offset_align;
	*memory_align = stx.stx_dio_mem_align;
	return true;
}
