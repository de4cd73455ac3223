/* SPDX-License-Identifier: Apache-2.0 */
/* The in-flight region as a whole, see inflight_region.h.  Virtio devices, C6. */
#include "devproc/inflight_region.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devproc/peer_file.h"
#include "devproc/vhost_device.h"
#include "ipc/memfd.h"

static struct {
	int own_fd;		/* for GET_INFLIGHT_FD */
	void *map;		/* NULL: no region */
	size_t map_bytes;
	uint16_t nr_queues;
	uint16_t queue_size;
} region = { .own_fd = -1 };

int inflight_region_open(unsigned int nr_queues)
{
	off_t bytes = nr_queues *
		      (off_t)inflight_queue_bytes(VRING_MAX_SIZE);
	int fd = memfd_sealable("bulkhead-inflight", 0);

	if (fd < 0)
		return -errno;
	/* Its size is a promise to whoever maps it. */
	if (ftruncate(fd, bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	region.own_fd = fd;
	return 0;
}

void inflight_region_drop(void)
{
	if (region.map)
		munmap(region.map, region.map_bytes);
	region.map = NULL;
}

static int sizes_check(const struct vhost_user_inflight *peer,
		       unsigned int max_queues)
{
	if (peer->nr_queues == 0 || peer->nr_queues > max_queues ||
	    peer->queue_size == 0 || peer->queue_size > VRING_MAX_SIZE)
		return -EINVAL;
	return 0;
}

static int region_map(const struct vhost_user_inflight *sizes, int fd)
{
	void *map;

	inflight_region_drop();
	map = mmap(NULL, sizes->mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, (off_t)sizes->mmap_offset);
	if (map == MAP_FAILED)
		return -errno;
	region.map = map;
	region.map_bytes = sizes->mmap_size;
	region.nr_queues = sizes->nr_queues;
	region.queue_size = sizes->queue_size;
	return 0;
}

int inflight_region_get(struct vhost_user_inflight *wanted,
			unsigned int max_queues, int *fd)
{
	int ret = sizes_check(wanted, max_queues);

	if (ret)
		return ret;
	wanted->mmap_size = wanted->nr_queues *
			    inflight_queue_bytes(wanted->queue_size);
	wanted->mmap_offset = 0;
	ret = region_map(wanted, region.own_fd);
	if (ret)
		return ret;
	/* It may have been handed out before. */
	memset(region.map, 0, region.map_bytes);
	*fd = region.own_fd;
	return 0;
}

/* All that the queues' parts need lies in the mapping, and in the file. */
static int file_check(const struct vhost_user_inflight *peer, int fd)
{
	uint64_t need = peer->nr_queues *
			inflight_queue_bytes(peer->queue_size);
	uint64_t page_bytes, end;

	if (peer->mmap_size < need || peer->mmap_offset % 4096 ||
	    __builtin_add_overflow(peer->mmap_offset, peer->mmap_size, &end))
		return -EINVAL;
	return peer_file_check(fd, end, &page_bytes);
}

int inflight_region_set(const struct vhost_user_inflight *peer,
			unsigned int max_queues, int fd)
{
	int ret = sizes_check(peer, max_queues);

	if (!ret)
		ret = file_check(peer, fd);
	if (!ret)
		ret = region_map(peer, fd);
	close(fd);
	return ret;
}

void *inflight_region_queue(unsigned int index, uint16_t *size)
{
	if (!region.map || index >= region.nr_queues)
		return NULL;
	*size = region.queue_size;
	return (uint8_t *)region.map +
	       index * inflight_queue_bytes(region.queue_size);
}
