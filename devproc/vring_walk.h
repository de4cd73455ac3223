/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of descriptors to spans of guest RAM, for both forms of rings
 * (vring_split.c, vring_packed.c).  Virtio devices; D3.
 *
 * What runs for each descriptor is inline: it is a good part of what a request
 * costs that the host has in its cache.
 */
#ifndef DEVPROC_VRING_WALK_H
#define DEVPROC_VRING_WALK_H

#include <errno.h>

#include "devproc/guest_mem.h"
#include "devproc/vring_priv.h"

/* A walk along one chain. */
struct vring_walk {
	struct vring_chain *chain;
	const char *reason;	/* why it is broken, if it is */
};

/* Return: -EPROTO. */
static inline int vring_walk_broken(struct vring_walk *walk,
				    const char *reason)
{
	walk->reason = reason;
	return -EPROTO;
}

/* No room for all spans: keep the last one, the status byte may be there. */
int vring_walk_keep_last(struct vring_walk *walk, uint64_t last_byte,
			 bool in);

/*
 * An indirect table of len bytes at addr.
 * Return: how many descriptors it has, *table; or vring_walk_broken()'s.
 */
static inline int vring_walk_table(struct vring_walk *walk, uint64_t addr,
				   uint32_t len, const volatile void **table)
{
	uint32_t nr = len / sizeof(struct vring_descriptor);
	struct iovec span;

	if (len == 0 || len % sizeof(struct vring_descriptor) ||
	    nr > VRING_MAX_SIZE)
		return vring_walk_broken(walk,
				"an indirect table's size is wrong");
	if (guest_mem_span(addr, len, &span, 1) != 1)
		return vring_walk_broken(walk,
				"an indirect table is not in guest RAM");
	*table = span.iov_base;
	return (int)nr;
}

/* One descriptor, latched, that is no table: a buffer of the chain. */
static inline int vring_walk_add(struct vring_walk *walk, uint64_t addr,
				 uint32_t len, bool in)
{
	struct vring_chain *chain = walk->chain;
	uint32_t *bytes = in ? &chain->in_bytes : &chain->out_bytes;
	unsigned int used = chain->nr_out + chain->nr_in;
	uint32_t total;
	int nr;

	/* virtio 1.2, 2.7.4.2, 2.8.17: device-writable ones after all others */
	if (!in && chain->nr_in > 0)
		return vring_walk_broken(walk,
				"a buffer to read follows one to write");
	/* virtio 1.2, 2.7.5, 2.8.5: "2^32 bytes in total" bound a chain */
	if (len == 0 || __builtin_add_overflow(*bytes, len, bytes) ||
	    __builtin_add_overflow(chain->in_bytes, chain->out_bytes, &total))
		return vring_walk_broken(walk,
				"a buffer is empty or the chain too long");
	nr = guest_mem_span(addr, len, &chain->spans[used],
			    chain->max_spans - used);
	if (nr == -E2BIG)
		return vring_walk_keep_last(walk, addr + len - 1, in);
	if (nr < 0)
		return vring_walk_broken(walk, "a buffer is not in guest RAM");
	if (in)
		chain->nr_in = (uint16_t)(chain->nr_in + nr);
	else
		chain->nr_out = (uint16_t)(chain->nr_out + nr);
	return 0;
}

#endif
