/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USDT probes, provider "bulkhead": one nop each, and a note in the binary for
 * perf, bpftrace and gdb to find it by.  bulkhead(1), PROBES, lists them.
 */
#ifndef IPC_PROBE_H
#define IPC_PROBE_H

#include <sys/sdt.h>

#define PROBE1(name, a)		STAP_PROBE1(bulkhead, name, a)
#define PROBE2(name, a, b)	STAP_PROBE2(bulkhead, name, a, b)

#endif
