/* SPDX-License-Identifier: Apache-2.0 */
/* Whether children can have a uid and gid that is not the caller's. */
#ifndef CLI_IDS_H
#define CLI_IDS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * true: this process is root, and both a user and a group of that number
 * exist in its user namespace.
 */
bool ids_available(uid_t id);

#endif
