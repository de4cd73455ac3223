/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's statistics page (struct stats_core of ipc/pages.h): heavy exits
 * as the vCPU threads count them, light ones as KVM does.
 *
 * KVM counts in a file per vCPU, opened before the last narrowing and read
 * with pread(2) when the supervisor asks for it (LIFE_CORE_STATS).
 */
#ifndef VMM_CORE_CORE_STATS_H
#define VMM_CORE_CORE_STATS_H

#include <stdint.h>

#include "ipc/pages.h"

/* Map and begin the page at STATS_FD, which is closed.  0 or -errno. */
int core_stats_open(unsigned int nr_vcpus);

/* Where seccomp's victim is noted, and faults are counted. */
struct stats_head *core_stats_head(void);

/*
 * Open KVM's counters of a vCPU, whose fd is vcpu_fd.  Without them, as on a
 * KVM that has none, there are no light exits to tell.  Main thread, before
 * the last narrowing; vCPUs in their order.
 */
void core_stats_add_vcpu(unsigned int index, int vcpu_fd);

/* Copy KVM's counters of all vCPUs into the page.  Main thread. */
void core_stats_refresh(void);

/* A heavy exit; by the vCPU's thread.  owner: enum stats_owner, or a device. */
void core_stats_exit(unsigned int vcpu, enum stats_exit reason);
void core_stats_answered(unsigned int vcpu, unsigned int owner);

#endif
