/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts to reach files, mounts and programs. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "tests/jail/probe.h"

static int try_list_root(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open("/", O_RDONLY | O_DIRECTORY));
}

static int try_read_file(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open("/etc/passwd", O_RDONLY));
}

static int try_read_proc(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open("/proc/self/status", O_RDONLY));
}

static int try_open_kvm(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open("/dev/kvm", O_RDWR));
}

static int try_create_file(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open("/x", O_CREAT | O_WRONLY, 0600));
}

static int try_temporary_file(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open("/", O_TMPFILE | O_RDWR, 0600));
}

static int try_climb(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open("/../../etc", O_RDONLY | O_DIRECTORY));
}

/* Is any of the fds a directory that leads on? */
static int try_climb_from_fds(const struct probe_page *page)
{
	int fd;

	(void)page;
	for (int from = 0; from < INHERIT_FD_MAX; from++) {
		fd = openat(from, "..", O_RDONLY | O_DIRECTORY);
		if (fd >= 0)
			return 0;
	}
	return -errno;
}

static int try_make_directory(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(mkdir("/d", 0700));
}

static int try_make_device(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(mknod("/sda", S_IFBLK | 0600, makedev(8, 0)));
}

static int try_mount(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(mount("none", "/", "tmpfs", 0, NULL));
}

static int try_mount_proc(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(mount("none", "/", "proc", 0, NULL));
}

static int try_remount_writable(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND,
				     NULL));
}

static int try_unmount(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(umount2("/", MNT_DETACH));
}

static int try_open_filesystem(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(fsopen("tmpfs", FSOPEN_CLOEXEC));
}

static int try_clone_tree(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE));
}

static int try_pivot_root(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(syscall(SYS_pivot_root, ".", "."));
}

static int try_chroot(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(chroot("/"));
}

union handle_space {
	struct file_handle handle;
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int try_name_handle(const struct probe_page *page)
{
	union handle_space h = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;

	(void)page;
	return attempt_outcome(name_to_handle_at(AT_FDCWD, "/", &h.handle,
						 &mount_id, 0));
}

/* Inode 2, the root of an ext4, through the image's fd. */
static int try_open_handle(const struct probe_page *page)
{
	union handle_space h = { .handle.handle_bytes = 8 };

	(void)page;
	h.handle.handle_type = 1;
	h.handle.f_handle[0] = 2;
	return attempt_outcome(open_by_handle_at(RES_FD, &h.handle, O_RDONLY));
}

static int try_set_user_id_bit(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(fchmod(RES_FD, 04777));
}

static int try_give_away(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(fchown(RES_FD, 0, 0));
}

/* The tests set the limit to the size of the image. */
static int try_grow_file(const struct probe_page *page)
{
	struct stat st;

	(void)page;
	if (fstat(RES_FD, &st) != 0)
		return -errno;
	return attempt_outcome(pwrite(RES_FD, "x", 1, st.st_size));
}

static int try_swap_on(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(swapon("/", 0));
}

static int try_accounting(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(acct(NULL));
}

static int try_exec_shell(const struct probe_page *page)
{
	char shell[] = "/bin/sh";
	char *const argv[] = { shell, NULL };

	(void)page;
	return attempt_outcome(execve(shell, argv, argv + 1));
}

/* The image may hold a program. */
static int try_exec_image(const struct probe_page *page)
{
	char name[] = "image";
	char *const argv[] = { name, NULL };

	(void)page;
	return attempt_outcome(execveat(RES_FD, "", argv, argv + 1,
					AT_EMPTY_PATH));
}

static int try_memory_file(const struct probe_page *page)
{
	(void)page;
	return attempt_outcome(memfd_create("x", 0));
}

const struct attempt attempts_files[] = {
	{ "list /", try_list_root, EXCUSE_NO_LANDLOCK, "there is nothing in it" },
	{ "read /etc/passwd", try_read_file, 0, NULL },
	{ "read /proc/self/status", try_read_proc, 0, NULL },
	{ "open /dev/kvm", try_open_kvm, 0, NULL },
	{ "create a file", try_create_file, 0, NULL },
	{ "create a file without a name", try_temporary_file, 0, NULL },
	{ "climb above /", try_climb, 0, NULL },
	{ "climb from an fd", try_climb_from_fds, 0, NULL },
	{ "mkdir", try_make_directory, 0, NULL },
	{ "mknod of a disk", try_make_device, 0, NULL },
	{ "mount tmpfs", try_mount, 0, NULL },
	{ "mount proc", try_mount_proc, 0, NULL },
	{ "remount / writable", try_remount_writable, 0, NULL },
	{ "unmount /", try_unmount, 0, NULL },
	{ "fsopen", try_open_filesystem, 0, NULL },
	{ "open_tree", try_clone_tree, 0, NULL },
	{ "pivot_root", try_pivot_root, 0, NULL },
	{ "chroot", try_chroot, 0, NULL },
	{ "name_to_handle_at", try_name_handle, EXCUSE_ALWAYS,
	  "it is a handle of the empty root" },
	{ "open_by_handle_at", try_open_handle, 0, NULL },
	{ "chmod 4777 of the image", try_set_user_id_bit, EXCUSE_ROOTLESS,
	  "the image belongs to the user and so may do it; the policies "
	  "refuse the call" },
	{ "chown of the image", try_give_away, 0, NULL },
	{ "grow a file beyond its limit", try_grow_file, 0, NULL },
	{ "swapon", try_swap_on, 0, NULL },
	{ "acct", try_accounting, 0, NULL },
	{ "exec /bin/sh", try_exec_shell, 0, NULL },
	{ "exec the image", try_exec_image, 0, NULL },
	{ "memfd_create", try_memory_file, EXCUSE_ALWAYS,
	  "it is the process's own memory" },
	{ NULL, NULL, 0, NULL }
};
