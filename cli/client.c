/* SPDX-License-Identifier: Apache-2.0 */
/* Talk to the supervisor of a running VM; see cli/client.h. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/config_priv.h"
#include "cli/control.h"
#include "cli/runtime_dir.h"
#include "ipc/fdmsg.h"

#define REPLY_MAX	(1u << 20)	/* bytes; 32 processes take 8 KiB */

/*
 * Whoever makes the folder in /tmp first could answer in our VMs' names, and
 * what he says reaches our terminal.  Root may look at everybody's.
 */
static bool peer_is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return geteuid() == 0 ||
	       (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
		(peer.uid == 0 || peer.uid == geteuid()));
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	/* unix(7): for how long connect() waits for room in the backlog */
	const struct timeval limit = { .tv_sec = CLIENT_REPLY_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	strcpy(addr.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		ret = errno == EAGAIN ? -ETIMEDOUT : -errno;
	else if (!peer_is_trusted(fd))
		ret = -EPERM;
	else
		return fd;
	close(fd);
	return ret;
}

int client_connect(const char *vm, struct client_conn *conn,
		   char why[CLIENT_WHY_MAX])
{
	char path[RUNTIME_PATH_MAX] = "";
	int ret = -EINVAL;

	*conn = (struct client_conn){ .fd = -1 };
	if (config_name_ok(vm, LIFE_VM_NAME_MAX))
		ret = runtime_file_path(vm, ".sock", path);
	if (!ret)
		ret = connect_to(path);
	if (ret >= 0) {
		conn->fd = ret;
		conn->buf = malloc(REPLY_MAX);
		if (conn->buf)
			return 0;
		client_close(conn);
		ret = -ENOMEM;
	}
	/* A socket without a listener was left by a supervisor that died. */
	if (ret == -ECONNREFUSED || ret == -EINVAL)
		ret = -ENOENT;
	if (ret == -ENOENT)
		snprintf(why, CLIENT_WHY_MAX,
			 "no VM named '%.40s' is running; 'bulkhead ps' lists those that are",
			 vm);
	else if (ret == -EPERM)
		snprintf(why, CLIENT_WHY_MAX,
			 "%s: another user listens there; set BULKHEAD_RUNTIME_DIR to a folder of your own",
			 path);
	else
		snprintf(why, CLIENT_WHY_MAX, "%s: cannot connect: %s", path,
			 strerror(-ret));
	return ret;
}

void client_close(struct client_conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	free(conn->buf);
	conn->buf = NULL;
}

json_t *client_request(const char *command)
{
	return json_pack("{s:i, s:s}", "version", CONTROL_VERSION, "command",
			 command);
}

/*
 * Bytes at text that steer a terminal: ASCII's control characters are one,
 * those from U+0080 on two in UTF-8, which json_loadb() has checked.
 */
static unsigned int steering_bytes(const unsigned char *text)
{
	if (text[0] < ' ' || text[0] == 0x7f)
		return 1;
	return text[0] == 0xc2 && text[1] < 0xa0 ? 2 : 0;
}

static void make_string_printable(json_t *string)
{
	const unsigned char *from =
		(const unsigned char *)json_string_value(string);
	char *text = malloc(json_string_length(string) + 1);
	size_t len = 0;

	while (text && *from) {
		unsigned int steering = steering_bytes(from);

		text[len++] = steering ? '?' : (char)*from;
		from += steering ? steering : 1;
	}
	(void)json_string_setn(string, text ? text : "", len);
	free(text);
}

/* What a reply says is printed; jansson bounds how deep it is. */
static void make_printable(json_t *json)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_string(json))
		make_string_printable(json);
	json_object_foreach(json, key, member)
		make_printable(member);
	json_array_foreach(json, i, member)
		make_printable(member);
}

/* A line of conn->buf as JSON; the rest moves to the front. */
static json_t *take_line(struct client_conn *conn)
{
	char *end = memchr(conn->buf, '\n', conn->len);
	json_t *reply;

	if (!end)
		return NULL;
	reply = json_loadb(conn->buf, end - conn->buf, 0, NULL);
	if (!reply)
		reply = json_object();
	make_printable(reply);
	conn->len -= end + 1 - conn->buf;
	memmove(conn->buf, end + 1, conn->len);
	return reply;
}

/* fd: NULL, none may come. */
static json_t *next_line(struct client_conn *conn, int timeout_ms, int *fd,
			 char why[CLIENT_WHY_MAX])
{
	long long end_ms = fdmsg_now_ms() + timeout_ms;
	unsigned int nr_fds;
	json_t *reply;
	ssize_t len;

	while (!(reply = take_line(conn))) {
		long long left = timeout_ms < 0 ? -1 : end_ms - fdmsg_now_ms();

		nr_fds = fd && *fd < 0;
		if (timeout_ms >= 0 && left <= 0)
			len = -ETIMEDOUT;
		else if (conn->len == REPLY_MAX)
			len = -EPROTO;
		else
			len = fdmsg_recv(conn->fd, conn->buf + conn->len,
					 REPLY_MAX - conn->len, fd, &nr_fds,
					 (int)left);
		if (len <= 0) {
			snprintf(why, CLIENT_WHY_MAX, "no answer: %s",
				 len ? strerror((int)-len) :
				       "the supervisor hung up");
			return NULL;
		}
		conn->len += (size_t)len;
	}
	return reply;
}

json_t *client_next(struct client_conn *conn, int timeout_ms,
		    char why[CLIENT_WHY_MAX])
{
	return next_line(conn, timeout_ms, NULL, why);
}

static json_t *ask(struct client_conn *conn, json_t *request, int *fd,
		   char why[CLIENT_WHY_MAX])
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_t *reply = NULL;
	const char *error;
	int ret = -ENOMEM;

	json_decref(request);
	if (text) {
		/* The newline takes the place of the NUL. */
		size_t len = strlen(text);

		text[len] = '\n';
		ret = fdmsg_send(conn->fd, text, len + 1, NULL, 0,
				 CLIENT_REPLY_MS);
	}
	free(text);
	if (ret) {
		snprintf(why, CLIENT_WHY_MAX, "cannot ask: %s", strerror(-ret));
		return NULL;
	}
	reply = next_line(conn, CLIENT_REPLY_MS, fd, why);
	if (!reply || json_is_true(json_object_get(reply, "ok")))
		return reply;
	error = json_string_value(json_object_get(reply, "error"));
	snprintf(why, CLIENT_WHY_MAX, "refused: %s", error ? error : "");
	json_decref(reply);
	return NULL;
}

json_t *client_ask(struct client_conn *conn, json_t *request,
		   char why[CLIENT_WHY_MAX])
{
	return ask(conn, request, NULL, why);
}

json_t *client_ask_fd(struct client_conn *conn, json_t *request, int *fd,
		      char why[CLIENT_WHY_MAX])
{
	json_t *reply;

	*fd = -1;
	reply = ask(conn, request, fd, why);
	if (!reply && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return reply;
}

static int is_socket(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && !strcmp(entry->d_name + len - 5, ".sock");
}

int client_each_vm(void (*visit)(const char *name, void *opaque), void *opaque)
{
	char dir[RUNTIME_PATH_MAX];
	struct dirent **list;
	int n, ret = runtime_dir_path(dir);

	if (ret)
		return ret;
	n = scandir(dir, &list, is_socket, alphasort);
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		list[i]->d_name[strlen(list[i]->d_name) - 5] = '\0';
		visit(list[i]->d_name, opaque);
		free(list[i]);
	}
	free(list);
	return 0;
}
