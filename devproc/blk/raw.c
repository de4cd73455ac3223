/* SPDX-License-Identifier: Apache-2.0 */
/* Raw images and block devices: the disk is the file.  bulkhead-blk, D4. */
#include "devproc/blk/blk.h"
#include "devproc/blk/file_io.h"
#include "devproc/blk/format.h"

static int raw_map(struct blk_request *req, struct blk_extent *extent)
{
	extent->file = FILE_IMAGE;
	extent->offset = req->offset;
	extent->bytes = req->left;
	return BLK_MAP_DATA;
}

/* A predecessor's late write would land over one of ours. */
static int raw_open(struct blk_image *image)
{
	return image->is_file && !image->read_only ? file_io_settle() : 0;
}

const struct blk_format format_raw = {
	.name = "raw",
	.open = raw_open,
	.map = raw_map,
};
