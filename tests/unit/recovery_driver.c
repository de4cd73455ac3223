/* SPDX-License-Identifier: Apache-2.0 */
/* A driver for the model test of recovery, see recovery_driver.h. */
#include "tests/unit/recovery_driver.h"

#include <stdlib.h>
#include <string.h>

#define SIZE	RECOVERY_SIZE

static uint64_t buffer_of(uint16_t number)
{
	return RECOVERY_DATA + 16ull * (number % 64);
}

static uint16_t new_id(struct recovery_driver *driver, uint16_t number,
		       uint16_t nr_descs)
{
	uint16_t id = 0;

	while (id < SIZE && driver->by_id[id].busy)
		id++;
	if (id == SIZE)
		abort();
	driver->by_id[id].busy = true;
	driver->by_id[id].number = number;
	driver->by_id[id].nr_descs = nr_descs;
	return id;
}

static int old_id(struct recovery_driver *driver, uint32_t id)
{
	if (id >= SIZE || !driver->by_id[id].busy)
		return -2;
	driver->by_id[id].busy = false;
	return driver->by_id[id].number;
}

/* --- split (virtio 1.2, 2.7) ------------------------------------------------- */

static void split_begin(struct recovery_driver *driver, uint8_t *ram,
			uint32_t base)
{
	struct vring_available *avail = (void *)(ram + RECOVERY_AVAIL);
	struct vring_used_ring *used = (void *)(ram + RECOVERY_USED);

	memset(driver, 0, sizeof(*driver));
	driver->form = &recovery_split;
	driver->next_used = avail->idx = used->idx = (uint16_t)base;
}

static void split_offer(struct recovery_driver *driver, uint8_t *ram,
			uint16_t number, uint16_t nr_descs)
{
	struct vring_descriptor *desc = (void *)ram;
	struct vring_available *avail = (void *)(ram + RECOVERY_AVAIL);
	uint16_t head = new_id(driver, number, nr_descs);

	desc[head] = (struct vring_descriptor){
		.addr = buffer_of(number), .len = 16,
	};
	avail->ring[avail->idx % SIZE] = head;
	avail->idx++;
}

static int split_take_back(struct recovery_driver *driver, const uint8_t *ram)
{
	const struct vring_used_ring *used = (const void *)(ram +
							    RECOVERY_USED);

	if (driver->next_used == used->idx)
		return -1;
	return old_id(driver, used->ring[driver->next_used++ % SIZE].id);
}

/* As the core has it: a successor starts at the used index. */
static uint32_t split_base(const uint8_t *ram, uint32_t first)
{
	const struct vring_used_ring *used = (const void *)(ram +
							    RECOVERY_USED);

	(void)first;
	return used->idx;
}

const struct recovery_form recovery_split = {
	.form = &vring_form_split,
	.begin = split_begin,
	.offer = split_offer,
	.take_back = split_take_back,
	.base = split_base,
};

/* --- packed (virtio 1.2, 2.8) ------------------------------------------------ */

static void packed_begin(struct recovery_driver *driver, uint8_t *ram,
			 uint32_t base)
{
	struct vring_packed_descriptor *desc = (void *)ram;
	bool wrap = base >> 15 & 1;

	memset(driver, 0, sizeof(*driver));
	driver->form = &recovery_packed;
	driver->avail.slot = base & 0x7fff;
	driver->avail.wrap = wrap;
	driver->used = driver->avail;
	/* What was used on the lap before, and earlier on this one. */
	for (uint16_t i = 0; i < SIZE; i++)
		desc[i].flags = vring_flags_used(0,
				i < driver->used.slot ? wrap : !wrap);
}

static void packed_offer(struct recovery_driver *driver, uint8_t *ram,
			 uint16_t number, uint16_t nr_descs)
{
	struct vring_packed_descriptor *desc = (void *)ram;
	uint16_t id = new_id(driver, number, nr_descs);

	for (uint16_t i = 0; i < nr_descs; i++) {
		uint16_t next = i + 1 < nr_descs ? VRING_DESC_NEXT : 0;

		desc[driver->avail.slot] = (struct vring_packed_descriptor){
			.addr = buffer_of(number), .len = 16, .id = id,
			.flags = vring_flags_available(next,
						       driver->avail.wrap),
		};
		vring_place_advance(&driver->avail, 1, SIZE);
	}
}

static int packed_take_back(struct recovery_driver *driver,
			    const uint8_t *ram)
{
	const struct vring_packed_descriptor *desc = (const void *)ram;
	uint16_t flags = desc[driver->used.slot].flags;
	uint16_t id = desc[driver->used.slot].id;
	uint16_t both = VRING_DESC_AVAIL | VRING_DESC_USED;

	if ((flags & both) != (driver->used.wrap ? both : 0))
		return -1;
	if (id < SIZE)
		vring_place_advance(&driver->used,
				    driver->by_id[id].nr_descs, SIZE);
	return old_id(driver, id);
}

/* The core does not know: the in-flight region does. */
static uint32_t packed_base(const uint8_t *ram, uint32_t first)
{
	(void)ram;
	return first;
}

const struct recovery_form recovery_packed = {
	.form = &vring_form_packed,
	.begin = packed_begin,
	.offer = packed_offer,
	.take_back = packed_take_back,
	.base = packed_base,
};
