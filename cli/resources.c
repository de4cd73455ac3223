/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open all that a VM needs of the host before anything is born (C1, C2).
 * The kernel's contents are the core's business; here it is only opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/children.h"
#include "cli/faults.h"
#include "cli/resources.h"
#include "cli/throttles.h"
#include "ipc/pages.h"
#include "ipc/vhost_user.h"

#define QUEUE_SIZE_MAX	1024	/* descriptors; the core offers no more */

static void end_init(struct host_end *end)
{
	end->fd = end->out_fd = end->keep_fd = -1;
	for (int i = 0; i < CONFIG_MAX_BACKING; i++)
		end->backing_fd[i] = -1;
	end->listen_fd = end->peer_fd = -1;
	end->listener.fd = end->peer.fd = -1;
}

void resources_init(struct vm *vm)
{
	vm->kvm_fd = vm->kernel_fd = vm->initrd_fd = vm->ram_fd = -1;
	for (int i = 0; i <= LIFE_ROLE_RNG; i++)
		vm->exe_fd[i] = -1;
	terminal_init(&vm->terminal);
	child_init(&vm->core, vm, LIFE_ROLE_CORE, "core", 0);
	vm->nr_devices = vm->cfg->nr_devices;
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		dev->cfg = &vm->cfg->device[i];
		dev->inflight_fd = -1;
		dev->rebirth.core_fd = -1;
		dev->throttle_fd = -1;
		move_init(dev);
		snapshot_init(dev);
		end_init(&dev->end);
		child_init(&dev->child, vm, dev->cfg->role, dev->cfg->name,
			   i + 1);
		spare_init(dev);
	}
}

static int open_kvm(struct vm *vm, char why[VM_WHY_MAX])
{
	int err;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd >= 0)
		return 0;
	err = errno;
	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		snprintf(why, VM_WHY_MAX,
			 "/dev/kvm: no KVM here; turn virtualisation on in the firmware and load kvm_intel or kvm_amd ('bulkhead doctor' tells more)");
		break;
	case EACCES:
	case EPERM:
		snprintf(why, VM_WHY_MAX,
			 "/dev/kvm: no right to use it; add yourself to its group ('adduser USER kvm', then log in again)");
		break;
	default:
		snprintf(why, VM_WHY_MAX, "/dev/kvm: cannot open it: %s",
			 strerror(err));
	}
	return -err;
}

/* O_NONBLOCK: a path that is a FIFO must not hang us. */
static int open_boot_file(const struct vm *vm, const char *key,
			  const struct config_path *from, int *fd,
			  char why[VM_WHY_MAX])
{
	struct stat st;
	int err = 0;

	*fd = open(from->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		err = errno;
	if (err) {
		snprintf(why, VM_WHY_MAX, "%s: %s = %s: cannot open it: %s",
			 from->origin, key, from->path, strerror(err));
		return -err;
	}
	if (!S_ISREG(st.st_mode) || !st.st_size) {
		snprintf(why, VM_WHY_MAX, "%s: %s = %s: %s", from->origin, key,
			 from->path,
			 S_ISREG(st.st_mode) ? "the file is empty" :
					       "not a regular file");
		return -EINVAL;
	}
	if ((uint64_t)st.st_size > vm->cfg->memory_bytes) {
		snprintf(why, VM_WHY_MAX,
			 "%s: %s = %s: %" PRIu64
			 "M do not fit into memory = %" PRIu64
			 "M; give the VM more memory",
			 from->origin, key, from->path,
			 (uint64_t)(st.st_size + (1 << 20) - 1) >> 20,
			 vm->cfg->memory_bytes >> 20);
		return -EFBIG;
	}
	return 0;
}

static int open_boot_files(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret = open_boot_file(vm, "kernel", &vm->cfg->kernel,
				 &vm->kernel_fd, why);

	if (!ret && vm->cfg->initrd.path)
		ret = open_boot_file(vm, "initrd", &vm->cfg->initrd,
				     &vm->initrd_fd, why);
	return ret;
}

static int open_program(struct vm *vm, enum life_role role,
			char why[VM_WHY_MAX])
{
	if (vm->exe_fd[role] < 0)
		vm->exe_fd[role] = program_open(role, why);
	return vm->exe_fd[role] < 0 ? vm->exe_fd[role] : 0;
}

static int open_programs(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret = open_program(vm, LIFE_ROLE_CORE, why);

	for (unsigned int i = 0; !ret && i < vm->nr_devices; i++)
		if (!vm->device[i].cfg->socket.path)
			ret = open_program(vm, vm->device[i].cfg->role, why);
	return ret;
}

static int open_disk(struct device *dev, char why[VM_WHY_MAX])
{
	int ret = image_open(dev->cfg, &dev->end, why);

	dev->end.format = dev->cfg->format;
	for (unsigned int i = 0; !ret && i < dev->cfg->chain.nr; i++)
		ret = image_open_backing(dev->cfg, i, &dev->end, why);
	if (ret || !dev->cfg->record.path)
		return ret;
	return record_file_open(dev->cfg, &dev->end, why);
}

/* One open image, locked once, for all processes of a disk. */
static int share_disk(struct device *dev, char why[VM_WHY_MAX])
{
	const struct host_end *end = &disk_of(dev)->end;

	dev->end.format = end->format;
	dev->end.size_bytes = end->size_bytes;
	dev->end.direct = end->direct;
	dev->end.block_device = end->block_device;
	memcpy(dev->end.where, end->where, sizeof(dev->end.where));
	dev->end.fd = fcntl(end->fd, F_DUPFD_CLOEXEC, 0);
	if (dev->end.fd >= 0)
		return 0;
	snprintf(why, VM_WHY_MAX, "%s: %s", dev->cfg->name, strerror(errno));
	return -errno;
}

/*
 * For registered buffers.  Whoever may not (CAP_SYS_RESOURCE) keeps the limit
 * that he has, and a disk that meets it says so.
 */
static void allow_locked_memory(void)
{
	static const struct rlimit any = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &any);
}

static int open_end(struct vm *vm, struct device *dev, char why[VM_WHY_MAX])
{
	switch (dev->cfg->role) {
	case LIFE_ROLE_BLK:
		dev->nr_queues = dev->cfg->nr_queues;
		if (dev->cfg->registered_buffers)
			allow_locked_memory();
		if (dev->cfg->process)
			return share_disk(dev, why);
		if (!dev->cfg->socket.path)
			return open_disk(dev, why);
		snprintf(dev->end.where, sizeof(dev->end.where), "%s",
			 dev->cfg->socket.path);
		return 0;
	case LIFE_ROLE_SERIAL:
		return chardev_end_open(vm, dev->cfg, &dev->end, why);
	case LIFE_ROLE_CONSOLE:
		dev->nr_queues = 2;	/* virtio 1.2, 5.3.2: no multiport */
		return chardev_end_open(vm, dev->cfg, &dev->end, why);
	default:
		dev->nr_queues = 1;	/* virtio 1.2, 5.4.2 */
		snprintf(dev->end.where, sizeof(dev->end.where), "getrandom");
		return 0;
	}
}

static int open_ends(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < vm->nr_devices; i++)
		ret = open_end(vm, &vm->device[i], why);
	return ret;
}

static int make_stats(struct child *child)
{
	child->stats_fd = memory_make_page("bulkhead-stats", STATS_PAGE_BYTES);
	return child->stats_fd < 0 ? child->stats_fd : 0;
}

/* Statistics go on across processes and reboots. */
static int make_pages(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret = make_stats(&vm->core);

	for (unsigned int i = 0; !ret && i < vm->nr_devices; i++)
		if (!vm->device[i].cfg->socket.path)
			ret = make_stats(&vm->device[i].child);
	if (ret)
		snprintf(why, VM_WHY_MAX, "cannot make a memfd: %s",
			 strerror(-ret));
	return ret;
}

int resources_make_memory(struct vm *vm, char why[VM_WHY_MAX])
{
	uint64_t queue_bytes = inflight_queue_bytes(QUEUE_SIZE_MAX);
	int ret = 0;

	vm->ram_fd = memory_make_ram(vm->cfg);
	if (vm->ram_fd < 0)
		ret = vm->ram_fd;
	for (unsigned int i = 0; !ret && i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		if (!dev->nr_queues || dev->cfg->socket.path)
			continue;
		dev->inflight_fd = memory_make_page("bulkhead-inflight",
						    dev->nr_queues *
							    queue_bytes);
		if (dev->inflight_fd < 0)
			ret = dev->inflight_fd;
	}
	if (ret)
		snprintf(why, VM_WHY_MAX, "cannot make guest memory: %s",
			 strerror(-ret));
	return ret;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void resources_drop_memory(struct vm *vm)
{
	close_fd(&vm->ram_fd);
	for (unsigned int i = 0; i < vm->nr_devices; i++)
		close_fd(&vm->device[i].inflight_fd);
}

int resources_open(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret = memory_check_host(vm->cfg, why);

	if (!ret)
		ret = open_boot_files(vm, why);
	if (!ret)
		ret = open_ends(vm, why);
	if (!ret)
		ret = open_kvm(vm, why);
	if (!ret)
		ret = open_programs(vm, why);
	if (!ret)
		ret = make_pages(vm, why);
	if (!ret)
		ret = faults_open(vm, why);
	if (!ret)
		ret = throttles_open(vm, why);
	return ret;
}

void resources_close(struct vm *vm)
{
	terminal_restore(&vm->terminal);
	faults_close(vm);
	throttles_close(vm);
	resources_drop_memory(vm);
	for (unsigned int i = 0; i < vm->nr_devices; i++) {
		struct device *dev = &vm->device[i];

		chardev_end_close(vm, dev->cfg, &dev->end);
		close_fd(&dev->end.fd);
		close_fd(&dev->end.out_fd);
		close_fd(&dev->end.keep_fd);
		for (int n = 0; n < CONFIG_MAX_BACKING; n++)
			close_fd(&dev->end.backing_fd[n]);
		close_fd(&dev->child.stats_fd);
	}
	close_fd(&vm->core.stats_fd);
	close_fd(&vm->kvm_fd);
	close_fd(&vm->kernel_fd);
	close_fd(&vm->initrd_fd);
	for (int i = 0; i <= LIFE_ROLE_RNG; i++)
		close_fd(&vm->exe_fd[i]);
}
