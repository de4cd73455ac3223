/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as a device process sees it, see guest_mem.h.  Virtio devices,
 * after confine_self(); C5 when mapped, D3 when translated.
 */
#include "devproc/guest_mem.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devproc/peer_file.h"

struct guest_region {
	gpa_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint8_t *host;		/* of gpa */
	void *map;		/* page-aligned, of munmap() */
	size_t map_bytes;
};

/* regions[0 .. nr_regions - 1], no two overlap; this process's only copy. */
static struct guest_region regions[VHOST_USER_MAX_REGIONS];
static unsigned int nr_regions;
static const struct guest_mem_watcher *watcher;

void guest_mem_watch(const struct guest_mem_watcher *new_watcher)
{
	watcher = new_watcher;
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b,
			   uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Nothing wraps, nothing overlaps what is there. */
static int region_check(const struct vhost_user_region *r)
{
	uint64_t end;

	if (r->size == 0 ||
	    __builtin_add_overflow(r->gpa, r->size, &end) ||
	    __builtin_add_overflow(r->user_addr, r->size, &end) ||
	    __builtin_add_overflow(r->mmap_offset, r->size, &end) ||
	    end > INT64_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < nr_regions; i++) {
		const struct guest_region *o = &regions[i];

		if (ranges_overlap(r->gpa, r->size, o->gpa, o->size) ||
		    ranges_overlap(r->user_addr, r->size, o->user_addr,
				   o->size))
			return -EINVAL;
	}
	return 0;
}

static int region_map(struct guest_region *region,
		      const struct vhost_user_region *r, int fd)
{
	uint64_t page_bytes = 4096, skew, bytes;
	int ret = peer_file_check(fd, r->mmap_offset + r->size, &page_bytes);

	if (ret)
		return ret;
	skew = r->mmap_offset & (page_bytes - 1);
	/* Cannot wrap: the file has all of it, and files end at INT64_MAX. */
	bytes = (r->size + skew + page_bytes - 1) & ~(page_bytes - 1);
	region->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, (off_t)(r->mmap_offset - skew));
	if (region->map == MAP_FAILED)
		return -errno;
	region->map_bytes = bytes;
	region->host = (uint8_t *)region->map + skew;
	region->gpa = r->gpa;
	region->size = r->size;
	region->user_addr = r->user_addr;
	return 0;
}

int guest_mem_add(const struct vhost_user_region *peer_region, int fd)
{
	int ret = nr_regions == VHOST_USER_MAX_REGIONS ?
		-ENOSPC : region_check(peer_region);

	if (!ret)
		ret = region_map(&regions[nr_regions], peer_region, fd);
	if (!ret && watcher)
		watcher->added(regions[nr_regions].host,
			       regions[nr_regions].size);
	if (!ret)
		nr_regions++;
	close(fd);
	return ret;
}

static void region_unmap(const struct guest_region *region)
{
	if (watcher)
		watcher->removed(region->host, region->size);
	munmap(region->map, region->map_bytes);
}

int guest_mem_remove(const struct vhost_user_region *peer_region)
{
	for (unsigned int i = 0; i < nr_regions; i++) {
		struct guest_region *r = &regions[i];

		if (r->gpa != peer_region->gpa || r->size != peer_region->size ||
		    r->user_addr != peer_region->user_addr)
			continue;
		region_unmap(r);
		*r = regions[--nr_regions];
		return 0;
	}
	return -ENOENT;
}

void guest_mem_clear(void)
{
	while (nr_regions > 0) {
		nr_regions--;
		region_unmap(&regions[nr_regions]);
	}
}

void *guest_mem_from_user(uint64_t user_addr, uint64_t len, uint64_t align)
{
	for (unsigned int i = 0; i < nr_regions; i++) {
		const struct guest_region *r = &regions[i];
		uint64_t at = user_addr - r->user_addr;
		uint8_t *host;

		if (user_addr < r->user_addr || at >= r->size ||
		    len > r->size - at)
			continue;
		host = r->host + at;
		return (uintptr_t)host & (align - 1) ? NULL : host;
	}
	return NULL;
}

static const struct guest_region *region_of(gpa_t gpa)
{
	for (unsigned int i = 0; i < nr_regions; i++)
		if (gpa - regions[i].gpa < regions[i].size)
			return &regions[i];
	return NULL;
}

int guest_mem_span(gpa_t gpa, uint64_t len, struct iovec *spans,
		   unsigned int max_spans)
{
	unsigned int nr = 0;
	gpa_t end;

	if (len == 0 || __builtin_add_overflow(gpa, len, &end))
		return -EFAULT;
	while (len > 0) {
		const struct guest_region *r = region_of(gpa);
		uint64_t at, piece;

		if (!r)
			return -EFAULT;
		if (nr == max_spans)
			return -E2BIG;
		at = gpa - r->gpa;
		piece = len < r->size - at ? len : r->size - at;
		spans[nr].iov_base = r->host + at;
		spans[nr].iov_len = piece;
		nr++;
		gpa += piece;
		len -= piece;
	}
	return (int)nr;
}
