/* SPDX-License-Identifier: Apache-2.0 */
/* See no_atime.h. */
#include "ipc/no_atime.h"

#include <fcntl.h>

void no_atime(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NOATIME);
}
