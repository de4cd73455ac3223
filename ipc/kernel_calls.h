/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that the C library does not have, or not as we need them, and
 * constants that it is too old for.  Each call is as its manual page says: -1
 * and errno for a failure.
 */
#ifndef IPC_KERNEL_CALLS_H
#define IPC_KERNEL_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* linux/prctl.h, which is not for programs that have sys/prctl.h */
#ifndef PR_SCHED_CORE			/* Linux 5.14 */
#define PR_SCHED_CORE			62
#define PR_SCHED_CORE_CREATE		1
#define PR_SCHED_CORE_SCOPE_THREAD	0
#endif
#ifndef PR_SET_MDWE			/* Linux 6.3 */
#define PR_SET_MDWE			65
#define PR_MDWE_REFUSE_EXEC_GAIN	(1UL << 0)
#endif

/*
 * syscall(2), inline.  For calls in which processes sleep: musl has no unwind
 * tables, so that a debugger does not find out of its functions, and this is
 * part of ours.  And for arguments that a policy looks at: of an int that
 * syscall() passes on the stack only 32 bits are defined.  x86-64 ABI, A.2.1.
 */
static inline __attribute__((always_inline)) long
kernel_call(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
	    uintptr_t e, uintptr_t f)
{
	register uintptr_t r10 __asm__("r10") = d;
	register uintptr_t r8 __asm__("r8") = e;
	register uintptr_t r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10),
			   "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}

/* epoll_wait(2): no signal mask. */
static inline int kernel_epoll_wait(int fd, struct epoll_event *events,
				    int max, int timeout_ms)
{
	return (int)kernel_call(SYS_epoll_pwait, (uintptr_t)fd,
				(uintptr_t)events, (uintptr_t)max,
				(uintptr_t)timeout_ms, 0, 0);
}

static inline int kernel_close_range(unsigned int first, unsigned int last)
{
	return (int)kernel_call(SYS_close_range, first, last, 0, 0, 0, 0);
}

/* preadv2(2) of one part, at the file's own position. */
static inline ssize_t kernel_read_flags(int fd, void *buffer, size_t bytes,
					int flags)
{
	const struct iovec part = { buffer, bytes };

	/* -1: the two halves of "no offset" */
	return kernel_call(SYS_preadv2, (uintptr_t)fd, (uintptr_t)&part, 1,
			   (uintptr_t)-1, (uintptr_t)-1, (uintptr_t)flags);
}

#endif
