/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All capabilities, gone for good (C4, C5).  Runs in a child before exec and
 * in every confined process.
 *
 * libcap's cap_set_mode(CAP_MODE_NOPRIV) does much the same, but passes over
 * what it could not drop and takes five times as many system calls.
 */
#include <errno.h>
#include <linux/securebits.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "jail/capabilities.h"

/* capabilities(7), "The securebits flags": all, but not to keep any. */
#define SECUREBITS	(SECURE_ALL_LOCKS | SECBIT_NOROOT | \
			 SECBIT_NO_SETUID_FIXUP | SECBIT_NO_CAP_AMBIENT_RAISE)

int capabilities_lock(void)
{
	/* EINVAL: one past the last that the kernel knows. */
	for (cap_value_t cap = 0; cap_drop_bound(cap) == 0; cap++)
		;
	if (errno != EINVAL)
		return -errno;
	/* Not cap_reset_ambient(), which asks for each of them first. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
	    cap_set_secbits(SECUREBITS) != 0)
		return -errno;
	return 0;
}

int capabilities_clear(void)
{
	cap_t none = cap_init();
	int err = 0;

	if (!none)
		return -errno;
	if (cap_set_proc(none) != 0)
		err = -errno;
	cap_free(none);
	return err;
}
