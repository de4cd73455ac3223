/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SIGSYS handler that names the forbidden call, then dies of it (C5).
 * Armed by every jailed process just before its filter; the reading half
 * runs in the supervisor.
 *
 * Theory of operation.  The kernel has refused a call and forces SIGSYS on
 * the calling thread.  All signals are blocked while the handler runs, so
 * nothing interrupts it.  It stores a few words, and then makes a call that
 * policyc lets no policy allow.  A forced SIGSYS that is blocked is fatal to
 * the whole process, handler or not, and that is how it ends.
 *
 * After its stores the handler neither returns nor calls: the death is a
 * fixed run of instructions that uses no memory, so nobody who can write to
 * this thread's stack can lead it elsewhere.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>

#include "policy/lastword.h"

/* asm-generic/siginfo.h: si_code of a SIGSYS that seccomp raised. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* Start of the loaded binary, by the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static struct last_word *lastword_page;

/* A sanitizer's own calls would be forbidden here. */
#define PLAIN __attribute__((no_sanitize("address", "undefined")))

/*
 * rt_sigaction of signal 0: forbidden in every policy, harmless without one.
 * If the call comes back, this process is init of its pid namespace and is
 * being traced, which spares it a blocked signal; it may exit.  ud2 is for a
 * policy that has no exit_group.  Does not return.
 */
PLAIN static inline void die(void)
{
	__asm__ volatile("syscall\n\t"
			 "mov %[exit], %%eax\n\t"
			 "mov %[status], %%edi\n\t"
			 "syscall\n"
			 "1:\n\t"
			 "ud2\n\t"
			 "jmp 1b"
			 :
			 : "a"(SYS_rt_sigaction), "D"(0), "S"(0), "d"(0),
			   [exit] "i"(SYS_exit_group),
			   [status] "i"(128 + SIGSYS)
			 : "rcx", "r11", "memory");
}

PLAIN static void note(volatile struct last_word *word, const siginfo_t *info,
		       const greg_t *regs)
{
	uint64_t ip = (uintptr_t)info->si_call_addr - (uintptr_t)__ehdr_start;

	word->nr = (uint32_t)info->si_syscall;
	word->arch = info->si_arch;
	word->arg_lo[0] = (uint32_t)regs[REG_RDI];
	word->arg_hi[0] = (uint32_t)((uint64_t)regs[REG_RDI] >> 32);
	word->arg_lo[1] = (uint32_t)regs[REG_RSI];
	word->arg_hi[1] = (uint32_t)((uint64_t)regs[REG_RSI] >> 32);
	word->arg_lo[2] = (uint32_t)regs[REG_RDX];
	word->arg_hi[2] = (uint32_t)((uint64_t)regs[REG_RDX] >> 32);
	word->ip_lo = (uint32_t)ip;
	word->ip_hi = (uint32_t)(ip >> 32);
	/* Orders the fields before valid, for lastword_take(). */
	__atomic_store_n(&word->valid, LASTWORD_MAGIC, __ATOMIC_RELEASE);
}

PLAIN static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	struct last_word *word = lastword_page;

	(void)sig;
	/* The first of several threads to get here has the word. */
	if (info->si_code == SYS_SECCOMP && !word->valid)
		note(word, info, uc->uc_mcontext.gregs);
	die();
}

int lastword_arm(struct last_word *word)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	sigset_t sigsys;

	memset(word, 0, sizeof(*word));
	lastword_page = word;
	action.sa_sigaction = on_sigsys;
	sigfillset(&action.sa_mask);
	if (sigaction(SIGSYS, &action, NULL) < 0)
		return -errno;
	sigemptyset(&sigsys);
	sigaddset(&sigsys, SIGSYS);
	/* pthread_sigmask() and sigprocmask() are one on Linux. */
	if (sigprocmask(SIG_UNBLOCK, &sigsys, NULL) < 0)
		return -errno;
	return 0;
}

static uint64_t join(const uint32_t *lo, const uint32_t *hi)
{
	return (uint64_t)__atomic_load_n(hi, __ATOMIC_RELAXED) << 32 |
	       __atomic_load_n(lo, __ATOMIC_RELAXED);
}

int lastword_take(const struct last_word *word,
		  struct last_word_report *report)
{
	/* Pairs with the release in note(). */
	if (__atomic_load_n(&word->valid, __ATOMIC_ACQUIRE) != LASTWORD_MAGIC)
		return -ENODATA;
	report->nr = __atomic_load_n(&word->nr, __ATOMIC_RELAXED);
	report->arch = __atomic_load_n(&word->arch, __ATOMIC_RELAXED);
	for (int i = 0; i < LASTWORD_NR_ARGS; i++)
		report->args[i] = join(&word->arg_lo[i], &word->arg_hi[i]);
	report->ip_offset = join(&word->ip_lo, &word->ip_hi);
	return 0;
}
