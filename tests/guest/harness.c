/* SPDX-License-Identifier: Apache-2.0 */
/* See harness.h.  Runs in the test's own process. */
#include "tests/guest/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/fdmsg.h"
#include "ipc/inherit.h"
#include "ipc/log.h"
#include "ipc/regchan.h"

#define DEFAULT_RAM_BYTES	(32ull << 20)
#define SEND_MS			5000
#define FAR_FD			200	/* above all numbers of inherit.h */
#define MAX_PER_STEP		256	/* messages taken in one turn */

#define UART_LSR		5
#define UART_LSR_IDLE		0x60	/* THR and shift register empty */

/* --- birth -------------------------------------------------------------------- */

static int must(int result, const char *what)
{
	if (result < 0)
		tap_bail_out("%s: %s", what, strerror(errno));
	return result;
}

const char *build_path(const char *name)
{
	static char path[4096];
	const char *build = getenv("BULKHEAD_BUILD");

	snprintf(path, sizeof(path), "%s/%s", build ? build : "build", name);
	return path;
}

static int memfd_sized(const char *name, uint64_t bytes)
{
	int fd = must(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING),
		      "memfd_create");

	must(ftruncate(fd, (off_t)bytes), "ftruncate");
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), "seals");
	return fd;
}

struct placement {
	int from;
	int to;
};

/* In the child: exactly the fds of inherit.h, then the core. */
static void child_exec(struct placement *fds, unsigned int nr)
{
	char *const argv[] = { (char[]){ "bulkhead: test [core]" }, NULL };
	int exe = open(build_path("bulkhead-core"), O_RDONLY | O_CLOEXEC);

	exe = fcntl(exe, F_DUPFD_CLOEXEC, FAR_FD);
	for (unsigned int i = 0; i < nr; i++)
		fds[i].from = fcntl(fds[i].from, F_DUPFD_CLOEXEC, FAR_FD);
	close_range(3, FAR_FD - 1, 0);
	for (unsigned int i = 0; i < nr; i++)
		if (dup2(fds[i].from, fds[i].to) < 0)
			_exit(126);
	fexecve(exe, argv, environ);
	_exit(127);
}

static void vm_spawn(struct vm *vm, const struct vm_options *options,
		     int ram_fd)
{
	int life[2];
	int log[2];
	int stats_fd = memfd_sized("stats", STATS_PAGE_BYTES);
	int fault_fd = memfd_sized("faults", FAULT_PAGE_BYTES);
	struct placement fds[9];
	unsigned int nr = 0;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, life),
	     "socketpair");
	must(pipe2(log, O_CLOEXEC | O_NONBLOCK), "pipe2");
	vm->stats = mmap(NULL, STATS_PAGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED, stats_fd, 0);
	vm->faults = mmap(NULL, FAULT_PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED, fault_fd, 0);
	fault_page_write(vm->faults, options->faults, options->nr_faults);
	vm->life_fd = life[0];
	vm->log_fd = log[0];
	fds[nr++] = (struct placement){ log[1], LOG_FD };
	fds[nr++] = (struct placement){ life[1], LIFE_FD };
	fds[nr++] = (struct placement){ stats_fd, STATS_FD };
	fds[nr++] = (struct placement){ fault_fd, CORE_FAULT_FD };
	fds[nr++] = (struct placement){ ram_fd, RAM_FD };
	fds[nr++] = (struct placement){
		must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm"), KVM_FD
	};
	fds[nr++] = (struct placement){
		must(open(options->kernel, O_RDONLY | O_CLOEXEC),
		     options->kernel), KERNEL_FD
	};
	if (options->initrd)
		fds[nr++] = (struct placement){
			must(open(options->initrd, O_RDONLY | O_CLOEXEC),
			     options->initrd), INITRD_FD
		};
	fflush(stdout);
	vm->pid = must(fork(), "fork");
	if (vm->pid == 0)
		child_exec(fds, nr);
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i].from);
}

static void birth_send(struct vm *vm, const struct vm_options *options,
		       uint64_t ram_bytes, unsigned int nr_devices)
{
	struct life_birth birth = {
		.version = LIFE_VERSION,
		.role = LIFE_ROLE_CORE,
		.vm = "test",
		.device = "core",
		.log_level = LOG_LEVEL_INFO,
		.u.core = {
			.ram_bytes = ram_bytes,
			.nr_vcpus = options->nr_vcpus ? options->nr_vcpus : 1,
			.nr_devices = nr_devices,
			.has_initrd = options->initrd != NULL,
		},
	};

	if (options->cmdline)
		snprintf(birth.u.core.cmdline, sizeof(birth.u.core.cmdline),
			 "%s", options->cmdline);
	/* A core that dies at once is seen by the test, not here. */
	life_send(vm->life_fd, LIFE_BIRTH, &birth, NULL, 0, SEND_MS);
}

static void device_send(struct vm *vm, unsigned int index,
			const struct vm_device *device)
{
	struct life_core_device message = {
		.index = index,
		.role = device->role,
		.nr_queues = device->nr_queues,
		.nr_processes = 1,
		.of = index,
	};

	snprintf(message.name, sizeof(message.name), "%s", device->name);
	life_send(vm->life_fd, LIFE_CORE_DEVICE, &message, &device->link_fd, 1,
		  SEND_MS);
	close(device->link_fd);
}

static void serial_send(struct vm *vm, unsigned int index)
{
	struct vm_device com1 = { .role = LIFE_ROLE_SERIAL, .name = "serial" };
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
	     "socketpair");
	vm->serial_fd = pair[0];
	com1.link_fd = pair[1];
	device_send(vm, index, &com1);
}

struct vm *vm_start(const struct vm_options *options)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	uint64_t ram_bytes = options->ram_bytes ? options->ram_bytes :
			     DEFAULT_RAM_BYTES;
	unsigned int nr = options->nr_devices;

	must(vm ? 0 : -1, "calloc");
	signal(SIGPIPE, SIG_IGN);
	vm->echo = options->echo;
	vm->serial_kind = options->serial;
	vm->serial_fd = vm->serial_irq_fd = -1;
	vm_spawn(vm, options, memfd_sized("ram", ram_bytes));
	birth_send(vm, options, ram_bytes, nr + !options->no_serial);
	for (unsigned int i = 0; i < nr; i++)
		device_send(vm, i, &options->devices[i]);
	if (!options->no_serial)
		serial_send(vm, nr);
	vm_send(vm, LIFE_CORE_START);
	return vm;
}

void vm_send(struct vm *vm, enum life_type type)
{
	life_send(vm->life_fd, type, NULL, NULL, 0, SEND_MS);
}

void vm_interrupt(struct vm *vm)
{
	siginfo_t info;

	/* It has ended: 0 would be ourselves, and all of our group. */
	if (vm->pid == 0)
		return;
	must(kill(vm->pid, SIGSTOP), "SIGSTOP");
	must(waitid(P_PID, (id_t)vm->pid, &info, WSTOPPED | WEXITED | WNOWAIT),
	     "waitid");
	must(kill(vm->pid, SIGCONT), "SIGCONT");
}

void vm_serial_irq(struct vm *vm)
{
	uint64_t one = 1;

	must((int)write(vm->serial_irq_fd, &one, sizeof(one)),
	     "serial interrupt");
}

/* --- what the core says --------------------------------------------------------- */

static void text_append(const struct vm *vm, char *text, unsigned int *len,
			const char *more, size_t nr)
{
	if (vm->echo)
		fwrite(more, 1, nr, stdout);
	if (nr > VM_TEXT_MAX - 1 - *len)
		nr = VM_TEXT_MAX - 1 - *len;
	memcpy(text + *len, more, nr);
	*len += (unsigned int)nr;
	text[*len] = '\0';
}

static bool take_log(struct vm *vm)
{
	char line[4096];
	ssize_t nr = read(vm->log_fd, line, sizeof(line));

	if (nr > 0)
		text_append(vm, vm->log, &vm->log_len, line, (size_t)nr);
	return nr > 0;
}

static void serial_answer(const struct vm *vm,
			  const struct regchan_request *req)
{
	uint32_t value = req->offset == UART_LSR ? UART_LSR_IDLE : 0;

	if (vm->serial_kind != VM_SERIAL_MUTE)
		regchan_answer(vm->serial_fd, req->seq +
			       (vm->serial_kind == VM_SERIAL_LIAR), value);
}

/* A UART that is always ready to send and never receives. */
static bool take_serial(struct vm *vm)
{
	struct regchan_request req;
	int irq_fd;
	char byte;

	if (vm->serial_fd < 0 || regchan_take(vm->serial_fd, &req, &irq_fd) != 1)
		return false;
	vm->serial_accesses += req.op != REGCHAN_SET_IRQ;
	if (req.op == REGCHAN_SET_IRQ)
		vm->serial_irq_fd = irq_fd;
	else if (req.op == REGCHAN_READ)
		serial_answer(vm, &req);
	else if (req.op == REGCHAN_WRITE && req.offset == 0) {
		byte = (char)req.value;
		text_append(vm, vm->serial, &vm->serial_len, &byte, 1);
	}
	return true;
}

static bool take_life(struct vm *vm)
{
	struct life_msg msg;

	if (life_recv(vm->life_fd, LIFE_SIDE_SUPERVISOR, &msg, 0) != 1)
		return false;
	if (msg.type == LIFE_READY)
		vm->ready = true;
	else if (msg.type == LIFE_PONG)
		vm->pong = msg.u.ping.cookie;
	else if (msg.type == LIFE_FAILED)
		memcpy(vm->failed, msg.u.text.text, sizeof(vm->failed));
	else if (msg.type == LIFE_CORE_EVENT && vm->nr_events < VM_MAX_EVENTS)
		vm->events[vm->nr_events++] = msg.u.core_event;
	return true;
}

static bool reaped(struct vm *vm)
{
	if (vm->pid && waitpid(vm->pid, &vm->wait_status, WNOHANG) == vm->pid)
		vm->pid = 0;
	return vm->pid == 0;
}

/*
 * Take all there is; wait up to timeout_ms for more.
 * Return: false when the core has ended and all it said was taken.
 */
static bool vm_step(struct vm *vm, int timeout_ms)
{
	struct pollfd fds[3] = {
		{ .fd = vm->life_fd, .events = POLLIN },
		{ .fd = vm->serial_fd, .events = POLLIN },
		{ .fd = vm->log_fd, .events = POLLIN },
	};
	bool over = reaped(vm);
	bool any = false;

	if (!over)
		poll(fds, 3, timeout_ms < 50 ? timeout_ms : 50);
	/* A guest that prints for ever must not keep us from the deadline. */
	for (unsigned int i = 0; i < MAX_PER_STEP && take_life(vm); i++)
		any = true;
	for (unsigned int i = 0; i < MAX_PER_STEP && take_serial(vm); i++)
		any = true;
	for (unsigned int i = 0; i < MAX_PER_STEP && take_log(vm); i++)
		any = true;
	return !over || any;
}

static const struct life_core_event *
event_find(const struct vm *vm, enum life_core_event_kind kind)
{
	for (unsigned int i = 0; i < vm->nr_events; i++)
		if (vm->events[i].kind == kind)
			return &vm->events[i];
	return NULL;
}

const struct life_core_event *vm_wait_event(struct vm *vm,
					    enum life_core_event_kind kind,
					    int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;
	const struct life_core_event *event;

	while (!(event = event_find(vm, kind))) {
		long long left = deadline_ms - fdmsg_now_ms();

		if (left <= 0 || !vm_step(vm, (int)left))
			break;
	}
	return event;
}

bool vm_wait_text(struct vm *vm, const char *text, int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;

	while (!strstr(vm->serial, text)) {
		long long left = deadline_ms - fdmsg_now_ms();

		if (left <= 0 || !vm_step(vm, (int)left))
			return strstr(vm->serial, text) != NULL;
	}
	return true;
}

int vm_wait_exit(struct vm *vm, int timeout_ms)
{
	long long deadline_ms = fdmsg_now_ms() + timeout_ms;

	for (;;) {
		long long left = deadline_ms - fdmsg_now_ms();

		if (!vm_step(vm, left > 0 ? (int)left : 0))
			return WIFSIGNALED(vm->wait_status) ?
			       128 + WTERMSIG(vm->wait_status) :
			       WEXITSTATUS(vm->wait_status);
		if (left <= 0)
			return -1;
	}
}

void vm_end(struct vm *vm)
{
	if (vm->pid) {
		kill(vm->pid, SIGKILL);
		waitpid(vm->pid, &vm->wait_status, 0);
	}
	close(vm->life_fd);
	close(vm->log_fd);
	if (vm->serial_fd >= 0)
		close(vm->serial_fd);
	if (vm->serial_irq_fd >= 0)
		close(vm->serial_irq_fd);
	munmap(vm->stats, STATS_PAGE_BYTES);
	munmap(vm->faults, FAULT_PAGE_BYTES);
	free(vm);
}

/* --- for people ---------------------------------------------------------------- */

static void show_lines(const char *what, const char *text)
{
	printf("# %s: ", what);
	for (; *text; text++)
		if (*text == '\n' && text[1])
			fputs("\n#   ", stdout);
		else
			putchar(*text);
	putchar('\n');
}

void vm_show(const struct vm *vm)
{
	printf("# ready %d, wait status 0x%x, system call %u\n", vm->ready,
	       (unsigned int)vm->wait_status, vm->stats->head.last_word.nr);
	for (unsigned int i = 0; i < vm->nr_events; i++)
		printf("# event %u: %s\n", vm->events[i].kind,
		       vm->events[i].text);
	show_lines("failed", vm->failed);
	show_lines("serial", vm->serial);
	show_lines("log", vm->log);
}

bool kvm_usable(const char **why)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		*why = errno == EACCES ? "no right to /dev/kvm" :
		       "no /dev/kvm here";
		return false;
	}
	close(fd);
	return true;
}
