/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client's side of the control socket; ipc/README.md, "Control".
 * A VM that does not answer costs a client its deadline, nothing more.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>
#include <stddef.h>

#define CLIENT_REPLY_MS		5000
#define CLIENT_WHY_MAX		256

struct client_conn {
	int fd;
	char *buf;		/* what came after the last line */
	size_t len;
};

/*
 * Return: 0, or -errno with a line in why: -ENOENT, no VM of that name runs.
 */
int client_connect(const char *vm, struct client_conn *conn,
		   char why[CLIENT_WHY_MAX]);

void client_close(struct client_conn *conn);

/*
 * Send request (taken) and wait for the reply.  Return: a new reference whose
 * "ok" is true, or NULL with a line in why.
 */
json_t *client_ask(struct client_conn *conn, json_t *request,
		   char why[CLIENT_WHY_MAX]);

/*
 * The same for a command whose reply brings an fd, the caller's then; -1 if
 * it brought none.
 */
json_t *client_ask_fd(struct client_conn *conn, json_t *request, int *fd,
		      char why[CLIENT_WHY_MAX]);

/* The next line, at most timeout_ms (-1: for ever).  NULL with why. */
json_t *client_next(struct client_conn *conn, int timeout_ms,
		    char why[CLIENT_WHY_MAX]);

json_t *client_request(const char *command);

/*
 * Call visit for the name of each VM that has a socket, in the order of the
 * names.  Return: 0 or -errno.
 */
int client_each_vm(void (*visit)(const char *name, void *opaque), void *opaque);

#endif
