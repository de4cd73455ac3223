/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk: a virtio disk (virtio 1.2, 5.2) on a raw image or a block
 * device.  This file: features, config space, options; README.md says where
 * the rest is.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "devproc/blk/blk.h"
#include "devproc/blk/engine.h"
#include "devproc/blk/hold.h"
#include "devproc/blk/mirror.h"
#include "devproc/blk/qcow2_format.h"
#include "devproc/blk/record.h"
#include "devproc/blk/steps.h"
#include "devproc/blk/throttle.h"
#include "devproc/device.h"
#include "devproc/vhost_device.h"

#define VIRTIO_ID_BLOCK	2

/* Up to and with unused1[]: fields behind are of features not offered. */
#define CONFIG_BYTES	60

_Static_assert(offsetof(struct virtio_blk_config, write_zeroes_may_unmap) ==
	       CONFIG_BYTES - 4, "virtio_blk_config");

static struct blk_image image;
static uint16_t nr_queues;
static bool write_cache;	/* what the guest finds, by cache = */

static void blk_offer(uint64_t *features, uint16_t *queues)
{
	*queues = nr_queues;
	if (image.read_only)
		*features |= 1ull << VIRTIO_BLK_F_RO;
	if (image.discard)
		*features |= 1ull << VIRTIO_BLK_F_DISCARD |
			     1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

static void blk_accept(uint64_t features)
{
	/*
	 * virtio 1.2, 5.2.5.2 and 5.2.6.2: without FLUSH writes are stable
	 * when they end, and `writeback` is 0.
	 */
	image.write_through = !write_cache ||
			      !(features >> VIRTIO_BLK_F_FLUSH & 1);
}

static void blk_reset(void)
{
	image.write_through = !write_cache;
}

/*
 * virtio 1.2, 5.2.5: the driver may write `writeback` and nothing else.  What
 * was written before a switch to 0 is stable after the next write.
 */
static int blk_config_write(uint32_t offset, const uint8_t *data,
			    uint32_t size)
{
	if (size != 1 || offset != offsetof(struct virtio_blk_config, wce))
		return -EINVAL;
	image.write_through = !*data;
	return 0;
}

static void blk_config_read(uint8_t *space)
{
	uint32_t per_physical = image.physical_bytes / image.block_bytes;
	const struct virtio_blk_config config = {
		.capacity = image.bytes / SECTOR_BYTES,
		.seg_max = BLK_SEG_MAX,
		.blk_size = image.block_bytes,
		.physical_block_exp = (uint8_t)__builtin_ctz(per_physical),
		.min_io_size = (uint16_t)per_physical,
		.wce = !image.write_through,
		.num_queues = nr_queues,
		.max_discard_sectors = BLK_DISCARD_MAX_SECTORS,
		.max_discard_seg = 1,
		.discard_sector_alignment = image.physical_bytes /
					    SECTOR_BYTES,
		.max_write_zeroes_sectors = BLK_ZEROES_MAX_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};

	memcpy(space, &config, CONFIG_BYTES);
}

/* --- started by hand ------------------------------------------------------ */

static const char *image_path;
static bool poll_said;
static bool no_batch;
static const char *backing_path[LIFE_BLK_MAX_EXTRA];

static int parse_number(const char *value, unsigned long least,
			unsigned long most, uint16_t *number)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *value < '0' || *value > '9' || *end != '\0' ||
	    n < least || n > most)
		return -EINVAL;
	*number = (uint16_t)n;
	return 0;
}

static int parse_cache(const char *value, uint8_t *cache)
{
	for (uint8_t i = 0; i < LIFE_NR_CACHES; i++) {
		if (!strcmp(value, life_cache_names[i])) {
			*cache = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Nearest to the image first. */
static int note_backing(struct life_birth_blk *blk, const char *path, bool raw)
{
	if (!*path || blk->nr_backing == LIFE_BLK_MAX_EXTRA)
		return -EINVAL;
	if (raw)
		blk->raw_backing |= (uint16_t)(1u << blk->nr_backing);
	backing_path[blk->nr_backing++] = path;
	blk->nr_extra = blk->nr_backing;
	return 0;
}

static int blk_option(struct life_birth *birth, const char *name,
		      const char *value)
{
	struct life_birth_blk *blk = &birth->u.blk;

	if (!strcmp(name, "blk-file")) {
		image_path = value;
		return *value ? 0 : -EINVAL;
	}
	if (!strcmp(name, "read-only")) {
		blk->read_only = 1;
		return *value ? -EINVAL : 0;
	}
	if (!strcmp(name, "num-queues"))
		return parse_number(value, 1, VHOST_MAX_QUEUES,
				    &blk->nr_queues);
	if (!strcmp(name, "serial")) {
		if (strlen(value) > BLK_ID_BYTES)
			return -EINVAL;
		strcpy(blk->serial, value);
		return 0;
	}
	if (!strcmp(name, "cache"))
		return parse_cache(value, &blk->cache);
	if (!strcmp(name, "poll-us")) {
		poll_said = true;
		return parse_number(value, 0, LIFE_BLK_MAX_POLL_US,
				    &blk->poll_us);
	}
	if (!strcmp(name, "registered-buffers")) {
		blk->registered_buffers = 1;
		return *value ? -EINVAL : 0;
	}
	if (!strcmp(name, "no-sched-batch")) {
		no_batch = true;
		return *value ? -EINVAL : 0;
	}
	if (!strcmp(name, "format")) {
		blk->format = !strcmp(value, "qcow2") ? LIFE_BLK_QCOW2 :
							LIFE_BLK_RAW;
		return blk->format || !strcmp(value, "raw") ? 0 : -EINVAL;
	}
	if (!strcmp(name, "backing-raw") || !strcmp(name, "backing-qcow2"))
		return note_backing(blk, value, name[8] == 'r');
	return -ENOENT;
}

static int blk_acquire(struct life_birth *birth)
{
	struct life_birth_blk *blk = &birth->u.blk;
	int ret;

	if (!image_path) {
		log_err("--blk-file=IMAGE is missing; see --help");
		return -EINVAL;
	}
	blk->direct = life_cache_is_direct(blk->cache);
	blk->discard = 1;
	blk->sched_batch = !no_batch;
	if (!poll_said)
		blk->poll_us = LIFE_BLK_POLL_US;
	if (blk->nr_queues == 0)
		blk->nr_queues = 1;
	ret = image_acquire(image_path, blk->read_only, blk->direct, RES_FD);
	for (int i = 0; !ret && i < blk->nr_backing; i++)
		ret = image_acquire(backing_path[i], true, blk->direct,
				    EXTRA_FD + i);
	/* Now, and not when the first front-end comes. */
	return ret ? ret : image_measure(blk, &image);
}

/* --- life ----------------------------------------------------------------- */

static int blk_open(const struct life_birth *birth)
{
	const struct life_birth_blk *blk = &birth->u.blk;
	const struct file_io_options files = {
		.direct = blk->direct,
		.recorded = blk->record,
		.fixed = blk->registered_buffers,
		.nr_extra = blk->nr_extra,
	};
	int ret = 0;

	if (blk->nr_queues == 0 || blk->nr_queues > VHOST_MAX_QUEUES ||
	    blk->nr_extra > LIFE_BLK_MAX_EXTRA || blk->cache >= LIFE_NR_CACHES ||
	    blk->move > blk->nr_extra ||
	    blk->move_format > LIFE_BLK_QCOW2)
		return -EINVAL;
	nr_queues = blk->nr_queues;
	write_cache = blk->cache != LIFE_CACHE_WRITETHROUGH &&
		      blk->cache != LIFE_CACHE_DIRECTSYNC;
	image.write_through = !write_cache;
	if (!image.bytes)
		ret = image_measure(blk, &image);
	image.format = &format_raw;
	if (!ret && blk->format == LIFE_BLK_QCOW2) {
		image.format = &format_qcow2;
		ret = qcow2_prepare(blk);
	}
	hold_init(blk);
	steps_init(&image);
	if (!ret)
		ret = mirror_open(blk, &image);
	if (!ret)
		ret = file_io_open(&files);
	/*
	 * What the page cache does needs the processor itself.  Threads of
	 * io_uring stay what their maker was, so where they do all writes there
	 * is no SCHED_BATCH; elsewhere they only sync and make holes.
	 */
	engine_init(blk->direct ? blk->poll_us : 0,
		    blk->sched_batch && !file_io_has_writers());
	if (!ret && blk->record)
		ret = record_open();
	if (!ret)
		ret = throttle_open(&blk->throttle);
	if (!ret)
		ret = vhost_open(nr_queues);
	return ret;
}

static const struct vhost_ops blk_vhost_ops = {
	.features = 1ull << VIRTIO_BLK_F_SEG_MAX |
		    1ull << VIRTIO_BLK_F_BLK_SIZE |
		    1ull << VIRTIO_BLK_F_FLUSH |
		    1ull << VIRTIO_BLK_F_CONFIG_WCE |
		    1ull << VIRTIO_BLK_F_TOPOLOGY |
		    1ull << VIRTIO_BLK_F_MQ,
	.config_bytes = CONFIG_BYTES,
	.offer = blk_offer,
	.accept = blk_accept,
	.reset = blk_reset,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.queue_kick = engine_kick,
	.queue_stop = engine_queue_stop,
	.nr_parked = steps_nr_parked,
	.round_end = engine_round_end,
};

static int blk_start(const struct life_birth *birth)
{
	int ret = file_io_watch();

	(void)birth;
	if (!ret && image.format->open)
		ret = image.format->open(&image);
	__atomic_store_n(&device_stats->disk.capacity_bytes, image.bytes,
			 __ATOMIC_RELAXED);
	mirror_start();
	return ret ? ret : vhost_start(&blk_vhost_ops);
}

static int blk_finish(void)
{
	int ret = mirror_finish();

	if (ret)
		log_perr(-ret, "the file that the disk is moved to");
	if (image.format->close)
		image.format->close();
	return ret;
}

/* What the supervisor says while we run. */
static bool blk_order(const struct life_msg *msg)
{
	switch (msg->type) {
	case LIFE_BLK_THROTTLE:
		throttle_set(&msg->u.throttle);
		return true;
	case LIFE_BLK_RESUME:
		hold_resume();
		return true;
	default:
		return false;
	}
}

static const struct device_ops blk_ops = {
	.role = "blk",
	.life_role = LIFE_ROLE_BLK,
	.policy = &policy_blk,
	.option = blk_option,
	.acquire = blk_acquire,
	.help = "  --blk-file=IMAGE      a raw image or a block device; it is locked\n"
		"  --read-only           for the guest, and for the host\n"
		"  --num-queues=N        1 (default) to 32\n"
		"  --format=FORMAT       raw (default) or qcow2; never found out by looking\n"
		"  --backing-qcow2=FILE, --backing-raw=FILE\n"
		"                        what is behind a qcow2 image, nearest first\n"
		"  --cache=MODE          none (default), writeback, writethrough, directsync, unsafe:\n"
		"                        as cache in bulkhead.conf(5)\n"
		"  --poll-us=N           wait awake for the disk, 0 (never) to 1000; 20 (default)\n"
		"  --registered-buffers  of io_uring, as registered_buffers in bulkhead.conf(5)\n"
		"  --no-sched-batch      never be SCHED_BATCH, as sched_batch in bulkhead.conf(5)\n"
		"  --serial=TEXT         up to 20 characters, the guest's /sys/block/vdX/serial\n",
	/* vhost-user.rst, "vhost-user-block program conventions" */
	.capabilities = "{ \"type\": \"block\", \"features\": [ \"read-only\", \"blk-file\" ] }",
	.open = blk_open,
	.start = blk_start,
	.stop = vhost_stop,
	.order = blk_order,
	.finish = blk_finish,
};

int main(int argc, char **argv)
{
	return device_main(&blk_ops, argc, argv);
}
