/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a front-end sends, see peer_file.h.  Virtio devices, C5. */
#include "devproc/peer_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES	4096u

int peer_file_check(int fd, uint64_t end, uint64_t *page_bytes)
{
	struct stat st;

	/*
	 * Not fstat(): some C libraries make newfstatat(2) of it, which takes
	 * paths, and a policy cannot tell that this one takes none.
	 */
	if (syscall(SYS_fstat, fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < end)
		return -EINVAL;
	/* hugetlbfs says its page size here. */
	*page_bytes = (uint64_t)st.st_blksize;
	if (*page_bytes < PAGE_BYTES || *page_bytes & (*page_bytes - 1))
		*page_bytes = PAGE_BYTES;
	return 0;
}
