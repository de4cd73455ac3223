/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a running VM, supervisor's side: newline-delimited
 * JSON as ipc/README.md says.  Clients are trusted by uid, not by form.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <jansson.h>

#include "cli/supervisor.h"

#define CONTROL_VERSION		1
#define CONTROL_LINE_MAX	65536	/* bytes of a request, newline too */
#define CONTROL_MAX_CLIENTS	8

/* Listen.  Return: 0, or -errno with a line in why. */
int control_open(struct vm *vm, char why[VM_WHY_MAX]);

/* Tell those who wait that the VM is over, then hang up. */
void control_close(struct vm *vm, int status);

/*
 * While a command is obeyed: its reply takes fd along, which is closed then;
 * its client is told every event from now on.
 */
void control_give_fd(struct vm *vm, int fd);
void control_follow(struct vm *vm);

/* Does any client follow? */
bool control_is_followed(const struct vm *vm);

/* To all who follow, whose lines end with it; keeps event.  Does not wait. */
void control_tell(struct vm *vm, json_t *event);

/* Next deadline of a client, fdmsg_now_ms() scale; 0: none. */
long long control_deadline_ms(const struct control *control);

/* Hang up on clients whose deadline has passed. */
void control_expire(struct control *control);

#endif
