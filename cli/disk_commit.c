/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead disk commit, outside the jail: the files and the order of it.  The
 * overlay is not changed before all that it has is stable in what is behind it,
 * so that it can be done again after whatever came between.
 *
 * What is written to is what the operator names: an image may call any file its
 * backing file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/disk.h"
#include "cli/resources.h"
#include "ipc/log.h"

struct commit {
	const char *path;		/* of the overlay */
	const struct config_chain *chain;
	int fd;				/* of the overlay */
	struct disk_files files;	/* image: what is written to */
	struct host_end target;		/* the same */
	struct disk_answer answer;
};

static int failed(const char *path, const char *why)
{
	if (path)
		log_err("%s: %s", path, why);
	else
		log_err("%s", why);
	return EXIT_FAILURE;
}

static const char *target_path(const struct commit *commit)
{
	return commit->chain->backing[0].file.path;
}

/* The overlay's fd has the lock; this one cannot write. */
static int open_for_reading(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int open_files(struct commit *commit)
{
	const struct config_chain *chain = commit->chain;
	struct disk_files *files = &commit->files;
	char why[DISK_WHY_MAX];
	struct host_end end;

	commit->fd = disk_open(commit->path, true, why);
	if (commit->fd < 0)
		return failed(NULL, why);
	files->overlay = open_for_reading(commit->fd);
	if (files->overlay < 0)
		return failed(commit->path, strerror(errno));
	files->raw = chain->backing[0].format == LIFE_BLK_RAW;
	files->image = disk_open_as(target_path(commit),
				    chain->backing[0].format, true,
				    &commit->target, why);
	if (files->image < 0)
		return failed(NULL, why);
	for (unsigned int i = 1; i < chain->nr; i++) {
		int fd = disk_open_as(chain->backing[i].file.path,
				      chain->backing[i].format, false, &end,
				      why);

		if (fd < 0)
			return failed(NULL, why);
		if (chain->backing[i].format == LIFE_BLK_RAW)
			files->raw_backing |= (uint16_t)(1u << (i - 1));
		files->backing[files->nr_backing++] = fd;
	}
	return EXIT_SUCCESS;
}

static void close_files(const struct commit *commit)
{
	const struct disk_files *files = &commit->files;

	for (unsigned int i = 0; i < files->nr_backing; i++)
		close(files->backing[i]);
	if (files->image >= 0)
		close(files->image);
	if (files->overlay >= 0)
		close(files->overlay);
	if (commit->fd >= 0)
		close(commit->fd);
}

/* Return: exit status, after a line if it is no success. */
static int ask(struct commit *commit, const char *path, int fd,
	       enum disk_job job, uint64_t bytes)
{
	char why[DISK_WHY_MAX];

	return disk_ask(fd, job, bytes, &commit->answer, why) ?
		failed(path, why) : EXIT_SUCCESS;
}

/* Sound, with something behind it. */
static int look_at_overlay(struct commit *commit, uint64_t *disk_bytes)
{
	int status = ask(commit, commit->path, commit->fd, DISK_REPAIR, 0);

	if (status)
		return status;
	if (commit->answer.nr_bad)
		return failed(commit->path,
			      "it is corrupt; see 'bulkhead disk check'");
	if (!commit->answer.header.backing[0])
		return failed(commit->path,
			      "it has no backing file that it could be committed into");
	*disk_bytes = commit->answer.header.disk_bytes;
	return EXIT_SUCCESS;
}

/* What is behind it is as large as it at least. */
static int grow_target(struct commit *commit, uint64_t bytes)
{
	const char *path = target_path(commit);
	int fd = commit->files.image;
	int status;

	if (!commit->files.raw) {
		status = ask(commit, path, fd, DISK_LOOK, 0);
		if (status || commit->answer.header.disk_bytes >= bytes)
			return status;
		return ask(commit, path, fd, DISK_RESIZE, bytes);
	}
	if (commit->target.size_bytes >= bytes)
		return EXIT_SUCCESS;
	if (commit->target.block_device)
		return failed(path, "the block device is smaller than the disk");
	return ftruncate(fd, (off_t)bytes) < 0 ?
		failed(path, strerror(errno)) : EXIT_SUCCESS;
}

/* What a child says that it left behind an image's end. */
static void cut(int fd, uint64_t keep_bytes)
{
	off_t end = lseek(fd, 0, SEEK_END);

	/* Longer than need be, it is whole as well. */
	if (keep_bytes && (off_t)keep_bytes < end &&
	    ftruncate(fd, (off_t)keep_bytes) < 0)
		log_warn("an image stays longer than it need be: %s",
			 strerror(errno));
}

static int copy(struct commit *commit)
{
	char why[DISK_WHY_MAX];

	if (disk_ask_of(&commit->files, DISK_COMMIT, 0, &commit->answer, why))
		return failed(target_path(commit), why);
	if (!commit->files.raw)
		cut(commit->files.image, commit->answer.keep_bytes);
	printf("%s: %" PRIu64 " bytes of data, %" PRIu64
	       " of zeroes committed into %s\n", commit->path,
	       commit->answer.data_bytes, commit->answer.zero_bytes,
	       target_path(commit));
	return EXIT_SUCCESS;
}

static int empty(struct commit *commit)
{
	int status = ask(commit, commit->path, commit->fd, DISK_EMPTY, 0);

	if (!status)
		cut(commit->fd, commit->answer.keep_bytes);
	return status;
}

int disk_commit_into(const char *image, const struct config_chain *chain)
{
	static struct commit commit;
	uint64_t bytes = 0;
	int status;

	commit = (struct commit) {
		.path = image, .chain = chain, .fd = -1,
		.files = { .image = -1, .overlay = -1 },
	};
	status = open_files(&commit);
	if (!status)
		status = look_at_overlay(&commit, &bytes);
	if (!status)
		status = grow_target(&commit, bytes);
	if (!status)
		status = copy(&commit);
	if (!status)
		status = empty(&commit);
	close_files(&commit);
	return status;
}
