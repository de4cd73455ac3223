/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl(2) as KVM's documentation writes it, on the fds of /dev/kvm, VM and vCPUs. */
#ifndef VMM_CORE_KVM_IOCTL_H
#define VMM_CORE_KVM_IOCTL_H

#include "ipc/kernel_calls.h"

/*
 * Not ioctl(3): musl's takes the request as an int, and core.policy would see
 * those with the highest bit, _IOC_READ, with 32 more bits set.
 * argument: a pointer, or where KVM wants a number, kvm_number()'s.
 */
static inline int kvm_ioctl(int fd, unsigned long request,
			    const void *argument)
{
	return (int)kernel_call(SYS_ioctl, (uintptr_t)fd, request,
				(uintptr_t)argument, 0, 0, 0);
}

static inline const void *kvm_number(unsigned long number)
{
	return (const void *)number;
}

#endif
