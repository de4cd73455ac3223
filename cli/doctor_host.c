/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the host: I/O, memory, cgroups, limits, network. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/cgroup_priv.h"
#include "cli/doctor.h"
#include "ipc/inherit.h"
#include "ipc/memfd.h"

/* linux/fcntl.h, Linux 6.3; Debian 12's header is older. */
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC	0x0020
#endif

_Static_assert(INHERIT_CORE_FILES == 2560, "doctor_nofile()'s advice");

#define MEMLOCK_WANTED	(8u << 20)	/* what a disk asks for */

/* A small file's first number.  Return: 0 or -errno. */
static int read_number(const char *path, long *number)
{
	FILE *f = fopen(path, "re");
	int ret;

	if (!f)
		return -errno;
	ret = fscanf(f, "%ld", number) == 1 ? 0 : -EPROTO;
	fclose(f);
	return ret;
}

void doctor_io_uring(struct doctor_result *r)
{
	struct io_uring_params params = { 0 };
	long disabled = 0;
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);

	if (fd < 0) {
		int err = errno;

		if (read_number("/proc/sys/kernel/io_uring_disabled",
				&disabled))
			disabled = 0;
		doctor_say(r, DOCTOR_FAIL,
			   disabled ? "sysctl kernel.io_uring_disabled=0 (or 1, and run as root)" :
				      "allow io_uring_setup in the container's seccomp profile",
			   "io_uring is refused: %s", strerror(err));
		return;
	}
	close(fd);
	doctor_say(r, DOCTOR_OK, "", "io_uring works");
}

void doctor_memfd(struct doctor_result *r)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	int fd = memfd_sealable("bulkhead-doctor", 0);
	bool noexec = fd >= 0 && fcntl(fd, F_GET_SEALS) & F_SEAL_EXEC;

	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, seals) == 0 &&
	    ftruncate(fd, 4096) < 0)
		doctor_say(r, noexec ? DOCTOR_OK : DOCTOR_WARN,
			   noexec ? "" :
				    "the jails refuse to execute anything; Linux 6.3 has it",
			   "memfds can be sealed%s",
			   noexec ? ", against execution too" :
				    ", but not against execution");
	else
		doctor_say(r, DOCTOR_FAIL, "use a newer kernel",
			   "memfds cannot be sealed");
	if (fd >= 0)
		close(fd);
}

void doctor_cgroup(struct doctor_result *r)
{
	static const char advice[] =
		"needed only for limits per process; mount cgroup2 with its controllers, and run as root or in a delegated scope: systemd-run --user --scope -p Delegate=yes";
	char path[CGROUP_PATH_MAX], controllers[200] = "";

	if (cgroup_own_path(path)) {
		doctor_say(r, DOCTOR_WARN, advice, "no cgroup2 for this process");
		return;
	}
	if (cgroup_read(path, "cgroup.controllers", controllers,
			sizeof(controllers)))
		controllers[0] = '\0';
	controllers[strcspn(controllers, "\n")] = '\0';
	if (!cgroup_offers(path, "cpu") || !cgroup_offers(path, "memory") ||
	    !cgroup_offers(path, "io"))
		doctor_say(r, DOCTOR_WARN, advice,
			   "cgroup2 offers not all of cpu, memory and io here, but %.120s",
			   controllers[0] ? controllers : "nothing");
	else if (access(path, W_OK) < 0)
		doctor_say(r, DOCTOR_WARN, advice,
			   "cgroup2 has %.120s, but is not delegated to you",
			   controllers);
	else
		doctor_say(r, DOCTOR_OK, "", "cgroup2 delegated, with %.120s",
			   controllers);
}

static void check_limit(struct doctor_result *r, int resource,
			const char *name, rlim_t wanted, const char *advice)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0) {
		doctor_say(r, DOCTOR_WARN, "", "%s: %s", name, strerror(errno));
		return;
	}
	if (limit.rlim_max == RLIM_INFINITY)
		doctor_say(r, DOCTOR_OK, "", "%s unlimited", name);
	else
		doctor_say(r, limit.rlim_max >= wanted ? DOCTOR_OK : DOCTOR_WARN,
			   limit.rlim_max >= wanted ? "" : advice,
			   "%s at most %llu", name,
			   (unsigned long long)limit.rlim_max);
}

void doctor_nofile(struct doctor_result *r)
{
	check_limit(r, RLIMIT_NOFILE, "open files", INHERIT_CORE_FILES,
		    "raise it to 2560 or more (ulimit -Hn, limits.conf) for VMs with many queues");
}

void doctor_memlock(struct doctor_result *r)
{
	check_limit(r, RLIMIT_MEMLOCK, "locked bytes", MEMLOCK_WANTED,
		    "raise it to 8 MiB or more (ulimit -Hl, limits.conf) if a disk cannot make its io_uring");
}

void doctor_huge_pages(struct doctor_result *r)
{
	long free_pages = 0;

	if (read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
			&free_pages)) {
		doctor_say(r, DOCTOR_WARN, "needed only for huge_pages = yes",
			   "no 2M pages on this host");
		return;
	}
	doctor_say(r, free_pages ? DOCTOR_OK : DOCTOR_WARN,
		   free_pages ? "" :
				"needed only for huge_pages = yes: write a number to /proc/sys/vm/nr_hugepages",
		   "%ld free 2M pages", free_pages);
}

void doctor_tun(struct doctor_result *r)
{
	if (access("/dev/net/tun", R_OK | W_OK) == 0)
		doctor_say(r, DOCTOR_OK, "", "/dev/net/tun usable");
	else
		doctor_say(r, DOCTOR_WARN,
			   "needed only for networking: modprobe tun, and the right to use it",
			   "/dev/net/tun: %s", strerror(errno));
}
