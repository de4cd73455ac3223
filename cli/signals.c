/* SPDX-License-Identifier: Apache-2.0 */
/* Signals to the supervisor: stop, and when repeated, kill (C7). */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/signals.h"

static void signal_set(sigset_t *set)
{
	struct sigaction hup;

	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGQUIT);
	/* nohup(1): who started us wants hang-ups ignored. */
	if (sigaction(SIGHUP, NULL, &hup) < 0 || hup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
}

static void signal_ready(struct watch *watch, uint32_t epoll_events)
{
	struct vm *vm = watch->owner;
	struct signalfd_siginfo info;
	const char *name;

	(void)epoll_events;
	if (read(vm->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	name = strsignal((int)info.ssi_signo);
	switch (vm->state) {
	case VM_STARTING:
		vm_kill(vm, RUN_SIGNAL + (int)info.ssi_signo, name);
		return;
	case VM_ENDING:
		if (vm->reboot)
			break;
		vm_kill(vm, RUN_KILLED, name);
		return;
	case VM_STOPPING:
		vm_kill(vm, RUN_KILLED, name);
		return;
	default:
		break;
	}
	vm_stop(vm, vm->cfg->stop_timeout_ms, name);
}

int signals_take(struct vm *vm)
{
	sigset_t set;
	int ret;

	/* A log or a client that went away is an errno, not a death. */
	signal(SIGPIPE, SIG_IGN);
	/* Restoring the terminal from the background must not stop us. */
	signal(SIGTTOU, SIG_IGN);
	signal_set(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	vm->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (vm->signal_fd < 0)
		return -errno;
	vm->signals = (struct watch){ -1, signal_ready, vm };
	ret = loop_add(vm->loop_fd, &vm->signals, vm->signal_fd, EPOLLIN);
	return ret;
}

void signals_give_back(struct vm *vm)
{
	sigset_t set;

	loop_remove(vm->loop_fd, &vm->signals);
	if (vm->signal_fd < 0)
		return;
	close(vm->signal_fd);
	vm->signal_fd = -1;
	/* What is pending would kill us now, with everything tidied up. */
	signal_set(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
