/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, supervisor's side: accept, read a bounded line, answer
 * (C7).  A client that is slow, mute or malformed costs its connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/control_commands.h"
#include "cli/runtime_dir.h"
#include "ipc/fdmsg.h"

#define REQUEST_MS	5000	/* from one request, or accept, to the next */
#define REPLY_MS	500	/* for room in the socket */

struct client {
	struct control *control;
	struct watch watch;
	int fd;
	char *line;		/* CONTROL_LINE_MAX bytes */
	size_t len;
	bool waits;		/* for the end of the VM; no deadline then */
	bool follows;		/* is told every event, and waits */
	long long deadline_ms;
};

struct control {
	struct vm *vm;
	int fd;
	struct watch watch;
	struct client *served;	/* whose request is being obeyed; or NULL */
	int reply_fd;		/* goes with the reply to it; -1: none */
	struct client client[CONTROL_MAX_CLIENTS];
};

static void drop_client(struct client *client)
{
	loop_remove(client->control->vm->loop_fd, &client->watch);
	close(client->fd);
	client->fd = -1;
	free(client->line);
	client->line = NULL;
}

/* fd_out, or -1, goes with the first byte.  Takes reply.  Return: 0 or -errno. */
static int send_with_fd(int fd, json_t *reply, int fd_out, int timeout_ms)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	int ret = -ENOMEM;
	size_t len;

	json_decref(reply);
	if (!text)
		return ret;
	len = strlen(text);
	/* The newline takes the place of the NUL. */
	text[len] = '\n';
	ret = fdmsg_send(fd, text, len + 1, &fd_out, fd_out >= 0, timeout_ms);
	free(text);
	return ret;
}

static int send_reply(int fd, json_t *reply)
{
	return send_with_fd(fd, reply, -1, REPLY_MS);
}

static int obey(struct client *client, const char *line, size_t len)
{
	struct control *control = client->control;
	json_t *reply;
	int ret;

	control->served = client;
	control->reply_fd = -1;
	reply = control_obey(control->vm, line, len, &client->waits);
	control->served = NULL;
	ret = send_with_fd(client->fd, reply, control->reply_fd, REPLY_MS);
	if (control->reply_fd >= 0)
		close(control->reply_fd);
	client->deadline_ms = fdmsg_now_ms() + REQUEST_MS;
	return ret;
}

/* Obey every whole line; what is left moves to the front. */
static int take_lines(struct client *client)
{
	char *start = client->line;
	char *end;
	int ret = 0;

	while (!ret && (end = memchr(start, '\n',
				     client->len - (start - client->line)))) {
		ret = obey(client, start, end - start);
		start = end + 1;
	}
	client->len -= start - client->line;
	memmove(client->line, start, client->len);
	return ret;
}

static void client_ready(struct watch *watch, uint32_t epoll_events)
{
	struct client *client = watch->owner;
	ssize_t len = read(client->fd, client->line + client->len,
			   CONTROL_LINE_MAX - client->len);

	(void)epoll_events;
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len <= 0) {
		drop_client(client);
		return;
	}
	client->len += (size_t)len;
	if (take_lines(client)) {
		drop_client(client);
	} else if (client->len == CONTROL_LINE_MAX) {
		send_reply(client->fd,
			   control_error("a request has at most %d bytes",
					 CONTROL_LINE_MAX));
		drop_client(client);
	}
}

/* Only root and the user who runs the VM may command it. */
static bool peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static struct client *free_client(struct control *control)
{
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (control->client[i].fd < 0)
			return &control->client[i];
	return NULL;
}

static void refuse(int fd, const char *why)
{
	send_reply(fd, control_error("%s", why));
	close(fd);
}

static void client_comes(struct watch *watch, uint32_t epoll_events)
{
	struct control *control = watch->owner;
	struct client *client = free_client(control);
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)epoll_events;
	if (fd < 0)
		return;
	if (!peer_allowed(fd)) {
		refuse(fd, "this VM belongs to another user");
		return;
	}
	if (!client) {
		refuse(fd, "too many clients; try again");
		return;
	}
	*client = (struct client){
		.control = control,
		.watch = { -1, client_ready, client },
		.fd = fd,
		.line = malloc(CONTROL_LINE_MAX),
		.deadline_ms = fdmsg_now_ms() + REQUEST_MS,
	};
	if (!client->line ||
	    loop_add(control->vm->loop_fd, &client->watch, fd, EPOLLIN))
		drop_client(client);
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int ret = 0;

	if (fd < 0)
		return -errno;
	strcpy(addr.sun_path, path);
	/* The name's lock is ours: what is there was left by a dead one. */
	unlink(path);
	mask = umask(0177);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, CONTROL_MAX_CLIENTS) < 0)
		ret = -errno;
	umask(mask);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int control_open(struct vm *vm, char why[VM_WHY_MAX])
{
	struct control *control = calloc(1, sizeof(*control));
	char path[RUNTIME_PATH_MAX];
	int ret = -ENOMEM;

	_Static_assert(RUNTIME_PATH_MAX ==
		       sizeof(((struct sockaddr_un *)0)->sun_path), "sun_path");
	if (!control)
		return ret;
	control->vm = vm;
	control->fd = -1;
	control->watch = (struct watch){ -1, client_comes, control };
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		control->client[i].fd = -1;
	vm->control = control;
	ret = runtime_file_path(vm->cfg->name, ".sock", path);
	if (!ret)
		ret = listen_at(path);
	if (ret >= 0) {
		control->fd = ret;
		ret = loop_add(vm->loop_fd, &control->watch, control->fd,
			       EPOLLIN);
	}
	if (ret < 0)
		snprintf(why, VM_WHY_MAX, "%s: cannot listen: %s", path,
			 strerror(-ret));
	return ret < 0 ? ret : 0;
}

void control_give_fd(struct vm *vm, int fd)
{
	vm->control->reply_fd = fd;
}

void control_follow(struct vm *vm)
{
	struct client *client = vm->control->served;

	client->follows = true;
	client->waits = true;
}

bool control_is_followed(const struct vm *vm)
{
	for (int i = 0; vm->control && i < CONTROL_MAX_CLIENTS; i++)
		if (vm->control->client[i].fd >= 0 &&
		    vm->control->client[i].follows)
			return true;
	return false;
}

void control_tell(struct vm *vm, json_t *event)
{
	struct control *control = vm->control;

	for (int i = 0; control && i < CONTROL_MAX_CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd < 0 || !client->follows)
			continue;
		if (!send_with_fd(client->fd, json_incref(event), -1, 0))
			continue;
		/*
		 * Who does not read is left behind, not waited for; and not
		 * dropped here, as it may be the one that is being served.
		 */
		client->follows = false;
		shutdown(client->fd, SHUT_RDWR);
	}
}

void control_close(struct vm *vm, int status)
{
	struct control *control = vm->control;

	if (!control)
		return;
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd < 0)
			continue;
		if (client->waits)
			send_reply(client->fd,
				   json_pack("{s:i, s:b, s:s, s:i}", "version",
					     CONTROL_VERSION, "ok", 1, "event",
					     "over", "status", status));
		drop_client(client);
	}
	loop_remove(vm->loop_fd, &control->watch);
	if (control->fd >= 0)
		close(control->fd);
	free(control);
	vm->control = NULL;
}

long long control_deadline_ms(const struct control *control)
{
	long long first = 0;

	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		const struct client *client = &control->client[i];

		if (client->fd < 0 || client->waits)
			continue;
		if (!first || client->deadline_ms < first)
			first = client->deadline_ms;
	}
	return first;
}

void control_expire(struct control *control)
{
	long long now_ms = fdmsg_now_ms();

	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd >= 0 && !client->waits &&
		    now_ms >= client->deadline_ms)
			drop_client(client);
	}
}
