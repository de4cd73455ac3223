/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share, see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/inherit.h"

uint64_t fuzz_take(struct fuzz_input *in, unsigned int bytes)
{
	uint64_t value = 0;

	fuzz_take_bytes(in, &value, bytes);
	return value;
}

void fuzz_take_bytes(struct fuzz_input *in, void *buf, size_t len)
{
	size_t have = len < in->left ? len : in->left;

	memset(buf, 0, len);
	if (!have)
		return;
	memcpy(buf, in->at, have);
	in->at += have;
	in->left -= have;
}

int fuzz_memfd(const void *data, size_t len, uint64_t bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	if (len && pwrite(fd, data, len, 0) != (ssize_t)len)
		abort();
	return fd;
}

void fuzz_reserve_fds(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		abort();
	for (int at = LIFE_FD + 1; at <= BACKEND_FD; at++)
		if (at != fd && dup2(fd, at) < 0)
			abort();
}

void fuzz_fail(const char *condition, const char *file, int line)
{
	printf("# %s:%d: does not hold: %s\n", file, line, condition);
	fflush(stdout);
	abort();
}
