/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of the other processes: found beside this one (a build
 * folder), or in libexec (an installation).  Opened once, exec'ed by fd (C3).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/resources.h"

/* As `make install` puts them: bin/bulkhead, libexec/bulkhead/bulkhead-blk. */
#define LIBEXEC_FROM_BIN	"../libexec/bulkhead"

static const char *const program_name[] = {
	[LIFE_ROLE_CORE] = "bulkhead-core",
	[LIFE_ROLE_BLK] = "bulkhead-blk",
	[LIFE_ROLE_SERIAL] = "bulkhead-serial",
	[LIFE_ROLE_CONSOLE] = "bulkhead-console",
	[LIFE_ROLE_RNG] = "bulkhead-rng",
};

static int open_in(const char *bin, const char *dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s/%s", bin, dir, name) >=
	    PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int program_open(enum life_role role, char why[VM_WHY_MAX])
{
	const char *name = program_name[role];
	char self[PATH_MAX];
	const char *bin = ".";
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd = len < 0 ? -errno : 0;

	if (len > 0) {
		self[len] = '\0';
		bin = dirname(self);
		fd = open_in(bin, ".", name);
		if (fd == -ENOENT)
			fd = open_in(bin, LIBEXEC_FROM_BIN, name);
	}
	if (fd < 0)
		snprintf(why, VM_WHY_MAX,
			 "cannot open the program %s in %.200s or in %s from there: %s; install it",
			 name, bin, LIBEXEC_FROM_BIN, strerror(-fd));
	return fd;
}
