/* SPDX-License-Identifier: Apache-2.0 */
/* How a child ended, in words for the log and the user (C7). */
#ifndef JAIL_DEATH_H
#define JAIL_DEATH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "policy/lastword.h"

#define DEATH_TEXT_MAX	160	/* bytes, with the NUL */

/*
 * info: from birth_reap(); all zero if that failed.  word: of the child's shared page, or NULL; read
 * once, nothing in it is trusted to be more than a hint.
 * "exited with status 1", "killed by SIGKILL",
 * "killed by seccomp: system call openat (257) at 0x1a2b".
 */
void death_describe(const siginfo_t *info, const struct last_word *word,
		    char *text, size_t text_bytes);

/* true: it ended by itself with status 0. */
bool death_is_clean(const siginfo_t *info);

#endif
