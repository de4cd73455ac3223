/* SPDX-License-Identifier: Apache-2.0 */
/* A qcow2 disk on plain files, see qcow2_rig.h. */
#include "tests/unit/qcow2_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PENDING	4096
#define COUNT_CLUSTERS	(8u << 20)
#define SECTOR		512u

static int fds[FILE_MAX];
static struct file_io *pending[MAX_PENDING];
static unsigned int nr_pending;
static struct qcow2_scan scan;
static uint64_t random_state = 1;
static unsigned int fail_after;
static int fail_err;
static bool no_fallocate;

/* --- log ----------------------------------------------------------------------- */

struct change {
	enum file_op op;
	bool truncate;
	uint64_t offset, bytes;
	uint8_t *data;
};

static struct {
	bool on;
	char base[RIG_PATH_MAX];
	struct change *list;
	size_t nr, room;
} changes;

static void remember(enum file_op op, bool truncate, uint64_t offset,
		     uint64_t bytes, const void *data)
{
	struct change *change;

	if (!changes.on)
		return;
	if (changes.nr == changes.room) {
		changes.room = changes.room ? changes.room * 2 : 256;
		changes.list = realloc(changes.list, changes.room *
				       sizeof(*changes.list));
	}
	change = &changes.list[changes.nr++];
	*change = (struct change) {
		.op = op, .truncate = truncate, .offset = offset,
		.bytes = bytes,
	};
	if (op == FILE_WRITE && !truncate) {
		change->data = malloc(bytes);
		memcpy(change->data, data, bytes);
	}
}

void rig_log_begin(const char *image)
{
	char out[256];

	snprintf(changes.base, sizeof(changes.base), "%s.base", image);
	if (rig_shell(out, sizeof(out), "cp --sparse=always %s %s", image,
		      changes.base))
		abort();
	changes.on = true;
}

size_t rig_log_length(void)
{
	return changes.nr;
}

void rig_log_stop(void)
{
	changes.on = false;
}

void rig_log_end(void)
{
	for (size_t i = 0; i < changes.nr; i++)
		free(changes.list[i].data);
	free(changes.list);
	unlink(changes.base);
	memset(&changes, 0, sizeof(changes));
}

static void zero_range(int fd, uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeroes[1u << 16];

	while (bytes > 0) {
		uint64_t part = bytes < sizeof(zeroes) ? bytes :
							 sizeof(zeroes);

		if (pwrite(fd, zeroes, part, (off_t)offset) < 0)
			abort();
		offset += part;
		bytes -= part;
	}
}

static void zero_keep_size(int fd, uint64_t offset, uint64_t bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		abort();
	if (offset >= (uint64_t)st.st_size)
		return;
	if (bytes > (uint64_t)st.st_size - offset)
		bytes = (uint64_t)st.st_size - offset;
	zero_range(fd, offset, bytes);
}

/* torn: each sector of a write by itself. */
static void apply(int fd, const struct change *change, bool torn)
{
	if (change->op == FILE_SYNC)
		return;
	if (change->truncate) {
		if (ftruncate(fd, (off_t)change->offset) < 0)
			abort();
		return;
	}
	if (change->op != FILE_WRITE) {
		zero_keep_size(fd, change->offset, change->bytes);
		return;
	}
	for (uint64_t at = 0; at < change->bytes; at += SECTOR) {
		uint64_t bytes = change->bytes - at < SECTOR ?
				 change->bytes - at : SECTOR;

		if (torn && rig_random(2))
			continue;
		if (pwrite(fd, change->data + at, bytes,
			   (off_t)(change->offset + at)) < 0)
			abort();
	}
}

void rig_log_cut(const char *path, size_t length, uint64_t seed)
{
	size_t stable = 0;
	char out[256];
	int fd;

	rig_seed(seed);
	for (size_t i = 0; i < length; i++)
		if (changes.list[i].op == FILE_SYNC)
			stable = i;
	if (rig_shell(out, sizeof(out), "cp --sparse=always %s %s",
		      changes.base, path))
		abort();
	fd = open(path, O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < length; i++) {
		if (i > stable && rig_random(2))
			continue;
		apply(fd, &changes.list[i], i > stable && !rig_random(3));
	}
	close(fd);
}

/* --- file_io.h -------------------------------------------------------------------- */

static int execute(struct file_io *io)
{
	int fd = fds[io->file];
	ssize_t done;

	if (fail_after && --fail_after == 0)
		return fail_err;
	switch ((enum file_op)io->op) {
	case FILE_READ:
		done = pread(fd, io->buf, io->bytes, (off_t)io->offset);
		return done < 0 ? -errno : (int)done;
	case FILE_WRITE:
		done = pwrite(fd, io->buf, io->bytes, (off_t)io->offset);
		break;
	case FILE_SYNC:
		done = 0;
		break;
	default:
		if (no_fallocate)
			return -EOPNOTSUPP;
		zero_keep_size(fd, io->offset, io->bytes);
		done = 0;
	}
	if (done < 0)
		return -errno;
	if (io->file == FILE_IMAGE)
		remember(io->op, false, io->offset, io->bytes, io->buf);
	return (int)done;
}

void file_io_start(struct file_io *io)
{
	if (nr_pending == MAX_PENDING || io->nr_iov)
		abort();
	pending[nr_pending++] = io;
}

int file_io_run(struct file_io *io)
{
	return execute(io);
}

int file_io_truncate(unsigned int file, uint64_t bytes)
{
	if (ftruncate(fds[file], (off_t)bytes) < 0)
		return -errno;
	remember(FILE_WRITE, true, bytes, 0, NULL);
	return 0;
}

int file_io_settle(void)
{
	return 0;
}

bool rig_step(void)
{
	struct file_io *io;
	unsigned int n;

	if (!nr_pending)
		return false;
	n = (unsigned int)rig_random(nr_pending);
	io = pending[n];
	pending[n] = pending[--nr_pending];
	io->done(io, execute(io));
	return true;
}

/* --- requests: what transfer.c does ------------------------------------------------ */

static void next_extent(struct rig_request *request);

static void end(struct rig_request *request, int err)
{
	request->done = true;
	request->err = err;
}

static void advance(struct rig_request *request, uint64_t bytes)
{
	request->req.offset += bytes;
	request->req.left -= bytes;
	if (request->at)
		request->at += bytes;
}

static void on_data(struct file_io *io, int result)
{
	struct rig_request *request = (struct rig_request *)
		((char *)io - offsetof(struct rig_request, req.io));
	struct blk_request *req = &request->req;
	bool moves = io->op == FILE_READ || io->op == FILE_WRITE;
	int err = result < 0 ? -result :
		  moves && (uint64_t)result != io->bytes ? EIO : 0;
	int ret = 0;

	if (!err)
		advance(request, req->extent.bytes);
	if (req->extent.fresh)
		ret = qcow2_written(req, &req->extent, err);
	if (ret == BLK_MAP_LATER && req->extent.fresh)
		return;
	if (err || ret < 0)
		request_fail(req, err ? err : -ret);
	else if (req->op == BLK_OP_FLUSH)
		end(request, 0);
	else
		next_extent(request);
}

static void start_data(struct rig_request *request)
{
	static uint8_t zeroes[1u << 20];
	static const uint8_t ops[] = {
		[BLK_OP_READ] = FILE_READ, [BLK_OP_WRITE] = FILE_WRITE,
		[BLK_OP_FLUSH] = FILE_SYNC, [BLK_OP_DISCARD] = FILE_PUNCH,
		[BLK_OP_ZERO_UNMAP] = FILE_PUNCH, [BLK_OP_ZERO] = FILE_ZERO,
		[BLK_OP_ZERO_WRITE] = FILE_WRITE,
	};
	struct blk_request *req = &request->req;

	req->io = (struct file_io) {
		.done = on_data, .op = ops[req->op], .file = req->extent.file,
		.offset = req->extent.offset, .bytes = req->extent.bytes,
		.buf = request->at ? request->at : zeroes,
	};
	if (req->op == BLK_OP_ZERO_WRITE && req->io.bytes > sizeof(zeroes))
		req->io.bytes = req->extent.bytes = sizeof(zeroes);
	file_io_start(&req->io);
}

static void next_extent(struct rig_request *request)
{
	struct blk_request *req = &request->req;

	while (req->left > 0 || req->op == BLK_OP_FLUSH) {
		int ret;

		req->extent = (struct blk_extent) { .bytes = 0 };
		ret = qcow2_map(req, &req->extent);
		if (ret < 0) {
			request_fail(req, -ret);
			return;
		}
		if (ret == BLK_MAP_LATER)
			return;
		if (req->op != BLK_OP_FLUSH && req->extent.bytes == 0)
			abort();
		if (req->extent.bytes > req->left)
			req->extent.bytes = req->left;
		if (ret == BLK_MAP_DATA) {
			start_data(request);
			return;
		}
		if (ret == BLK_MAP_ZERO)
			memset(request->at, 0, req->extent.bytes);
		if (ret == BLK_MAP_MEMORY)
			memcpy(request->at, req->extent.memory,
			       req->extent.bytes);
		advance(request, req->extent.bytes);
	}
	end(request, 0);
}

void request_resume(struct blk_request *req)
{
	next_extent((struct rig_request *)req);
}

void request_fail(struct blk_request *req, int err)
{
	if (err == EOPNOTSUPP && req->op == BLK_OP_ZERO_UNMAP)
		req->op = BLK_OP_ZERO;
	else if (err == EOPNOTSUPP && req->op == BLK_OP_ZERO)
		req->op = BLK_OP_ZERO_WRITE;
	else if (err == EOPNOTSUPP && req->op == BLK_OP_DISCARD)
		err = 0;
	if (err == EOPNOTSUPP && req->op != BLK_OP_DISCARD)
		next_extent((struct rig_request *)req);
	else
		end((struct rig_request *)req, err);
}

void rig_begin(struct rig_request *request, enum blk_op op, uint64_t offset,
	       uint64_t bytes, uint8_t *data)
{
	memset(request, 0, sizeof(*request));
	request->req.op = (uint8_t)op;
	request->req.offset = offset;
	request->req.left = bytes;
	request->data = request->at = data;
	next_extent(request);
}

int rig_do(enum blk_op op, uint64_t offset, uint64_t bytes, uint8_t *data)
{
	struct rig_request request;

	rig_begin(&request, op, offset, bytes, data);
	while (!request.done)
		if (!rig_step())
			return ETIMEDOUT;
	return request.err;
}

/* --- life ----------------------------------------------------------------------------- */

static void *reserve(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

static void forget_everything(void)
{
	uint8_t *metadata = qcow2.metadata;

	nr_pending = 0;
	if (metadata)
		munmap(metadata, QCOW2_MAX_CLUSTERS / 8);
	if (scan.count)
		munmap(scan.count, COUNT_CLUSTERS * sizeof(*scan.count));
	memset(&qcow2, 0, sizeof(qcow2));
	memset(&scan, 0, sizeof(scan));
	qcow2_forget();
}

int rig_open(const char *const *files, unsigned int nr, bool writable,
	     char why[QCOW2_WHY_MAX + 64])
{
	forget_everything();
	if (qcow2_unpack_open())
		abort();
	qcow2.nr_layers = nr;
	qcow2.writable = writable;
	qcow2.max_clusters = QCOW2_MAX_CLUSTERS;
	qcow2.metadata = reserve(QCOW2_MAX_CLUSTERS / 8);
	scan.max_clusters = COUNT_CLUSTERS;
	scan.count = reserve(COUNT_CLUSTERS * sizeof(*scan.count));
	for (unsigned int i = 0; i < nr; i++) {
		struct qcow2_layer *layer = &qcow2.layer[i];
		const char *dot = strrchr(files[i], '.');
		struct stat st;

		layer->file = i ? (uint8_t)(FILE_EXTRA + i - 1) : FILE_IMAGE;
		layer->raw = dot && !strcmp(dot, ".raw");
		fds[layer->file] = open(files[i], (writable && !i ?
					O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (fds[layer->file] < 0 || fstat(fds[layer->file], &st) < 0)
			abort();
		layer->file_bytes = (uint64_t)st.st_size;
	}
	return qcow2_open_layers(&scan, 512, why);
}

static void close_files(void)
{
	for (unsigned int i = 0; i < qcow2.nr_layers; i++)
		close(fds[qcow2.layer[i].file]);
}

int rig_close(void)
{
	int ret;

	while (rig_step())
		;
	ret = qcow2_close_layers(&scan);
	close_files();
	return ret;
}

void rig_kill(void)
{
	for (unsigned int i = 0; i < nr_pending; i++)
		if (rig_random(2))
			(void)execute(pending[i]);
	close_files();
	nr_pending = 0;
}

void rig_seed(uint64_t seed)
{
	random_state = seed * 2 + 1;
}

/* xorshift64* */
uint64_t rig_random(uint64_t below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 2685821657736338717ull >> 16) % below;
}

void rig_fail_after(unsigned int nr, int err)
{
	fail_after = nr;
	fail_err = err;
}

void rig_no_fallocate(bool yes)
{
	no_fallocate = yes;
}

int rig_shell(char *buf, size_t len, const char *fmt, ...)
{
	char command[1024];
	size_t got = 0, n;
	va_list ap;
	FILE *f;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command) - 8, fmt, ap);
	va_end(ap);
	strcat(command, " 2>&1");
	f = popen(command, "re");
	if (!f)
		abort();
	while (got + 1 < len && (n = fread(buf + got, 1, len - 1 - got, f)) > 0)
		got += n;
	buf[got] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
