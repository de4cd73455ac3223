/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Landlock domain without rules (C4), for every confined process.
 *
 * Theory of operation.  A ruleset denies what it "handles" and no rule
 * allows.  So each right of the running kernel's ABI version is handled and
 * no rule is added.  The header of the build machine may be older than the
 * running kernel, so the numbers stand here, as the kernel's
 * include/uapi/linux/landlock.h has them.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/landlock.h"

/* linux/landlock.h: LANDLOCK_CREATE_RULESET_VERSION */
#define RULESET_VERSION		(1u << 0)

/* linux/landlock.h: struct landlock_ruleset_attr, as of ABI 6. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

_Static_assert(sizeof(struct ruleset_attr) == 24, "landlock_ruleset_attr");

/* What an ABI version has: the lowest nr bits of each field, cumulative. */
struct abi_rights {
	uint8_t nr_fs;		/* execute .. make_sym is 13 */
	uint8_t nr_net;		/* bind_tcp, connect_tcp */
	uint8_t nr_scoped;	/* abstract_unix_socket, signal */
	uint8_t attr_bytes;	/* size of the struct known to that version */
};

static const struct abi_rights abi_rights[] = {
	[1] = { 13, 0, 0, 8 },
	[2] = { 14, 0, 0, 8 },		/* refer */
	[3] = { 15, 0, 0, 8 },		/* truncate */
	[4] = { 15, 2, 0, 16 },		/* TCP */
	[5] = { 16, 2, 0, 16 },		/* ioctl_dev */
	[6] = { 16, 2, 2, 24 },		/* scopes */
};
#define ABI_NEWEST	(sizeof(abi_rights) / sizeof(abi_rights[0]) - 1)

static uint64_t lowest_bits(unsigned int nr)
{
	return (UINT64_C(1) << nr) - 1;
}

static int ruleset_restrict(const struct abi_rights *rights)
{
	const struct ruleset_attr attr = {
		.handled_access_fs = lowest_bits(rights->nr_fs),
		.handled_access_net = lowest_bits(rights->nr_net),
		.scoped = lowest_bits(rights->nr_scoped),
	};
	int ruleset, err = 0;

	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
			       (size_t)rights->attr_bytes, 0u);
	if (ruleset < 0)
		return -errno;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0u) != 0)
		err = -errno;
	close(ruleset);
	return err;
}

int landlock_deny_all(void)
{
	long abi;
	int err;

	abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
		      RULESET_VERSION);
	if (abi < 0)	/* not built in, or not in the lsm= list */
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	if (abi == 0)
		return -EPROTO;
	/* A newer version still denies all that this file knows of. */
	err = ruleset_restrict(&abi_rights[abi < (long)ABI_NEWEST ?
					   abi : (long)ABI_NEWEST]);
	return err ? err : (int)abi;
}
