/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a failed birth (C3, C4) says: which stage, which error, and what would
 * have to be granted by whom.  Runs in the supervisor.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jail/birth_priv.h"

static const char *const stage_names[] = {
	[BIRTH_STAGE_DUMPS] = "keep guest memory out of dumps",
	[BIRTH_STAGE_KEYRING] = "leave the keyring",
	[BIRTH_STAGE_PREPARE] = "prepare",
	[BIRTH_STAGE_CLONE] = "clone into new namespaces",
	[BIRTH_STAGE_CGROUP] = "be born in its cgroup",
	[BIRTH_STAGE_MAP] = "map user and group id",
	[BIRTH_STAGE_FDS] = "place file descriptors",
	[BIRTH_STAGE_NETWORK] = "leave the network",
	[BIRTH_STAGE_RELEASE] = "wait for the program to start",
	[BIRTH_STAGE_IDENTITY] = "take user and group id",
	[BIRTH_STAGE_PARENT] = "tie life to the supervisor",
	[BIRTH_STAGE_SESSION] = "open a session",
	[BIRTH_STAGE_NESTING] = "forbid nested user namespaces",
	[BIRTH_STAGE_ROOT] = "enter an empty root",
	[BIRTH_STAGE_LIMITS] = "set resource limits",
	[BIRTH_STAGE_SIGNALS] = "reset signals",
	[BIRTH_STAGE_CAPABILITIES] = "drop capabilities",
	[BIRTH_STAGE_EXEC] = "exec",
};

_Static_assert(sizeof(stage_names) / sizeof(stage_names[0]) ==
	       BIRTH_NR_STAGES, "a name for each stage");

static const char *clone_hint(int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		return "user namespaces are denied to this user; sysctl "
		       "kernel.unprivileged_userns_clone=1, or an outer "
		       "container or chroot that allows them, would grant it";
	case ENOSPC:
	case EUSERS:
		return "the limit of namespaces is reached; raise sysctl "
		       "user.max_user_namespaces, or the max_*_namespaces "
		       "beside it that is too low";
	case EINVAL:
		return "the kernel lacks a kind of namespace; it needs "
		       "CONFIG_USER_NS, PID_NS, NET_NS, IPC_NS, UTS_NS and "
		       "CGROUPS";
	case ENOSYS:
		return "clone3 is missing or hidden; it needs Linux 5.5, and "
		       "a container whose seccomp profile allows it";
	case EAGAIN:
		return "too many processes; raise ulimit -u or the pids "
		       "limit of the cgroup";
	default:
		return NULL;
	}
}

static const char *fds_hint(int err)
{
	switch (err) {
	case EMFILE:
	case EINVAL:
	case EBADF:
		return "too few file descriptors allowed; raise ulimit -n "
		       "to 1024 or more";
	case ENOSYS:
		return "close_range needs Linux 5.9";
	default:
		return NULL;
	}
}

static const char *prepare_hint(int err)
{
	if (err == EINVAL)
		return "the supervisor's list of fds or limits makes no sense; "
		       "this is a bug";
	return fds_hint(err);
}

/* Stages that are the first to use a right inside the user namespace. */
static const char *namespace_hint(int err)
{
	if (err == EPERM || err == EACCES)
		return "the new user namespace has no capabilities; sysctl "
		       "kernel.apparmor_restrict_unprivileged_userns=0, or "
		       "an AppArmor profile with 'userns', would grant them";
	return NULL;
}

static const char *root_hint(int err)
{
	switch (err) {
	case EINVAL:
		return "the host's root cannot be left: it is an initramfs; "
		       "start from a switched root (switch_root)";
	case ENODEV:
		return "the kernel has no tmpfs; it needs CONFIG_TMPFS=y";
	case ENOSYS:
		return "the new mount calls need Linux 5.2";
	case ENOSPC:
		return "too many mounts; raise sysctl fs.mount-max";
	default:
		return namespace_hint(err);
	}
}

static const char *exec_hint(int err)
{
	switch (err) {
	case EACCES:
		return "the program file must be executable by everybody "
		       "(mode 0755), on a file system without noexec";
	case ENOENT:
	case ENOEXEC:
		return "the program must be a static executable for this "
		       "machine";
	default:
		return NULL;
	}
}

static const char *stage_hint(enum birth_stage stage, int err)
{
	switch (stage) {
	case BIRTH_STAGE_KEYRING:
		return err == EDQUOT ? "this user has too many keyrings; raise "
		       "sysctl kernel.keys.maxkeys" : NULL;
	case BIRTH_STAGE_PREPARE:
		return prepare_hint(err);
	case BIRTH_STAGE_FDS:
		return fds_hint(err);
	case BIRTH_STAGE_CLONE:
		return clone_hint(err);
	case BIRTH_STAGE_CGROUP:
		return "the supervisor must be in the part of the cgroup tree that "
		       "was delegated (systemd-run --user --scope -p "
		       "Delegate=yes), or be root; the leaf must not be removed";
	case BIRTH_STAGE_MAP:
		return "an own uid for each process takes CAP_SETUID and "
		       "CAP_SETGID; an ordinary user maps only himself";
	case BIRTH_STAGE_NETWORK:
		return err == EPERM ? namespace_hint(err) : clone_hint(err);
	case BIRTH_STAGE_RELEASE:
		return "the host is overloaded, or something stops the "
		       "process";
	case BIRTH_STAGE_DUMPS:
		return "/proc must be mounted and show this process; the kernel "
		       "needs CONFIG_ELF_CORE=y";
	case BIRTH_STAGE_NESTING:
		return "/proc/sys/user/max_user_namespaces must be there and "
		       "writable; a container that mounts /proc/sys "
		       "read-only prevents it";
	case BIRTH_STAGE_IDENTITY:
	case BIRTH_STAGE_SESSION:
	case BIRTH_STAGE_CAPABILITIES:
		return namespace_hint(err);
	case BIRTH_STAGE_ROOT:
		return root_hint(err);
	case BIRTH_STAGE_EXEC:
		return exec_hint(err);
	default:
		return NULL;
	}
}

void birth_describe(enum birth_stage stage, int err, char *why,
		    size_t why_bytes)
{
	const char *hint = stage_hint(stage, err);

	snprintf(why, why_bytes, "birth: %s: %s%s%s", stage_names[stage],
		 strerror(err), hint ? ": " : "", hint ? hint : "");
}
