/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk on qcow2 images, beside QEMU's tools: the same operations done by
 * qemu-io on a twin, and kills at any moment.
 *
 * QCOW2_KILLS=N kills N times instead of 12 (make check-qcow2).
 */
#include <check.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/wire/qcow2_disk.h"

#define DISK_BYTES	(8u << 20)
#define SECTORS		(DISK_BYTES / Q_SECTOR)
#define BLOCK		4096u
#define BLOCKS		(DISK_BYTES / BLOCK)
#define LENGTH(a)	(int)(sizeof(a) / sizeof((a)[0]))

static uint64_t random_state = 88172645463325252ull;

static uint64_t random_below(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % below;
}

/* --- the images ------------------------------------------------------------------ */

static const struct sort {
	const char *options;	/* of qemu-img create */
	int behind;		/* 0: nothing, 1: raw, 2: qcow2 and raw */
} sorts[] = {
	{ "compat=1.1", 0 },
	{ "compat=1.1", 2 },
	{ "compat=0.10,cluster_size=4k", 0 },
	{ "compat=1.1,cluster_size=512,lazy_refcounts=on", 1 },
	{ "compat=1.1,cluster_size=2M,preallocation=metadata", 0 },
};

static const char *names[3];
static unsigned int nr_names;

static void make_image(const struct sort *sort, const char *image)
{
	names[0] = image;
	nr_names = 1;
	if (!sort->behind) {
		q_shell("qemu-img create -f qcow2 -o %s %s %u", sort->options,
			image, DISK_BYTES);
		return;
	}
	q_shell("test -e base.raw || { truncate -s %u base.raw && for i in 1 5 7 100 1200; do head -c 30000 /dev/urandom | dd of=base.raw bs=4096 seek=$i conv=notrunc; done; }",
		DISK_BYTES - (1u << 20));
	if (sort->behind == 2)
		q_shell("test -e mid || { qemu-img create -f qcow2 -b base.raw -F raw mid %u && qemu-io -f qcow2 -c 'write -P 3 64k 256k' -c 'write -c -P 4 1M 128k' mid; }",
			DISK_BYTES);
	q_shell("qemu-img create -f qcow2 -o %s -b %s -F %s %s %u",
		sort->options, sort->behind == 2 ? "mid" : "base.raw",
		sort->behind == 2 ? "qcow2" : "raw", image, DISK_BYTES);
	if (sort->behind == 2)
		names[nr_names++] = "mid";
	names[nr_names++] = "base.raw";
}

/* --- beside qemu-io ----------------------------------------------------------------- */

static void fill_range(struct front_blk *blk, uint64_t sector, uint32_t nr)
{
	struct virtio_blk_discard_write_zeroes *range =
		front_blk_data(&q_front, blk);

	*range = (struct virtio_blk_discard_write_zeroes) {
		.sector = sector, .num_sectors = nr,
		.flags = random_below(2) ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP :
					   0,
	};
}

/* One operation through the device, and its twin's as a line of a script. */
static void do_one(FILE *script)
{
	uint32_t nr = 1 + (uint32_t)random_below(200);
	uint64_t sector = random_below(SECTORS - nr + 1);
	int byte = 1 + (int)random_below(255);
	uint8_t status;

	if (random_below(8) == 0) {
		fill_range(&q_blk[0], sector, nr);
		status = q_do(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16);
		fprintf(script, "write -z %llu %u\n",
			(unsigned long long)sector * Q_SECTOR, nr * Q_SECTOR);
	} else {
		memset(front_blk_data(&q_front, &q_blk[0]), byte,
		       nr * Q_SECTOR);
		status = q_do(VIRTIO_BLK_T_OUT, sector, nr * Q_SECTOR);
		fprintf(script, "write -P %d %llu %u\n", byte,
			(unsigned long long)sector * Q_SECTOR, nr * Q_SECTOR);
	}
	ck_assert_uint_eq(status, VIRTIO_BLK_S_OK);
}

START_TEST(what_qemu_io_does_to_a_twin_is_the_same)
{
	char path[128];
	FILE *script;

	make_image(&sorts[_i], "twin");
	make_image(&sorts[_i], "image");
	snprintf(path, sizeof(path), "%s/script", q_dir);
	script = fopen(path, "we");
	ck_assert_ptr_nonnull(script);
	q_start(names, nr_names, false);
	for (int i = 0; i < 250; i++) {
		do_one(script);
		if (i % 50 == 0)
			ck_assert_uint_eq(q_do(VIRTIO_BLK_T_FLUSH, 0, 0),
					  VIRTIO_BLK_S_OK);
	}
	fclose(script);
	q_stop();
	q_shell("qemu-io -f qcow2 twin <script >/dev/null");
	q_shell("qemu-img check -f qcow2 image");
	q_shell("qemu-img compare -f qcow2 -F qcow2 image twin");
}
END_TEST

/* And read back: what qemu-io wrote, the device reads. */
START_TEST(what_qemu_io_wrote_is_read)
{
	static uint8_t want[Q_ROOM];
	char path[128];
	FILE *flat;

	make_image(&sorts[_i], "image");
	q_shell("qemu-io -f qcow2 -c 'write -P 5 100k 300k' -c 'write -P 6 5M 2M' -c 'write -z 6M 300k' %s image >/dev/null && qemu-img convert -f qcow2 -O raw image flat",
		/* Whole clusters only. */
		_i < 2 ? "-c 'write -c -P 8 7M 64k'" : "");
	snprintf(path, sizeof(path), "%s/flat", q_dir);
	flat = fopen(path, "re");
	ck_assert_ptr_nonnull(flat);
	q_start(names, nr_names, true);
	for (uint64_t at = 0; at < DISK_BYTES; at += Q_ROOM) {
		ck_assert_uint_eq(fread(want, 1, Q_ROOM, flat), Q_ROOM);
		ck_assert_uint_eq(q_do(VIRTIO_BLK_T_IN, at / Q_SECTOR,
				       Q_ROOM), VIRTIO_BLK_S_OK);
		ck_assert_int_eq(memcmp(front_blk_data(&q_front, &q_blk[0]),
					want, Q_ROOM), 0);
	}
	ck_assert_uint_eq(q_do(VIRTIO_BLK_T_OUT, 0, Q_SECTOR),
			  VIRTIO_BLK_S_IOERR);
	fclose(flat);
	q_stop();
}
END_TEST

/* --- kills --------------------------------------------------------------------------- */

/* A block's contents say which write they are of; 0: what was there at first. */
static uint32_t done[BLOCKS], begun[BLOCKS];
static uint8_t first[DISK_BYTES];

static struct { uint64_t block; uint32_t nr, version; bool busy; }
	jobs[Q_DEPTH];

static bool is_free(uint64_t block, uint32_t nr)
{
	for (int i = 0; i < Q_DEPTH; i++)
		if (jobs[i].busy && block < jobs[i].block + jobs[i].nr &&
		    jobs[i].block < block + nr)
			return false;
	return true;
}

static void begin_write(int slot, uint32_t version)
{
	uint32_t nr = 1 + (uint32_t)random_below(random_below(4) ? 4 : 40);
	uint64_t block = random_below(BLOCKS - nr + 1);
	uint32_t *data = front_blk_data(&q_front, &q_blk[slot]);

	if (!is_free(block, nr))
		return;
	for (uint32_t i = 0; i < nr * BLOCK / 4; i++)
		data[i] = version;
	for (uint32_t i = 0; i < nr; i++)
		begun[block + i] = version;
	jobs[slot].block = block;
	jobs[slot].nr = nr;
	jobs[slot].version = version;
	jobs[slot].busy = true;
	ck_assert_int_eq(front_blk_submit(q_queue, &q_blk[slot],
					  VIRTIO_BLK_T_OUT,
					  block * BLOCK / Q_SECTOR,
					  nr * BLOCK), 0);
}

static void take_done(void)
{
	void *cookie;

	while (front_take(q_queue, &cookie, NULL)) {
		int slot = (int)((struct front_blk *)cookie - q_blk);

		ck_assert_uint_eq(front_blk_status(&q_front, &q_blk[slot]),
				  VIRTIO_BLK_S_OK);
		jobs[slot].busy = false;
		for (uint32_t i = 0; i < jobs[slot].nr; i++)
			done[jobs[slot].block + i] = jobs[slot].version;
	}
}

static void write_for_a_while(uint32_t *version)
{
	uint64_t turns = 20 + random_below(400);

	for (uint64_t turn = 0; turn < turns; turn++) {
		int slot = (int)random_below(Q_DEPTH);

		if (!jobs[slot].busy)
			begin_write(slot, ++*version);
		front_kick(q_queue);
		take_done();
		if (random_below(4) == 0)
			usleep((useconds_t)random_below(300));
	}
	take_done();
}

/* Parts of a write that was under way may be there, whole sectors of it. */
static void check_block(uint64_t block, const uint32_t *words)
{
	for (unsigned int s = 0; s < BLOCK / Q_SECTOR; s++) {
		const uint32_t *sector = words + s * Q_SECTOR / 4;
		const void *old = first + block * BLOCK + s * Q_SECTOR;
		bool same = true;

		for (unsigned int i = 1; i < Q_SECTOR / 4; i++)
			same &= sector[i] == sector[0];
		if (same && (sector[0] == begun[block] ||
			     (done[block] && sector[0] == done[block])))
			continue;
		ck_assert_msg(!done[block] && !memcmp(sector, old, Q_SECTOR),
			      "block %llu has version %u, %u was acknowledged, %u begun",
			      (unsigned long long)block, sector[0],
			      done[block], begun[block]);
	}
}

static void check_disk(void)
{
	for (uint64_t at = 0; at < DISK_BYTES; at += Q_ROOM) {
		ck_assert_uint_eq(q_do(VIRTIO_BLK_T_IN, at / Q_SECTOR,
				       Q_ROOM), VIRTIO_BLK_S_OK);
		for (uint64_t i = 0; i < Q_ROOM / BLOCK; i++)
			check_block(at / BLOCK + i, (uint32_t *)
				    front_blk_data(&q_front, &q_blk[0]) +
				    i * BLOCK / 4);
	}
}

/* Of writes that were under way anything may be there: write once more. */
static void settle(uint32_t *version)
{
	uint32_t *data = front_blk_data(&q_front, &q_blk[0]);

	for (uint64_t block = 0; block < BLOCKS; block++) {
		if (begun[block] == done[block])
			continue;
		begun[block] = done[block] = ++*version;
		for (uint32_t i = 0; i < BLOCK / 4; i++)
			data[i] = *version;
		ck_assert_uint_eq(q_do(VIRTIO_BLK_T_OUT,
				       block * BLOCK / Q_SECTOR, BLOCK),
				  VIRTIO_BLK_S_OK);
	}
}

static unsigned int nr_kills(void)
{
	const char *text = getenv("QCOW2_KILLS");

	return text ? (unsigned int)atoi(text) : 12;
}

START_TEST(killed_at_any_moment_it_is_whole)
{
	unsigned int kills = nr_kills() / (unsigned int)LENGTH(sorts) + 1;
	uint32_t version = 0;
	char path[128];
	FILE *flat;

	random_state += (uint64_t)_i * 7919;
	make_image(&sorts[_i], "image");
	q_shell("qemu-img convert -f qcow2 -O raw image flat");
	snprintf(path, sizeof(path), "%s/flat", q_dir);
	flat = fopen(path, "re");
	ck_assert_ptr_nonnull(flat);
	ck_assert_uint_eq(fread(first, 1, DISK_BYTES, flat), DISK_BYTES);
	fclose(flat);
	q_start(names, nr_names, false);
	for (unsigned int i = 0; i < kills; i++) {
		int status;

		write_for_a_while(&version);
		q_kill();
		memset(jobs, 0, sizeof(jobs));
		/* Clusters may be lost, nothing else; the next open has them. */
		status = q_shell_status("qemu-img check -f qcow2 image");
		ck_assert_msg(status == 0 || status == 3, "%.900s", q_out);
		q_start(names, nr_names, false);
		check_disk();
		settle(&version);
	}
	q_stop();
	q_shell("qemu-img check -f qcow2 image");
}
END_TEST

/* --- refused ---------------------------------------------------------------------- */

static const struct { const char *make, *says; bool read_only_works; }
refused[] = {
	{ "head -c 1M /dev/zero >image", "is no qcow2 image", false },
	{ "qemu-img create -q -f qcow2 -o data_file=data image 1M",
	  "external", false },
	{ "qemu-img create -q -f qcow2 -o extended_l2=on image 1M",
	  "extended L2", false },
	{ "qemu-img create -q -f qcow2 image 1M; printf '\\002' | dd of=image bs=1 seek=35 conv=notrunc",
	  "encrypted", false },
	{ "truncate -s 1M base.raw; qemu-img create -q -f qcow2 -b base.raw -F raw image",
	  "name it with 'backing'", false },
	{ "qemu-img create -q -f qcow2 image 1M; qemu-img snapshot -c s image",
	  "internal snapshots", true },
	{ "qemu-img create -q -f qcow2 image 1M; qemu-img bitmap --add image b",
	  "bitmaps", true },
	{ "qemu-img create -q -f qcow2 image 1M; printf '\\002' | dd of=image bs=1 seek=79 conv=notrunc",
	  "marked corrupt", true },
	{ "qemu-img create -q -f qcow2 image 1M; printf '\\200' | dd of=image bs=1 seek=72 conv=notrunc",
	  "unknown incompatible features 0x8000000000000000", false },
	{ "qemu-img create -q -f qcow2 -o cluster_size=512 image 1M",
	  "", true },
};

START_TEST(what_is_not_supported_is_refused_by_name)
{
	static const char *const image[] = { "image" };
	bool works;

	q_shell("%s", refused[_i].make);
	works = q_try(image, 1, false);
	if (works) {
		ck_assert_str_eq(refused[_i].says, "");
		q_stop();
	} else {
		ck_assert_msg(refused[_i].says[0] &&
			      strstr(q_why, refused[_i].says), "%s", q_why);
	}
	ck_assert_int_eq(q_try(image, 1, true), refused[_i].read_only_works);
	if (refused[_i].read_only_works)
		q_stop();
}
END_TEST

START_TEST(a_chain_that_the_image_does_not_know_is_refused)
{
	static const char *const chain[] = { "image", "base.raw" };

	q_shell("truncate -s 1M base.raw; qemu-img create -q -f qcow2 image 1M");
	ck_assert(!q_try(chain, 2, false));
	ck_assert_msg(strstr(q_why, "has no backing file"), "%s", q_why);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_qcow2");
	TCase *tc = tcase_create("blk_qcow2");
	TCase *load = tcase_create("blk_qcow2 load");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (q_skip("blk_qcow2"))
		return 0;
	tcase_add_checked_fixture(tc, q_set_up, q_tear_down);
	tcase_add_checked_fixture(load, q_set_up, q_tear_down);
	tcase_set_timeout(tc, 60);
	tcase_set_timeout(load, 60 + nr_kills() * 2);
	tcase_add_loop_test(tc, what_qemu_io_does_to_a_twin_is_the_same, 0, 2);
	tcase_add_loop_test(load, what_qemu_io_does_to_a_twin_is_the_same, 2,
			    LENGTH(sorts));
	tcase_add_loop_test(load, what_qemu_io_wrote_is_read, 0,
			    LENGTH(sorts));
	tcase_add_loop_test(load, killed_at_any_moment_it_is_whole, 0,
			    LENGTH(sorts));
	tcase_add_loop_test(tc, what_is_not_supported_is_refused_by_name, 0,
			    LENGTH(refused));
	tcase_add_test(tc, a_chain_that_the_image_does_not_know_is_refused);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, load);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
