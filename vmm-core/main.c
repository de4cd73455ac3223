/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-core: the process that owns the VM (C2, C5, C6).
 *
 * main() is the table of contents.  Everything that needs a right is done
 * before confine_calls(): the VM, the vCPUs and their threads.  Everything
 * that somebody hostile may have a hand in comes after it: the back-ends'
 * answers, the kernel file, the initrd, the guest.
 */
#include <errno.h>
#include <fcntl.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "ipc/kernel_calls.h"
#include "ipc/life.h"
#include "ipc/log.h"
#include "jail/confine.h"
#include "policy/policy.h"
#include "vmm-core/acpi.h"
#include "vmm-core/acpi_pm.h"
#include "vmm-core/boot.h"
#include "vmm-core/chores.h"
#include "vmm-core/core_fault.h"
#include "vmm-core/core_stats.h"
#include "vmm-core/guest_mem.h"
#include "vmm-core/kvm.h"
#include "vmm-core/load.h"
#include "vmm-core/pci.h"
#include "vmm-core/pvpanic.h"
#include "vmm-core/report.h"
#include "vmm-core/serial_link.h"
#include "vmm-core/vcpu.h"

#define WAIT_FOR_EVER	(-1)
/* vCPU threads read the links; only their end is news to the loop. */
#define LINK_EVENTS	(EPOLLRDHUP | EPOLLET)
#define PONG_MS		1000
#define RAM_MIN_BYTES	(2u << 20)	/* boot.h: the first MiB is taken */

struct core {
	struct life_birth_core birth;
	struct load_file kernel;
	struct load_file initrd;
	bool has_serial;
	unsigned int serial_index;
};

/*
 * The supervisor's next message that is not a ping.  Ends the process when
 * the supervisor says so, is gone or breaks the protocol.
 * Return: false if there is none and timeout_ms is 0.
 */
static bool message_take(struct life_msg *msg, int timeout_ms)
{
	int got;

	for (;;) {
		got = life_recv(LIFE_FD, LIFE_SIDE_CHILD, msg, timeout_ms);
		if (got == -EAGAIN)
			return false;
		if (got == 0 || (got == 1 && msg->type == LIFE_STOP))
			exit(EXIT_SUCCESS);
		if (got < 0)
			die(EXIT_FAILURE, "life channel: %s: this program is started by 'bulkhead run'",
			    strerror(-got));
		if (msg->type != LIFE_PING)
			return true;
		if (life_send(LIFE_FD, LIFE_PONG, &msg->u.ping, NULL, 0,
			      PONG_MS) != 0)
			log_warn("supervisor does not take a pong");
	}
}

static void message_expect(struct life_msg *msg, enum life_type type)
{
	message_take(msg, WAIT_FOR_EVER);
	if (msg->type != type)
		die(EXIT_FAILURE, "life channel: message %u where %u was due",
		    msg->type, type);
}

/* --- before the last narrowing --------------------------------------------- */

static void birth_take(struct core *core)
{
	struct life_msg msg;

	message_expect(&msg, LIFE_BIRTH);
	if (msg.u.birth.version != LIFE_VERSION ||
	    msg.u.birth.role != LIFE_ROLE_CORE)
		die(EXIT_FAILURE, "birth: version %u, role %u are not this program's",
		    msg.u.birth.version, msg.u.birth.role);
	log_init(NULL, (enum log_level)msg.u.birth.log_level);
	core->birth = msg.u.birth.u.core;
	if (core->birth.nr_vcpus < 1 || core->birth.nr_vcpus > LIFE_MAX_VCPUS ||
	    core->birth.nr_devices > LIFE_MAX_DEVICES ||
	    core->birth.nr_further > core->birth.nr_devices ||
	    core->birth.ram_bytes < RAM_MIN_BYTES)
		die(EXIT_FAILURE, "birth: %u vCPUs, %u devices, %llu bytes of RAM",
		    core->birth.nr_vcpus, core->birth.nr_devices,
		    (unsigned long long)core->birth.ram_bytes);
}

static void stats_map(const struct core *core)
{
	int err = core_stats_open(core->birth.nr_vcpus);

	if (err)
		report_failed("statistics page: %s", strerror(-err));
}

static void ram_map(const struct core *core)
{
	int err = guest_mem_init(RAM_FD, core->birth.ram_bytes);

	if (err)
		report_failed("guest RAM of %llu MiB: %s",
			      (unsigned long long)core->birth.ram_bytes >> 20,
			      strerror(-err));
	kvm_map_memory();
}

/* Sizes are taken now: fstat(2) is not in the policy. */
static void file_measure(struct load_file *file, int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		report_failed("%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		report_failed("%s: not a regular file", name);
	file->fd = fd;
	file->size_bytes = (uint64_t)st.st_size;
}

static void files_measure(struct core *core)
{
	file_measure(&core->kernel, KERNEL_FD, "kernel");
	if (core->birth.has_initrd)
		file_measure(&core->initrd, INITRD_FD, "initrd");
}

/* What devices will need that takes a system call. */
static void devices_prepare(const struct core *core)
{
	unsigned int nr_queues = core->birth.nr_vcpus;
	int err;

	if (nr_queues < 2)
		nr_queues = 2;	/* a console has two */
	err = virtio_pci_prepare(core->birth.nr_devices -
				 core->birth.nr_further, nr_queues);
	if (!err)
		err = serial_link_prepare();
	if (err)
		report_failed("eventfds of the devices: %s", strerror(-err));
}

/* What a foreign back-end could keep us in. */
static void chores_begin(void)
{
	int err = chores_start();

	if (err)
		report_failed("cannot start a thread: %s", strerror(-err));
	fdmsg_set_closer(chores_close);
}

static void loop_create(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || (fd != EPOLL_FD && dup3(fd, EPOLL_FD, O_CLOEXEC) < 0))
		report_failed("epoll: %s", strerror(errno));
	if (fd != EPOLL_FD)
		close(fd);
}

/* --- after it --------------------------------------------------------------- */

static void say_ready(void)
{
	if (life_send(LIFE_FD, LIFE_READY, NULL, NULL, 0, PONG_MS) != 0)
		exit(EXIT_FAILURE);
}

static void machine_build(void)
{
	int err = acpi_pm_init();

	if (!err)
		err = pvpanic_init();
	if (!err)
		err = pci_init();
	if (err)
		report_failed("the machine's fixed devices: %s",
			      strerror(-err));
}

static void device_add(struct core *core, struct life_msg *msg)
{
	const struct life_core_device *dev = &msg->u.core_device;
	int inflight_fd = msg->nr_fds > 1 ? msg->fds[1] : -1;
	int err;

	if (dev->role == LIFE_ROLE_SERIAL) {
		core->has_serial = true;
		core->serial_index = dev->index;
		err = serial_link_add(dev->index, msg->fds[0]);
		if (inflight_fd >= 0)
			close(inflight_fd);
	} else if (dev->process) {
		err = virtio_pci_add_process(dev, msg->fds[0], inflight_fd);
	} else {
		err = virtio_pci_add(dev, msg->fds[0], inflight_fd);
	}
	if (err)
		report_failed("device %s: %s", dev->name, strerror(-err));
}

static void devices_take(struct core *core)
{
	struct life_msg msg;

	for (unsigned int i = 0; i < core->birth.nr_devices; i++) {
		message_expect(&msg, LIFE_CORE_DEVICE);
		if (msg.u.core_device.index != i)
			die(EXIT_FAILURE, "life channel: device %u where %u was due",
			    msg.u.core_device.index, i);
		device_add(core, &msg);
	}
}

static gpa_t acpi_place(const struct core *core)
{
	const struct acpi_machine machine = {
		.nr_vcpus = core->birth.nr_vcpus,
		.has_serial = core->has_serial,
	};
	int used = acpi_write(&machine,
			      guest_mem_span(BOOT_ACPI, BOOT_ACPI_BYTES),
			      BOOT_ACPI_BYTES, BOOT_ACPI);

	if (used < 0)
		report_failed("ACPI tables: %s", strerror(-used));
	return BOOT_ACPI;
}

static void guest_load(const struct core *core)
{
	struct loaded_kernel kernel;
	struct boot_info boot = {
		.kernel = &kernel,
		.cmdline = core->birth.cmdline,
		.rsdp = acpi_place(core),
	};
	struct load_error error;
	int err;

	if (load_kernel(&core->kernel, &kernel, &error) != 0)
		report_failed("kernel: %s", error.text);
	if (core->birth.has_initrd) {
		if (load_initrd(&core->initrd, &kernel, &boot.initrd,
				&error) != 0)
			report_failed("initrd: %s", error.text);
		boot.initrd_bytes = core->initrd.size_bytes;
		close(INITRD_FD);
	}
	close(KERNEL_FD);
	if (boot_write(&boot, &error) != 0)
		report_failed("kernel: %s", error.text);
	err = boot_set_registers(VCPU_FD_BASE, &kernel);
	if (err)
		report_failed("registers of vcpu0: %s", strerror(-err));
}

static void guest_start(void)
{
	struct life_msg msg;

	message_expect(&msg, LIFE_CORE_START);
	report_event(LIFE_EVENT_STARTED, 0, "guest runs");
	vcpus_run();
}

/* --- the loop ---------------------------------------------------------------- */

static void loop_watch(int fd, uint32_t events, const char *what)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(EPOLL_FD, EPOLL_CTL_ADD, fd, &event) != 0)
		report_failed("epoll: %s: %s", what, strerror(errno));
}

/* A device's next process, or word that there will be none. */
static void successor_take(const struct core *core, const struct life_msg *msg)
{
	const struct relink relink = {
		.fd = msg->nr_fds ? msg->fds[0] : -1,
		.link = msg->u.core_relink.link,
		.needs_reset = msg->u.core_relink.needs_reset,
	};

	if (relink.fd >= 0)
		loop_watch(relink.fd, LINK_EVENTS, "new link");
	if (core->has_serial &&
	    msg->u.core_relink.index == core->serial_index)
		serial_link_relink(&relink);
	else if (virtio_pci_relink(msg->u.core_relink.index, &relink) != 0)
		die(EXIT_FAILURE, "life channel: a new link for device %u, which is not there",
		    msg->u.core_relink.index);
}

static void life_dispatch(const struct core *core)
{
	struct life_msg msg;

	if (!message_take(&msg, 0))
		return;
	switch (msg.type) {
	case LIFE_CORE_POWER_BUTTON:
		acpi_pm_power_button();
		return;
	case LIFE_CORE_STATS:
		core_stats_refresh();
		return;
	case LIFE_CORE_RELINK:
	case LIFE_CORE_GIVE_UP:
		successor_take(core, &msg);
		return;
	case LIFE_CORE_PAUSE:
		vcpus_pause();
		report_event(LIFE_EVENT_PAUSED, 0, "vCPUs stand still");
		return;
	case LIFE_CORE_RESUME:
		vcpus_run();
		return;
	default:
		die(EXIT_FAILURE, "life channel: message %u out of turn",
		    msg.type);
	}
}

static void loop_fill(const struct core *core)
{
	loop_watch(LIFE_FD, EPOLLIN, "life channel");
	virtio_pci_watch(loop_watch);
	if (core->has_serial)
		loop_watch(serial_link_fd(), LINK_EVENTS, "serial link");
}

/* An fd that is nobody's: a link that was replaced before its end was seen. */
static void loop_dispatch(const struct core *core, int fd)
{
	if (fd == LIFE_FD) {
		life_dispatch(core);
		return;
	}
	serial_link_dispatch(fd);
	virtio_pci_dispatch(fd);
}

static void loop_run(const struct core *core)
{
	struct epoll_event event;

	for (;;) {
		int nr = kernel_epoll_wait(EPOLL_FD, &event, 1,
					   WAIT_FOR_EVER);

		if (nr < 0 && errno != EINTR)
			die(EXIT_FAILURE, "epoll_pwait: %s", strerror(errno));
		if (nr == 1)
			loop_dispatch(core, event.data.fd);
	}
}

/* A person at a shell, not the supervisor. */
static void arguments_answer(int argc, char **argv)
{
	if (argc < 2)
		return;
	if (strcmp(argv[1], "--version") == 0)
		puts("bulkhead-core " BULKHEAD_VERSION);
	else
		puts("bulkhead-core: the process that owns a VM; started by 'bulkhead run CONFIG'");
	exit(strcmp(argv[1], "--version") == 0 ||
	     strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : EXIT_USAGE);
}

int main(int argc, char **argv)
{
	struct core core = { 0 };

	arguments_answer(argc, argv);
	prctl(PR_SET_NAME, "bulkhead-core");
	log_init(NULL, LOG_LEVEL_INFO);
	confine_rights();
	birth_take(&core);
	stats_map(&core);
	files_measure(&core);
	kvm_create_vm();
	ram_map(&core);
	kvm_create_interrupts();
	vcpus_create(core.birth.nr_vcpus);
	chores_begin();
	core_fault_init(core_stats_head());
	close(KVM_FD);
	loop_create();
	devices_prepare(&core);
	confine_calls(&policy_core, &core_stats_head()->last_word);

	say_ready();
	machine_build();
	devices_take(&core);
	guest_load(&core);
	loop_fill(&core);
	guest_start();
	loop_run(&core);
}
