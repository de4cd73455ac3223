/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process takes away its own rights (C4, C5): every confined process, just
 * after exec, whoever started it.
 *
 * Theory of operation.  The stages below run in the order in which
 * confine_rights() and confine_calls() call them, and nowhere else;
 * confine_speculation() is one by itself.  In a
 * process that jail/birth.c started, namespaces, capabilities and limits are
 * settled already and those stages confirm it; in one started by hand they
 * do the work.  Each one names what is gone after it.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ipc/kernel_calls.h"
#include "ipc/log.h"
#include "jail/capabilities.h"
#include "jail/confine.h"
#include "jail/landlock.h"

/* ld(1): where this program begins in memory. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/*
 * Gone after it: nothing yet.  Landlock and capabilities belong to a thread,
 * so a thread that is running already would keep what the others give up.
 *
 * Mustn't: be left out because "there are no threads here".
 */
static void stage_one_thread(void)
{
	/* unshare(2): EINVAL with CLONE_THREAD in a process with threads. */
	if (unshare(CLONE_THREAD) != 0)
		die(EXIT_FAILURE, "confine: threads: %s: a process must give "
		    "up its rights before it starts threads", strerror(errno));
}

/*
 * Gone after it: privileges through exec of a set-user-id program.
 *
 * Should: come first, Landlock and seccomp want it.
 */
static void stage_no_new_privs(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die(EXIT_FAILURE, "confine: no_new_privs: %s: it needs "
		    "Linux 3.5", strerror(errno));
}

/*
 * Gone after it: every path; TCP; signals to, and abstract sockets of,
 * processes outside; ptrace of anything outside.
 *
 * Mustn't: take away fds that are open already, the device lives by them.
 */
static void stage_landlock(void)
{
	int abi = landlock_deny_all();

	if (abi < 0)
		die(EXIT_FAILURE, "confine: landlock: %s: the kernel has it "
		    "and refuses to use it; lsm=...,landlock on its command "
		    "line, fewer than 16 nested domains, and no_new_privs "
		    "are needed", strerror(-abi));
	if (abi == 0)
		log_info("this kernel has no Landlock; the jail does without "
			 "(CONFIG_SECURITY_LANDLOCK=y and lsm=...,landlock "
			 "would add it)");
}

/*
 * Gone after it: core dumps.  They would hold what the guest has in memory,
 * and where core_pattern is a pipe, a program outside of every jail would
 * parse them.  Such a pipe ignores a limit of 0; a limit of 1 byte stops
 * both kinds (core(5), do_coredump() in the kernel).
 *
 * Should: leave the process dumpable where the limit is enough: if it is not,
 *         /proc/PID belongs to root and a user cannot inspect his own VM.
 */
static void stage_core_dumps(void)
{
	const struct rlimit limit = { .rlim_cur = 1, .rlim_max = 1 };

	if (setrlimit(RLIMIT_CORE, &limit) == 0)
		return;
	/* A hard limit of 0 cannot be raised to 1. */
	if (errno != EPERM || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		die(EXIT_FAILURE, "confine: core dump limit: %s",
		    strerror(errno));
}

/*
 * Gone after it: all capabilities, and where the process had the right to
 * do so, the ways back to them (bounding and ambient set, securebits).
 *
 * Should: come after everything that could need one.
 */
static void stage_capabilities(void)
{
	int err = capabilities_lock();

	/* Without CAP_SETPCAP there is nothing that could come back. */
	if (!err || err == -EPERM)
		err = capabilities_clear();
	if (err)
		die(EXIT_FAILURE, "confine: capabilities: %s: they cannot be "
		    "given up", strerror(-err));
}

/*
 * Gone after it: memory that becomes executable, and memory that is
 * writable and executable at once.
 *
 * Should: run before the policy, which allows no prctl for it.
 */
static void stage_no_new_code(void)
{
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0)
		return;
	/* EINVAL: before Linux 6.3.  The policy refuses the same calls. */
	if (errno != EINVAL)
		die(EXIT_FAILURE, "confine: memory-deny-write-execute: %s",
		    strerror(errno));
	log_debug("this kernel has no memory-deny-write-execute (Linux 6.3)");
}

/*
 * Gone after it: tables of functions that could be written to.  The loader's
 * part of RELRO: in a program without one it is the C library's start that
 * does it, and not every one's does.  ELF, "Program Header": PT_GNU_RELRO.
 *
 * Should: come after the last use of mprotect(2).
 */
static void stage_relocations(void)
{
	const char *base = (const char *)&__ehdr_start;
	const ElfW(Phdr) *header =
		(const void *)(base + __ehdr_start.e_phoff);
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < __ehdr_start.e_phnum; i++, header++) {
		uintptr_t from = (uintptr_t)base + header->p_vaddr;
		uintptr_t to = (from + header->p_memsz) & -page;

		from &= -page;
		if (header->p_type == PT_GNU_RELRO &&
		    mprotect((void *)from, to - from, PROT_READ) != 0)
			die(EXIT_FAILURE, "confine: relocations: %s",
			    strerror(errno));
	}
}

/*
 * Gone after it: every system call that the policy does not name.
 *
 * Mustn't: be followed by anything that narrows further; nothing could.
 */
static void stage_system_calls(const struct policy *policy,
			       struct last_word *word)
{
	int err = policy_install(policy, POLICY_ALL_THREADS, word);

	if (err)
		die(EXIT_FAILURE, "confine: seccomp policy %s: %s: %s",
		    policy->name, strerror(-err), policy_error_text(err));
}

/*
 * Gone after it: speculation past a store and by indirect branches, in the
 * processes that handle what a guest wrote.  Not in the core, whose threads
 * run the guest: KVM has controls of its own for that.
 *
 * Should: be all that a kernel lets one process choose; where it has decided
 *         for all of them, or the processor does not need it, there is
 *         nothing to do.  'bulkhead doctor speculation' tells which.
 */
void confine_speculation(void)
{
	static const unsigned long kinds[] = {
		PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH,
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (prctl(PR_SET_SPECULATION_CTRL, kinds[i],
			  PR_SPEC_FORCE_DISABLE, 0, 0) == 0)
			continue;
		/* spec_ctrl.rst: ENXIO, EPERM: not for a process to say.
		 * ENODEV, EINVAL: the kernel does not know of it. */
		if (errno != ENXIO && errno != EPERM && errno != ENODEV &&
		    errno != EINVAL)
			die(EXIT_FAILURE, "confine: speculation: %s",
			    strerror(errno));
	}
}

void confine_rights(void)
{
	stage_one_thread();
	stage_no_new_privs();
	stage_landlock();
	stage_core_dumps();
	stage_capabilities();
	stage_no_new_code();
	stage_relocations();
}

void confine_calls(const struct policy *policy, struct last_word *word)
{
	stage_system_calls(policy, word);
}

void confine_self(const struct policy *policy, struct last_word *word)
{
	confine_rights();
	confine_calls(policy, word);
}
