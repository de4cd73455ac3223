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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/disk.h"
#include "devproc/blk/qcow2_priv.h"
#include "ipc/log.h"
#include "jail/confine.h"

#define CHILD_CPU_S	600	/* a child that computes longer is at a loss */
#define SPARE_CLUSTERS	(64ull << 20)

static struct qcow2_scan scan;
static struct qcow2_layer *const image = &qcow2.layer[0];

static void *reserve(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* --- confined ------------------------------------------------------------------- */

static int fail(struct disk_answer *answer, int ret, const char *text)
{
	snprintf(answer->why, sizeof(answer->why), "%s", text);
	return ret;
}

static int look(struct disk_answer *answer)
{
	static uint8_t head[64u << 10];
	uint64_t room = least(sizeof(head), image->file_bytes);
	int ret = qcow2_read(image, 0, head, sizeof(head));

	if (ret)
		return fail(answer, ret, "cannot be read");
	ret = qcow2_header_parse(head, room, &image->header, answer->why);
	if (ret)
		return ret;
	image->cluster_bytes = 1u << image->header.cluster_bits;
	image->slice_bytes = (uint32_t)least(SLICE_BYTES,
					     image->cluster_bytes);
	image->disk_bytes = image->header.disk_bytes;
	memcpy(qcow2.head, head, sizeof(qcow2.head));
	answer->header = image->header;
	return 0;
}

static void report(struct disk_answer *answer)
{
	answer->nr_data = scan.nr_data;
	answer->nr_packed = scan.nr_packed;
	answer->nr_zero = scan.nr_zero;
	answer->nr_bad = scan.nr_bad;
	answer->nr_low = scan.nr_low;
	answer->nr_high = scan.nr_high;
	answer->nr_flags = scan.nr_flags;
	answer->nr_uncounted = scan.nr_uncounted;
	memcpy(answer->why, scan.first, sizeof(answer->why));
}

static int check(struct disk_answer *answer)
{
	int ret;

	if (image->header.nr_snapshots || image->header.has_bitmaps)
		return fail(answer, -ENOTSUP,
			    "has internal snapshots or bitmaps, of which only qemu-img check knows");
	ret = qcow2_scan(&scan);
	if (ret)
		return fail(answer, ret, ret == -EFBIG ?
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

static int repair(struct disk_answer *answer)
{
	int ret = check(answer);

	if (ret || scan.nr_bad)
		return ret;
	if (scan.nr_uncounted)
		ret = qcow2_rebuild(&scan, 0);
	else if (scan.nr_low || scan.nr_high)
		ret = qcow2_repair(&scan);
	if (!ret)
		ret = clear_marks();
	if (ret)
		return fail(answer, ret, "cannot be repaired");
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
	uint64_t first = scan.end;
	int ret;

	scan.end += cluster_of(image, entries * 8 + image->cluster_bytes - 1);
	if (scan.end >= scan.max_clusters)
		return -EFBIG;
	for (uint64_t n = old; n < old_end; n++)
		scan.count[n] = 0;
	for (uint64_t n = first; n < scan.end; n++)
		scan.count[n] = 1;
	image->file_bytes = scan.end << header->cluster_bits;
	ret = copy_l1(first << header->cluster_bits, scan.end - first);
	if (ret)
		return ret;
	header->l1_offset = first << header->cluster_bits;
	header->l1_entries = (uint32_t)entries;
	qcow2_put64(qcow2.head + 40, header->l1_offset);
	qcow2_put32(qcow2.head + 36, header->l1_entries);
	return qcow2_rebuild(&scan, scan.end);
}

static int resize(struct disk_answer *answer, uint64_t bytes)
{
	const char *obstacle = qcow2_header_obstacle(&image->header);
	uint64_t entries = l1_entries_for(bytes);
	int ret;

	if (obstacle)
		return fail(answer, -ENOTSUP, obstacle);
	if (bytes < image->disk_bytes)
		return fail(answer, -EINVAL,
			    "is larger than that; a disk is only made larger, as what is behind its end would be lost");
	if (entries * 8 > QCOW2_MAX_L1_BYTES)
		return fail(answer, -EFBIG,
			    "would need an L1 table of more than 32 MiB; larger clusters would do");
	ret = repair(answer);
	if (ret)
		return ret;
	if (scan.nr_bad)
		return fail(answer, -EUCLEAN, "is corrupt; see 'bulkhead disk check'");
	ret = qcow2_scan(&scan);
	if (ret)
		return fail(answer, ret, "cannot be read");
	image->header.disk_bytes = bytes;
	qcow2_put64(qcow2.head + 24, bytes);
	ret = entries > image->header.l1_entries ? move_l1(entries) :
						   qcow2_write_head();
	answer->header = image->header;
	return ret && !answer->why[0] ? fail(answer, ret, "cannot be written") :
					ret;
}

static int act(enum disk_job job, uint64_t bytes, struct disk_answer *answer)
{
	int ret = look(answer);

	if (ret)
		return ret;
	switch (job) {
	case DISK_CHECK:
		return check(answer);
	case DISK_REPAIR:
		return repair(answer);
	case DISK_RESIZE:
		return resize(answer, bytes);
	default:
		return 0;
	}
}

/* --- on the way there --------------------------------------------------------- */

/* Everything that takes system calls which the policy does not have. */
static int prepare(int fd)
{
	const struct rlimit cpu = { CHILD_CPU_S, CHILD_CPU_S };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	qcow2.nr_layers = 1;
	image->file = FILE_IMAGE;
	image->file_bytes = (uint64_t)st.st_size;
	scan.max_clusters = least(image->file_bytes / 512 + SPARE_CLUSTERS,
				  QCOW2_MAX_CLUSTERS);
	scan.count = reserve(scan.max_clusters * sizeof(*scan.count));
	disk_io_init(fd);
	if (!scan.count || setrlimit(RLIMIT_CPU, &cpu) < 0)
		return -ENOMEM;
	return prctl(PR_SET_NAME, "disk", 0, 0, 0) < 0 ? -errno : 0;
}

static void be_child(int fd, int pipe_fd, enum disk_job job, uint64_t bytes)
{
	static struct disk_answer answer;
	ssize_t put;

	/* The image and the pipe, at numbers of their own, and a log. */
	if (dup2(fd, 3) < 0 || dup2(pipe_fd, 4) < 0)
		_exit(1);
	close_range(5, ~0u, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	answer.ret = prepare(3);
	confine_self(&policy_disk, NULL);
	if (!answer.ret)
		answer.ret = act(job, bytes, &answer);
	put = write(4, &answer, sizeof(answer));
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

int disk_ask(int fd, enum disk_job job, uint64_t bytes,
	     struct disk_answer *answer, char why[DISK_WHY_MAX])
{
	int ends[2], status, ret;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		/* Out of the way of 3 and 4. */
		int image_fd = fcntl(fd, F_DUPFD, 10);
		int pipe_fd = fcntl(ends[1], F_DUPFD, 10);

		be_child(image_fd, pipe_fd, job, bytes);
	}
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
