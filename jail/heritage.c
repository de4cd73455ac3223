/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all children of a supervisor inherit (C3), made once, before the first
 * birth: no shared memory in dumps, an empty keyring, an empty network.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/birth_priv.h"

/* Namespaces: the supervisor's own, and an empty one; or -1, -1. */
static struct {
	int own, empty;
} network = { -1, -1 };

/*
 * Shared memory, which is guest RAM, in no dump of whatever kind, also of a
 * debugger that is asked for one (gcore).  core(5): private anonymous memory,
 * and headers of programs.  fork and exec keep it.
 */
static int dumps_narrow(void)
{
	return proc_write("self", "coredump_filter", "0x11");
}

/*
 * Leave the session keyring for an empty one that nobody has any right to:
 * the keys in the one before are not the children's to use.  Not one per
 * child, as a user has few keyrings and they are collected late
 * (keyrings(7), kernel.keys.maxkeys).
 */
static int keyring_leave(void)
{
	long keyring;

	keyring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (keyring < 0)	/* ENOSYS: a kernel without keys */
		return errno == ENOSYS ? 0 : -errno;
	if (syscall(SYS_keyctl, KEYCTL_SETPERM, keyring, 0) != 0)
		return -errno;
	return 0;
}

static int network_open(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* Into a new one, and back.  Where it fails in between, this process stays. */
static int network_visit(void)
{
	int err;

	if (unshare(CLONE_NEWNET) != 0)
		return -errno;
	network.empty = network_open();
	err = network.empty < 0 ? -errno : 0;
	return setns(network.own, CLONE_NEWNET) != 0 ? -errno : err;
}

/*
 * An empty network that children are born into and have no power over.  The
 * most expensive of the namespaces, so there is one for a whole VM.
 *
 * It takes the right to make one, and the right to come back to this one
 * (setns(2)).  Who lacks either leaves it to each child, stage_network().
 */
static int network_make(void)
{
	int err;

	network.own = network_open();
	if (network.own < 0)
		return -errno;
	if (setns(network.own, CLONE_NEWNET) != 0 && errno == EPERM) {
		birth_close();
		return 0;
	}
	err = network_visit();
	if (err)
		birth_close();
	return err;
}

int birth_open(char *why)
{
	enum birth_stage stage = BIRTH_STAGE_DUMPS;
	int err = dumps_narrow();

	if (!err) {
		stage = BIRTH_STAGE_KEYRING;
		err = keyring_leave();
	}
	if (!err) {
		stage = BIRTH_STAGE_NETWORK;
		err = network_make();
	}
	if (err)
		birth_describe(stage, -err, why, BIRTH_WHY_MAX);
	return err;
}

void birth_close(void)
{
	if (network.own >= 0)
		close(network.own);
	if (network.empty >= 0)
		close(network.empty);
	network.own = network.empty = -1;
}

bool network_is_made(void)
{
	return network.empty >= 0;
}

int network_enter(void)
{
	return !network_is_made() || setns(network.empty, CLONE_NEWNET) == 0 ?
	       0 : -errno;
}

int network_return(void)
{
	return !network_is_made() || setns(network.own, CLONE_NEWNET) == 0 ?
	       0 : -errno;
}
