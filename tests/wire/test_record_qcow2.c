/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a qcow2 image: what a power cut at any flush would have left of
 * the file is a sound image, in which at most clusters are lost, with all that
 * the guest was promised.  Across kills of the process, too.
 *
 * QCOW2_CUTS=N makes N images per flush that have some of what came after it,
 * instead of 1 (make check-qcow2).
 */
#include <check.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/replay.h"
#include "tests/wire/qcow2_disk.h"

#define DISK_BYTES	(4u << 20)
#define BLOCK		4096u
#define BLOCKS		(DISK_BYTES / BLOCK)
#define MAX_BLOCKS	40u	/* of a write */
#define NR_PROMISES	64u	/* flushes of the guest */
#define LENGTH(a)	(int)(sizeof(a) / sizeof((a)[0]))

static const struct sort {
	const char *options;	/* of qemu-img create */
	bool backed;		/* by base.raw */
	unsigned int kills;
} sorts[] = {
	{ "compat=1.1", false, 0 },
	{ "compat=1.1,cluster_size=4k", true, 0 },
	{ "compat=0.10,cluster_size=512", false, 0 },
	{ "compat=1.1", true, 4 },
	{ "compat=0.10,cluster_size=4k", true, 4 },
};

static uint64_t random_state;

static uint64_t random_below(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % below;
}

/* --- what the guest did, and what it was promised ---------------------------------- */

/* A block's contents say which write they are of; 0: none yet. */
static uint32_t done[BLOCKS], begun[BLOCKS];
static uint32_t version;
static uint32_t base_word[BLOCKS];	/* of version 0 */

static struct { uint64_t block; uint32_t nr, version; bool busy; }
	jobs[Q_DEPTH];

static struct promise {
	uint64_t end;		/* of the record, when the flush was done */
	uint32_t low[BLOCKS];	/* done when it was begun */
	uint32_t high[BLOCKS];	/* begun when the next one was done */
} promises[NR_PROMISES + 1];
static unsigned int nr_promises;

static uint32_t word_of(uint64_t block, uint32_t which)
{
	return which ? which << 12 | (uint32_t)block : base_word[block];
}

static bool is_free(uint64_t block, uint32_t nr)
{
	for (int i = 0; i < Q_DEPTH; i++)
		if (jobs[i].busy && block < jobs[i].block + jobs[i].nr &&
		    jobs[i].block < block + nr)
			return false;
	return true;
}

static void begin_write(int slot)
{
	uint32_t nr = 1 + (uint32_t)random_below(random_below(4) ? 4 :
						 MAX_BLOCKS);
	uint64_t block = random_below(BLOCKS - nr + 1);
	uint32_t *data = front_blk_data(&q_front, &q_blk[slot]);

	if (!is_free(block, nr))
		return;
	version++;
	for (uint32_t i = 0; i < nr; i++) {
		for (uint32_t n = 0; n < BLOCK / 4; n++)
			*data++ = word_of(block + i, version);
		begun[block + i] = version;
	}
	jobs[slot].block = block;
	jobs[slot].nr = nr;
	jobs[slot].version = version;
	jobs[slot].busy = true;
	ck_assert_int_eq(front_blk_submit(q_queue, &q_blk[slot],
					  VIRTIO_BLK_T_OUT,
					  block * BLOCK / Q_SECTOR,
					  nr * BLOCK), 0);
}

/* Return: slot 0, which flushes, is done. */
static bool take_done(void)
{
	bool flushed = false;
	void *cookie;

	while (front_take(q_queue, &cookie, NULL)) {
		int slot = (int)((struct front_blk *)cookie - q_blk);

		ck_assert_uint_eq(front_blk_status(&q_front, &q_blk[slot]),
				  VIRTIO_BLK_S_OK);
		flushed |= slot == 0;
		jobs[slot].busy = false;
		for (uint32_t i = 0; slot && i < jobs[slot].nr; i++)
			done[jobs[slot].block + i] = jobs[slot].version;
	}
	return flushed;
}

static uint64_t record_bytes(void)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/record", q_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

/* While others are under way. */
static void flush(void)
{
	struct promise *promise = &promises[++nr_promises];

	ck_assert_uint_le(nr_promises, NR_PROMISES);
	memcpy(promise->low, done, sizeof(done));
	ck_assert_int_eq(front_blk_submit(q_queue, &q_blk[0],
					  VIRTIO_BLK_T_FLUSH, 0, 0), 0);
	front_kick(q_queue);
	while (!take_done())
		usleep(50);
	promise->end = record_bytes();
	memcpy(promise[-1].high, begun, sizeof(begun));
}

static void write_and_flush(unsigned int flushes)
{
	for (unsigned int i = 0; i < flushes; i++) {
		uint64_t writes = 1 + random_below(10);

		for (uint64_t n = 0; n < writes; n++) {
			int slot = 1 + (int)random_below(Q_DEPTH - 1);

			if (!jobs[slot].busy)
				begin_write(slot);
			front_kick(q_queue);
			take_done();
		}
		flush();
	}
}

/* --- the cuts ---------------------------------------------------------------------- */

static struct replay replay;

/* Check takes a note of every assertion that is passed: only of those that fail. */
static void check_sector(uint64_t block, const uint32_t *words,
			 const uint32_t *low, const uint32_t *high,
			 size_t flush_nr)
{
	bool old = words[0] == base_word[block];
	uint32_t which = old ? 0 : words[0] >> 12;

	if (memcmp(words, words + 1, Q_SECTOR - 4) ||
	    (!old && (words[0] & 0xfff) != block) ||
	    which < low[block] || which > high[block])
		ck_abort_msg("cut after flush %zu: block %llu is %x, not of version %u to %u",
			     flush_nr, (unsigned long long)block, words[0],
			     low[block], high[block]);
}

static void check_contents(const uint32_t *low, const uint32_t *high,
			   size_t flush_nr)
{
	static uint32_t flat[DISK_BYTES / 4];
	char path[128];
	FILE *f;

	q_shell("qemu-img convert -f qcow2 -O raw cut flat");
	snprintf(path, sizeof(path), "%s/flat", q_dir);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fread(flat, 1, DISK_BYTES, f), DISK_BYTES);
	fclose(f);
	for (uint64_t at = 0; at < DISK_BYTES; at += Q_SECTOR)
		check_sector(at / BLOCK, flat + at / 4, low, high, flush_nr);
}

/* Behind the entry of that flush; behind all, if there is none. */
static uint64_t place_of(size_t flush_nr)
{
	return flush_nr > replay.nr_flushes ? UINT64_MAX :
	       flush_nr ? replay.entry[replay.flush[flush_nr - 1]].position +
				  sizeof(struct record_entry) : 0;
}

/* The last one whose flush is in the record by then. */
static const uint32_t *low_at(size_t flush_nr)
{
	unsigned int i = 0;

	while (i < nr_promises && promises[i + 1].end <= place_of(flush_nr))
		i++;
	return promises[i].low;
}

/* No write that was begun later is before the next flush. */
static const uint32_t *high_at(size_t flush_nr)
{
	unsigned int i = 0;

	while (i < nr_promises && promises[i + 1].end < place_of(flush_nr + 1))
		i++;
	return promises[i].high;
}

static void make_cut(struct replay_cut *cut)
{
	char why[REPLAY_WHY_MAX], base[128], out[128];

	snprintf(base, sizeof(base), "%s/before", q_dir);
	snprintf(out, sizeof(out), "%s/cut", q_dir);
	ck_assert_msg(replay_make(&replay, cut, base, out, why) == 0, "%s",
		      why);
}

static void cut_at(size_t flush_nr, uint64_t seed)
{
	struct replay_cut cut = {
		.flush = flush_nr, .some = seed != 0, .seed = seed,
	};
	int status;

	make_cut(&cut);
	/* 3: clusters are lost, and nothing worse. */
	status = q_shell_status("qemu-img check -f qcow2 cut");
	ck_assert_msg(status == 0 || status == 3,
		      "cut after flush %zu, seed %llu: %.900s", flush_nr,
		      (unsigned long long)seed, q_out);
	check_contents(low_at(flush_nr), high_at(flush_nr), flush_nr);
}

static unsigned int nr_cuts(void)
{
	const char *text = getenv("QCOW2_CUTS");

	return text ? (unsigned int)atoi(text) : 1;
}

/* --- life --------------------------------------------------------------------------- */

static const char *const names[] = { "image", "base.raw" };

static void make_base(void)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/base.raw", q_dir);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	for (uint32_t block = 0; block < BLOCKS; block++) {
		/* Above all versions; some of it zeroes. */
		base_word[block] = block % 3 ? 0xfff00000u | block : 0;
		for (unsigned int i = 0; i < BLOCK / 4; i++)
			fwrite(&base_word[block], 4, 1, f);
	}
	fclose(f);
}

static void make_image(const struct sort *sort)
{
	struct record_header header = {
		.magic = { 'B', 'H', 'R', 'E', 'C', 'O', 'R', 'D' },
		.version = RECORD_VERSION, .header_bytes = sizeof(header),
		.flags = RECORD_GROWS,
	};
	char path[128];
	struct stat st;
	FILE *f;

	if (sort->backed)
		make_base();
	q_shell("qemu-img create -f qcow2 -o %s %s image %u && cp image before",
		sort->options, sort->backed ? "-b base.raw -F raw" : "",
		DISK_BYTES);
	snprintf(path, sizeof(path), "%s/image", q_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	header.disk_bytes = (uint64_t)st.st_size;
	snprintf(path, sizeof(path), "%s/record", q_dir);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(&header, sizeof(header), 1, f), 1);
	fclose(f);
}

static void run(const struct sort *sort)
{
	unsigned int lives = sort->kills + 1;

	for (unsigned int i = 0; i < lives; i++) {
		q_start(names, sort->backed ? 2 : 1, false);
		write_and_flush(8 / lives + 1);
		if (i + 1 == lives)
			break;
		for (int slot = 1; slot < Q_DEPTH; slot++)
			if (!jobs[slot].busy)
				begin_write(slot);
		front_kick(q_queue);
		usleep((useconds_t)random_below(3000));
		q_kill();
		memset(jobs, 0, sizeof(jobs));
	}
	q_stop();
	memcpy(promises[nr_promises].high, begun, sizeof(begun));
}

static void open_record(void)
{
	char path[128], why[REPLAY_WHY_MAX];

	q_record = NULL;
	snprintf(path, sizeof(path), "%s/record", q_dir);
	ck_assert_msg(replay_open(path, &replay, why) == 0, "%s", why);
	ck_assert(replay.grows);
}

START_TEST(what_a_cut_leaves_is_sound_and_has_what_was_flushed)
{
	random_state = 88172645463325252ull + (uint64_t)_i * 7919;
	make_image(&sorts[_i]);
	q_record = "record";
	run(&sorts[_i]);
	open_record();
	ck_assert_uint_gt(replay.nr_flushes, nr_promises);
	for (size_t flush_nr = 0; flush_nr <= replay.nr_flushes; flush_nr++)
		for (uint64_t seed = 0; seed <= nr_cuts(); seed++)
			cut_at(flush_nr, seed);
	cut_at(replay.nr_flushes, 0);
	q_shell("qemu-img check -f qcow2 image");
	/*
	 * It is the image, whose end may be cut later.  But a killed process
	 * may have written what nobody was told of, and no record has.
	 */
	if (!sorts[_i].kills)
		q_shell("cmp -n $(stat -c %%s image) image cut");
	replay_close(&replay);
}
END_TEST

/*
 * A killed process may have written a table and not have come to say so.  Here
 * qemu-io is that process, and the table is one that nothing else touches.
 */
START_TEST(what_a_killed_process_had_no_time_to_say_is_recorded)
{
	static const struct sort sort = { "compat=1.1,cluster_size=4k",
					  false, 0 };
	struct replay_cut cut = { 0 };

	random_state = 88172645463325252ull;
	make_image(&sort);
	q_record = "record";
	q_start(names, 1, false);
	ck_assert_uint_eq(q_do(VIRTIO_BLK_T_OUT, 0, BLOCK), VIRTIO_BLK_S_OK);
	q_kill();
	q_shell("qemu-io -f qcow2 -c 'write -P 7 3M 4k' image");
	q_start(names, 1, false);
	ck_assert_uint_eq(q_do(VIRTIO_BLK_T_OUT, 8, BLOCK), VIRTIO_BLK_S_OK);
	q_stop();
	open_record();
	cut.flush = replay.nr_flushes;
	make_cut(&cut);
	q_shell("qemu-img check -f qcow2 cut; qemu-img map -f qcow2 image >map && qemu-img map -f qcow2 cut | sed s/cut/image/ | cmp - map");
	replay_close(&replay);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record_qcow2");
	TCase *tc = tcase_create("record_qcow2");
	SRunner *runner;
	int failed;

	if (q_skip("record_qcow2"))
		return 0;
	tcase_add_checked_fixture(tc, q_set_up, q_tear_down);
	tcase_set_timeout(tc, 120 * (1 + nr_cuts()));
	tcase_add_loop_test(tc,
			    what_a_cut_leaves_is_sound_and_has_what_was_flushed,
			    0, LENGTH(sorts));
	tcase_add_test(tc,
		       what_a_killed_process_had_no_time_to_say_is_recorded);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
