/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fd numbers a Bulkhead process wakes up with (C3).
 *
 * jail/ places them before exec; every process, and every policy that
 * scopes a rule to an fd, reads them from here.  A number whose resource the
 * process does not have is closed, not reused.
 */
#ifndef IPC_INHERIT_H
#define IPC_INHERIT_H

enum inherit_fd {
	LOG_FD = 2,	/* pipe, write end: one log line per write */
	LIFE_FD = 3,	/* SOCK_SEQPACKET to the supervisor, ipc/life.h */

	/* Devices. */
	LINK_FD = 4,	/* to the core: vhost-user stream, or register channel */
	STATS_FD = 5,	/* struct stats_page, this process writes */
	FAULT_FD = 6,	/* struct fault_page, read only; closed once mapped */
	RES_FD = 7,	/* blk: the image; chardev: what is read from */
	RES2_FD = 8,	/* blk: the record; chardev: what is written to, if not RES_FD */
	EPOLL_FD = 9,	/* made by the process itself: its loop */
	RING_FD = 10,	/* made by the process itself: io_uring */
	BACKEND_FD = 11,	/* vhost-user back-end channel, came by LINK_FD;
				 * before it comes, a second EPOLL_FD */
	THROTTLE_FD = 12,	/* blk: struct throttle_page; closed once mapped */

	EXTRA_FD = 16,	/* + n, n < LIFE_BLK_MAX_EXTRA: a disk's further files */

	/* The core. */
	KVM_FD = 4,	/* /dev/kvm; closed once the VM exists */
	RAM_FD = 6,	/* guest RAM, a sealed memfd */
	KERNEL_FD = 7,	/* kernel file; closed once loaded */
	INITRD_FD = 8,	/* initrd; closed once loaded */
	VM_FD = 10,	/* made by the core: the KVM VM */
	CORE_FAULT_FD = 11,	/* as FAULT_FD */

	VCPU_FD_BASE = 64,	/* made by the core: vCPU n is VCPU_FD_BASE + n */
	VCPU_STATS_FD_BASE = 96,	/* ... its counters in KVM, read only */
	INHERIT_FD_MAX = 128,	/* own fds beyond the fixed ones start here */
};

/* The core's RLIMIT_NOFILE: eventfds of all queues, vCPUs. */
#define INHERIT_CORE_FILES	2560

#endif
