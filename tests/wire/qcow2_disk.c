/* SPDX-License-Identifier: Apache-2.0 */
/* A bulkhead-blk on a qcow2 image, see qcow2_disk.h. */
#include "tests/wire/qcow2_disk.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

char q_dir[64], q_out[4096], q_why[LIFE_TEXT_MAX];
const char *q_record, *q_target;
struct child q_child;
struct front q_front;
struct front_queue *q_queue = &q_front.queue[0];
struct front_blk q_blk[Q_DEPTH];

void q_set_up(void)
{
	snprintf(q_dir, sizeof(q_dir), "/var/tmp/bulkhead-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(q_dir));
}

void q_tear_down(void)
{
	q_shell("rm -rf %s", q_dir);
}

__attribute__((format(printf, 1, 0)))
static int run(const char *fmt, va_list ap)
{
	char command[2048];
	size_t got = 0, n;
	FILE *f;
	int len = snprintf(command, sizeof(command), "cd %s && exec 2>&1; ",
			   q_dir);
	int status;

	vsnprintf(command + len, sizeof(command) - (size_t)len, fmt, ap);
	f = popen(command, "re");
	ck_assert_ptr_nonnull(f);
	while (got + 1 < sizeof(q_out) &&
	       (n = fread(q_out + got, 1, sizeof(q_out) - 1 - got, f)) > 0)
		got += n;
	q_out[got] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int q_shell_status(const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(fmt, ap);
	va_end(ap);
	return status;
}

void q_shell(const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = run(fmt, ap);
	va_end(ap);
	ck_assert_msg(status == 0, "'%s' ended with %d: %.900s", fmt, status,
		      q_out);
}

bool q_skip(const char *name)
{
	if (system("qemu-img --version >/dev/null 2>&1") == 0)
		return false;
	printf("ok 1 - %s # SKIP no qemu-img; install qemu-utils\n1..1\n",
	       name);
	return true;
}

bool q_is_raw(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && !strcmp(dot, ".raw");
}

static int open_file(const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", q_dir, name);
	fd = open(path, flags | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s cannot be opened%s", path,
		      flags & O_DIRECT ? " with O_DIRECT" : "");
	return fd;
}

bool q_try(const char *const *names, unsigned int nr, bool read_only)
{
	int extra[LIFE_BLK_MAX_EXTRA];
	unsigned int target = q_target ? nr : 0;
	struct life_birth_blk blk = {
		.nr_queues = 1, .direct = 1, .discard = 1,
		.read_only = read_only,
		.format = q_is_raw(names[0]) ? LIFE_BLK_RAW : LIFE_BLK_QCOW2,
		.nr_backing = (uint8_t)(nr - 1), .nr_extra = (uint8_t)(nr - 1 + !!target),
		.move = (uint8_t)target,
		.move_format = !q_target || q_is_raw(q_target) ?
			       LIFE_BLK_RAW : LIFE_BLK_QCOW2,
		.record = q_record != NULL,
	};
	struct child_spec spec = {
		.role = "blk", .life_role = LIFE_ROLE_BLK, .blk = &blk,
		.link_type = SOCK_STREAM,
		.res2_fd = q_record ? open_file(q_record, O_WRONLY) : -1,
		.res_fd = open_file(names[0], O_DIRECT |
				    (read_only ? O_RDONLY : O_RDWR)),
		.extra_fds = extra, .nr_extra = nr - 1 + !!target,
	};

	for (unsigned int i = 1; i < nr; i++) {
		extra[i - 1] = open_file(names[i], O_DIRECT | O_RDONLY);
		if (q_is_raw(names[i]))
			blk.raw_backing |= (uint16_t)(1u << (i - 1));
	}
	if (target)
		extra[target - 1] = open_file(q_target, O_RDWR);
	if (!child_try(&q_child, &spec, q_why))
		return false;
	front_start(&q_front, q_child.link, NULL);
	for (int i = 0; i < Q_DEPTH; i++)
		front_blk_init(&q_front, &q_blk[i], Q_ROOM, 0);
	return true;
}

void q_start(const char *const *names, unsigned int nr, bool read_only)
{
	ck_assert_msg(q_try(names, nr, read_only), "refused: %s", q_why);
}

void q_stop(void)
{
	child_stop(&q_child);
	front_end(&q_front);
}

void q_kill(void)
{
	kill(q_child.pid, SIGKILL);
	child_wait_signal(&q_child, SIGKILL);
	front_end(&q_front);
}

uint8_t q_do(uint32_t type, uint64_t sector, uint32_t bytes)
{
	return front_blk_do(q_queue, &q_blk[0], type, sector, bytes);
}
