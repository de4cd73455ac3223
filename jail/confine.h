/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a confined process does to itself after exec (C4, C5).
 *
 * Takes nothing for granted: a device that somebody starts by hand, as root
 * and without namespaces, loses the same rights.  A stage that fails ends
 * the process with one line and status 1.  There is no way to soften that.
 */
#ifndef JAIL_CONFINE_H
#define JAIL_CONFINE_H

#include "policy/lastword.h"
#include "policy/policy.h"

/*
 * Give up every right that is not a system call: privileges by exec, files,
 * TCP, signals and sockets of others (Landlock, where the kernel has it),
 * capabilities, core dumps, new executable memory.
 *
 * Context: the process has one thread; threads started later inherit.
 * Should: run first in main(), as nothing in it needs configuration.
 * Mustn't: come before files are opened by path, sockets bound or connected.
 */
void confine_rights(void);

/*
 * Devices, before confine_self(): no speculation past stores and by indirect
 * branches, as far as the kernel lets a process choose.
 */
void confine_speculation(void);

/*
 * Put all threads under the policy; the last narrowing.
 * word: where a forbidden call is noted for the supervisor, or NULL.
 *
 * Should: come after memory is mapped and io_uring is set up.
 * Mustn't: come after anything of a guest, an image or a peer was parsed.
 */
void confine_calls(const struct policy *policy, struct last_word *word);

/* Both, one after the other. */
void confine_self(const struct policy *policy, struct last_word *word);

#endif
