/* SPDX-License-Identifier: Apache-2.0 */
/* Words for the exits after which a vCPU cannot go on. */
#ifndef VMM_CORE_EXIT_REPORT_H
#define VMM_CORE_EXIT_REPORT_H

#include <linux/kvm.h>

#include "ipc/life.h"

/*
 * Describe why vCPU index stopped, in at most LIFE_TEXT_MAX bytes for the
 * event, and log all of its registers.  run_errno: of KVM_RUN, or 0 if the
 * exit is in run.  Any thread, the vCPU being outside of KVM_RUN.
 */
void exit_report(unsigned int index, int vcpu_fd, const struct kvm_run *run,
		 int run_errno, char text[LIFE_TEXT_MAX]);

#endif
