/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as a device process sees it: up to VHOST_USER_MAX_REGIONS
 * shared mappings, made of the memory table that the front-end sends (C5).
 *
 * The only way from a guest's or the front-end's address to a pointer.
 * Runs in every virtio device process, after confine_self(): mappings are
 * PROT_READ|PROT_WRITE, MAP_SHARED, and nothing else.
 */
#ifndef DEVPROC_GUEST_MEM_H
#define DEVPROC_GUEST_MEM_H

#include <stdint.h>
#include <sys/uio.h>

#include "ipc/vhost_user.h"

typedef uint64_t gpa_t;

/*
 * Told of each mapping: after it is there, and before it goes.  host: not
 * page-aligned, if the peer's region is not.
 */
struct guest_mem_watcher {
	void (*added)(uint8_t *host, uint64_t bytes);
	void (*removed)(uint8_t *host, uint64_t bytes);
};

/* At most one; before the first mapping.  watcher: lives on. */
void guest_mem_watch(const struct guest_mem_watcher *watcher);

/*
 * Map one region of the peer's table.  fd is closed in any case.
 * Return: 0; -EINVAL sizes that wrap, overlap of another region, file too
 * small (a later access would be SIGBUS); -ENOSPC table full; -errno of mmap.
 */
int guest_mem_add(const struct vhost_user_region *peer_region, int fd);

/* Unmap the region with this gpa, user address and size.  0 or -ENOENT. */
int guest_mem_remove(const struct vhost_user_region *peer_region);

/* Unmap all. */
void guest_mem_clear(void);

/*
 * Pointer to len bytes at a front-end's user address, contiguous on the
 * host and aligned to align (a power of two); NULL if there are none such.
 */
void *guest_mem_from_user(uint64_t user_addr, uint64_t len, uint64_t align);

/*
 * Translate guest-physical [gpa, gpa + len) to at most max_spans spans; a
 * buffer that crosses from one region to the next takes one span per region.
 * len > 0.
 * Return: number of spans, 1 at least; -EFAULT not all of it is guest RAM;
 * -E2BIG more spans than max_spans (the first max_spans are filled).
 */
int guest_mem_span(gpa_t gpa, uint64_t len, struct iovec *spans,
		   unsigned int max_spans);

#endif
