/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a statistics page, see pages.h.  Core and devices; C3. */
#include "ipc/pages.h"

void stats_begin(struct stats_head *head, enum life_role role, uint32_t bytes)
{
	head->magic = STATS_MAGIC;
	head->version = STATS_VERSION;
	head->bytes = bytes;
	head->role = role;
}

void stats_born(struct stats_head *head)
{
	__atomic_store_n(&head->births, head->births + 1, __ATOMIC_RELAXED);
}
