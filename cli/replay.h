/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a disk (ipc/record.h), read back: which images a power cut
 * would have left.  `bulkhead replay`; no VM is needed.  The record comes
 * from a device process, so everything in it is checked.
 */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/record.h"

#define REPLAY_WHY_MAX	256

struct replay {
	int fd;			/* of the record, owned */
	uint64_t disk_bytes;	/* of the file, when the record began */
	bool grows;		/* it is of a format that grows */
	struct record_entry *entry;	/* owned, in the file's order */
	size_t nr_entries;
	size_t *flush;		/* owned: which entries are flushes */
	size_t nr_flushes;
	uint64_t skipped_bytes;	/* between good entries */
};

/* 0, or -errno with a line in why. */
int replay_open(const char *path, struct replay *replay,
		char why[REPLAY_WHY_MAX]);
void replay_close(struct replay *replay);

/*
 * A cut: everything that flush number `flush` (1 is the first; 0: no flush
 * yet) covers is there.  Of what came after it, up to the next flush's
 * answer: nothing, or, if some, what `seed` chooses.
 */
struct replay_cut {
	size_t flush;
	bool some;
	uint64_t seed;
	uint32_t sector_bytes;	/* a power of two, at least 512; 0: 512 */
	/* Filled by replay_make(): entries after the flush, by their fate. */
	size_t whole, torn, lost;
};

/*
 * Write the image that the cut leaves to out, which is made or emptied; base:
 * the image as it was when the record began, NULL: zeroes.
 * Return: 0, or -errno with a line in why.
 */
int replay_make(const struct replay *replay, struct replay_cut *cut,
		const char *base, const char *out, char why[REPLAY_WHY_MAX]);

#endif
