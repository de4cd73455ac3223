/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a compiled policy into the kernel: the last narrowing (C5) of the
 * core and of every device process.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policy/policy.h"

int policy_install(const struct policy *policy, unsigned int flags,
		   struct last_word *word)
{
	/* The kernel only reads the program; its struct just is not const. */
	union {
		const struct sock_filter *ro;
		struct sock_filter *rw;
	} filter = { .ro = policy->filter };
	struct sock_fprog program = {
		.len = policy->nr_insns,
		.filter = filter.rw,
	};
	unsigned long seccomp_flags = 0;
	int err;

	if (flags & ~POLICY_ALL_THREADS)
		return -EINVAL;
	/* ESRCH instead of a thread id when a thread cannot follow. */
	if (flags & POLICY_ALL_THREADS)
		seccomp_flags |= SECCOMP_FILTER_FLAG_TSYNC |
				 SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	if (policy->traps && word) {
		err = lastword_arm(word);
		if (err)
			return err;
	}
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, seccomp_flags,
		    &program) != 0)
		return -errno;
	return 0;
}

const char *policy_error_text(int err)
{
	switch (err) {
	case -EACCES:
		return "no_new_privs is not set before the seccomp policy";
	case -ENOSYS:
		return "the kernel has no seccomp(2): it needs Linux 5.7 with "
		       "CONFIG_SECCOMP=y";
	case -EINVAL:
		return "the kernel refuses the seccomp filter: it needs "
		       "Linux 5.7 with CONFIG_SECCOMP_FILTER=y";
	case -ESRCH:
		return "a thread has a seccomp filter of its own";
	case -ENOMEM:
		return "too many or too long seccomp filters are in force "
		       "already, or the kernel is out of memory";
	default:
		return "unexpected error of seccomp(2)";
	}
}
