/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rebirth benchmark's loop with somebody else's front-end:
 *
 *	bench_reconnect KILLS IMAGE SOCKET BACKEND FRONT-END [ARG]...
 *
 * BACKEND is a bulkhead-blk that serves IMAGE at SOCKET; it is killed (-9)
 * and started again at once, KILLS times.  FRONT-END is a machine that runs
 * the guest blk_storm, with a vhost-user disk that connects to SOCKET again
 * by itself.  Prints the times from a kill until the guest has begun another
 * round of writes, which it does when requests have come back to it: seen in
 * the image, which is mapped here and so has to be in the page cache.
 *
 * Exit status: 0, also if the front-end gave up, which the line says; 1 if it
 * never came to work; 2 for a wrong command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IMAGE_BYTES	(1 << 20)
#define SLOTS		32u		/* blk_storm.c: of 8 sectors each */
#define SLOT_BYTES	4096u
#define START_MS	60000		/* firmware, emulated here */
#define BACK_MS		10000
#define PAUSE_MS	500
#define MAX_KILLS	1000

static const char *image, *socket_path, *backend;
static volatile const uint8_t *disk;

static long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench_reconnect: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void map_image(void)
{
	int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, IMAGE_BYTES) != 0)
		fail(image);
	disk = mmap(NULL, IMAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (disk == MAP_FAILED)
		fail(image);
	close(fd);
}

/* In a group of its own: it forks a child for each front-end. */
static pid_t start_backend(void)
{
	char at[256], file[256];
	pid_t pid;

	snprintf(at, sizeof(at), "--socket-path=%s", socket_path);
	snprintf(file, sizeof(file), "--blk-file=%s", image);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execl(backend, backend, at, file, "--cache=writeback",
		      (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		fail("fork");
	setpgid(pid, pid);
	return pid;
}

static void end_backend(pid_t pid)
{
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static pid_t start_front(char **argv, int *output)
{
	int out[2], in[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0)
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0)
		fail("fork");
	close(out[1]);
	close(in[0]);	/* its other end stays open: input that is silent */
	*output = out[0];
	return pid;
}

/* The guest works: it wrote to its disk. */
static bool wait_for_storm(int output)
{
	long long end_us = now_us() + START_MS * 1000LL;
	struct pollfd pfd = { .fd = output, .events = POLLIN };
	char text[4096];

	while (now_us() < end_us) {
		if (poll(&pfd, 1, 100) == 1 &&
		    read(output, text, sizeof(text)) <= 0)
			return false;
		if (*(volatile const uint64_t *)disk)
			return true;
	}
	return false;
}

/* blk_storm.c, pattern(): the upper half of the first word. */
static uint32_t round_of(unsigned int slot)
{
	return ((volatile const uint32_t *)(disk + slot * SLOT_BYTES))[1];
}

/* Until each slot that moves again is two rounds on; the first counts. */
static long long wait_for_round(const uint32_t *before)
{
	long long end_us = now_us() + BACK_MS * 1000LL;

	while (now_us() < end_us) {
		for (unsigned int i = 0; i < SLOTS; i++)
			if (round_of(i) > before[i] + 1)
				return now_us();
		usleep(50);
	}
	return -1;
}

static long long strike(pid_t *pid)
{
	uint32_t before[SLOTS];
	long long begin_us = now_us();
	long long end_us;

	end_backend(*pid);
	/* What it did is done; another round is its successor's doing. */
	for (unsigned int i = 0; i < SLOTS; i++)
		before[i] = round_of(i);
	*pid = start_backend();
	end_us = wait_for_round(before);
	return end_us < 0 ? -1 : end_us - begin_us;
}

static int by_value(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

static void report(long long *us, int nr, int wanted)
{
	qsort(us, (size_t)nr, sizeof(*us), by_value);
	if (nr == 0)
		printf("%d kills: it did not go on after the first\n", wanted);
	else
		printf("%d kills, %d survived: %.1f ms median (%.1f to %.1f)\n",
		       wanted, nr, (double)us[nr / 2] / 1000,
		       (double)us[0] / 1000, (double)us[nr - 1] / 1000);
}

int main(int argc, char **argv)
{
	long long us[MAX_KILLS];
	int wanted = argc > 5 ? atoi(argv[1]) : 0;
	pid_t back, front;
	bool works;
	int output;
	int nr = 0;

	if (wanted < 1 || wanted > MAX_KILLS) {
		fprintf(stderr, "usage: bench_reconnect KILLS IMAGE SOCKET BACKEND FRONT-END [ARG]...\n");
		return 2;
	}
	image = argv[2];
	socket_path = argv[3];
	backend = argv[4];
	map_image();
	back = start_backend();
	for (int i = 0; i < 100 && access(socket_path, F_OK) != 0; i++)
		usleep(20000);
	front = start_front(&argv[5], &output);
	works = wait_for_storm(output);
	while (works && nr < wanted) {
		usleep(PAUSE_MS * 1000);
		us[nr] = strike(&back);
		if (us[nr] < 0)
			break;
		nr++;
	}
	kill(front, SIGKILL);
	waitpid(front, NULL, 0);
	end_backend(back);
	unlink(socket_path);
	if (works)
		report(us, nr, wanted);
	else
		fprintf(stderr, "bench_reconnect: the guest does not work\n");
	return works ? 0 : 1;
}
