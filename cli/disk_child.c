/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of `bulkhead disk` that looks into an image (disk.h).  It gives up
 * all rights before it reads the first byte, as bulkhead-blk does: no
 * capabilities, no files but the image, no new privileges, and the five system
 * calls of policy/disk.policy.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/disk_priv.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "jail/confine.h"

#define CHILD_CPU_S	600	/* a child that computes longer is at a loss */
#define SPARE_CLUSTERS	(64ull << 20)

struct qcow2_scan disk_scan;
static struct qcow2_layer *const image = &qcow2.layer[0];

static void *reserve(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* --- confined ------------------------------------------------------------------- */

int disk_fail(struct disk_answer *answer, int ret, const char *text)
{
	snprintf(answer->why, sizeof(answer->why), "%s", text);
	return ret;
}

int disk_look(struct qcow2_layer *layer, struct disk_answer *answer)
{
	static uint8_t head[64u << 10];
	uint64_t room = least(sizeof(head), layer->file_bytes);
	int ret = qcow2_read(layer, 0, head, sizeof(head));

	if (ret)
		return disk_fail(answer, ret, "cannot be read");
	ret = qcow2_header_parse(head, room, &layer->header, answer->why);
	if (ret)
		return ret;
	layer->cluster_bytes = 1u << layer->header.cluster_bits;
	layer->slice_bytes = (uint32_t)least(SLICE_BYTES,
					     layer->cluster_bytes);
	layer->disk_bytes = layer->header.disk_bytes;
	if (layer == image)
		memcpy(qcow2.head, head, sizeof(qcow2.head));
	answer->header = layer->header;
	return 0;
}

static void report(struct disk_answer *answer)
{
	answer->nr_data = disk_scan.nr_data;
	answer->nr_packed = disk_scan.nr_packed;
	answer->nr_zero = disk_scan.nr_zero;
	answer->nr_bad = disk_scan.nr_bad;
	answer->nr_low = disk_scan.nr_low;
	answer->nr_high = disk_scan.nr_high;
	answer->nr_flags = disk_scan.nr_flags;
	answer->nr_uncounted = disk_scan.nr_uncounted;
	memcpy(answer->why, disk_scan.first, sizeof(answer->why));
}

static int check(struct disk_answer *answer)
{
	int ret;

	if (image->header.nr_snapshots || image->header.has_bitmaps)
		return disk_fail(answer, -ENOTSUP,
			    "has internal snapshots or bitmaps, of which only qemu-img check knows");
	ret = qcow2_scan(&disk_scan);
	if (ret)
		return disk_fail(answer, ret, ret == -EFBIG ?
			    "is too large a file to be checked here" :
			    "cannot be read");
	report(answer);
	return 0;
}

/* No bad entries: then the marks can go, too. */
static int clear_marks(void)
{
	if (image->header.version < 3)
		return 0;
	image->header.incompatible &= ~(QCOW2_DIRTY | QCOW2_CORRUPT);
	return qcow2_write_head();
}

int disk_repair(struct disk_answer *answer)
{
	int ret = check(answer);

	if (ret || disk_scan.nr_bad)
		return ret;
	if (disk_scan.nr_uncounted)
		ret = qcow2_rebuild(&disk_scan, 0);
	else if (disk_scan.nr_low || disk_scan.nr_high)
		ret = qcow2_repair(&disk_scan);
	if (!ret)
		ret = clear_marks();
	if (ret)
		return disk_fail(answer, ret, "cannot be repaired");
	answer->repaired = true;
	return 0;
}

static uint64_t l1_entries_for(uint64_t bytes)
{
	unsigned int bits = image->header.cluster_bits * 2 - 3;

	return (bytes >> bits) + !!(bytes & ((1ull << bits) - 1));
}

/* Write [l1, + bytes of the old one] at `to`, zeroes behind it. */
static int copy_l1(uint64_t to, uint64_t clusters)
{
	static uint8_t part[64u << 10];
	uint64_t old = (uint64_t)image->header.l1_entries * 8;
	uint64_t size = least(sizeof(part), image->cluster_bytes);

	for (uint64_t at = 0; at < clusters * image->cluster_bytes;
	     at += size) {
		uint64_t from = at < old ? least(size, old - at) : 0;
		int ret = from ? qcow2_read(image,
			image->header.l1_offset + at, part, from) : 0;

		memset(part + from, 0, size - from);
		if (!ret)
			ret = qcow2_write(image, to + at, part, size);
		if (ret)
			return ret;
	}
	return qcow2_sync();
}

/*
 * A longer L1 table behind everything, and new refcounts behind it; the one
 * write of the header that points to the latter points to it, too.
 */
static int move_l1(uint64_t entries)
{
	struct qcow2_header *header = &image->header;
	uint64_t old = cluster_of(image, header->l1_offset);
	uint64_t old_end = cluster_of(image, header->l1_offset +
				      (uint64_t)header->l1_entries * 8 +
				      image->cluster_bytes - 1);
	uint64_t first = disk_scan.end;
	int ret;

	disk_scan.end += cluster_of(image, entries * 8 + image->cluster_bytes - 1);
	if (disk_scan.end >= disk_scan.max_clusters)
		return -EFBIG;
	for (uint64_t n = old; n < old_end; n++)
		disk_scan.count[n] = 0;
	for (uint64_t n = first; n < disk_scan.end; n++)
		disk_scan.count[n] = 1;
	image->file_bytes = disk_scan.end << header->cluster_bits;
	ret = copy_l1(first << header->cluster_bits, disk_scan.end - first);
	if (ret)
		return ret;
	header->l1_offset = first << header->cluster_bits;
	header->l1_entries = (uint32_t)entries;
	qcow2_put64(qcow2.head + 40, header->l1_offset);
	qcow2_put32(qcow2.head + 36, header->l1_entries);
	return qcow2_rebuild(&disk_scan, disk_scan.end);
}

static int resize(struct disk_answer *answer, uint64_t bytes)
{
	const char *obstacle = qcow2_header_obstacle(&image->header);
	uint64_t entries = l1_entries_for(bytes);
	int ret;

	if (obstacle)
		return disk_fail(answer, -ENOTSUP, obstacle);
	if (bytes < image->disk_bytes)
		return disk_fail(answer, -EINVAL,
			    "is larger than that; a disk is only made larger, as what is behind its end would be lost");
	if (entries * 8 > QCOW2_MAX_L1_BYTES)
		return disk_fail(answer, -EFBIG,
			    "would need an L1 table of more than 32 MiB; larger clusters would do");
	ret = disk_repair(answer);
	if (ret)
		return ret;
	if (disk_scan.nr_bad)
		return disk_fail(answer, -EUCLEAN, "is corrupt; see 'bulkhead disk check'");
	ret = qcow2_scan(&disk_scan);
	if (ret)
		return disk_fail(answer, ret, "cannot be read");
	image->header.disk_bytes = bytes;
	qcow2_put64(qcow2.head + 24, bytes);
	ret = entries > image->header.l1_entries ? move_l1(entries) :
						   qcow2_write_head();
	answer->header = image->header;
	return ret && !answer->why[0] ? disk_fail(answer, ret, "cannot be written") :
					ret;
}

static int act(enum disk_job job, uint64_t bytes, struct disk_answer *answer)
{
	int ret = job == DISK_COMMIT ? 0 : disk_look(image, answer);

	if (ret)
		return ret;
	switch (job) {
	case DISK_CHECK:
		return check(answer);
	case DISK_REPAIR:
		return disk_repair(answer);
	case DISK_RESIZE:
		return resize(answer, bytes);
	case DISK_COMMIT:
		return disk_commit(answer);
	case DISK_EMPTY:
		return disk_empty(answer);
	default:
		return 0;
	}
}

/* --- on the way there --------------------------------------------------------- */

/* fds of the child, once it has them where it wants them. */
enum { IMAGE_FD = 3, ANSWER_FD, OVERLAY_FD, BACKING_FD };

static int size_of(int fd, uint64_t *bytes)
{
	off_t end = lseek(fd, 0, SEEK_END);

	*bytes = (uint64_t)end;
	return end < 0 ? -errno : 0;
}

static int prepare_layer(unsigned int number, uint8_t file, int fd, bool raw,
			 int fds[FILE_MAX])
{
	struct qcow2_layer *layer = &qcow2.layer[number];

	layer->file = file;
	layer->raw = raw;
	fds[file] = fd;
	return size_of(fd, &layer->file_bytes);
}

static int prepare_layers(const struct disk_files *files)
{
	int fds[FILE_MAX];
	int ret;

	for (unsigned int i = 0; i < FILE_MAX; i++)
		fds[i] = -1;
	qcow2.nr_layers = 1 + files->nr_backing;
	ret = prepare_layer(0, FILE_IMAGE, IMAGE_FD, files->raw, fds);
	for (unsigned int i = 0; !ret && i < files->nr_backing; i++)
		ret = prepare_layer(1 + i, (uint8_t)(FILE_EXTRA + i),
				    BACKING_FD + (int)i,
				    files->raw_backing >> i & 1, fds);
	if (!ret && files->overlay >= 0)
		ret = prepare_layer(DISK_OVERLAY, FILE_MAX - 1, OVERLAY_FD,
				    false, fds);
	disk_io_init(fds);
	return ret;
}

/* Everything that takes system calls which the policy does not have. */
static int prepare(const struct disk_files *files)
{
	const struct rlimit cpu = { CHILD_CPU_S, CHILD_CPU_S };
	int ret = prepare_layers(files);

	if (ret)
		return ret;
	disk_scan.max_clusters = least(image->file_bytes / 512 +
				       SPARE_CLUSTERS, QCOW2_MAX_CLUSTERS);
	disk_scan.count = reserve(disk_scan.max_clusters *
				  sizeof(*disk_scan.count));
	qcow2.max_clusters = QCOW2_MAX_CLUSTERS;
	qcow2.metadata = reserve(QCOW2_MAX_CLUSTERS / 8);
	if (!disk_scan.count || !qcow2.metadata || qcow2_unpack_open() ||
	    setrlimit(RLIMIT_CPU, &cpu) < 0)
		return -ENOMEM;
	return prctl(PR_SET_NAME, "disk", 0, 0, 0) < 0 ? -errno : 0;
}

static void put_at(int from, int to)
{
	if (from >= 0 && dup2(from, to) < 0)
		_exit(1);
}

/*
 * Each where it belongs, by way of numbers that nobody wants; what the caller
 * has to read from and to write to is none of an image's business.
 */
static void take_files(const struct disk_files *files, int answer_fd)
{
	int from[BACKING_FD + CONFIG_MAX_BACKING];
	int nr = BACKING_FD + (int)files->nr_backing;

	from[IMAGE_FD] = files->image;
	from[ANSWER_FD] = answer_fd;
	from[OVERLAY_FD] = files->overlay;
	for (unsigned int i = 0; i < files->nr_backing; i++)
		from[BACKING_FD + i] = files->backing[i];
	for (int fd = IMAGE_FD; fd < nr; fd++)
		if (from[fd] >= 0)
			from[fd] = fcntl(from[fd], F_DUPFD, 2 * nr);
	for (int fd = IMAGE_FD; fd < nr; fd++)
		put_at(from[fd], fd);
	close_range(0, LOG_FD - 1, 0);
	if (files->overlay < 0)
		close(OVERLAY_FD);
	close_range((unsigned int)nr, ~0u, 0);
}

static void be_child(const struct disk_files *files, int pipe_fd,
		     enum disk_job job, uint64_t bytes)
{
	static struct disk_answer answer;
	ssize_t put;

	/* The files and the pipe, at numbers of their own, and a log. */
	take_files(files, pipe_fd);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	answer.ret = prepare(files);
	confine_self(&policy_disk, NULL);
	if (!answer.ret)
		answer.ret = act(job, bytes, &answer);
	put = write(ANSWER_FD, &answer, sizeof(answer));
	syscall(SYS_exit_group, put == sizeof(answer) ? 0 : 1);
}

static int receive(int fd, struct disk_answer *answer)
{
	size_t got = 0;

	while (got < sizeof(*answer)) {
		ssize_t part = read(fd, (char *)answer + got,
				    sizeof(*answer) - got);

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return -EPIPE;
		got += (size_t)part;
	}
	answer->why[sizeof(answer->why) - 1] = '\0';
	answer->header.backing[QCOW2_NAME_MAX - 1] = '\0';
	answer->header.backing_format[sizeof(answer->header.backing_format) -
				      1] = '\0';
	return 0;
}

int disk_ask_of(const struct disk_files *files, enum disk_job job,
		uint64_t bytes, struct disk_answer *answer,
		char why[DISK_WHY_MAX])
{
	int ends[2], status, ret;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		be_child(files, ends[1], job, bytes);
	close(ends[1]);
	ret = pid < 0 ? -errno : receive(ends[0], answer);
	close(ends[0]);
	if (pid > 0 && waitpid(pid, &status, 0) < 0)
		status = 0;
	if (ret) {
		snprintf(why, DISK_WHY_MAX,
			 "the process that looked into it ended with %s %d",
			 pid > 0 && WIFSIGNALED(status) ? "signal" : "status",
			 pid <= 0 ? 0 : WIFSIGNALED(status) ?
			 WTERMSIG(status) : WEXITSTATUS(status));
		return ret;
	}
	if (answer->ret)
		snprintf(why, DISK_WHY_MAX, "it %s", answer->why[0] ?
			 answer->why : strerror(-answer->ret));
	return answer->ret;
}

int disk_ask(int fd, enum disk_job job, uint64_t bytes,
	     struct disk_answer *answer, char why[DISK_WHY_MAX])
{
	const struct disk_files files = { .image = fd, .overlay = -1 };

	return disk_ask_of(&files, job, bytes, answer, why);
}
