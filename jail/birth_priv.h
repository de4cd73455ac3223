/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the halves of a birth: heritage.c, birth.c, stages.c, birth_text.c. */
#ifndef JAIL_BIRTH_PRIV_H
#define JAIL_BIRTH_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "jail/birth.h"

/* In the order in which they run. */
enum birth_stage {
	/* In the supervisor. */
	BIRTH_STAGE_DUMPS,
	BIRTH_STAGE_KEYRING,
	BIRTH_STAGE_PREPARE,
	BIRTH_STAGE_CLONE,
	BIRTH_STAGE_CGROUP,
	BIRTH_STAGE_MAP,
	/* In the child. */
	BIRTH_STAGE_FDS,
	BIRTH_STAGE_NETWORK,	/* or once in the supervisor, for all */
	BIRTH_STAGE_RELEASE,
	BIRTH_STAGE_IDENTITY,
	BIRTH_STAGE_PARENT,
	BIRTH_STAGE_SESSION,
	BIRTH_STAGE_NESTING,
	BIRTH_STAGE_ROOT,
	BIRTH_STAGE_LIMITS,
	BIRTH_STAGE_SIGNALS,
	BIRTH_STAGE_CAPABILITIES,
	BIRTH_STAGE_EXEC,
	BIRTH_NR_STAGES
};

/* What the child writes to its stage_fd before it ends; exec writes none. */
struct birth_failure {
	uint32_t stage;		/* enum birth_stage */
	int32_t err;		/* errno */
};

/* What the supervisor writes once the ids are mapped. */
#define BIRTH_GO	'g'

/* The child's life before exec; all fds in it are close-on-exec. */
struct birth_scene {
	const struct birth_spec *spec;
	int exe_fd;
	int stage_fd;
	int parent_pidfd;
	bool may_set_groups;	/* ids were mapped by a privileged supervisor */
	bool leave_network;	/* it is the supervisor's */
};

/* Run all stages; the last is exec, or the end.  scene is used up. */
noreturn void stages_run(struct birth_scene *scene);

/*
 * Into the empty network of heritage.c for a clone, and back; without one,
 * nothing.  Return: 0, -errno.
 */
int network_enter(void);
int network_return(void);
bool network_is_made(void);

/* Write to name of /proc/WHO: a pid, or "self".  Return: 0, -errno. */
int proc_write(const char *who, const char *name, const char *text);

/* "stage: error: what is missing and what would grant it" */
void birth_describe(enum birth_stage stage, int err, char *why,
		    size_t why_bytes);

#endif
