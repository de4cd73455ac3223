/* SPDX-License-Identifier: Apache-2.0 */
/* The images that a power cut would have left, see cli/replay.h. */
#include "cli/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fault.h"

#define SECTOR_BYTES	512u	/* the unit of all offsets */
#define CHUNK_BYTES	(64u << 10)
#define MAX_BYTES	(1ull << 60)	/* no file system has larger files */

static int fail(char *why, int err, const char *what)
{
	snprintf(why, REPLAY_WHY_MAX, "%s: %s", what, strerror(err));
	return -err;
}

/* --- reading the record -------------------------------------------------------- */

static int read_header(struct replay *replay, char *why)
{
	struct record_header header;

	if (pread(replay->fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.magic, RECORD_MAGIC, sizeof(header.magic)) ||
	    header.version != RECORD_VERSION ||
	    header.header_bytes != sizeof(header) ||
	    header.flags & ~RECORD_GROWS ||
	    (header.disk_bytes % SECTOR_BYTES && !header.flags) ||
	    header.disk_bytes > MAX_BYTES) {
		snprintf(why, REPLAY_WHY_MAX, "not a record of a disk");
		return -EINVAL;
	}
	replay->disk_bytes = header.disk_bytes;
	replay->grows = header.flags & RECORD_GROWS;
	return 0;
}

static uint64_t data_bytes(const struct record_entry *entry)
{
	return entry->op == RECORD_WRITE ? entry->bytes : 0;
}

/* Is it an entry, whole, and does it make sense where it is? */
static bool is_sound(const struct replay *replay,
		     const struct record_entry *entry, uint64_t position,
		     uint64_t file_bytes)
{
	uint64_t room = file_bytes - position - sizeof(*entry);
	uint64_t most = replay->grows ? MAX_BYTES : replay->disk_bytes;

	return entry->magic == RECORD_ENTRY_MAGIC &&
	       entry->position == position && entry->op >= RECORD_WRITE &&
	       entry->op <= (replay->grows ? RECORD_SIZE : RECORD_FLUSH) &&
	       entry->offset <= most &&
	       entry->bytes <= most - entry->offset &&
	       (entry->offset | entry->bytes) % SECTOR_BYTES == 0 &&
	       entry->covers <= position && data_bytes(entry) <= room;
}

/* With room for element n; room doubles.  Return: NULL without memory. */
static void *grown(void *array, size_t n, size_t element_bytes)
{
	if (n & (n - 1))
		return array;
	return reallocarray(array, n ? 2 * n : 1, element_bytes);
}

static int keep_flush(struct replay *replay)
{
	size_t *flush = grown(replay->flush, replay->nr_flushes,
			      sizeof(*flush));

	if (!flush)
		return -ENOMEM;
	replay->flush = flush;
	flush[replay->nr_flushes++] = replay->nr_entries;
	return 0;
}

/* One that was begun earlier and ended later takes nothing back. */
static uint64_t covered_by(const struct replay *replay,
			   const struct record_entry *flush)
{
	uint64_t before = replay->nr_flushes ?
		replay->entry[replay->flush[replay->nr_flushes - 1]].covers :
		0;

	return before > flush->covers ? before : flush->covers;
}

static int keep_entry(struct replay *replay, const struct record_entry *entry)
{
	struct record_entry *array = grown(replay->entry, replay->nr_entries,
					   sizeof(*array));

	if (!array)
		return -ENOMEM;
	replay->entry = array;
	array[replay->nr_entries] = *entry;
	if (entry->op == RECORD_FLUSH) {
		array[replay->nr_entries].covers = covered_by(replay, entry);
		if (keep_flush(replay))
			return -ENOMEM;
	}
	replay->nr_entries++;
	return 0;
}

/* Past what is no entry, step by step: good ones know where they are. */
static int read_entries(struct replay *replay, uint64_t file_bytes)
{
	uint64_t position = sizeof(struct record_header);
	struct record_entry entry;

	while (position + sizeof(entry) <= file_bytes) {
		if (pread(replay->fd, &entry, sizeof(entry),
			  (off_t)position) != sizeof(entry))
			return -EIO;
		if (!is_sound(replay, &entry, position, file_bytes)) {
			replay->skipped_bytes += RECORD_ALIGN;
			position += RECORD_ALIGN;
			continue;
		}
		if (keep_entry(replay, &entry))
			return -ENOMEM;
		position += sizeof(entry) + data_bytes(&entry);
	}
	return 0;
}

int replay_open(const char *path, struct replay *replay,
		char why[REPLAY_WHY_MAX])
{
	struct stat st;
	int ret;

	memset(replay, 0, sizeof(*replay));
	replay->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (replay->fd < 0 || fstat(replay->fd, &st) < 0) {
		ret = fail(why, errno, "cannot read it");
	} else {
		ret = read_header(replay, why);
		if (!ret)
			ret = read_entries(replay, (uint64_t)st.st_size);
		if (ret == -EIO || ret == -ENOMEM)
			fail(why, -ret, "cannot read it");
	}
	if (ret)
		replay_close(replay);
	return ret;
}

void replay_close(struct replay *replay)
{
	if (replay->fd >= 0)
		close(replay->fd);
	free(replay->entry);
	free(replay->flush);
	memset(replay, 0, sizeof(*replay));
	replay->fd = -1;
}

/* --- what is left of an entry ------------------------------------------------------ */

enum fate { FATE_WHOLE, FATE_TORN, FATE_LOST };

/* What the disk writes whole, or does not write. */
static uint64_t sector_bytes(const struct replay_cut *cut)
{
	return cut->sector_bytes ? cut->sector_bytes : SECTOR_BYTES;
}

static enum fate fate_of(const struct record_entry *entry,
			 const struct replay_cut *cut, size_t n)
{
	uint64_t draw = fault_random(cut->seed, n) % 4;
	uint64_t sector = sector_bytes(cut);
	bool tears = entry->op == RECORD_WRITE &&
		     entry->offset % sector + entry->bytes > sector;

	if (draw == 3)
		return FATE_LOST;
	return draw == 2 && tears ? FATE_TORN : FATE_WHOLE;
}

/* Does a sector of a torn write reach the disk? */
static bool sector_stays(uint64_t seed, size_t n, uint64_t sector)
{
	return fault_random(fault_random(~seed, n), sector) & 1;
}

/* --- making the image ----------------------------------------------------------------- */

struct job {
	const struct replay *replay;
	const struct replay_cut *cut;
	int out;
};

static int write_all(int fd, const void *buf, size_t len, uint64_t offset)
{
	ssize_t done = pwrite(fd, buf, len, (off_t)offset);

	if (done < 0)
		return -errno;
	return (size_t)done == len ? 0 : -ENOSPC;
}

/* Copy [from, from + bytes) to `to`, in chunks. */
static int copy(int in, uint64_t from, int out, uint64_t to, uint64_t bytes)
{
	static uint8_t buf[CHUNK_BYTES];
	int ret = 0;

	while (!ret && bytes) {
		size_t len = bytes < sizeof(buf) ? (size_t)bytes : sizeof(buf);

		if (pread(in, buf, len, (off_t)from) != (ssize_t)len)
			return -EIO;
		ret = write_all(out, buf, len, to);
		from += len;
		to += len;
		bytes -= len;
	}
	return ret;
}

static int put_zeroes(int out, uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeroes[CHUNK_BYTES];
	int ret = 0;

	while (!ret && bytes) {
		size_t len = bytes < sizeof(zeroes) ? (size_t)bytes :
						      sizeof(zeroes);

		ret = write_all(out, zeroes, len, offset);
		offset += len;
		bytes -= len;
	}
	return ret;
}

/* What makes zeroes makes no file longer. */
static int put_zeroes_within(int out, uint64_t offset, uint64_t bytes)
{
	struct stat st;

	if (fstat(out, &st) < 0)
		return -errno;
	if (offset >= (uint64_t)st.st_size)
		return 0;
	if (bytes > (uint64_t)st.st_size - offset)
		bytes = (uint64_t)st.st_size - offset;
	return put_zeroes(out, offset, bytes);
}

static int put_entry(const struct job *job, const struct record_entry *entry)
{
	switch ((enum record_op)entry->op) {
	case RECORD_FLUSH:
		return 0;
	case RECORD_SIZE:
		return ftruncate(job->out, (off_t)entry->bytes) < 0 ? -errno :
								      0;
	case RECORD_WRITE:
		break;
	default:
		return put_zeroes_within(job->out, entry->offset,
					 entry->bytes);
	}
	return copy(job->replay->fd, entry->position + sizeof(*entry),
		    job->out, entry->offset, entry->bytes);
}

/* Sectors begin where the disk has them, not where the write does. */
static int put_torn(const struct job *job, const struct record_entry *entry,
		    size_t n)
{
	uint64_t data = entry->position + sizeof(*entry);
	uint64_t sector = sector_bytes(job->cut), len;
	int ret = 0;

	for (uint64_t at = 0; !ret && at < entry->bytes; at += len) {
		len = sector - (entry->offset + at) % sector;
		if (len > entry->bytes - at)
			len = entry->bytes - at;
		if (sector_stays(job->cut->seed, n, at / SECTOR_BYTES))
			ret = copy(job->replay->fd, data + at, job->out,
				   entry->offset + at, len);
	}
	return ret;
}

static int put_some(const struct job *job, struct replay_cut *cut, size_t n)
{
	const struct record_entry *entry = &job->replay->entry[n];

	switch (fate_of(entry, cut, n)) {
	case FATE_WHOLE:
		cut->whole++;
		return put_entry(job, entry);
	case FATE_TORN:
		cut->torn++;
		return put_torn(job, entry, n);
	default:
		cut->lost++;
		return 0;
	}
}

/*
 * Entries in the record's order.  Those that the flush covers are there for
 * sure; those from there to the answer of the next one may be.
 */
static int put_entries(const struct job *job, struct replay_cut *cut)
{
	const struct replay *replay = job->replay;
	uint64_t covered = cut->flush ?
		replay->entry[replay->flush[cut->flush - 1]].covers : 0;
	size_t end = cut->flush < replay->nr_flushes ?
		replay->flush[cut->flush] : replay->nr_entries;
	int ret = 0;

	cut->whole = cut->torn = cut->lost = 0;
	for (size_t i = 0; !ret && i < end; i++) {
		const struct record_entry *entry = &replay->entry[i];

		if (entry->position < covered)
			ret = put_entry(job, entry);
		else if (entry->op != RECORD_FLUSH && cut->some)
			ret = put_some(job, cut, i);
		else if (entry->op != RECORD_FLUSH)
			cut->lost++;
	}
	return ret;
}

/* The base's data; its holes stay holes. */
static int copy_base(const char *base, const struct job *job, char *why)
{
	uint64_t bytes = job->replay->disk_bytes;
	struct stat from, to;
	int fd = open(base, O_RDONLY | O_CLOEXEC);
	off_t data = 0, hole;
	int ret = 0;

	if (fd < 0)
		return fail(why, errno, base);
	if (fstat(fd, &from) || fstat(job->out, &to) ||
	    (uint64_t)from.st_size < bytes) {
		snprintf(why, REPLAY_WHY_MAX,
			 "%s: shorter than the disk that was recorded", base);
		ret = -EINVAL;
	}
	while (!ret && (data = lseek(fd, data, SEEK_DATA)) >= 0 &&
	       (uint64_t)data < bytes) {
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole > bytes)
			hole = (off_t)bytes;
		ret = copy(fd, (uint64_t)data, job->out, (uint64_t)data,
			   (uint64_t)(hole - data));
		if (ret)
			fail(why, -ret, base);
		data = hole;
	}
	close(fd);
	return ret;
}

static bool same_file(const char *a, const char *b)
{
	struct stat one, two;

	return !stat(a, &one) && !stat(b, &two) &&
	       one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

int replay_make(const struct replay *replay, struct replay_cut *cut,
		const char *base, const char *out, char why[REPLAY_WHY_MAX])
{
	struct job job = { .replay = replay, .cut = cut };
	int ret;

	if (base && same_file(base, out)) {
		snprintf(why, REPLAY_WHY_MAX, "%s: is the base itself", out);
		return -EINVAL;
	}
	job.out = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (job.out < 0 || ftruncate(job.out, (off_t)replay->disk_bytes)) {
		ret = fail(why, errno, out);
		if (job.out >= 0)
			close(job.out);
		return ret;
	}
	ret = base ? copy_base(base, &job, why) : 0;
	if (!ret) {
		ret = put_entries(&job, cut);
		if (ret)
			fail(why, -ret, out);
	}
	if (close(job.out) && !ret)
		ret = fail(why, errno, out);
	return ret;
}
