/* SPDX-License-Identifier: Apache-2.0 */
/* A VM under load whose devices may be killed, see storm_vm.h. */
#include "tests/guest/storm_vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc/life.h"
#include "tests/guest/harness.h"

#define DISK_BYTES	(1 << 20)
#define POLL_US		30

static long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static const char *in_dir(const struct storm_vm *vm, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", vm->dir, name);
	return path;
}

static void write_config(const struct storm_vm *vm, const char *more,
			 const char *disk_more)
{
	FILE *conf = fopen(in_dir(vm, "vm.conf"), "w");
	int disk = open(in_dir(vm, "disk.img"), O_RDWR | O_CREAT | O_CLOEXEC,
			0600);

	if (!conf || disk < 0 || ftruncate(disk, DISK_BYTES) != 0)
		tap_bail_out("%s: %s", vm->dir, strerror(errno));
	fprintf(conf,
		"[vm]\nname = storm%d\nkernel = %s\nmemory = 64M\n"
		"stop_timeout = 0s\non_reboot = stop\n%s\n"
		"[serial]\nconnect = socket:com1\n"
		"[blk vda]\npath = disk.img\ncache = writeback\n%s\n",
		(int)getpid(), build_path("tests/guest/blk_storm.guest"), more,
		disk_more);
	fclose(conf);
	close(disk);
}

static void run_supervisor(struct storm_vm *vm)
{
	fflush(stdout);
	vm->supervisor = fork();
	if (vm->supervisor != 0)
		return;
	setenv("BULKHEAD_RUNTIME_DIR", in_dir(vm, "run"), 1);
	if (!freopen(in_dir(vm, "log"), "w", stderr))
		_exit(126);
	execl(build_path("bulkhead"), "bulkhead", "run", in_dir(vm, "vm.conf"),
	      (char *)NULL);
	_exit(127);
}

static void connect_com1(struct storm_vm *vm)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/com1", vm->dir);
	for (int i = 0; i < STORM_TIMEOUT_MS / 10; i++) {
		if (connect(fd, (const struct sockaddr *)&addr,
			    sizeof(addr)) == 0) {
			vm->com1 = fd;
			return;
		}
		if (waitpid(vm->supervisor, NULL, WNOHANG) != 0)
			break;
		usleep(10000);
	}
	close(fd);
	storm_vm_drop(vm, true);
	tap_bail_out("no COM1 to connect to");
}

static volatile struct stats_page *map_page(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, STATS_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	return page == MAP_FAILED ? NULL : page;
}

/* Does the guest drive a queue of the disk's process with this page? */
static bool is_driven(struct storm_vm *vm, volatile struct stats_page *page)
{
	static const char *const comm[] = { "blk-vda", "blk-vda.1" };

	for (vm->queue = 0; vm->queue < 2; vm->queue++) {
		vm->comm = comm[vm->queue];
		if (page->head.role == LIFE_ROLE_BLK &&
		    page->queue[vm->queue].kicks)
			return true;
	}
	return false;
}

/* The disk's, once the guest drives it. */
static volatile struct stats_page *find_page(struct storm_vm *vm)
{
	volatile struct stats_page *found = NULL;
	char path[320], target[64];
	struct dirent *entry;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)vm->supervisor);
	fds = opendir(path);
	while (fds && !found && (entry = readdir(fds))) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s",
			 (int)vm->supervisor, entry->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		if (!strstr(target, "bulkhead-stats"))
			continue;
		found = map_page(path);
		if (found && is_driven(vm, found))
			break;
		if (found)
			munmap((void *)(uintptr_t)found, STATS_PAGE_BYTES);
		found = NULL;
	}
	if (fds)
		closedir(fds);
	return found;
}

void storm_vm_start(struct storm_vm *vm, const char *more)
{
	storm_vm_start_with(vm, more, "");
}

void storm_vm_start_with(struct storm_vm *vm, const char *more,
			 const char *disk_more)
{
	memset(vm, 0, sizeof(*vm));
	vm->com1 = -1;
	/*
	 * In RAM: a process that is killed does not end before its requests
	 * to the host's disk have, and that is not what is looked at here.
	 */
	strcpy(vm->dir, "/dev/shm/bulkhead-storm-XXXXXX");
	if (!mkdtemp(vm->dir))
		tap_bail_out("%s: %s", vm->dir, strerror(errno));
	write_config(vm, more, disk_more);
	run_supervisor(vm);
	connect_com1(vm);
	for (int i = 0; i < STORM_TIMEOUT_MS / 10 && !vm->blk; i++) {
		vm->blk = find_page(vm);
		usleep(10000);
	}
	if (vm->blk)
		return;
	storm_vm_drop(vm, true);
	tap_bail_out("the guest does not start its storm");
}

/* The first line of a file of /proc, without its newline; "": none. */
static void first_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(line, (int)size, file))
		line[0] = '\0';
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = '\0';
}

static bool is_spare(long pid)
{
	char path[64], title[128];

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	first_line(path, title, sizeof(title));
	return strstr(title, LIFE_SPARE_MARK) != NULL;
}

pid_t storm_vm_process(const struct storm_vm *vm, const char *comm)
{
	char path[64], line[512], name[32];
	char *next = line;
	long pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
		 (int)vm->supervisor, (int)vm->supervisor);
	first_line(path, line, sizeof(line));
	while ((pid = strtol(next, &next, 10)) > 0) {
		snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
		first_line(path, name, sizeof(name));
		if (strcmp(name, comm) == 0 && !is_spare(pid))
			return (pid_t)pid;
	}
	return 0;
}

pid_t storm_vm_wait_for(const struct storm_vm *vm, const char *comm)
{
	pid_t pid = 0;

	for (int i = 0; i < STORM_TIMEOUT_MS / 10 && !pid; i++) {
		pid = storm_vm_process(vm, comm);
		if (!pid)
			usleep(10000);
	}
	if (!pid)
		tap_bail_out("there is no process %s", comm);
	return pid;
}

long long storm_vm_strike(struct storm_vm *vm, int signal)
{
	uint64_t births = vm->blk->head.births;
	pid_t pid = storm_vm_wait_for(vm, vm->comm);
	long long begin_us = now_us();
	long long end_us = begin_us + STORM_TIMEOUT_MS * 1000LL;
	uint64_t requests;

	if (kill(pid, signal) != 0)
		return -1;
	while (vm->blk->head.births == births && now_us() < end_us)
		usleep(POLL_US);
	/* The old process is dead by now: what it did is counted. */
	requests = vm->blk->queue[vm->queue].requests;
	while (vm->blk->queue[vm->queue].requests == requests && now_us() < end_us)
		usleep(POLL_US);
	return now_us() < end_us ? now_us() - begin_us : -1;
}

bool storm_vm_moves(const struct storm_vm *vm)
{
	uint64_t requests = vm->blk->queue[vm->queue].requests;

	for (int i = 0; i < STORM_TIMEOUT_MS; i++) {
		if (vm->blk->queue[vm->queue].requests != requests)
			return true;
		usleep(1000);
	}
	return false;
}

bool storm_vm_device(const struct storm_vm *vm, const char *verb,
		     const char *device)
{
	char name[32];
	int status = -1;
	pid_t pid;

	snprintf(name, sizeof(name), "storm%d", (int)getpid());
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("BULKHEAD_RUNTIME_DIR", in_dir(vm, "run"), 1);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl(build_path("bulkhead"), "bulkhead", "device", name,
		      verb, device, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool log_has(const struct storm_vm *vm, const char *text)
{
	FILE *log = fopen(in_dir(vm, "log"), "r");
	char line[1024];
	bool found = false;

	while (log && !found && fgets(line, sizeof(line), log))
		found = strstr(line, text) != NULL;
	if (log)
		fclose(log);
	return found;
}

bool storm_vm_says(const struct storm_vm *vm, const char *text,
		   int timeout_ms)
{
	for (int ms = 0; ms <= timeout_ms; ms += 10) {
		if (log_has(vm, text))
			return true;
		usleep(10000);
	}
	return false;
}

/* The guest's last words, up to its power-off. */
static void read_serial(struct storm_vm *vm, char *text, size_t size)
{
	struct pollfd pollfd = { .fd = vm->com1, .events = POLLIN };
	size_t len = 0;

	while (len + 1 < size && poll(&pollfd, 1, STORM_TIMEOUT_MS) == 1) {
		ssize_t got = read(vm->com1, text + len, size - 1 - len);

		if (got <= 0)
			break;
		len += (size_t)got;
	}
	text[len] = '\0';
}

static uint64_t value_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : UINT64_MAX;
}

static int wait_exit(struct storm_vm *vm)
{
	int status;

	for (int i = 0; i < STORM_TIMEOUT_MS / 10; i++) {
		if (waitpid(vm->supervisor, &status, WNOHANG) ==
		    vm->supervisor) {
			vm->supervisor = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		usleep(10000);
	}
	return -1;
}

int storm_vm_finish(struct storm_vm *vm, struct storm_result *result)
{
	char text[4096];

	memset(result, 0xff, sizeof(*result));
	if (write(vm->com1, "q", 1) != 1)
		return -1;
	read_serial(vm, text, sizeof(text));
	result->done = value_of(text, "done=");
	result->bad = value_of(text, "bad=");
	result->strange = value_of(text, "strange=");
	result->lost = value_of(text, "lost=");
	return wait_exit(vm);
}

static void show_log(const struct storm_vm *vm)
{
	FILE *log = fopen(in_dir(vm, "log"), "r");
	char line[1024];

	while (log && fgets(line, sizeof(line), log))
		printf("# %s", line);
	if (log)
		fclose(log);
}

void storm_vm_drop(struct storm_vm *vm, bool show)
{
	static const char *const files[] = { "log", "vm.conf", "disk.img",
					     "com1", "run", "" };

	if (show)
		show_log(vm);
	if (vm->com1 >= 0)
		close(vm->com1);
	if (vm->supervisor > 0) {
		kill(vm->supervisor, SIGTERM);
		if (wait_exit(vm) < 0 && vm->supervisor) {
			kill(vm->supervisor, SIGKILL);
			waitpid(vm->supervisor, NULL, 0);
		}
	}
	if (vm->blk)
		munmap((void *)(uintptr_t)vm->blk, STATS_PAGE_BYTES);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (remove(in_dir(vm, files[i])) != 0 && errno != ENOENT)
			printf("# %s: %s\n", in_dir(vm, files[i]),
			       strerror(errno));
}
