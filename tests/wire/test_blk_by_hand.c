/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-blk started by hand, as QEMU's users do it (vhost-user.rst,
 * "Backend program conventions"): its options, its errors, its connections.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/wire/front_blk.h"

#define LINK	20	/* fd number given with --fd */

static char dir[64];
static char program[4096];
static char image_option[128];
static char socket_path[96];
static char socket_option[128];

/* Once, by main(): a test that is ended by force must leave nothing. */
static void make_files(void)
{
	const char *build = getenv("BULKHEAD_BUILD");
	char path[96];
	int fd;

	snprintf(program, sizeof(program), "%s/bulkhead-blk",
		 build ? build : "build");
	strcpy(dir, "/var/tmp/bulkhead-test-XXXXXX");
	if (!mkdtemp(dir))
		front_bail("%s: %s", dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/image", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	if (ftruncate(fd, 1 << 20) || pwrite(fd, "sector 3", 8, 3 * 512) != 8)
		front_bail("%s: %s", path, strerror(errno));
	close(fd);
	snprintf(path, sizeof(path), "%s/empty", dir);
	close(open(path, O_CREAT | O_RDWR, 0600));
	snprintf(image_option, sizeof(image_option), "--blk-file=%s/image",
		 dir);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", dir);
	snprintf(socket_option, sizeof(socket_option), "--socket-path=%s",
		 socket_path);
}

static void remove_files(void)
{
	const char *const names[] = { "image", "empty", "socket", "other" };
	char path[96];

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static pid_t launch(const char *const *args, int output)
{
	const char *argv[8] = { program };
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	if (output >= 0) {
		dup2(output, 1);
		dup2(output, 2);
	}
	for (int i = 0; i < 6 && args[i]; i++)
		argv[1 + i] = args[i];
	/* execv() does not write to the strings. */
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(99);
}

/* Run to the end.  Return: exit status; output has both streams. */
static int run(const char *const *args, char *output, size_t size)
{
	int ends[2];
	size_t len = 0;
	ssize_t got;
	int status;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = launch(args, ends[1]);
	close(ends[1]);
	while ((got = read(ends[0], output + len, size - 1 - len)) > 0)
		len += (size_t)got;
	output[len] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define IMAGE	"IMAGE"		/* stands for image_option */
#define SOCKET	"SOCKET"	/* stands for socket_option */

static const struct {
	const char *args[6];
	int status;
	const char *text;	/* in the output */
} runs[] = {
	{ { "--help" }, 0, "--blk-file=IMAGE" },
	{ { "--version" }, 0, "bulkhead-blk " },
	{ { "--print-capabilities" }, 0, "\"type\": \"block\"" },
	{ { "--colour" }, 2, "--colour" },
	{ { "image" }, 2, "image" },
	{ { "--" }, 2, "--" },
	{ { IMAGE }, 2, "--socket-path" },
	{ { SOCKET, "--fd=2", IMAGE }, 2, "--socket-path" },
	{ { "--socket-path=", IMAGE }, 2, "--socket-path" },
	{ { "--fd=99", IMAGE }, 2, "--fd=99" },
	{ { "--fd=x", IMAGE }, 2, "--fd=x" },
	{ { "--fd=", IMAGE }, 2, "--fd=" },
	{ { SOCKET }, 1, "--blk-file" },
	{ { SOCKET, "--blk-file=" }, 2, "--blk-file" },
	{ { SOCKET, "--blk-file=/nonexistent" }, 1, "/nonexistent" },
	{ { SOCKET, "--blk-file=/dev/zero", "--cache=writeback" }, 1,
	  "neither a regular file" },
	{ { SOCKET, IMAGE, "--num-queues=0" }, 2, "--num-queues=0" },
	{ { SOCKET, IMAGE, "--num-queues=33" }, 2, "--num-queues=33" },
	{ { SOCKET, IMAGE, "--num-queues=-1" }, 2, "--num-queues=-1" },
	{ { SOCKET, IMAGE, "--cache=direct" }, 2, "--cache=direct" },
	{ { SOCKET, IMAGE, "--read-only=yes" }, 2, "--read-only=yes" },
	{ { SOCKET, IMAGE, "--serial=longer than twenty characters" }, 2,
	  "--serial" },
	{ { "--socket-path=/nonexistent/socket", IMAGE }, 1,
	  "/nonexistent/socket" },
};

START_TEST(options_and_errors)
{
	const char *args[7] = { NULL };
	char output[4096];

	for (int i = 0; i < 6 && runs[_i].args[i]; i++)
		args[i] = !strcmp(runs[_i].args[i], IMAGE) ? image_option :
			  !strcmp(runs[_i].args[i], SOCKET) ? socket_option :
			  runs[_i].args[i];
	ck_assert_int_eq(run(args, output, sizeof(output)), runs[_i].status);
	ck_assert_msg(strstr(output, runs[_i].text) != NULL, "%s", output);
	/* One line says what is wrong. */
	if (runs[_i].status)
		ck_assert_ptr_eq(strchr(output, '\n'),
				 output + strlen(output) - 1);
}

START_TEST(an_empty_image_is_refused)
{
	char option[128], output[4096];
	const char *const args[] = { socket_option, option, NULL };

	snprintf(option, sizeof(option), "--blk-file=%s/empty", dir);
	ck_assert_int_eq(run(args, output, sizeof(output)), 1);
	ck_assert_ptr_nonnull(strstr(output, "empty"));
}

/* A guest reads sector 3. */
static void use(int sock)
{
	static struct front front;
	struct front_blk blk;

	front_start(&front, sock, NULL);
	front_blk_init(&front, &blk, 512, 0);
	ck_assert_uint_eq(front_blk_do(&front.queue[0], &blk, VIRTIO_BLK_T_IN,
				       3, 512), VIRTIO_BLK_S_OK);
	ck_assert_str_eq(front_blk_data(&front, &blk), "sector 3");
	front_end(&front);
}

static void end(pid_t pid)
{
	struct stat st;
	int status;

	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(stat(socket_path, &st), -1);
}

START_TEST(front_ends_may_come_and_go)
{
	const char *const args[] = { socket_option, image_option, NULL };
	pid_t pid = launch(args, -1);

	for (int i = 0; i < 3; i++)
		use(front_connect(socket_path));
	end(pid);
}

/* Where atime is counted at all, one before the last change would be. */
START_TEST(reading_leaves_no_trace_in_the_inode)
{
	const char *const args[] = { socket_option, image_option, NULL };
	const struct timespec times[] = { { .tv_sec = 1 },
					  { .tv_nsec = UTIME_OMIT } };
	const char *image = strchr(image_option, '=') + 1;
	struct stat st;
	pid_t pid;

	ck_assert_int_eq(utimensat(AT_FDCWD, image, times, 0), 0);
	pid = launch(args, -1);
	use(front_connect(socket_path));
	end(pid);
	ck_assert_int_eq(stat(image, &st), 0);
	ck_assert_int_eq(st.st_atime, 1);
}

/* proc(5): the pids of the children of pid, as text */
static unsigned int count_children(pid_t pid, pid_t *last)
{
	char path[64];
	unsigned int nr = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (fscanf(f, "%d", last) == 1)
		nr++;
	fclose(f);
	return nr;
}

/* SIGCHLD tells of a child that is stopped, too. */
START_TEST(a_stopped_process_still_has_the_image)
{
	const char *const args[] = { socket_option, image_option, NULL };
	static struct front front;
	pid_t pid = launch(args, -1);
	pid_t child;
	int other;

	front_start(&front, front_connect(socket_path), NULL);
	ck_assert_uint_eq(count_children(pid, &child), 1);
	ck_assert_int_eq(kill(child, SIGSTOP), 0);
	usleep(100000);
	other = front_connect(socket_path);
	usleep(300000);
	ck_assert_uint_eq(count_children(pid, &child), 1);
	ck_assert_int_eq(kill(child, SIGCONT), 0);
	front_end(&front);
	/* Now it is the next one's turn. */
	use(other);
	end(pid);
}

START_TEST(a_stale_socket_is_replaced)
{
	const char *const args[] = { socket_option, image_option, NULL };
	pid_t pid = launch(args, -1);
	pid_t child;

	use(front_connect(socket_path));
	/* What served it has the lock on the image until it has ended. */
	for (int ms = 0; ms < FRONT_TIMEOUT_MS && count_children(pid, &child);
	     ms++)
		usleep(1000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = launch(args, -1);
	use(front_connect(socket_path));
	end(pid);
}

START_TEST(an_image_is_used_once)
{
	const char *const args[] = { socket_option, image_option, NULL };
	char other[128], output[4096];
	const char *const second[] = { other, image_option, NULL };
	const char *const reader[] = { other, image_option, "--read-only",
				       NULL };
	pid_t pid = launch(args, -1);

	use(front_connect(socket_path));
	snprintf(other, sizeof(other), "--socket-path=%s/other", dir);
	ck_assert_int_eq(run(second, output, sizeof(output)), 1);
	ck_assert_ptr_nonnull(strstr(output, "locked"));
	ck_assert_int_eq(run(reader, output, sizeof(output)), 1);
	ck_assert_ptr_nonnull(strstr(output, "locked"));
	end(pid);
}

START_TEST(an_inherited_socket_is_served_until_it_closes)
{
	char *const argv[] = { program, (char[]){ "--fd=20" }, image_option,
			       (char[]){ "--cache=writeback" }, NULL };
	pid_t pid;
	int sock, status;

	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	sock = front_spawn(argv, LINK, &pid);
	use(sock);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	Suite *suite = suite_create("blk_by_hand");
	TCase *tc = tcase_create("blk_by_hand");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, options_and_errors, 0,
			    (int)(sizeof(runs) / sizeof(runs[0])));
	tcase_add_test(tc, an_empty_image_is_refused);
	tcase_add_test(tc, front_ends_may_come_and_go);
	tcase_add_test(tc, reading_leaves_no_trace_in_the_inode);
	tcase_add_test(tc, a_stopped_process_still_has_the_image);
	tcase_add_test(tc, a_stale_socket_is_replaced);
	tcase_add_test(tc, an_image_is_used_once);
	tcase_add_test(tc, an_inherited_socket_is_served_until_it_closes);
	suite_add_tcase(suite, tc);
	make_files();
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	remove_files();
	srunner_free(runner);
	return failed != 0;
}
