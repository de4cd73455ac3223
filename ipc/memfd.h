/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that processes share is no program: memfds that can be sealed and
 * that nobody can execute.
 */
#ifndef IPC_MEMFD_H
#define IPC_MEMFD_H

#include <errno.h>
#include <sys/mman.h>

/* linux/memfd.h, Linux 6.3; Debian 12's header is older. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#endif

/* As memfd_create(2), close-on-exec.  Return: fd, or -1 with errno. */
static inline int memfd_sealable(const char *name, unsigned int flags)
{
	unsigned int wanted = MFD_CLOEXEC | MFD_ALLOW_SEALING | flags;
	int fd = memfd_create(name, wanted | MFD_NOEXEC_SEAL);

	/* Before 6.3; 'bulkhead doctor memfd' tells. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, wanted);
	return fd;
}

#endif
