/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data path D1-D6 without a line of fake: a bare-metal driver, the real
 * core, KVM's ioeventfd and irqfd, a real bulkhead-blk, an image.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/guest/harness.h"

#define TIMEOUT_MS	20000
#define IMAGE_BYTES	(1 << 20)
#define DEVICE_LINK	4

#define BASIC \
	"status=f\nread=0\nbulkhead sector0\nwrite=0\nflush=0\nagain=0\n" \
	"same=1\nbeyond=1\n"

#define MOVED	BASIC "old=ffffffff\nstatus=f\nread=0\nsame=1\nstatus=0\ndone\n"

static char image[] = "/tmp/bulkhead-blk-XXXXXX";

/* "bulkhead sector0" at 0, zeroes else. */
static void image_make(void)
{
	static const char text[] = "bulkhead sector0";
	int fd = mkstemp(image);

	if (fd < 0 || ftruncate(fd, IMAGE_BYTES) != 0 ||
	    pwrite(fd, text, sizeof(text), 0) != sizeof(text))
		tap_bail_out("image %s: %s", image, strerror(errno));
	close(fd);
}

/* Did the write of the guest arrive in the file? */
static bool image_is_written(void)
{
	uint8_t sector[512];
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	bool same = pread(fd, sector, sizeof(sector), 8 * 512) == 512;

	for (int i = 0; i < 512; i++)
		same = same && sector[i] == (uint8_t)(3 + i * 7);
	close(fd);
	return same;
}

/* A disk started by hand: --fd, no supervisor.  Return: the core's end. */
static int disk_start(pid_t *pid)
{
	char file[sizeof(image) + 16];
	int pair[2];

	snprintf(file, sizeof(file), "--blk-file=%s", image);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		tap_bail_out("socketpair: %s", strerror(errno));
	fflush(stdout);
	*pid = fork();
	if (*pid == 0) {
		if (pair[1] != DEVICE_LINK && dup2(pair[1], DEVICE_LINK) < 0)
			_exit(126);
		fcntl(DEVICE_LINK, F_SETFD, 0);
		execl(build_path("bulkhead-blk"), "bulkhead-blk", "--fd=4",
		      file, "--cache=writeback", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	return pair[0];
}

/* -1: still there after TIMEOUT_MS. */
static int disk_wait(pid_t pid)
{
	int status;

	for (int i = 0; i < TIMEOUT_MS / 10; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) :
			       128 + WTERMSIG(status);
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

/* qemu-storage-daemon with the image, on a socket.  Return: its pid. */
static pid_t foreign_start(const char *socket_path)
{
	char file[sizeof(image) + 64];
	char export[160];
	pid_t pid;

	/* The kernel may not be done yet with the killed disk's lock. */
	snprintf(file, sizeof(file),
		 "driver=file,node-name=disk,locking=off,filename=%s", image);
	snprintf(export, sizeof(export),
		 "type=vhost-user-blk,id=e,node-name=disk,writable=on,num-queues=1,addr.type=unix,addr.path=%s",
		 socket_path);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execlp("qemu-storage-daemon", "qemu-storage-daemon",
		       "--blockdev", file, "--export", export, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* Return: the connected link, or -1 if nobody listens within TIMEOUT_MS. */
static int foreign_connect(pid_t pid, const char *socket_path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	for (int i = 0; i < TIMEOUT_MS / 10; i++) {
		if (connect(fd, (const struct sockaddr *)&addr,
			    sizeof(addr)) == 0)
			return fd;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			break;
		usleep(10000);
	}
	close(fd);
	return -1;
}

static struct vm *guest_start(const char *scenario, int link_fd)
{
	const struct vm_options options = {
		.kernel = build_path("tests/guest/virtio_blk.guest"),
		.cmdline = scenario,
		.devices = { { LIFE_ROLE_BLK, "vda", 1, link_fd } },
		.nr_devices = 1,
	};

	return vm_start(&options);
}

static void run(const char *scenario, const char *expected, const char *what)
{
	pid_t disk;
	struct vm *vm = guest_start(scenario, disk_start(&disk));
	int status = vm_wait_exit(vm, TIMEOUT_MS);

	if (!tap_result(status == 0 && strcmp(vm->serial, expected) == 0 &&
			vm_wait_event(vm, LIFE_EVENT_POWEROFF, 0),
			"%s", what))
		vm_show(vm);
	vm_end(vm);
	tap_result(disk_wait(disk) == 0 && image_is_written(),
		   "%s: the disk ends with the core, the image has the data",
		   scenario);
}

/* Killed under the guest's hands: the guest goes on, the event comes. */
static void run_killed(void)
{
	pid_t disk;
	struct vm *vm = guest_start("loop", disk_start(&disk));
	bool ready = vm_wait_text(vm, "reading\n", TIMEOUT_MS);

	kill(disk, SIGKILL);
	if (!tap_result(ready && vm_wait_event(vm, LIFE_EVENT_DEVICE_FAILED,
					       TIMEOUT_MS),
			"a disk that is killed is reported"))
		vm_show(vm);
	vm_end(vm);
	waitpid(disk, NULL, 0);
}

/* A back-end of other makers: qemu-storage-daemon's export. */
static void run_foreign(void)
{
	static const char what[] = "a foreign back-end, qemu-storage-daemon";
	char socket_path[sizeof(image) + 8];
	struct vm *vm;
	pid_t pid;
	int link_fd;

	snprintf(socket_path, sizeof(socket_path), "%s.sock", image);
	pid = foreign_start(socket_path);
	link_fd = foreign_connect(pid, socket_path);
	if (link_fd < 0) {
		tap_skip("qemu-storage-daemon does not start", "%s", what);
		return;
	}
	vm = guest_start("move", link_fd);
	if (!tap_result(vm_wait_exit(vm, TIMEOUT_MS) == 0 &&
			strcmp(vm->serial, MOVED) == 0 && image_is_written(),
			"%s", what))
		vm_show(vm);
	vm_end(vm);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	unlink(socket_path);
}

int main(void)
{
	const char *why;

	if (!kvm_usable(&why)) {
		tap_skip(why, "virtio-blk");
		return tap_end();
	}
	image_make();
	run("basic", BASIC "status=0\ndone\n",
	    "enumeration, read, write, flush and an error, by MSI-X");
	run("move", MOVED, "the BAR moves under a running driver");
	run("mask", BASIC "early=0\nlate=1\nstatus=0\ndone\n",
	    "a masked vector pends until the mask goes, or until a reset");
	run("misbehave", BASIC "status=4b\nstatus=f\nread=0\nsame=1\n"
	    "status=0\ndone\n", "a bad queue needs a reset, and no more");
	run_killed();
	run_foreign();
	unlink(image);
	return tap_end();
}
