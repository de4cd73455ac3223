/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last word of a process that seccomp kills (table of failures, DESIGN).
 *
 * The kernel tells the parent that a child died of SIGSYS, but not which
 * system call did it.  So the filter answers a forbidden call with
 * SECCOMP_RET_TRAP: the call is not executed, and the SIGSYS handler of
 * lastword.c notes it in a page shared with the supervisor and dies.
 * README.md, "Default action", argues why that is as good as a plain kill.
 *
 * The struct lives in a shared page (struct stats_page).  The dying process
 * writes it, the supervisor reads it after the death.  What it says is a
 * hint: a process that was taken over can write there what it likes.
 */
#ifndef POLICY_LASTWORD_H
#define POLICY_LASTWORD_H

#include <stdint.h>

#define LASTWORD_MAGIC		0x57545342u	/* "BSTW" */
#define LASTWORD_NR_ARGS	3

/* All zero until the process that owns it dies. */
struct last_word {
	uint32_t valid;		/* LASTWORD_MAGIC; written last */
	uint32_t nr;		/* system call number */
	uint32_t arch;		/* AUDIT_ARCH_*, of the number */
	uint32_t arg_lo[LASTWORD_NR_ARGS];	/* args[i], low half */
	uint32_t arg_hi[LASTWORD_NR_ARGS];	/* args[i], high half */
	uint32_t ip_lo;		/* address of the call, as an offset into */
	uint32_t ip_hi;		/* the binary: what addr2line takes */
	uint32_t pad[5];
};

_Static_assert(sizeof(struct last_word) == 64, "last_word");

/*
 * Make SIGSYS write @word and kill this process.  @word stays mapped for
 * ever and is owned by the caller; it is cleared here.  Unblocks SIGSYS in
 * the calling thread; threads started later inherit that.
 * Called by policy_install(); not for use in handlers.
 * Return: 0, or -errno of sigaction(2) or sigprocmask(2).
 */
int lastword_arm(struct last_word *word);

/* A last word as the supervisor took it out of the page. */
struct last_word_report {
	uint32_t nr;
	uint32_t arch;
	uint64_t args[LASTWORD_NR_ARGS];
	uint64_t ip_offset;
};

/*
 * Read each field of @word once into @report.  For the supervisor, after the
 * process was reaped.
 * Return: 0, or -ENODATA if there is no (complete) last word.
 */
int lastword_take(const struct last_word *word,
		  struct last_word_report *report);

#endif
