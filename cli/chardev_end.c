/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect = ... of [serial] and [console]: the host's end, opened before the
 * device process is born (C1), and the peers of a socket while it lives (C7).
 *
 * All fds are non-blocking: the device processes cannot make them so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/resources.h"

#define ATTACH_MS	200	/* a device that takes longer hangs */

static int fail(const struct config_device *cfg, int err, const char *what,
		char why[VM_WHY_MAX])
{
	const struct config_path *to = &cfg->connect.to;

	snprintf(why, VM_WHY_MAX, "%s: connect of [%s]%s%s: %s",
		 to->origin ? to->origin : cfg->origin, cfg->name,
		 to->path ? " to " : "", to->path ? to->path : "", what);
	return -err;
}

/*
 * The slave is made raw, and closed again: while nobody has it open, the
 * master says so (EIO) and the device drops output instead of waiting.
 */
static int open_pty(struct host_end *end)
{
	struct termios raw;
	int slave;

	end->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (end->fd < 0 || grantpt(end->fd) < 0 || unlockpt(end->fd) < 0 ||
	    ptsname_r(end->fd, end->where, sizeof(end->where)))
		return -errno;
	slave = open(end->where, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &raw) < 0)
		return -errno;
	cfmakeraw(&raw);
	if (tcsetattr(slave, TCSANOW, &raw) < 0) {
		close(slave);
		return -errno;
	}
	close(slave);
	return 0;
}

static int open_file(const struct config_device *cfg, struct host_end *end,
		     char why[VM_WHY_MAX])
{
	struct stat st;

	snprintf(end->where, sizeof(end->where), "%s", cfg->connect.to.path);
	end->out_fd = open(cfg->connect.to.path,
			   O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
				   O_NOCTTY | O_NONBLOCK,
			   0600);
	if (end->out_fd < 0)
		return fail(cfg, errno, strerror(errno), why);
	if (fstat(end->out_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fail(cfg, EINVAL, "not a regular file", why);
	return 0;
}

/* A socket that nobody listens on was left by a process that was killed. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, err;

	if (lstat(addr->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ?
		      errno :
		      0;
	close(fd);
	if (err != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(addr->sun_path) < 0 ? -errno : 0;
}

static int bind_socket(int fd, const struct sockaddr_un *addr)
{
	mode_t mask = umask(0177);
	int ret = 0;

	for (int i = 0; i < 2; i++) {
		ret = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ?
			      -errno :
			      0;
		if (ret != -EADDRINUSE || i == 1)
			break;
		ret = remove_stale(addr);
		if (ret)
			break;
	}
	umask(mask);
	return ret;
}

static int open_listener(const struct config_device *cfg, struct host_end *end,
			 char why[VM_WHY_MAX])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = cfg->connect.to.path;
	int ret;

	snprintf(end->where, sizeof(end->where), "%s", path);
	if (strlen(path) >= sizeof(addr.sun_path))
		return fail(cfg, ENAMETOOLONG,
			    "the path is longer than the 107 characters a socket may have",
			    why);
	strcpy(addr.sun_path, path);
	end->listen_fd = socket(AF_UNIX,
				SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (end->listen_fd < 0)
		return fail(cfg, errno, strerror(errno), why);
	ret = bind_socket(end->listen_fd, &addr);
	if (ret == -EADDRINUSE)
		return fail(cfg, EADDRINUSE,
			    "another process listens there; choose another path",
			    why);
	if (ret == -EEXIST)
		return fail(cfg, EEXIST,
			    "something that is no socket is in the way; remove it",
			    why);
	if (ret)
		return fail(cfg, -ret, strerror(-ret), why);
	end->unlink_socket = true;
	if (listen(end->listen_fd, 1) < 0)
		return fail(cfg, errno, strerror(errno), why);
	return 0;
}

int chardev_end_open(struct vm *vm, const struct config_device *cfg,
		     struct host_end *end, char why[VM_WHY_MAX])
{
	int ret;

	switch (cfg->connect.kind) {
	case LIFE_CHARDEV_TERMINAL:
		return terminal_open(&vm->terminal, end, why);
	case LIFE_CHARDEV_PTY:
		ret = open_pty(end);
		return ret ? fail(cfg, -ret, "cannot make a pty", why) : 0;
	case LIFE_CHARDEV_FILE:
		return open_file(cfg, end, why);
	case LIFE_CHARDEV_SOCKET:
		return open_listener(cfg, end, why);
	case LIFE_CHARDEV_NULL:
		break;
	}
	snprintf(end->where, sizeof(end->where), "null");
	return 0;
}

static void drop_peer(struct vm *vm, struct host_end *end)
{
	loop_remove(vm->loop_fd, &end->peer);
	if (end->peer_fd >= 0)
		close(end->peer_fd);
	end->peer_fd = -1;
}

/* The peer hung up: the next one may come. */
static void peer_gone(struct watch *watch, uint32_t epoll_events)
{
	struct device *dev = watch->owner;
	struct vm *vm = dev->child.vm;

	(void)epoll_events;
	drop_peer(vm, &dev->end);
	log_info("%s: the peer of %s hung up", dev->cfg->name, dev->end.where);
	loop_add(vm->loop_fd, &dev->end.listener, dev->end.listen_fd, EPOLLIN);
}

void chardev_end_attach(struct device *dev)
{
	if (dev->end.peer_fd < 0 || dev->child.life_fd < 0)
		return;
	if (life_send(dev->child.life_fd, LIFE_ATTACH, NULL, &dev->end.peer_fd,
		      1, ATTACH_MS))
		log_warn("%s: does not take its peer", dev->cfg->name);
}

/* One peer at a time: the listener rests until this one is gone. */
static void peer_comes(struct watch *watch, uint32_t epoll_events)
{
	struct device *dev = watch->owner;
	struct vm *vm = dev->child.vm;
	int fd = accept4(dev->end.listen_fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)epoll_events;
	if (fd < 0)
		return;
	/* No events asked for: epoll reports a hang-up all the same. */
	if (loop_add(vm->loop_fd, &dev->end.peer, fd, 0)) {
		close(fd);
		return;
	}
	loop_remove(vm->loop_fd, &dev->end.listener);
	dev->end.peer_fd = fd;
	chardev_end_attach(dev);
}

int chardev_end_listen(struct vm *vm, struct device *dev)
{
	struct host_end *end = &dev->end;

	if (end->listen_fd < 0 || end->listener.fd >= 0 || end->peer_fd >= 0)
		return 0;
	end->listener = (struct watch){ -1, peer_comes, dev };
	end->peer = (struct watch){ -1, peer_gone, dev };
	return loop_add(vm->loop_fd, &end->listener, end->listen_fd, EPOLLIN);
}

void chardev_end_close(struct vm *vm, const struct config_device *cfg,
		       struct host_end *end)
{
	drop_peer(vm, end);
	loop_remove(vm->loop_fd, &end->listener);
	if (end->unlink_socket)
		unlink(cfg->connect.to.path);
	end->unlink_socket = false;
	if (end->listen_fd >= 0)
		close(end->listen_fd);
	end->listen_fd = -1;
}
