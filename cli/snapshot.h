/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An external snapshot of a running disk (C7): from a drained moment on the
 * guest writes to a new, empty qcow2 image, and what it had is behind that and
 * stays as it is.  Part of struct device.
 *
 *	NONE --begin--> DRAINING --drained--> NONE, with the new image
 *	                   |
 *	                   +--killed, error, end of the VM--> NONE, as before
 *
 * All that can fail is done before the process is told to finish.  The change
 * is one step of the supervisor, between a process that ended in good order and
 * the birth of the next one.
 */
#ifndef CLI_SNAPSHOT_H
#define CLI_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

struct device;

struct snapshot {
	bool draining;
	int fd;			/* of the new image; -1 */
	int old_fd;		/* of the old one, for reading; -1 */
	uint64_t file_bytes;	/* of the new one */
	char to[256];		/* its path */
	bool failed;		/* how the last one ended */
	char end[256];		/* in words; "": there was none */
};

void snapshot_init(struct device *dev);

/*
 * Make the image `to`, absolute, and begin.
 * Return: 0, or -errno with a line in why (VM_WHY_MAX), and no file.
 */
int snapshot_begin(struct device *dev, const char *to, char *why);

/* Its process is buried; drained: it had finished what it had in hand. */
void snapshot_lost_process(struct device *dev, bool drained);

/* The VM, or this life of it, ends. */
void snapshot_end(struct device *dev);

#endif
