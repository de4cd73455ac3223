/* SPDX-License-Identifier: Apache-2.0 */
/* [blk] record: the file that a disk's device appends to, made here (C1). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/resources.h"
#include "ipc/record.h"

static int fail(const struct config_path *record, int err, const char *what,
		char *why)
{
	snprintf(why, VM_WHY_MAX, "%s: record = %s: %s", record->origin,
		 record->path, what);
	return -err;
}

static int write_header(const struct config_device *cfg,
			const struct host_end *end, char *why)
{
	bool grows = cfg->format != LIFE_BLK_RAW;
	struct record_header header = {
		.version = RECORD_VERSION,
		.header_bytes = sizeof(header),
		.disk_bytes = end->size_bytes -
			      (grows ? 0 : end->size_bytes % 512),
		.flags = grows ? RECORD_GROWS : 0,
	};

	memcpy(header.magic, RECORD_MAGIC, sizeof(header.magic));
	if (pwrite(end->out_fd, &header, sizeof(header), 0) == sizeof(header))
		return 0;
	return fail(&cfg->record, EIO, "cannot write to it", why);
}

/* A record that ended before its guest did anything counts as new. */
int record_file_open(const struct config_device *cfg, struct host_end *end,
		     char why[VM_WHY_MAX])
{
	const struct config_path *record = &cfg->record;
	struct stat st;

	end->out_fd = open(record->path,
			   O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY |
				   O_NONBLOCK, 0600);
	if (end->out_fd < 0 || fstat(end->out_fd, &st) < 0)
		return fail(record, errno, strerror(errno), why);
	if (!S_ISREG(st.st_mode))
		return fail(record, EINVAL, "not a regular file", why);
	/* That was for FIFOs; io_uring would take it to mean "never wait". */
	if (fcntl(end->out_fd, F_SETFL, 0) < 0)
		return fail(record, errno, strerror(errno), why);
	if (st.st_size > (off_t)sizeof(struct record_header))
		return fail(record, EEXIST,
			    "exists already; a record begins with its disk, so move the old one away",
			    why);
	return write_header(cfg, end, why);
}
