/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM as registered buffers, see fixed.h.  bulkhead-blk, C5 and D4. */
#include "devproc/blk/fixed.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "devproc/device.h"
#include "devproc/guest_mem.h"
#include "ipc/log.h"

/* A region of guest RAM: slices, and the buffers of the same order. */
struct area {
	uint8_t *host;
	uint64_t bytes;
	unsigned int first;	/* buffer */
	unsigned int nr;	/* buffers that it is to have */
	unsigned int done;	/* the first of them are registered */
};

static struct io_uring *ring;
static struct area areas[VHOST_USER_MAX_REGIONS];
static unsigned int nr_areas;

static int update(unsigned int index, const struct iovec *buffer)
{
	int ret = io_uring_register_buffers_update_tag(ring, index, buffer,
						       NULL, 1);

	return ret < 0 ? ret : 0;
}

static struct iovec slice_of(const struct area *area, unsigned int slice)
{
	uint64_t at = (uint64_t)slice * FIXED_SLICE_BYTES;
	uint64_t left = area->bytes - at;

	return (struct iovec){
		.iov_base = area->host + at,
		.iov_len = left < FIXED_SLICE_BYTES ? left : FIXED_SLICE_BYTES,
	};
}

static void show_bytes(void)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < nr_areas; i++)
		for (unsigned int j = 0; j < areas[i].done; j++)
			bytes += slice_of(&areas[i], j).iov_len;
	__atomic_store_n(&device_stats->disk.registered_bytes, bytes,
			 __ATOMIC_RELAXED);
}

/* One line, however many there are. */
static void complain(int ret)
{
	static bool said;

	if (said)
		return;
	said = true;
	log_warn("not all of guest RAM is registered with io_uring (%s)%s; the disk goes on without",
		 strerror(-ret), ret == -ENOMEM ?
		 ": raise the limit of locked memory (ulimit -Hl)" : "");
}

static const struct iovec none;

/*
 * No more of it.  At the limit of locked memory the last slice goes back: rings
 * of other processes of this user need room, too.
 */
static void give_up(struct area *area, int ret)
{
	complain(ret);
	if (ret == -ENOMEM && area->done > 0 &&
	    update(area->first + area->done - 1, &none) == 0)
		area->done--;
	area->nr = area->done;
	show_bytes();
}

bool fixed_next(void)
{
	for (unsigned int i = 0; i < nr_areas; i++) {
		struct area *area = &areas[i];
		struct iovec slice;
		int ret;

		if (area->done == area->nr)
			continue;
		slice = slice_of(area, area->done);
		ret = update(area->first + area->done, &slice);
		if (ret) {
			give_up(area, ret);
		} else {
			area->done++;
			show_bytes();
		}
		return true;
	}
	return false;
}

int fixed_index(const void *buf, size_t bytes)
{
	for (unsigned int i = 0; i < nr_areas; i++) {
		const struct area *area = &areas[i];
		uint64_t at = (uintptr_t)buf - (uintptr_t)area->host;
		uint64_t slice = at / FIXED_SLICE_BYTES;

		if (at >= area->bytes)
			continue;
		if (slice >= area->done ||
		    at % FIXED_SLICE_BYTES + bytes >
		    slice_of(area, (unsigned int)slice).iov_len)
			return -1;
		return (int)(area->first + slice);
	}
	return -1;
}

/* --- regions that come and go ------------------------------------------------ */

/*
 * Find room for nr buffers in a row, or for as many as there is room for behind
 * all that are in use.  Sets first.  Return: how many.
 */
static unsigned int find_room(unsigned int nr, unsigned int *first)
{
	unsigned int last = 0;

	for (unsigned int i = 0; i < nr_areas; i++)
		if (last < areas[i].first + areas[i].nr)
			last = areas[i].first + areas[i].nr;
	*first = 0;
	/* Each area pushes it on at most once: it only grows. */
	for (unsigned int i = 0; i < nr_areas && *first < last;) {
		const struct area *area = &areas[i++];

		if (*first < area->first + area->nr &&
		    area->first < *first + nr) {
			*first = area->first + area->nr;
			i = 0;
		}
	}
	return nr < FIXED_MAX - *first ? nr : FIXED_MAX - *first;
}

static void on_added(uint8_t *host, uint64_t bytes)
{
	uint64_t slices = bytes / FIXED_SLICE_BYTES +
			  (bytes % FIXED_SLICE_BYTES != 0);
	struct area area = { .host = host, .bytes = bytes };

	area.nr = find_room(slices < FIXED_MAX ? (unsigned int)slices :
						 FIXED_MAX, &area.first);
	if (area.nr < slices)
		complain(-ENOSPC);
	areas[nr_areas++] = area;
}

/* What is in flight keeps its pages: the kernel counts. */
static void on_removed(uint8_t *host, uint64_t bytes)
{
	for (unsigned int i = 0; i < nr_areas; i++) {
		if (areas[i].host != host || areas[i].bytes != bytes)
			continue;
		for (unsigned int j = 0; j < areas[i].done; j++)
			if (update(areas[i].first + j, &none))
				device_fail("a registered buffer cannot be given back");
		areas[i] = areas[--nr_areas];
		break;
	}
	show_bytes();
}

void fixed_open(struct io_uring *with)
{
	static const struct guest_mem_watcher watcher = {
		.added = on_added,
		.removed = on_removed,
	};

	ring = with;
	guest_mem_watch(&watcher);
}
