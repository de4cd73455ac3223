/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI root: one bus, host bridge at 00.0, functions at 00:01.0 to
 * 00:1f.0, reached by CF8/CFC (PCI Local Bus 3.0, 3.2.2.3.2) and by ECAM
 * (PCIe base spec, 7.2.2) from vCPU threads.
 */
#ifndef VMM_CORE_PCI_H
#define VMM_CORE_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/life.h"
#include "vmm-core/relink.h"

/* Host bridge, CF8/CFC and ECAM onto the bus.  Return: 0 or -errno. */
int pci_init(void);

/*
 * Make all that takes a system call which the core's policy does not have:
 * per device a socket pair and the eventfds of nr_queues queues (1..32; a
 * console needs 2).  nr_devices: without further processes.  Its fds have numbers from INHERIT_FD_MAX
 * on: 4 + 2 * nr_queues of them per device.
 * Return: 0 or -errno, with a line logged.
 * Context: main thread, once, before the last narrowing.
 */
int virtio_pci_prepare(unsigned int nr_devices, unsigned int nr_queues);

/*
 * Make device number index + 1 a virtio-pci function in front of the
 * vhost-user back-end behind link_fd.  Talks to the back-end (features, queue
 * count, config space) with a deadline; allocates MSI-X vectors and doorbells;
 * places the BAR.  inflight_fd: memfd kept by the supervisor, or -1.  Takes
 * both fds.  Return: 0 or -errno, with a line logged.
 * Context: main thread, before the vCPUs run, after virtio_pci_prepare().
 */
int virtio_pci_add(const struct life_core_device *dev, int link_fd,
		   int inflight_fd);

/*
 * The same for a further process of a disk that was added (dev->process is not
 * 0): no function of its own, but every nr_processes-th queue of that one.
 */
int virtio_pci_add_process(const struct life_core_device *dev, int link_fd,
			   int inflight_fd);

/*
 * Name every fd of the back-ends that the main loop must watch, with its
 * epoll(7) events: the end of a link, a message on a back-end channel, a ring
 * given up.  Main thread, after the last virtio_pci_add().
 */
void virtio_pci_watch(void (*watch)(int fd, uint32_t events,
				    const char *what));

/*
 * One of these fds may be ready; any other is ignored.  Does not wait for a
 * vCPU that waits for a back-end.  Main thread.
 */
void virtio_pci_dispatch(int fd);

/*
 * A device's back-end has a successor behind relink->fd, which the main loop
 * watches as it did the link before, or will have none.  Takes the fd.  May
 * wait for the successor's handshake, with a deadline.
 * Return: 0, -ENODEV no such device.  Main thread.
 */
int virtio_pci_relink(unsigned int index, const struct relink *relink);

#endif
