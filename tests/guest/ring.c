/* SPDX-License-Identifier: Apache-2.0 */
/* Guest: requests through a queue of either form, see ring.h. */
#include "tests/guest/ring.h"

#define SIZE		128u

/* virtio 1.2, 2.8.13: flags and id lie where a split ring has next and flags */
#define PACKED_AVAIL	0x80u
#define PACKED_USED	0x8000u

static int is_packed;
static uint8_t nr_pieces[RING_NUMBERS];	/* 0: it is not submitted */

static uint16_t seen;			/* of a split used ring */

/* Packed: next slot to fill, to find used, and the wrap counters there. */
static uint32_t avail_slot, used_slot;
static uint16_t avail_wrap = 1, used_wrap = 1;

void ring_start(int packed)
{
	is_packed = packed;
	if (driver_start_with(SIZE, packed ? F_RING_PACKED : 0) & F_RING_PACKED ||
	    !packed)
		return;
	put("no packed rings\n");
	power_off();
}

static void split_submit(uint32_t number, const struct ring_piece *pieces,
			 uint32_t nr)
{
	uint16_t head = (uint16_t)(number * RING_PIECES);

	for (uint32_t i = 0; i < nr; i++)
		desc[head + i] = (struct desc){
			pieces[i].addr, pieces[i].len,
			(uint16_t)((pieces[i].device_writes ? DESC_WRITE : 0) |
				   (i + 1 < nr ? DESC_NEXT : 0)),
			(uint16_t)(head + i + 1),
		};
	driver.ring[driver.idx % SIZE] = head;
	barrier();
	driver.idx++;
}

static void advance(uint32_t *slot, uint16_t *wrap, uint32_t nr)
{
	*slot += nr;
	if (*slot < SIZE)
		return;
	*slot -= SIZE;
	*wrap = !*wrap;
}

/* virtio 1.2, 2.8.6: the first descriptor becomes available last */
static void packed_submit(uint32_t number, const struct ring_piece *pieces,
			  uint32_t nr)
{
	volatile uint16_t *first = &desc[avail_slot].next;
	uint16_t first_flags = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct desc *to = &desc[avail_slot];
		uint16_t flags = (uint16_t)
			((pieces[i].device_writes ? DESC_WRITE : 0) |
			 (i + 1 < nr ? DESC_NEXT : 0) |
			 (avail_wrap ? PACKED_AVAIL : PACKED_USED));

		to->addr = pieces[i].addr;
		to->len = pieces[i].len;
		to->flags = (uint16_t)number;
		if (i == 0)
			first_flags = flags;
		else
			to->next = flags;
		advance(&avail_slot, &avail_wrap, 1);
	}
	barrier();
	*first = first_flags;
}

void ring_submit(uint32_t number, const struct ring_piece *pieces,
		 uint32_t nr)
{
	nr_pieces[number] = (uint8_t)nr;
	if (is_packed)
		packed_submit(number, pieces, nr);
	else
		split_submit(number, pieces, nr);
	barrier();
	mmio_write16(notify, queue_index);
}

static int split_take(uint32_t *id)
{
	if (seen == *(volatile uint16_t *)&device.idx)
		return 0;
	barrier();
	*id = device.ring[seen % SIZE].id;
	seen++;
	if (*id % RING_PIECES)
		return -1;
	*id /= RING_PIECES;
	return 1;
}

static int packed_take(uint32_t *id)
{
	uint16_t flags = *(volatile uint16_t *)&desc[used_slot].next;

	uint16_t both = PACKED_AVAIL | PACKED_USED;

	if ((flags & both) != (used_wrap ? both : 0))
		return 0;
	barrier();
	*id = desc[used_slot].flags;
	/* An id that cannot be leaves the place unknown; one slot, then. */
	advance(&used_slot, &used_wrap,
		*id < RING_NUMBERS && nr_pieces[*id] ? nr_pieces[*id] : 1);
	return 1;
}

int ring_take(uint32_t *number)
{
	int ret = is_packed ? packed_take(number) : split_take(number);

	if (ret <= 0)
		return ret;
	if (*number >= RING_NUMBERS || !nr_pieces[*number])
		return -1;
	nr_pieces[*number] = 0;
	return 1;
}
