/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of descriptors to spans of guest RAM: what is rare, see vring_walk.h.
 * Virtio devices; D3.
 */
#include "devproc/vring_walk.h"

int vring_walk_keep_last(struct vring_walk *walk, uint64_t last_byte, bool in)
{
	struct vring_chain *chain = walk->chain;
	uint16_t last = (uint16_t)(chain->max_spans - 1);

	chain->cut = true;
	if (guest_mem_span(last_byte, 1, &chain->spans[last], 1) != 1)
		return vring_walk_broken(walk, "a buffer is not in guest RAM");
	if (!in)
		chain->nr_out = chain->max_spans;
	else if (chain->nr_out > last)
		chain->nr_out = last;
	if (in)
		chain->nr_in = (uint16_t)(chain->max_spans - chain->nr_out);
	return 0;
}
