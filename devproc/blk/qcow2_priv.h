/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files that serve a qcow2 disk: one disk per process, its layers,
 * the cache of its tables, the clusters it grows by.  See qcow2.h for how they
 * go together.  Functions that need I/O return -EINPROGRESS; whoever asked is
 * to ask again after qcow2_advance().
 */
#ifndef DEVPROC_BLK_QCOW2_PRIV_H
#define DEVPROC_BLK_QCOW2_PRIV_H

#include "devproc/blk/format.h"
#include "devproc/blk/qcow2.h"

/* Part of a table that is read and written in one go: a cluster, if smaller. */
#define SLICE_BYTES	4096u

/* The image (number 0), or one that is behind it. */
struct qcow2_layer {
	struct qcow2_header header;	/* not of a raw one */
	bool raw;
	uint8_t file;		/* of file_io.h */
	uint32_t cluster_bytes;
	uint32_t slice_bytes;
	uint64_t disk_bytes;	/* what it shows to the layer above */
	uint64_t file_bytes;
};

extern struct qcow2_disk {
	struct qcow2_layer layer[QCOW2_MAX_LAYERS];
	unsigned int nr_layers;
	bool writable;
	bool broken;		/* was found corrupt: nothing is written any more */
	bool leaky;		/* something was left that the next open repairs */
	bool tables_anew;	/* open writes all tables once more, as they are */
	/* Of layer 0, if it is writable: */
	bool marked;		/* the file says that it is dirty */
	uint8_t *metadata;	/* bit per cluster: a table, not data */
	uint64_t max_clusters;	/* that refcounts, metadata[] have room for */
	/* The file's first bytes. */
	uint8_t head[SLICE_BYTES] __attribute__((aligned(4096)));
} qcow2;

static inline uint64_t cluster_of(const struct qcow2_layer *layer,
				  uint64_t offset)
{
	return offset >> layer->header.cluster_bits;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * One line about the image, few of them.  If it is layer 0 and written to,
 * that is over.  Return: -EIO.
 */
int qcow2_corrupt(const struct qcow2_layer *layer, const char *what,
		  uint64_t where);

static inline bool is_metadata(uint64_t cluster)
{
	return cluster >= qcow2.max_clusters ||
	       qcow2.metadata[cluster / 8] >> (cluster % 8) & 1;
}

static inline void set_metadata(uint64_t cluster)
{
	qcow2.metadata[cluster / 8] |= (uint8_t)(1u << (cluster % 8));
}

/* Everything goes on that waits for I/O of ours: qcow2_format.c. */
void qcow2_advance(void);
/* The same from the loop, where it must not be now. */
void qcow2_advance_soon(void);

/* With file_io_run(): head[], with the feature fields as they are now. */
int qcow2_write_head(void);
/*
 * With file_io_run().  Reading: buf has room for whole blocks of SLICE_BYTES,
 * zeroes are behind the end of the file.  0 or -errno.
 */
int qcow2_read(const struct qcow2_layer *layer, uint64_t offset, void *buf,
	       uint64_t bytes);
int qcow2_write(const struct qcow2_layer *layer, uint64_t offset,
		const void *buf, uint64_t bytes);
int qcow2_sync(void);

/* --- qcow2_cache.c: tables ------------------------------------------------- */

struct slice;

/*
 * The slice of a layer's file in which offset lies.
 * Return: 0, *bytes is its first byte until the caller returns to the loop;
 * -EINPROGRESS; -EIO.
 */
int cache_get(const struct qcow2_layer *layer, uint64_t offset,
	      struct slice **slice, uint8_t **bytes);

/*
 * Write a changed copy of a slice of layer 0: cache_write_begin() gives the
 * copy (NULL: not now), cache_write_end() sends it.  What is read changes once
 * it is in the file; done() is told.
 */
struct table_write {
	struct file_io io;
	struct slice *slice;	/* NULL: free */
	void (*done)(struct table_write *write, int err);
	uint8_t bytes[SLICE_BYTES] __attribute__((aligned(4096)));
};

struct table_write *cache_write_begin(struct slice *slice);
void cache_write_end(struct table_write *write,
		     void (*done)(struct table_write *write, int err));

/* --- qcow2_find.c: what is where ------------------------------------------ */

/* Where in its file is the L2 entry for offset of the layer's disk? */
struct qcow2_place {
	uint64_t l1_entry;	/* offset of the L1 entry */
	uint64_t l2_table;	/* 0: there is none yet */
	uint64_t l2_entry;	/* offset of the L2 entry, if there is a table */
};

int qcow2_locate(const struct qcow2_layer *layer, uint64_t offset,
		 struct qcow2_place *place);

/*
 * The L2 entry for offset, and for how many bytes (of at most `most`) what
 * follows goes on like it.  An absent table is like unallocated entries.
 */
int qcow2_entry_at(const struct qcow2_layer *layer, uint64_t offset,
		   uint64_t most, struct qcow2_entry *entry, uint64_t *bytes);

/*
 * Where to read [offset, + most) of the layer's disk, or a first part of it.
 * Return: BLK_MAP_DATA, _ZERO, _MEMORY; -EINPROGRESS, -EIO.
 */
int qcow2_find(unsigned int layer, uint64_t offset, uint64_t most,
	       struct blk_extent *extent);

/* --- qcow2_packed.c: compressed clusters in memory ------------------------- */

/* Return: 0, *bytes is the cluster for now; -EINPROGRESS, -EIO. */
int packed_get(const struct qcow2_layer *layer,
	       const struct qcow2_entry *entry, const uint8_t **bytes);

/* --- qcow2_lease.c: clusters to grow by ----------------------------------- */

/*
 * Take up to `want` that lie in a row and read as zeroes; *got: so many.
 * Return: 0, -EINPROGRESS, -ENOSPC, -EIO.
 */
int lease_take(uint64_t want, uint64_t *offset, uint64_t *got);
void lease_open(uint64_t first_cluster);
void lease_advance(void);
/* With file_io_run(): what is left of it is given back.  0 or -errno. */
int lease_close(void);
/* As many as one lease has, at most. */
uint64_t lease_clusters(void);

/* --- qcow2_grow.c: guest clusters that are getting a host cluster ---------- */

/*
 * A write of req must go to a new cluster; entry is what is there now, and the
 * next `run` bytes are like it.
 * Return: BLK_MAP_DATA with extent->fresh; -EINPROGRESS; another -errno.
 */
int grow_map(struct blk_request *req, const struct qcow2_entry *entry,
	     uint64_t run, struct blk_extent *extent);
int grow_written(struct blk_request *req, int err);
/* The L1 entry at place gets a table.  Return: -EINPROGRESS, or -errno. */
int grow_table(const struct qcow2_place *place);
void grow_advance(void);
/* Is any on its way? */
bool grow_is_busy(void);

/* --- qcow2_scan.c: all references of layer 0, with file_io_run() ---------- */

struct qcow2_scan {
	/* The caller's: 2 bytes per cluster, zeroes, and room for how many. */
	uint16_t *count;	/* how often a cluster is referred to */
	uint64_t max_clusters;
	/* What is found: */
	uint64_t end;		/* behind the last cluster referred to */
	uint64_t nr_bad;	/* entries that make no sense, or overlap */
	uint64_t nr_low;	/* refcounts below the references */
	uint64_t nr_high;	/* above: clusters that are lost */
	uint64_t nr_flags;	/* COPIED where it should not be, or the reverse */
	uint64_t nr_uncounted;	/* in use, without a refcount block */
	uint64_t nr_data, nr_packed, nr_zero;	/* guest clusters */
	char first[QCOW2_WHY_MAX];	/* of nr_bad; "" */
};

/* Count references, compare refcounts.  0 or -errno of reading. */
int qcow2_scan(struct qcow2_scan *scan);
/* In place: refcounts become what was counted.  No nr_bad, no nr_uncounted. */
int qcow2_repair(struct qcow2_scan *scan);
/*
 * Write new refcount structures behind scan->end, with room for room_clusters,
 * and point the header to them.  No nr_bad.
 */
int qcow2_rebuild(struct qcow2_scan *scan, uint64_t room_clusters);

/* --- qcow2_open.c --------------------------------------------------------- */

/*
 * With file_io_run(): look into the layers, whose file, raw, file_bytes are
 * set; qcow2.writable as it is wanted; scan may be NULL if it is not.
 * Return: 0, or -errno with a line in why, which begins with the layer.
 */
int qcow2_open_layers(struct qcow2_scan *scan, uint32_t block_bytes,
		      char why[QCOW2_WHY_MAX + 64]);
/* What a clean end takes.  0 or -errno. */
int qcow2_close_layers(struct qcow2_scan *scan);
/* Map a request, as struct blk_format has it. */
int qcow2_map(struct blk_request *req, struct blk_extent *extent);
int qcow2_written(struct blk_request *req, const struct blk_extent *extent,
		  int err);
/*
 * As in a new process: nothing is cached, waits or is on its way.  For tools
 * that open one image after another, and for tests.
 */
void qcow2_forget(void);
void cache_forget(void);
void packed_forget(void);
void grow_forget(void);

#endif
