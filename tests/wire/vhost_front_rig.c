/* SPDX-License-Identifier: Apache-2.0 */
/* See vhost_front_rig.h. */
#include "tests/wire/vhost_front_rig.h"

#include <check.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/log.h"

#define CONFIG_BYTES	60
#define PATIENCE_MS	5000	/* where a good back-end answers, on any machine */

struct vhost_front front;
struct fake_backend fake;
struct guest_region region[2];
uint8_t *ram;
int channel[2];

static int event(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* 32 KiB at 0 and 32 KiB at 4 GiB, one behind the other in the memfd. */
static void make_ram(void)
{
	front.ram_fd = memfd_create("ram", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(front.ram_fd, RAM_BYTES), 0);
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		   front.ram_fd, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	region[0] = (struct guest_region){ 0, RAM_BYTES / 2, 0, ram };
	region[1] = (struct guest_region){ HIGH_GPA, RAM_BYTES / 2,
					   RAM_BYTES / 2, ram + RAM_BYTES / 2 };
	front.regions = region;
	front.nr_regions = 2;
}

void set_up_front(void)
{
	log_init("test", LOG_LEVEL_ERR);
	fake_backend_init(&fake);
	vhost_front_init(&front, "vda");
	make_ram();
	front.feature_mask = VERSION_1 | 0xffffff;
	front.min_queues = 1;
	front.max_queues = NR_QUEUES;
	front.config_bytes = CONFIG_BYTES;
	front.timeout_ms = PATIENCE_MS;
	front.drain_ms = PATIENCE_MS;
	front.err_fd = event();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), 0);
	front.channel_fd = channel[0];
	front.channel_peer_fd = channel[1];
	front.inflight_fd = memfd_create("inflight", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(front.inflight_fd, NR_QUEUES *
			 (off_t)inflight_queue_bytes(VHOST_FRONT_QUEUE_SIZE)),
			 0);
	for (int i = 0; i < NR_QUEUES; i++) {
		front.queue[i].kick_fd = event();
		front.queue[i].call_fd = event();
	}
}

void set_up_queues(void)
{
	for (unsigned int i = 0; i < NR_QUEUES; i++) {
		uint64_t base = i ? HIGH_GPA : 0;

		front.queue[i].ready = true;
		front.queue[i].size = 128;
		front.queue[i].desc = base + 0x1000;
		front.queue[i].driver = base + 0x2000;
		front.queue[i].device = base + 0x3000;
	}
}

void attach(void)
{
	ck_assert_int_eq(vhost_front_attach(&front, fake_backend_run(&fake)),
			 0);
}
