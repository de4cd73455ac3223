/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled seccomp policy, and how a process puts itself under it.
 *
 * policyc makes one `const struct policy` of each policy/NAME.policy at build
 * time; the process that it is for links it and carries no parser.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <linux/filter.h>
#include <stdint.h>

#include "policy/lastword.h"

struct policy {
	const char *name;		/* "blk" of blk.policy */
	const struct sock_filter *filter;
	uint16_t nr_insns;		/* of filter */
	uint16_t nr_syscalls;		/* allowed, includes resolved */
	/*
	 * true: a forbidden call raises SIGSYS (--default report).
	 * false: the kernel kills at once (--default kill).
	 */
	uint8_t traps;
};

extern const struct policy policy_blk;
extern const struct policy policy_console;
extern const struct policy policy_core;
extern const struct policy policy_disk;
extern const struct policy policy_rng;
extern const struct policy policy_serial;

/* policy_install(): all threads of the process, not only the caller. */
#define POLICY_ALL_THREADS	(1u << 0)

/*
 * Put the calling thread, or with POLICY_ALL_THREADS the whole process,
 * under @policy, for ever.  Last narrowing of a process (C5).
 *
 * @word: where a forbidden call is noted, in a shared page that stays mapped;
 * NULL: the process dies of SIGSYS with no word.  Not used unless
 * policy->traps.
 *
 * Should: no_new_privs is set; every thread has reached its own code, as the
 *         C library sets threads up with calls that no policy allows.
 * Mustn't: leave SIGSYS blocked in other threads (they would die unnamed).
 *
 * Return: 0, or -errno, and then nothing is confined: end the process.
 *   -EACCES no_new_privs is not set
 *   -ENOSYS, -EINVAL the kernel lacks a feature, see policy_error_text()
 *   -ESRCH a thread has a filter of its own and cannot follow
 */
int policy_install(const struct policy *policy, unsigned int flags,
		   struct last_word *word);

/* What -errno of policy_install() means and what to do; static text. */
const char *policy_error_text(int err);

/*
 * Name of an x86-64 system call, NULL if there is none of that number.
 * The table is made by `policyc --syscall-names`; the supervisor links it.
 */
const char *policy_syscall_name(uint32_t nr);

#endif
