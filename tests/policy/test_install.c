/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel does to a process under a policy: each case is a child
 * that confines itself and then tries something; the parent looks at how it
 * ended and at its last word.  Ends with the policies that are shipped.
 *
 * Build: policy/install.c lastword.c, and policyc's parse.c expression.c
 * lint.c constants.c build.c verify.c with -lseccomp to compile small.policy
 * both ways; gen/policy_{blk,console,core,rng,serial}.c, gen/syscall_names.c;
 * -pthread.  Run in the top folder.
 */
#include <errno.h>
#include <linux/audit.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/policy.h"
#include "policy/rules.h"

#define TIME_LIMIT_S	60
#define NOBODY		65534
#define SURVIVED	7	/* exit status of a child that lived on */
#define NOT_POSSIBLE	77	/* exit status: cannot be tried here */

struct fate {
	int status;		/* of waitpid() */
	bool has_word;
	struct last_word_report word;
};

static struct policy small = { .name = "small", .traps = 1 };
static struct policy small_kill = { .name = "small_kill" };
static struct last_word *word;	/* a page shared with the children */
static unsigned int nr_tests;
static bool all_ok = true;

static void check(bool ok, const char *name)
{
	nr_tests++;
	printf("%s %u - %s\n", ok ? "ok" : "not ok", nr_tests, name);
	all_ok = all_ok && ok;
}

static void skip(const char *name, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++nr_tests, name, why);
}

/* --- what a child does before and under its policy ----------------------- */

static void confine(const struct policy *policy, unsigned int flags)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    policy_install(policy, flags, word) != 0)
		_exit(1);
}

/* _exit(), but without what a sanitizer does before a call of no return. */
static void leave(int status)
{
	syscall(SYS_exit_group, status);
}

static void try_allowed(void)
{
	confine(&small, 0);
	if (syscall(SYS_getppid) > 0 && syscall(SYS_lseek, 0, 0, 3) != -ENOSYS)
		leave(SURVIVED);
	leave(1);
}

static void try_forbidden(void)
{
	confine(&small, 0);
	syscall(SYS_socket, 0x1122334455667788, 2, 3);
	leave(SURVIVED);
}

static void try_argument(void)
{
	confine(&small, 0);
	syscall(SYS_lseek, 0, 9, 4);
	leave(SURVIVED);
}

static void try_junk_above_int(void)
{
	confine(&small, 0);
	syscall(SYS_lseek, 1L << 32, 0, 0);
	leave(SURVIVED);
}

static void try_without_word(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (policy_install(&small, 0, NULL))
		_exit(1);
	syscall(SYS_getuid);
	leave(SURVIVED);
}

static void try_kill(void)
{
	confine(&small_kill, 0);
	syscall(SYS_getuid);
	leave(SURVIVED);
}

static void call_i386(void)
{
	long ret = 20;	/* getpid of i386 */

	__asm__ volatile("int $0x80" : "+a"(ret) : : "memory");
}

static void try_i386(void)
{
	confine(&small, 0);
	call_i386();
	leave(SURVIVED);
}

static void try_i386_unconfined(void)
{
	call_i386();
	leave(SURVIVED);
}

static void try_x32(void)
{
	confine(&small, 0);
	syscall(0x40000000 | SYS_getppid);
	leave(SURVIVED);
}

static void try_sigaction(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };

	confine(&small, 0);
	sigaction(SIGSYS, &action, NULL);
	leave(SURVIVED);
}

static void try_sigprocmask(void)
{
	sigset_t set;

	confine(&small, 0);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	leave(SURVIVED);
}

static void try_blocked_before(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	confine(&small, 0);
	syscall(SYS_getuid);
	leave(SURVIVED);
}

/* No stack for the handler: the kernel cannot even call it. */
static void try_without_stack(void)
{
	/* A sanitizer has a handler for it. */
	signal(SIGSEGV, SIG_DFL);
	confine(&small, 0);
	__asm__ volatile("xor %%esp, %%esp\n\t"
			 "syscall\n\t"
			 "mov %[exit], %%eax\n\t"
			 "mov %[survived], %%edi\n\t"
			 "syscall"
			 :
			 : "a"(SYS_getuid), [exit] "i"(SYS_exit_group),
			   [survived] "i"(SURVIVED)
			 : "rcx", "r11", "rdi", "memory");
}

static void try_forged_signal(void)
{
	confine(&small, 0);
	syscall(SYS_ppoll, 0, 0, NULL, NULL, 8);
	leave(SURVIVED);
}

static atomic_int gate;

/* What glibc does before it gets here is forbidden too: say when. */
static void *forbidden_thread(void *arg)
{
	(void)arg;
	atomic_store(&gate, 1);
	while (atomic_load(&gate) != 2)
		;
	syscall(SYS_getuid);
	return NULL;
}

static void try_other_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, forbidden_thread, NULL))
		_exit(1);
	while (atomic_load(&gate) != 1)
		;
	confine(&small, POLICY_ALL_THREADS);
	atomic_store(&gate, 2);
	syscall(SYS_ppoll, 0, 0, NULL, NULL, 8);
	leave(SURVIVED);
}

static void *own_filter_thread(void *arg)
{
	(void)arg;
	confine(&small, 0);
	atomic_store(&gate, 1);
	syscall(SYS_ppoll, 0, 0, NULL, NULL, 8);
	return NULL;
}

static void try_thread_with_own_filter(void)
{
	pthread_t thread;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (pthread_create(&thread, NULL, own_filter_thread, NULL))
		_exit(1);
	while (!atomic_load(&gate))
		;
	_exit(policy_install(&small, POLICY_ALL_THREADS, word) == -ESRCH ?
	      SURVIVED : 1);
}

static void try_without_nnp(void)
{
	if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(NOT_POSSIBLE);
	_exit(policy_install(&small, 0, word) == -EACCES ? SURVIVED : 1);
}

static void try_unknown_flag(void)
{
	_exit(policy_install(&small, 1u << 31, word) == -EINVAL ? SURVIVED : 1);
}

static void init_life(bool traced)
{
	/* Init does not die of an alarm; its parent does. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (traced) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(NOT_POSSIBLE);
		/* Init ignores it, but its tracer sees it. */
		raise(SIGSTOP);
	}
	confine(&small, 0);
	syscall(SYS_getuid);
	leave(SURVIVED);
}

/* A process for which signals without a handler do nothing: init. */
static void be_init(bool traced)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		_exit(NOT_POSSIBLE);
	pid = fork();
	if (pid == 0)
		init_life(traced);
	for (;;) {
		if (waitpid(pid, &status, 0) != pid)
			_exit(1);
		if (!WIFSTOPPED(status))
			break;
		/* Hand every signal on but the first stop. */
		ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(status) == SIGSTOP ?
		       0L : (long)WSTOPSIG(status));
	}
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				    WEXITSTATUS(status));
}

static void try_as_init(void)
{
	be_init(false);
}

static void try_as_traced_init(void)
{
	be_init(true);
}

static const struct policy *shipped;	/* what try_shipped() loads */

static void try_shipped(void)
{
	confine(shipped, POLICY_ALL_THREADS);
	syscall(SYS_socket, 1, 1, 0);
	leave(SURVIVED);
}

/* --- the parent ---------------------------------------------------------- */

static pid_t start(void (*attempt)(void))
{
	struct rlimit no_core = { 0, 0 };
	pid_t pid;

	memset(word, 0, sizeof(*word));
	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	alarm(TIME_LIMIT_S / 2);
	attempt();
	_exit(1);
}

static struct fate finish(pid_t pid)
{
	struct fate fate = { .status = -1 };

	if (waitpid(pid, &fate.status, 0) != pid)
		fate.status = -1;
	fate.has_word = lastword_take(word, &fate.word) == 0;
	return fate;
}

static struct fate run(void (*attempt)(void))
{
	return finish(start(attempt));
}

static bool died_of(const struct fate *fate, int sig)
{
	return fate->status != -1 && WIFSIGNALED(fate->status) &&
	       WTERMSIG(fate->status) == sig;
}

static bool exited(const struct fate *fate, int code)
{
	return fate->status != -1 && WIFEXITED(fate->status) &&
	       WEXITSTATUS(fate->status) == code;
}

/* Died of SIGSYS and said which call it was. */
static bool named(const struct fate *fate, uint32_t nr)
{
	return died_of(fate, SIGSYS) && fate->has_word &&
	       fate->word.nr == nr && fate->word.arch == AUDIT_ARCH_X86_64;
}

/* Died of SIGSYS at once. */
static bool silent(const struct fate *fate)
{
	return died_of(fate, SIGSYS) && !fate->has_word;
}

static void test_calls(void)
{
	struct fate fate = run(try_allowed);

	check(exited(&fate, SURVIVED), "an allowed call passes");
	fate = run(try_forbidden);
	check(named(&fate, SYS_socket), "a forbidden call kills and is named");
	check(fate.word.args[0] == 0x1122334455667788 &&
	      fate.word.args[1] == 2 && fate.word.args[2] == 3,
	      "the last word has the arguments");
	/* syscall() is in libc: only its distance from us is known. */
	check(fate.word.ip_offset != 0, "the last word has the place");
	fate = run(try_argument);
	check(named(&fate, SYS_lseek) && fate.word.args[2] == 4,
	      "a forbidden argument kills and is named");
	fate = run(try_junk_above_int);
	check(named(&fate, SYS_lseek), "junk above an int argument kills");
	fate = run(try_without_word);
	check(silent(&fate), "without a word: dies of SIGSYS");
	fate = run(try_kill);
	check(silent(&fate), "--default kill: dies of SIGSYS at once");
}

static void test_architectures(void)
{
	struct fate fate = run(try_i386_unconfined);
	const char *name = "an i386 call kills at once";

	if (exited(&fate, SURVIVED)) {
		fate = run(try_i386);
		check(silent(&fate), name);
	} else {
		skip(name, "this kernel has no i386 calls");
	}
	fate = run(try_x32);
	check(silent(&fate), "an x32 call kills at once");
}

static void test_handler(void)
{
	struct fate fate = run(try_sigaction);
	pid_t pid;

	check(named(&fate, SYS_rt_sigaction), "the handler cannot be replaced");
	fate = run(try_sigprocmask);
	check(named(&fate, SYS_rt_sigprocmask), "signals cannot be unblocked");
	fate = run(try_blocked_before);
	check(named(&fate, SYS_getuid), "SIGSYS is unblocked by the install");
	fate = run(try_without_stack);
	check(died_of(&fate, SIGSEGV) && !fate.has_word,
	      "no stack for the handler: dies of SIGSEGV");
	pid = start(try_forged_signal);
	/* Until the handler is there SIGSYS kills all the same. */
	kill(pid, SIGSYS);
	fate = finish(pid);
	check(silent(&fate), "a SIGSYS from outside kills and names nothing");
	fate = run(try_other_thread);
	check(named(&fate, SYS_getuid), "one thread's call kills all threads");
}

static void test_init(void)
{
	struct fate fate = run(try_as_init);
	const char *name = "init of a pid namespace dies too";

	if (exited(&fate, NOT_POSSIBLE))
		skip(name, "no right to make a pid namespace");
	else
		check(exited(&fate, 128 + SIGSYS) && fate.has_word, name);

	fate = run(try_as_traced_init);
	name = "so does init under a tracer";
	if (exited(&fate, NOT_POSSIBLE))
		skip(name, "no right to make a pid namespace");
	else
		check(exited(&fate, 128 + SIGSYS) && fate.has_word, name);
}

static void test_refusals(void)
{
	struct fate fate = run(try_without_nnp);

	check(exited(&fate, SURVIVED), "no policy without no_new_privs");
	fate = run(try_unknown_flag);
	check(exited(&fate, SURVIVED), "an unknown flag is refused");
	fate = run(try_thread_with_own_filter);
	check(exited(&fate, SURVIVED), "a thread that cannot follow is told");
	check(strstr(policy_error_text(-EINVAL), "CONFIG_SECCOMP_FILTER") &&
	      strstr(policy_error_text(-ENOSYS), "CONFIG_SECCOMP") &&
	      strstr(policy_error_text(-EACCES), "no_new_privs"),
	      "errors name what is missing");
}

static void test_shipped(void)
{
	static const struct {
		const struct policy *policy;
		unsigned int limit;
	} policies[] = {
		{ &policy_serial, 20 }, { &policy_console, 20 },
		{ &policy_rng, 20 }, { &policy_blk, 25 }, { &policy_core, 30 },
	};
	char name[64];
	struct fate fate;

	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		shipped = policies[i].policy;
		fate = run(try_shipped);
		snprintf(name, sizeof(name), "%s: socket() kills and is named",
			 shipped->name);
		check(named(&fate, SYS_socket), name);
		snprintf(name, sizeof(name), "%s: %u calls, at most %u",
			 shipped->name, shipped->nr_syscalls,
			 policies[i].limit);
		check(shipped->nr_syscalls <= policies[i].limit, name);
	}
	check(!strcmp(policy_syscall_name(SYS_socket), "socket") &&
	      !policy_syscall_name(UINT32_MAX), "calls have names");
}

/* small.policy as struct policy.  Return: its filter, to be freed. */
static struct sock_filter *compile_small(struct policy *policy,
					 enum default_action action)
{
	static struct rules rules;
	struct sock_filter *insns = NULL;
	size_t nr_insns = 0;

	memset(&rules, 0, sizeof(rules));
	if (rules_parse(&rules, "tests/policy/small.policy") ||
	    build_filter(&rules, action, &insns, &nr_insns) ||
	    verify_filter(&rules, action, insns, nr_insns)) {
		puts("Bail out! small.policy does not compile");
		exit(1);
	}
	policy->filter = insns;
	policy->nr_insns = (uint16_t)nr_insns;
	policy->nr_syscalls = (uint16_t)rules.nr_rules;
	rules_free(&rules);
	return insns;
}

int main(void)
{
	struct sock_filter *insns[2];

	word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (word == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	insns[0] = compile_small(&small, DEFAULT_REPORT);
	insns[1] = compile_small(&small_kill, DEFAULT_KILL);
	/* build_filter() has used the alarm. */
	alarm(TIME_LIMIT_S);

	test_calls();
	test_architectures();
	test_handler();
	test_init();
	test_refusals();
	test_shipped();

	munmap(word, sizeof(*word));
	free(insns[0]);
	free(insns[1]);
	printf("1..%u\n", nr_tests);
	return all_ok ? 0 : 1;
}
