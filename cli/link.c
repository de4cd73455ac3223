/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link between the core and a device: a socket pair, or a connection to
 * a foreign vhost-user back-end.  Made anew for every process (C3).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/resources.h"
#include "ipc/fdmsg.h"

#define CONNECT_STEP_MS	20

static int try_connect(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* unix(7): a full backlog says EAGAIN; then the back-end is busy. */
static int connect_foreign(const struct config_path *socket_path, int wait_ms,
			   char why[VM_WHY_MAX])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	long long end_ms = fdmsg_now_ms() + wait_ms;
	int ret = -ENAMETOOLONG;

	if (strlen(socket_path->path) < sizeof(addr.sun_path)) {
		strcpy(addr.sun_path, socket_path->path);
		while ((ret = try_connect(&addr)) == -EAGAIN &&
		       fdmsg_now_ms() < end_ms)
			poll(NULL, 0, CONNECT_STEP_MS);
	}
	if (ret < 0)
		snprintf(why, VM_WHY_MAX,
			 "%s: socket = %s: cannot connect: %s; start the vhost-user back-end first",
			 socket_path->origin, socket_path->path,
			 strerror(-ret));
	return ret;
}

int link_make(const struct device *dev, int wait_ms, int *core_fd,
	      int *device_fd, char why[VM_WHY_MAX])
{
	/* The register channel keeps message borders, vhost-user is a stream. */
	int type = dev->cfg->role == LIFE_ROLE_SERIAL ? SOCK_SEQPACKET :
							SOCK_STREAM;
	int pair[2];
	int ret;

	*core_fd = *device_fd = -1;
	if (dev->cfg->socket.path) {
		ret = connect_foreign(&dev->cfg->socket, wait_ms, why);
		if (ret < 0)
			return ret;
		*core_fd = ret;
		return 0;
	}
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0) {
		ret = -errno;
		snprintf(why, VM_WHY_MAX, "%s: cannot make a socket: %s",
			 dev->cfg->name, strerror(-ret));
		return ret;
	}
	*core_fd = pair[0];
	*device_fd = pair[1];
	return 0;
}
