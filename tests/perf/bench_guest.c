/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures the disk of a VM from inside, whichever VMM runs it:
 *
 *	bench_guest MILLISECONDS BACKEND COMMAND [ARG]... < OPERATIONS
 *
 * COMMAND runs tests/guest/blk_bench.c with COM1 on its standard input and
 * output.  BACKEND is the pid of a process that serves the disk from outside,
 * or 0.  OPERATIONS are lines of "read|write|seqread|seqwrite DEPTH".
 *
 * The guest spins on a vCPU of its own: that thread is put on processor 1, and
 * all others of the VM on processor 0, where the caller has put BACKEND.
 *
 * Prints a line per operation, "IOPS P50 P99 P99.9 CPU BESIDE KICKS CALLS":
 * per second, latencies in microseconds as the guest saw them, and per request
 * CPU microseconds of all processes, the same without the vCPU's thread,
 * doorbells and interrupts.  Interrupts are what the host's KVM has been told
 * to deliver by these threads, "-" if nobody may count that (perf_event_open).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "tests/perf/cpu.h"

#define WARM_UP_MS	100u
#define START_MS	60000u		/* firmware, maybe emulated */
#define REPLY_MS	10000u		/* beyond the measurement's own time */
#define END_MS		5000u
#define TEXT_BYTES	4096u
#define MAX_THREADS	64u
#define MSI_EVENT	"/sys/kernel/tracing/events/kvm/kvm_msi_set_irq/id"

extern char **environ;

struct vm {
	pid_t pid;
	pid_t backend;
	pid_t vcpu;			/* a thread */
	int input, output;
	char text[TEXT_BYTES + 1];	/* what came last */
	size_t text_len;
	int calls[MAX_THREADS];		/* counters */
	unsigned int nr_calls;
};

static struct vm vm;

static void end_vm(void)
{
	uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + END_MS * 1000000ull;

	if (vm.pid <= 0)
		return;
	kill(vm.pid, SIGTERM);
	while (waitpid(vm.pid, NULL, WNOHANG) == 0) {
		if (clock_ns(CLOCK_MONOTONIC) > end_ns)
			kill(vm.pid, SIGKILL);
		usleep(1000);
	}
	vm.pid = 0;
}

static _Noreturn __attribute__((format(printf, 1, 2)))
void fail(const char *format, ...)
{
	va_list args;

	fputs("bench_guest: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	end_vm();
	exit(1);
}

/* --- the VM ----------------------------------------------------------------- */

static void start_vm(char *argv[])
{
	posix_spawn_file_actions_t actions;
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		fail("pipe: %s", strerror(errno));
	if (!stay_on_processor(0, 0))
		fail("processor 0 is not to be had");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	errno = posix_spawnp(&vm.pid, argv[0], &actions, NULL, argv, environ);
	if (errno)
		fail("%s: %s", argv[0], strerror(errno));
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	vm.input = in[1];
	vm.output = out[0];
}

/* Until mark has come, a line of its own.  What came before is in vm.text. */
static void wait_line(const char *mark, unsigned int ms)
{
	uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + ms * 1000000ull;

	for (;;) {
		struct pollfd pfd = { .fd = vm.output, .events = POLLIN };
		char *found = strstr(vm.text, mark);
		ssize_t nr;

		if (found) {
			vm.text_len -= (size_t)(found - vm.text) +
				       strlen(mark);
			return;
		}
		if (clock_ns(CLOCK_MONOTONIC) > end_ns)
			fail("no '%.*s' from the guest in %u ms",
			     (int)strcspn(mark, "\n"), mark, ms);
		if (poll(&pfd, 1, 100) != 1)
			continue;
		if (vm.text_len == TEXT_BYTES)
			fail("the guest says too much");
		nr = read(vm.output, vm.text + vm.text_len,
			  TEXT_BYTES - vm.text_len);
		if (nr <= 0)
			fail("the VM has ended");
		vm.text_len += (size_t)nr;
		vm.text[vm.text_len] = '\0';
	}
}

/* What wait_line() has found, and all before it. */
static void forget_text(void)
{
	memmove(vm.text, vm.text + strlen(vm.text) - vm.text_len,
		vm.text_len + 1);
}

/* --- its threads ------------------------------------------------------------ */

static void note_vcpu(pid_t thread)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)thread);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(name, sizeof(name), file) &&
	    (!strcmp(name, "vcpu0\n") || !strcmp(name, "CPU 0/KVM\n")))
		vm.vcpu = thread;
	fclose(file);
}

static int open_counter(pid_t thread, uint64_t event)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr),
		.config = event,
	};

	return (int)syscall(SYS_perf_event_open, &attr, thread, -1, -1,
			    PERF_FLAG_FD_CLOEXEC);
}

static uint64_t msi_event(void)
{
	unsigned long long id = 0;
	FILE *file = fopen(MSI_EVENT, "re");

	if (!file)
		return 0;
	if (fscanf(file, "%llu", &id) != 1)
		id = 0;
	fclose(file);
	return id;
}

/* An irqfd delivers in the thread that writes to it. */
static void count_calls(const pid_t *threads, unsigned int nr)
{
	uint64_t event = msi_event();

	for (unsigned int i = 0; event && i < nr; i++) {
		int fd = open_counter(threads[i], event);

		if (fd < 0)
			return;
		vm.calls[vm.nr_calls++] = fd;
	}
}

static uint64_t nr_calls(void)
{
	uint64_t sum = 0, value;

	for (unsigned int i = 0; i < vm.nr_calls; i++)
		if (read(vm.calls[i], &value, sizeof(value)) == sizeof(value))
			sum += value;
	return sum;
}

static int autogroup_nice(void)
{
	FILE *file = fopen("/proc/self/autogroup", "re");
	int nice = 0;

	if (!file)
		return 0;
	if (fscanf(file, "/autogroup-%*d nice %d", &nice) != 1)
		nice = 0;
	fclose(file);
	return nice;
}

/*
 * sched(7), "The autogroup feature": each session has its share of a processor,
 * and Bulkhead's processes have sessions of their own.  All sides alike: with
 * the nice value of ours.
 */
static void share_alike(const pid_t *threads, unsigned int nr)
{
	int nice = autogroup_nice();
	char path[64];
	FILE *file;

	for (unsigned int i = 0; nice && i < nr; i++) {
		snprintf(path, sizeof(path), "/proc/%d/autogroup",
			 (int)threads[i]);
		file = fopen(path, "we");
		if (!file)
			continue;
		fprintf(file, "%d", nice);
		fclose(file);
	}
}

static void find_threads(void)
{
	pid_t threads[MAX_THREADS];
	unsigned int nr = tree_threads(vm.pid, threads, MAX_THREADS);

	for (unsigned int i = 0; i < nr; i++)
		note_vcpu(threads[i]);
	if (!vm.vcpu)
		fail("no thread of the VM is called vcpu0 or CPU 0/KVM");
	if (!stay_on_processor(vm.vcpu, 1))
		fail("processor 1 is not to be had");
	if (vm.backend)
		nr += tree_threads(vm.backend, threads + nr,
				   MAX_THREADS - nr);
	count_calls(threads, nr);
	share_alike(threads, nr);
}

/* proc(5): schedstat */
static uint64_t thread_cpu_ns(pid_t thread)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)thread);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

/* --- measurements ----------------------------------------------------------- */

struct sums {
	uint64_t all_ns, vcpu_ns, calls;
};

static struct sums take_sums(void)
{
	return (struct sums){
		.all_ns = tree_cpu_ns(vm.pid) +
			  (vm.backend ? tree_cpu_ns(vm.backend) : 0),
		.vcpu_ns = thread_cpu_ns(vm.vcpu),
		.calls = nr_calls(),
	};
}

/* Guests see the processor's own clock, from another beginning. */
static double cycles_per_us(void)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	uint64_t begin = __rdtsc();

	usleep(50000);
	return (double)(__rdtsc() - begin) * 1e3 /
	       (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns);
}

static double value_of(const char *name)
{
	const char *at = strstr(vm.text, name);

	if (!at)
		fail("the guest does not say %s", name);
	return (double)strtoull(at + strlen(name), NULL, 16);
}

static void report(const struct sums *from, const struct sums *to,
		   double per_us)
{
	double done = value_of("done=");
	double cpu = (double)(to->all_ns - from->all_ns) / 1e3;
	double vcpu = (double)(to->vcpu_ns - from->vcpu_ns) / 1e3;

	if (value_of("failed=") > 0)
		fail("requests failed");
	/* The disk was busy with something else all the time. */
	if (done < 1) {
		puts("0 0 0 0 0 0 0 0");
		return;
	}
	printf("%.0f %.1f %.1f %.1f %.2f %.2f %.3f ",
	       done / value_of("cycles=") * per_us * 1e6,
	       value_of("p50=") / per_us, value_of("p99=") / per_us,
	       value_of("p999=") / per_us, cpu / done, (cpu - vcpu) / done,
	       value_of("kicks=") / done);
	if (vm.nr_calls)
		printf("%.3f\n", (double)(to->calls - from->calls) / done);
	else
		puts("-");
}

static char letter_of(const char *operation)
{
	static const char *const names[] = {
		"read", "write", "seqread", "seqwrite",
	};

	for (unsigned int i = 0; i < 4; i++)
		if (!strcmp(operation, names[i]))
			return "rwRW"[i];
	fail("no operation '%s'", operation);
}

static void measure(const char *operation, unsigned int depth,
		    unsigned int run_ms, double per_us)
{
	struct sums from, to;

	dprintf(vm.input, "%c %x %llx %llx\n", letter_of(operation), depth,
		(unsigned long long)(WARM_UP_MS * 1e3 * per_us),
		(unsigned long long)(run_ms * 1e3 * per_us));
	wait_line("begin\n", REPLY_MS);
	from = take_sums();
	forget_text();
	wait_line("end\n", REPLY_MS + run_ms);
	to = take_sums();
	forget_text();
	wait_line("ready\n", REPLY_MS);
	report(&from, &to, per_us);
	forget_text();
}

int main(int argc, char *argv[])
{
	unsigned int run_ms, depth;
	char operation[16];
	double per_us;

	run_ms = argc > 3 ? (unsigned int)atoi(argv[1]) : 0;
	if (run_ms < 1 || run_ms > 60000) {
		fputs("usage: bench_guest MILLISECONDS BACKEND COMMAND [ARG]...\n",
		      stderr);
		return 2;
	}
	vm.backend = atoi(argv[2]);
	per_us = cycles_per_us();
	start_vm(&argv[3]);
	wait_line("ready\n", START_MS);
	forget_text();
	find_threads();
	while (scanf("%15s %u", operation, &depth) == 2)
		measure(operation, depth, run_ms, per_us);
	end_vm();
	return 0;
}
