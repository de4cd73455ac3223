/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A word to the service manager, if one started us: sd_notify(3), which is one
 * datagram to the socket that $NOTIFY_SOCKET names.  Supervisor; C7.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/notify.h"
#include "ipc/log.h"

void notify_ready(void)
{
	static const char text[] = "READY=1";
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!len || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')	/* abstract */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, text, sizeof(text) - 1, MSG_NOSIGNAL,
			     (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un,
						  sun_path) + len)) < 0)
		log_warn("the service manager at %s cannot be told that the guest runs",
			 path);
	if (fd >= 0)
		close(fd);
}
