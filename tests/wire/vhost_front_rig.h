/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm-core/vhost_front.c as the core has it, with two queues and guest RAM on
 * both sides of a hole; and a back-end to speak to.  One of each in a program.
 */
#ifndef TESTS_WIRE_VHOST_FRONT_RIG_H
#define TESTS_WIRE_VHOST_FRONT_RIG_H

#include <linux/virtio_config.h>

#include "tests/wire/fake_backend.h"
#include "vmm-core/vhost_front.h"

#define RAM_BYTES	0x10000u
#define HIGH_GPA	0x100000000ull
#define NR_QUEUES	2
#define DEADLINE_MS	150	/* instead of 5 s, where it is to pass */
#define SLACK_MS	5000	/* a loaded machine; without a deadline it is for ever */

#define VERSION_1	(1ull << VIRTIO_F_VERSION_1)

extern struct vhost_front front;
extern struct fake_backend fake;
extern struct guest_region region[2];
extern uint8_t *ram;	/* RAM_BYTES, mapped */
extern int channel[2];	/* front.channel_fd and front.channel_peer_fd */

/* The fixture; its memory and fds go with the test's process. */
void set_up_front(void);

/* As the driver would: rings ready, the second one in high memory. */
void set_up_queues(void);

/* Run fake, and shake hands with it. */
void attach(void);

#endif
