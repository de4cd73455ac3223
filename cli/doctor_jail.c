/* SPDX-License-Identifier: Apache-2.0 */
/* What the jails need of the host: namespaces, Landlock, seccomp. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/ids.h"
#include "jail/birth.h"

static const struct {
	const char *name;
	int flag;
} kinds[] = {
	{ "user", CLONE_NEWUSER }, { "pid", CLONE_NEWPID },
	{ "mount", CLONE_NEWNS },  { "net", CLONE_NEWNET },
	{ "ipc", CLONE_NEWIPC },   { "uts", CLONE_NEWUTS },
	{ "cgroup", CLONE_NEWCGROUP },
};

#define NR_KINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* In a child that ends at once: user first, which gives the right to others. */
static int try_namespaces(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		for (unsigned int i = 0; i < NR_KINDS; i++)
			if (unshare(kinds[i].flag) < 0)
				_exit((int)i + 1);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	return WEXITSTATUS(status);
}

static const char *advice_for_user_ns(void)
{
	char text[16] = "";
	FILE *f = fopen("/proc/sys/kernel/unprivileged_userns_clone", "re");

	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = '\0';
		fclose(f);
	}
	if (text[0] == '0')
		return "sysctl kernel.unprivileged_userns_clone=1";
	return "allow them: sysctl user.max_user_namespaces, the container's seccomp profile, or AppArmor's kernel.apparmor_restrict_unprivileged_userns=0";
}

void doctor_namespaces(struct doctor_result *r)
{
	int ret = try_namespaces();

	if (ret == 0)
		doctor_say(r, DOCTOR_OK, "",
			   "user, pid, mount, net, ipc, uts and cgroup namespaces can be made");
	else if (ret > 0)
		doctor_say(r, DOCTOR_FAIL, advice_for_user_ns(),
			   "a %s namespace is refused", kinds[ret - 1].name);
	else
		doctor_say(r, DOCTOR_FAIL, "raise the process limit",
			   "cannot fork: %s", strerror(-ret));
}

void doctor_ids(struct doctor_result *r)
{
	if (ids_available(birth_uid(getpid(), 0)))
		doctor_say(r, DOCTOR_OK, "", "each process gets a uid of its own");
	else
		doctor_say(r, DOCTOR_WARN,
			   "the other walls stand; as the host's root each has a uid of its own",
			   "all processes of a VM share your uid");
}

void doctor_landlock(struct doctor_result *r)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	if (abi > 0)
		doctor_say(r, DOCTOR_OK, "", "Landlock ABI %ld", abi);
	else
		doctor_say(r, DOCTOR_WARN,
			   "the other walls stand without it; boot with lsm=landlock,... to have it",
			   "no Landlock: %s", strerror(errno));
}

void doctor_seccomp(struct doctor_result *r)
{
	static const unsigned int actions[] = { SECCOMP_RET_KILL_PROCESS,
						SECCOMP_RET_TRAP };

	for (unsigned int i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0,
			    &actions[i]) == 0)
			continue;
		doctor_say(r, DOCTOR_FAIL,
			   "use a kernel with CONFIG_SECCOMP_FILTER, 4.14 or later",
			   "seccomp filters are missing: %s", strerror(errno));
		return;
	}
	doctor_say(r, DOCTOR_OK, "", "seccomp filters, with kill-process");
}
