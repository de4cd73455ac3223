/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a running disk to another file (C7); the copying is
 * devproc/blk/mirror.c's.  Part of struct device.
 *
 *	NONE --begin--> COPYING --all is copied--> PIVOTING --drained--> NONE
 *	                 |    ^                       |
 *	                 |    +------killed-----------+
 *	                 +--cancel, error, end of the VM--> NONE
 *
 * A process has the files that it was born with, so each arrow but the last
 * two exchanges it.  Up to the pivot the old file is the disk: every write
 * that the guest was told of is in it, whoever is killed.  The pivot is one
 * step of the supervisor, between a process that ended in good order with
 * both files the same, and the birth of the next one.
 *
 * The new file has the disk alone, flat: nothing is behind it, whatever there
 * was behind the old one.
 */
#ifndef CLI_MOVE_H
#define CLI_MOVE_H

#include <stdbool.h>
#include <stdint.h>

struct device;
struct life_blk_moved;

enum move_state {
	MOVE_NONE,
	MOVE_COPYING,
	MOVE_PIVOTING,		/* the process is told to finish */
};

struct move {
	enum move_state state;
	int fd;			/* of the new file; -1 */
	int format;		/* of it, enum life_blk_format */
	uint64_t disk_bytes;
	uint64_t file_bytes;	/* of the new file; 0: there is none */
	char to[256];		/* its path */
	bool failed;		/* how the last one ended */
	char end[256];		/* in words; "": there was none */
};

void move_init(struct device *dev);

/*
 * Make the file `to`, absolute, and begin.  format: "raw", "qcow2", NULL: that
 * of the disk.
 * Return: 0, or -errno with a line in why (VM_WHY_MAX), and no file.
 */
int move_begin(struct device *dev, const char *to, const char *format,
	       char *why);

/* Return: 0; -EINVAL with a line in why, there is nothing to cancel. */
int move_cancel(struct device *dev, char *why);

/* LIFE_BLK_MOVED. */
void move_is_through(struct device *dev, const struct life_blk_moved *moved);

/* Its process is buried; drained: it had finished what it had in hand. */
void move_lost_process(struct device *dev, bool drained);

/* The VM, or this life of it, ends. */
void move_end(struct device *dev);

#endif
