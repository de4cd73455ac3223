/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries to break out of jails, one fresh process per attempt:
 *
 *   rights       a jail without a policy: namespaces, capabilities, Landlock
 *                and limits must refuse on their own, or the attempt must
 *                give nothing, and then its reason is printed;
 *   <policy>     the whole jail: refused, or killed by seccomp, in which case
 *                the last word must name the call;
 *   <policy> alone  a process that nobody jailed and that confined itself.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/death.h"
#include "tests/jail/harness.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE	66
#endif

struct outcome {
	bool ended;	/* within the deadline */
	bool killed;	/* by seccomp, with a word */
	bool tried;	/* result is valid */
	int result;
	char death[DEATH_TEXT_MAX];
};

static long landlock_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static bool is_excused(enum excuse excuse)
{
	switch (excuse) {
	case EXCUSE_ALWAYS:
		return true;
	case EXCUSE_NO_LANDLOCK:
		return landlock_abi() < 1;
	case EXCUSE_NO_LANDLOCK_NET:
		return landlock_abi() < 4;
	case EXCUSE_NO_MDWE:
		return prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0;
	case EXCUSE_ROOTLESS:
		return geteuid() != 0;
	case EXCUSE_NEVER:
		break;
	}
	return false;
}

static void run(const struct probe_page *page, struct birth_child *child,
		struct outcome *outcome)
{
	siginfo_t info = { 0 };

	*outcome = (struct outcome){ .ended = true };
	if (birth_reap(child, &info, HARNESS_TIMEOUT_MS) != 0) {
		outcome->ended = false;
		birth_kill(child);
		birth_reap(child, &info, -1);
	}
	death_describe(&info, &page->word, outcome->death,
		       sizeof(outcome->death));
	outcome->killed = info.si_code != CLD_EXITED &&
			  info.si_status == SIGSYS &&
			  page->word.valid == LASTWORD_MAGIC;
	outcome->tried = page->state == PROBE_STATE_DONE &&
			 death_is_clean(&info);
	outcome->result = page->result;
}

static void judge_rights(const struct attempt *attempt,
			 const struct outcome *outcome)
{
	if (!outcome->ended || !outcome->tried)
		tap_result(false, "rights: %s: %s", attempt->name,
			   outcome->ended ? outcome->death : "no end");
	else if (outcome->result < 0)
		tap_result(true, "rights: %s: %s", attempt->name,
			   strerror(-outcome->result));
	else
		tap_result(is_excused(attempt->excuse),
			   "rights: %s: allowed: %s", attempt->name,
			   attempt->reason ? attempt->reason : "no excuse");
}

static void judge_policy(const char *policy, const char *how,
			 const struct attempt *attempt,
			 const struct outcome *outcome)
{
	bool refused = outcome->tried && outcome->result < 0;

	tap_result(outcome->ended && (outcome->killed || refused),
		   "%s%s: %s: %s", policy, how, attempt->name,
		   refused ? strerror(-outcome->result) : outcome->death);
}

static void try_all(enum probe_policy policy, bool alone)
{
	const struct attempt *attempt;
	struct birth_child child;
	struct probe_page *page;
	struct outcome outcome;

	for (unsigned int i = 0; (attempt = attempt_get(i)) != NULL; i++) {
		page = harness_page(PROBE_ATTEMPT, policy);
		page->attempt = i;
		if (alone)
			harness_start_alone(policy, &child);
		else
			harness_birth(policy, &child);
		run(page, &child, &outcome);
		harness_log();
		if (policy == PROBE_POLICY_NONE)
			judge_rights(attempt, &outcome);
		else
			judge_policy(probe_policies[policy]->name,
				     alone ? " alone" : "", attempt, &outcome);
	}
}

int main(void)
{
	harness_open();
	for (int policy = 0; policy < PROBE_NR_POLICIES; policy++)
		try_all(policy, false);
	for (int policy = 1; policy < PROBE_NR_POLICIES; policy++)
		try_all(policy, true);
	harness_close();
	return tap_end();
}
