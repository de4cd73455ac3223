/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest: 32 requests in flight at all times, each a slot of its own that
 * writes a new pattern to its own sectors and reads it back, for as long as
 * nobody types a character.  Then it drains, and says what it has seen: how
 * many requests ended, how many with a bad status or the wrong pattern, how
 * many it got back twice or without having asked, how many never.
 *
 * Command line "halt": then it halts, for ever; else the power is off.  With
 * "packed" it is a packed ring; with "second" it is the disk's second queue, and
 * the first is not used.
 *
 * The completions are looked at in the ring, so that a device that forgets its
 * interrupt does no harm here; other guests are about those.
 */
#include "tests/guest/ring.h"

#define NR_SLOTS	RING_NUMBERS
#define SLOT_SECTORS	8u
#define FLUSH_EVERY	16u		/* writes of a slot */
#define ASK_EVERY	256u		/* looks, between those at COM1 */
#define DRAIN_LOOKS	20000000u

#define LSR		(PORT_COM1 + 5)
#define LSR_DATA	1u

enum step { STEP_WRITE, STEP_FLUSH, STEP_READ };

static struct slot {
	struct blk_header header;
	uint8_t status;
	uint8_t step;
	uint8_t in_flight;
	uint32_t round;
	uint64_t data[SECTOR / 8] __attribute__((aligned(SECTOR)));
} slots[NR_SLOTS];

static uint64_t nr_done, nr_bad, nr_strange;

static uint64_t pattern(uint32_t slot, uint32_t round, uint32_t word)
{
	return (uint64_t)round << 32 | slot << 16 | word;
}

static void fill(uint32_t i)
{
	for (uint32_t word = 0; word < SECTOR / 8; word += 9)
		slots[i].data[word] = pattern(i, slots[i].round, word);
}

static void forget(uint32_t i)
{
	for (uint32_t word = 0; word < SECTOR / 8; word += 9)
		slots[i].data[word] = 0;
}

static int is_filled(uint32_t i)
{
	for (uint32_t word = 0; word < SECTOR / 8; word += 9)
		if (slots[i].data[word] != pattern(i, slots[i].round, word))
			return 0;
	return 1;
}

static void submit(uint32_t i)
{
	static const uint32_t types[] = {
		[STEP_WRITE] = T_OUT, [STEP_FLUSH] = T_FLUSH, [STEP_READ] = T_IN,
	};
	struct slot *slot = &slots[i];
	struct ring_piece pieces[RING_PIECES] = {
		{ (uint64_t)&slot->header, 16, 0 },
		{ (uint64_t)slot->data, SECTOR, slot->step == STEP_READ },
	};
	uint32_t nr = slot->step == STEP_FLUSH ? 1 : 2;

	pieces[nr] = (struct ring_piece){ (uint64_t)&slot->status, 1, 1 };
	slot->header.type = types[slot->step];
	slot->header.sector = i * SLOT_SECTORS;
	slot->status = 0xff;
	slot->in_flight = 1;
	ring_submit(i, pieces, nr + 1);
}

/* What comes after what has ended. */
static void advance(uint32_t i)
{
	struct slot *slot = &slots[i];

	if (slot->status != 0)
		nr_bad++;
	switch (slot->step) {
	case STEP_WRITE:
		slot->step = slot->round % FLUSH_EVERY ? STEP_READ : STEP_FLUSH;
		break;
	case STEP_FLUSH:
		slot->step = STEP_READ;
		break;
	default:
		if (!is_filled(i))
			nr_bad++;
		slot->round++;
		slot->step = STEP_WRITE;
	}
	if (slot->step == STEP_WRITE)
		fill(i);
	else if (slot->step == STEP_READ)
		forget(i);
}

/* Some that have ended; more comes meanwhile.  again: submit what follows. */
static void look(int again)
{
	for (uint32_t looks = 0; looks < NR_SLOTS; looks++) {
		uint32_t i;
		int came = ring_take(&i);

		if (came == 0)
			return;
		if (came < 0) {
			nr_strange++;
			continue;
		}
		slots[i].in_flight = 0;
		nr_done++;
		advance(i);
		if (again)
			submit(i);
	}
}

static uint32_t nr_in_flight(void)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < NR_SLOTS; i++)
		nr += slots[i].in_flight;
	return nr;
}

static void storm(void)
{
	for (uint32_t i = 0; i < NR_SLOTS; i++) {
		slots[i].round = 1;
		fill(i);
		submit(i);
	}
	for (uint32_t looks = 0; ; looks++) {
		look(1);
		if (looks % ASK_EVERY == 0 && in8(LSR) & LSR_DATA)
			return;
	}
}

void guest_main(const char *cmdline)
{
	lapic_enable();
	if (!find_disk()) {
		put("no disk\n");
		power_off();
	}
	find_caps();
	set_vector(0x50);
	queue_index = (uint16_t)text_equal(cmdline, "second");
	ring_start(text_equal(cmdline, "packed"));
	put("storm\n");
	storm();
	for (uint32_t looks = 0; looks < DRAIN_LOOKS && nr_in_flight(); looks++)
		look(0);
	put_value("done", nr_done);
	put_value("bad", nr_bad);
	put_value("strange", nr_strange);
	put_value("lost", nr_in_flight());
	mmio_write8(common + STATUS, 0);
	put_value("status", mmio_read8(common + STATUS));
	while (text_equal(cmdline, "halt"))
		__asm__ volatile("cli; hlt");
	power_off();
}
