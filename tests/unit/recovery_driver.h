/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a small ring of either form, for the model test of
 * recovery: requests with numbers, offered and got back.  Its state is a
 * struct to be copied, as one driver meets many crashes.
 */
#ifndef TESTS_UNIT_RECOVERY_DRIVER_H
#define TESTS_UNIT_RECOVERY_DRIVER_H

#include "devproc/vring_priv.h"

#define RECOVERY_SIZE	4u	/* of the ring */

/* The ring's guest-physical addresses; request n has its buffer at 16 * n. */
#define RECOVERY_AVAIL	0x1000u
#define RECOVERY_USED	0x2000u
#define RECOVERY_DATA	0x3000u

struct recovery_driver {
	const struct recovery_form *form;
	uint16_t next_used;			/* split */
	struct vring_place avail, used;		/* packed */
	struct {
		bool busy;
		uint16_t number;	/* of the request */
		uint16_t nr_descs;
	} by_id[RECOVERY_SIZE];
};

struct recovery_form {
	const struct vring_form *form;
	/* An empty ring, at base as vhost-user has it; ram is zero. */
	void (*begin)(struct recovery_driver *driver, uint8_t *ram,
		      uint32_t base);
	/* Request number, of nr_descs descriptors (packed; split: 1). */
	void (*offer)(struct recovery_driver *driver, uint8_t *ram,
		      uint16_t number, uint16_t nr_descs);
	/* One that came back: its number; -1 none; -2 what nobody waits for. */
	int (*take_back)(struct recovery_driver *driver, const uint8_t *ram);
	/* What a front-end tells a successor. */
	uint32_t (*base)(const uint8_t *ram, uint32_t first);
};

extern const struct recovery_form recovery_split;
extern const struct recovery_form recovery_packed;

#endif
