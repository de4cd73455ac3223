/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image: a raw file or block device at RES_FD, D4's far end.
 * bulkhead-blk, before confinement; nothing here looks at its contents.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devproc/blk/blk.h"
#include "devproc/blk/bounce.h"
#include "ipc/dio_align.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "ipc/no_atime.h"

#define LOCK_TRIES	50
#define LOCK_PAUSE_US	20000

/*
 * One writer, or any number of readers.  The lock belongs to the open file
 * description, so it lasts as long as anything has this fd; io_uring lets go
 * of a file only some time after its process has ended, hence the patience.
 */
static int lock(int fd, const char *path, bool read_only)
{
	struct flock whole = {
		.l_type = read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			break;
		usleep(LOCK_PAUSE_US);
	}
	if (errno == EAGAIN || errno == EACCES) {
		log_err("image %s is locked by another process; end that one first, or use a copy",
			path);
		return -EBUSY;
	}
	log_perr(errno, "image %s cannot be locked", path);
	return -errno;
}

int image_acquire(const char *path, bool read_only, bool direct, int number)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
		    (direct ? O_DIRECT : 0);
	int fd = open(path, flags);
	int ret;

	if (fd < 0) {
		ret = -errno;
		log_perr(-ret, "image %s cannot be opened%s", path,
			 ret == -EINVAL && direct ?
			 " with O_DIRECT; --cache=writeback does without" : "");
		return ret;
	}
	no_atime(fd);
	ret = lock(fd, path, read_only);
	if (!ret && fd != number && dup3(fd, number, O_CLOEXEC) < 0)
		ret = -errno;
	if (fd != number)
		close(fd);
	return ret;
}

static int find_size(uint64_t *bytes, uint32_t *physical_bytes, bool *is_file)
{
	struct stat st;
	unsigned int physical;

	if (fstat(RES_FD, &st) < 0)
		return -errno;
	*is_file = S_ISREG(st.st_mode);
	if (*is_file) {
		*bytes = (uint64_t)st.st_size;
		*physical_bytes = (uint32_t)st.st_blksize;
		return 0;
	}
	if (!S_ISBLK(st.st_mode)) {
		log_err("image is neither a regular file nor a block device");
		return -EINVAL;
	}
	if (ioctl(RES_FD, BLKGETSIZE64, bytes) < 0 ||
	    ioctl(RES_FD, BLKPBSZGET, &physical) < 0)
		return -errno;
	*physical_bytes = physical;
	return 0;
}

/* Does O_DIRECT take 512 bytes here, or only 4096?  The bytes are not used. */
static uint32_t probe_io_align(void)
{
	static char buf[4096] __attribute__((aligned(4096)));

	return pread(RES_FD, buf, SECTOR_BYTES, 0) < 0 && errno == EINVAL ?
		4096 : SECTOR_BYTES;
}

static bool is_power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

/* What O_DIRECT asks for here. */
static void find_alignment(struct blk_image *image)
{
	if (dio_align(RES_FD, &image->io_align, &image->memory_align) &&
	    is_power_of_two(image->io_align) &&
	    is_power_of_two(image->memory_align))
		return;
	/* A file system that does not say: the strictest for addresses. */
	image->io_align = probe_io_align();
	image->memory_align = 4096;
}

/* The disk is whole blocks of the guest, and of the host's O_DIRECT. */
static int find_capacity(struct blk_image *image, uint64_t bytes)
{
	uint32_t block = image->io_align > image->block_bytes ?
		image->io_align : image->block_bytes;

	image->bytes = bytes & ~(uint64_t)(block - 1);
	if (image->bytes == 0) {
		log_err("image is empty: it has %llu bytes, a disk has at least %u",
			(unsigned long long)bytes, block);
		return -EINVAL;
	}
	if (image->bytes != bytes)
		log_warn("image: the last %llu bytes are less than a block of %u and left out",
			 (unsigned long long)(bytes - image->bytes), block);
	return 0;
}

/*
 * What several processes of one disk must not do: read a block, change a sector
 * of it, write the block, as piece.c does alone among the writes of its own
 * process only; and have different sizes, as the guest is told one.
 */
static int check_shared(const struct life_birth_blk *birth,
			const struct blk_image *image, uint64_t *bytes)
{
	if (!birth->shared)
		return 0;
	if (image->io_align > SECTOR_BYTES && !birth->read_only) {
		log_err("image: O_DIRECT takes blocks of %u bytes here, parts of which one process only may write; processes = 1 or cache = writeback does",
			image->io_align);
		return -EINVAL;
	}
	/* It may have grown: all hear of that together, by a resize. */
	if (birth->size_bytes && birth->size_bytes < *bytes)
		*bytes = birth->size_bytes;
	return 0;
}

int image_measure(const struct life_birth_blk *birth, struct blk_image *image)
{
	uint64_t bytes;
	int ret = find_size(&bytes, &image->physical_bytes,
			    &image->is_file);

	if (ret)
		return ret;
	image->block_bytes = SECTOR_BYTES;
	image->io_align = 1;
	image->memory_align = 1;
	if (birth->direct)
		find_alignment(image);
	ret = check_shared(birth, image, &bytes);
	if (ret)
		return ret;
	if (image->io_align > BOUNCE_BYTES) {
		log_err("image: O_DIRECT takes blocks of %u bytes here; cache = writeback does without",
			image->io_align);
		return -EINVAL;
	}
	if (image->physical_bytes < image->io_align)
		image->physical_bytes = image->io_align;
	if (!is_power_of_two(image->physical_bytes) ||
	    image->physical_bytes < image->block_bytes ||
	    image->physical_bytes > 1u << 20)
		image->physical_bytes = image->block_bytes;
	/* How large a disk another format holds, it says itself. */
	image->bytes = bytes;
	if (birth->format == LIFE_BLK_RAW)
		ret = find_capacity(image, bytes);
	if (ret)
		return ret;
	image->ignore_flush = birth->cache == LIFE_CACHE_UNSAFE;
	image->read_only = birth->read_only;
	image->discard = birth->discard && !birth->read_only;
	memcpy(image->id, birth->serial,
	       strnlen(birth->serial, sizeof(image->id)));
	return 0;
}
