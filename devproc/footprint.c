/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See footprint.h.  Every device, C4.
 *
 * The start of a static program runs through all of its C library: each of
 * several hundred string functions chooses its variant for this processor, in
 * pages that come sixteen at a time (fault-around).  Most of those 0.4 MiB are
 * never used again, yet are counted as this process's, and kept.
 *
 * This file is the last of our own in every program, and libraries follow.  Our
 * own code stays as it is: it has the probes, and a probe that somebody has
 * armed is a changed page, which would be lost (ipc/probe.h).
 */
#include "devproc/footprint.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* end(3): of all code of this program */
extern const char etext[];

void footprint_reduce(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)footprint_reduce + page - 1) & -page;
	uintptr_t end = (uintptr_t)etext & -page;

	/* Refused, nothing is lost but memory. */
	if (begin < end)
		(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}
