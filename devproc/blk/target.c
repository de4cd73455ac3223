/* SPDX-License-Identifier: Apache-2.0 */
/* The other file of a move, see devproc/blk/target.h. */
#include "devproc/blk/target.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "devproc/blk/qcow2_flat.h"
#include "ipc/inherit.h"

#define GROUP		512u	/* clusters */
#define MAX_GROUPS	(QCOW2_MAX_CLUSTERS / GROUP)

static struct {
	uint8_t file;
	bool tables;		/* it is qcow2 */
	uint64_t file_bytes;	/* as it was made */
	uint64_t disk_bytes;
	struct qcow2_flat flat;
	uint8_t *used;		/* bit per cluster of the guest */
	uint64_t group;		/* whose tables are these: */
	uint8_t counts[GROUP * 2];
	uint8_t links[GROUP * 8];
} target;

/* Bit per group: its tables are not what they should be. */
static uint8_t behind[MAX_GROUPS / 8];

static bool get_bit(const uint8_t *bits, uint64_t n)
{
	return bits[n / 8] >> (n % 8) & 1;
}

static void set_bit(uint8_t *bits, uint64_t n)
{
	bits[n / 8] |= (uint8_t)(1u << (n % 8));
}

static void clear_bit(uint8_t *bits, uint64_t n)
{
	bits[n / 8] &= (uint8_t)~(1u << (n % 8));
}

uint8_t target_file(void)
{
	return target.file;
}

uint64_t target_place(uint64_t offset)
{
	/* 0 of a raw one. */
	return target.flat.data + offset;
}

static uint64_t nr_clusters(void)
{
	return (target.disk_bytes + target.flat.cluster_bytes - 1) /
	       target.flat.cluster_bytes;
}

void target_used(uint64_t offset, uint64_t bytes)
{
	uint64_t last;

	if (!target.tables || !bytes)
		return;
	last = (offset + bytes - 1) / target.flat.cluster_bytes;
	for (uint64_t n = offset / target.flat.cluster_bytes; n <= last; n++) {
		if (get_bit(target.used, n))
			continue;
		set_bit(target.used, n);
		set_bit(behind, n / GROUP);
	}
}

/* --- tables ----------------------------------------------------------------- */

static uint64_t clusters_in(uint64_t group)
{
	uint64_t left = nr_clusters() - group * GROUP;

	return left < GROUP ? left : GROUP;
}

static void fill_tables(uint64_t group)
{
	target.group = group;
	for (uint64_t i = 0; i < clusters_in(group); i++) {
		uint64_t n = group * GROUP + i;
		bool used = get_bit(target.used, n);

		qcow2_refcount_set(target.counts, QCOW2_FLAT_REFCOUNT_ORDER, i,
				   used);
		qcow2_put64(target.links + i * 8, !used ? 0 :
			    target_place(n * target.flat.cluster_bytes) |
			    QCOW2_COPIED);
	}
}

bool target_has_tables(uint64_t offset)
{
	uint64_t group_bytes = GROUP * target.flat.cluster_bytes;
	uint64_t group;

	if (!target.tables || !offset ||
	    (offset % group_bytes && offset < target.disk_bytes))
		return false;
	group = (offset - 1) / group_bytes;
	if (!get_bit(behind, group))
		return false;
	/* What is written there from now on is for target_finish(). */
	clear_bit(behind, group);
	fill_tables(group);
	return true;
}

void target_table_io(enum target_table table, struct file_io *io)
{
	uint64_t first = target.group * GROUP;
	uint64_t nr = clusters_in(target.group);

	if (table == TARGET_COUNTS) {
		io->offset = target.flat.counts +
			     (target.flat.data / target.flat.cluster_bytes +
			      first) * 2;
		io->bytes = nr * 2;
		io->buf = target.counts;
	} else {
		io->offset = target.flat.entries + first * 8;
		io->bytes = nr * 8;
		io->buf = target.links;
	}
}

static int write_table(uint64_t group, enum target_table table)
{
	struct file_io io = { .op = FILE_WRITE, .file = target.file };
	int ret;

	fill_tables(group);
	target_table_io(table, &io);
	ret = file_io_run(&io);
	if (ret < 0)
		return ret;
	return (uint64_t)ret == io.bytes ? 0 : -ENOSPC;
}

/* Of all groups that lack it; then a sync. */
static int write_all(enum target_table table)
{
	struct file_io sync = { .op = FILE_SYNC, .file = target.file };
	int ret = 0;

	for (uint64_t group = 0; !ret && group * GROUP < nr_clusters();
	     group++)
		if (get_bit(behind, group))
			ret = write_table(group, table);
	return ret ? ret : file_io_run(&sync);
}

int target_finish(void)
{
	int ret;

	if (!target.tables)
		return 0;
	ret = write_all(TARGET_COUNTS);
	return ret ? ret : write_all(TARGET_LINKS);
}

/* --- life --------------------------------------------------------------------- */

int target_start(uint64_t disk_bytes)
{
	target.disk_bytes = disk_bytes;
	if (!target.tables)
		return target.file_bytes < disk_bytes ? -EINVAL : 0;
	if (qcow2_flat_plan(disk_bytes, &target.flat))
		return -EINVAL;
	return target.file_bytes == target.flat.file_bytes ? 0 : -EINVAL;
}

int target_open(const struct life_birth_blk *birth)
{
	struct stat st;

	target.file = (uint8_t)(FILE_EXTRA + birth->move - 1);
	if (fstat(EXTRA_FD + birth->move - 1, &st) < 0)
		return -errno;
	target.file_bytes = (uint64_t)st.st_size;
	target.tables = birth->move_format == LIFE_BLK_QCOW2;
	if (!target.tables)
		return 0;
	/* Address space; it takes memory where it is used. */
	target.used = mmap(NULL, QCOW2_MAX_CLUSTERS / 8,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return target.used == MAP_FAILED ? -ENOMEM : 0;
}
