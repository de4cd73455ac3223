/* SPDX-License-Identifier: Apache-2.0 */
/* A disk, its device and a driver for tests, see blk_rig.h. */
#include "tests/wire/blk_rig.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct child child;
struct front front;
struct front_queue *queue = &front.queue[0];
bool was_direct;
int disk_fd = -1;

/* A disk whose every sector says where it is; on a file system, for O_DIRECT. */
void make_disk(void)
{
	static uint64_t words[DISK_BYTES / 8];
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < DISK_BYTES / 8; i++)
		words[i] = i / (SECTOR / 8);
	ck_assert_int_eq(write(fd, words, DISK_BYTES), DISK_BYTES);
	disk_fd = fd;
}

void remove_disk(void)
{
	close(disk_fd);
}

/* A description of its own, as a second open() of a name would be. */
static int reopen_disk(int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk_fd);
	return open(path, flags | O_CLOEXEC);
}

/* O_DIRECT where the file system can; a tmpfs cannot. */
static int open_disk(struct life_birth_blk *blk)
{
	int flags = blk->read_only ? O_RDONLY : O_RDWR;
	int fd = blk->direct ? reopen_disk(flags | O_DIRECT) : -1;

	if (fd >= 0)
		return fd;
	blk->direct = 0;
	return reopen_disk(flags);
}

void bear(const struct life_birth_blk *wanted)
{
	struct life_birth_blk blk = *wanted;
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &blk,
		.link_type = SOCK_STREAM, .res_fd = open_disk(&blk),
		.res2_fd = -1,
	};

	ck_assert_int_ge(spec.res_fd, 0);
	was_direct = blk.direct;
	child_start(&child, &spec);
}

const struct life_birth_blk usual = {
	.nr_queues = 2, .direct = 1, .discard = 1, .poll_us = 100,
	.sched_batch = 1,
	.serial = "a serial number",
};

void start_with(const struct life_birth_blk *blk,
		const struct front_options *options)
{
	bear(blk);
	front_start(&front, child.link, options);
}

void start(void)
{
	start_with(&usual, NULL);
}

const struct front_options no_flush = {
	.features = ~(1ull << VIRTIO_BLK_F_FLUSH),
};

/* Every answer is as the guest would have it, and what it does not want is not. */
void read_and_check(struct front_blk *blk, uint64_t sector, uint32_t len)
{
	const uint64_t *words = front_blk_data(&front, blk);

	memset(front_blk_data(&front, blk), 0xee, len);
	ck_assert_uint_eq(front_blk_do(queue, blk, VIRTIO_BLK_T_IN, sector,
				       len), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(blk->written, len + 1);
	for (uint32_t i = 0; i < len / 8; i++) {
		uint64_t word;

		memcpy(&word, words + i, sizeof(word));
		ck_assert_uint_eq(word, sector + i / (SECTOR / 8));
	}
}

void read_disk(void *buf, size_t len, off_t offset)
{
	ck_assert_int_eq(pread(disk_fd, buf, len, offset), (ssize_t)len);
}
