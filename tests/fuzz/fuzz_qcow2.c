/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 images: whatever a file says of itself, it is refused in one line, or
 * requests on it end, and what is read lies where it was asked for.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ipc/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/qcow2_rig.h"

#define MAX_FILE_BYTES	(64u << 20)
#define MAX_REQUESTS	6
#define BUF_BYTES	8192u
#define SECTOR		512u
#define GUARD		0xa5

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct rlimit limit = { MAX_FILE_BYTES, MAX_FILE_BYTES };

	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERR);
	fuzz_reserve_fds();
	/* A write far out is an error of the host, not a full machine. */
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit))
		abort();
	rig_no_fallocate(true);
	return 0;
}

static void request(struct fuzz_input *in)
{
	static const enum blk_op ops[] = {
		BLK_OP_READ, BLK_OP_WRITE, BLK_OP_READ, BLK_OP_DISCARD,
		BLK_OP_FLUSH, BLK_OP_ZERO_UNMAP, BLK_OP_WRITE, BLK_OP_READ,
	};
	static uint8_t buf[BUF_BYTES + SECTOR];
	enum blk_op op = ops[fuzz_take(in, 1) % 8];
	uint64_t bytes = (1 + fuzz_take(in, 1) % 16) * SECTOR;
	uint64_t offset = fuzz_take(in, 3) * SECTOR;
	uint64_t disk = qcow2.layer[0].disk_bytes;
	bool moves = op == BLK_OP_READ || op == BLK_OP_WRITE;

	/* The engine lets through only what lies on the disk, in sectors. */
	disk -= disk % SECTOR;
	if (disk < bytes)
		return;
	offset %= disk - bytes + SECTOR;
	memset(buf, GUARD, sizeof(buf));
	/* ETIMEDOUT: nothing is under way, and it has not ended. */
	fuzz_check(rig_do(op, offset, op == BLK_OP_FLUSH ? 0 : bytes,
			  moves ? buf : NULL) != ETIMEDOUT);
	fuzz_check(buf[bytes] == GUARD && buf[sizeof(buf) - 1] == GUARD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint8_t how = (uint8_t)fuzz_take(&in, 1);
	uint8_t steps[MAX_REQUESTS * 5];
	struct fuzz_input requests = { steps, sizeof(steps) };
	char why[QCOW2_WHY_MAX + 64] = "";
	const char *files[1];
	char path[64];
	int fd;

	fuzz_take_bytes(&in, steps, sizeof(steps));
	fd = fuzz_memfd(in.at, in.left, in.left);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	files[0] = path;
	rig_seed(how);
	if (rig_open(files, 1, how & 1, why)) {
		fuzz_check(why[0] && !strchr(why, '\n'));
		rig_kill();
	} else {
		for (int i = 0; i < MAX_REQUESTS; i++)
			request(&requests);
		if (how & 2)
			rig_kill();
		else
			rig_close();
	}
	close(fd);
	return 0;
}
