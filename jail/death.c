/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for a death (C7), in the supervisor, after the child was reaped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "jail/death.h"
#include "policy/policy.h"

static void describe_seccomp(const struct last_word *word, char *text,
			     size_t text_bytes)
{
	struct last_word_report report;
	const char *name;

	if (!word || lastword_take(word, &report) != 0) {
		snprintf(text, text_bytes,
			 "killed by seccomp: system call unknown");
		return;
	}
	name = policy_syscall_name(report.nr);
	snprintf(text, text_bytes,
		 "killed by seccomp: system call %s (%" PRIu32 ") with 0x%"
		 PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 " at offset 0x%" PRIx64,
		 name ? name : "of no name", report.nr, report.args[0],
		 report.args[1], report.args[2], report.ip_offset);
}

static void describe_signal(int sig, char *text, size_t text_bytes)
{
	const char *name = sigabbrev_np(sig);

	if (name)
		snprintf(text, text_bytes, "killed by SIG%s", name);
	else
		snprintf(text, text_bytes, "killed by signal %d", sig);
}

/* lastword.c: how the process ends if SIGSYS does not end it. */
static bool exited_for_seccomp(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED && info->si_status == 128 + SIGSYS;
}

void death_describe(const siginfo_t *info, const struct last_word *word,
		    char *text, size_t text_bytes)
{
	bool by_signal = info->si_code == CLD_KILLED ||
			 info->si_code == CLD_DUMPED;

	if ((by_signal && info->si_status == SIGSYS) || exited_for_seccomp(info))
		describe_seccomp(word, text, text_bytes);
	else if (by_signal)
		describe_signal(info->si_status, text, text_bytes);
	else if (info->si_code == CLD_EXITED)
		snprintf(text, text_bytes, "exited with status %d",
			 info->si_status);
	else
		snprintf(text, text_bytes,
			 "died while it was traced, of what only the tracer knows");
}

bool death_is_clean(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED && info->si_status == 0;
}
