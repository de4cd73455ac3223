/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPUs: a thread each, "vcpu0", "vcpu1", ...
 *
 * Threads are started before the last narrowing, so that the policy needs no
 * clone(2), and wait at a gate until vcpus_run().
 */
#ifndef VMM_CORE_VCPU_H
#define VMM_CORE_VCPU_H

/*
 * Make nr vCPUs: CPUID, MSRs, thread.  The first is runnable, the others
 * wait for the guest's INIT and SIPI.  Does not return on an error.
 * Should: come after kvm_create_vm() and confine_rights().
 */
void vcpus_create(unsigned int nr);

/*
 * Open the gate.  The process may end at any moment after that: power-off
 * and reset are reported and end it with status 0, a vCPU that cannot go on
 * ends it with 1.
 */
void vcpus_run(void);

/*
 * Shut it: no vCPU enters the guest before the next vcpus_run().  Those in the
 * guest stay there until birth_interrupt() in the supervisor has them out.
 */
void vcpus_pause(void);

#endif
