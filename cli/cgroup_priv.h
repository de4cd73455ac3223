/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between cgroup.c, which knows the VM, and cgroup_files.c, which knows the
 * file system.  All int functions: 0 or -errno.
 */
#ifndef CLI_CGROUP_PRIV_H
#define CLI_CGROUP_PRIV_H

#include <stdbool.h>

#include "cli/cgroup.h"

/* One VM's folder.  Owned by struct vm. */
struct cgroup {
	char folder[CGROUP_PATH_MAX];
	char parent[CGROUP_PATH_MAX];
	bool automatic;		/* below the cgroup that we were started in */
	bool made;		/* the folder, by us */
	bool moved;		/* we are in FOLDER/supervisor */
	unsigned int given;	/* bits of controllers that parent gives for us */
};

/* Number of a controller's bit in given. */
unsigned int cgroup_bit(const char *name);

/* folder/leaf; leaf may be NULL, for folder itself. */
void cgroup_path(char path[CGROUP_PATH_MAX], const char *folder,
		 const char *leaf);

/* A control file as text, with a NUL. */
int cgroup_read(const char *folder, const char *file, char *text, size_t len);
int cgroup_write(const char *folder, const char *file, const char *text);

/* Whether a controller may be used there. */
bool cgroup_offers(const char *folder, const char *controller);

/*
 * Whether processes of its own are in the way of its giving controllers to
 * cgroups below it.  Only the root may have both, and has no type.
 */
bool cgroup_is_occupied(const char *folder);

/* Whether it is a folder of cgroup2. */
bool cgroup_is_one(const char *folder);

/* One that is there already is as good. */
int cgroup_make(const char *folder, const char *leaf);
int cgroup_remove(const char *folder, const char *leaf);

/* Every leaf of it; -EBUSY one has processes, and all are left. */
int cgroup_remove_below(const char *folder);

/* Move this process there. */
int cgroup_enter(const char *folder, const char *leaf);

#endif
