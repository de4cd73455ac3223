/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 as a format of bulkhead-blk (format.h): its memory and its files'
 * sizes before confinement, its images' contents after it.
 */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devproc/blk/blk.h"
#include "devproc/blk/qcow2_format.h"
#include "devproc/blk/qcow2_priv.h"
#include "devproc/blk/record.h"
#include "devproc/device.h"

/* A file may be counted that has grown by so many clusters meanwhile. */
#define SPARE_CLUSTERS	(64ull << 20)

static struct qcow2_scan scan;

static int layer_fd(unsigned int number)
{
	return number ? EXTRA_FD + (int)number - 1 : RES_FD;
}

/* Some C libraries make newfstatat(2) of fstat(), which the policy has not. */
static int status_of(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st);
}

static int measure(int fd, uint64_t *bytes)
{
	struct stat st;

	if (status_of(fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, bytes) < 0 ? -errno : 0;
	*bytes = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

/* Address space; it takes memory where it is used. */
static void *reserve(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* For what is written only: marks of tables, counts of references. */
static int reserve_all(void)
{
	uint64_t clusters = qcow2.layer[0].file_bytes / 512 + SPARE_CLUSTERS;

	qcow2.max_clusters = QCOW2_MAX_CLUSTERS;
	qcow2.metadata = reserve(QCOW2_MAX_CLUSTERS / 8);
	scan.max_clusters = least(clusters, QCOW2_MAX_CLUSTERS);
	scan.count = reserve(scan.max_clusters * sizeof(*scan.count));
	return qcow2.metadata && scan.count ? 0 : -ENOMEM;
}

static bool is_block_device(int fd)
{
	struct stat st;

	return status_of(fd, &st) == 0 && S_ISBLK(st.st_mode);
}

int qcow2_prepare(const struct life_birth_blk *birth)
{
	int ret = qcow2_unpack_open();

	qcow2.nr_layers = 1u + birth->nr_backing;
	qcow2.writable = !birth->read_only;
	if (qcow2.nr_layers > QCOW2_MAX_LAYERS ||
	    birth->nr_backing > birth->nr_extra)
		return -EINVAL;
	if (qcow2.writable && is_block_device(RES_FD)) {
		device_fail("image: a qcow2 image on a block device can only be read; put it into a file");
		return -ENOTSUP;
	}
	for (unsigned int i = 0; !ret && i < qcow2.nr_layers; i++) {
		struct qcow2_layer *layer = &qcow2.layer[i];

		layer->file = i ? (uint8_t)(FILE_EXTRA + i - 1) : FILE_IMAGE;
		layer->raw = i && birth->raw_backing >> (i - 1) & 1;
		ret = measure(layer_fd(i), &layer->file_bytes);
	}
	return ret || !qcow2.writable ? ret : reserve_all();
}

/*
 * A spare was born long before it serves: by then another process has made the
 * image longer.  A block device stays as long as it is.
 */
static int measure_again(void)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < qcow2.nr_layers; i++)
		if (!is_block_device(layer_fd(i)))
			ret = measure(layer_fd(i), &qcow2.layer[i].file_bytes);
	return ret;
}

static int qcow2_open(struct blk_image *image)
{
	const struct qcow2_layer *layer = &qcow2.layer[0];
	char why[QCOW2_WHY_MAX + 64];
	int ret = measure_again();

	if (ret)
		return ret;
	qcow2.tables_anew = record_goes_on();
	ret = qcow2_open_layers(&scan, image->io_align, why);
	if (ret) {
		device_fail("%s", why);
		return ret;
	}
	image->bytes = layer->disk_bytes & ~(uint64_t)(image->block_bytes - 1);
	return image->bytes ? 0 : -EINVAL;
}

static void qcow2_close(void)
{
	int ret = qcow2_close_layers(&scan);

	if (ret)
		log_perr(-ret, "image: what it has lost is left to its next user");
}

const struct blk_format format_qcow2 = {
	.name = "qcow2",
	.open = qcow2_open,
	.map = qcow2_map,
	.written = qcow2_written,
	.close = qcow2_close,
};
