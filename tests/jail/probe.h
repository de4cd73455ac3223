/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the jail tests and the probe, the program they put into jails, say to
 * each other: one shared page on STATS_FD.  The tests write the first half,
 * the probe the second.
 */
#ifndef TESTS_JAIL_PROBE_H
#define TESTS_JAIL_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "policy/lastword.h"
#include "policy/policy.h"

#define PROBE_PAGE_BYTES	4096
#define PROBE_MAX_FDS		1024
#define PROBE_MAX_INODES	64
#define PROBE_TITLE		"bulkhead: test/probe [probe]"

/* The key that the tests put into their session keyring. */
#define PROBE_KEY		"bulkhead-jail-test"

enum probe_task {
	PROBE_REPORT,	/* fill report, wait for SIGKILL */
	PROBE_WAIT,	/* confine, state CONFINED, wait for SIGKILL */
	PROBE_ATTEMPT,	/* confine, try one thing, exit 0 */
	PROBE_EXIT,	/* confine, exit with the status of the same name */
};

enum probe_state {
	PROBE_STATE_STARTED = 1,
	PROBE_STATE_CONFINED,
	PROBE_STATE_DONE,
};

/* Order of probe_policies[] in attempts.c. */
enum probe_policy {
	PROBE_POLICY_NONE,
	PROBE_POLICY_BLK,
	PROBE_POLICY_CONSOLE,
	PROBE_POLICY_CORE,
	PROBE_POLICY_RNG,
	PROBE_POLICY_SERIAL,
	PROBE_NR_POLICIES
};

/* What a new process finds, before it confines itself. */
struct probe_report {
	uint32_t argc;
	uint32_t nr_env;
	char title[64];
	char cwd[64];
	char hostname[64];
	uint32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t nr_groups;
	uint32_t umask;
	uint32_t session;	/* getsid() */
	uint32_t securebits;
	uint32_t no_new_privs;
	uint32_t death_signal;
	uint32_t nr_bounding;	/* capabilities in the bounding set */
	uint32_t nr_signals;	/* ignored, handled or blocked */
	uint32_t nr_root_entries;	/* beside . and .. */
	uint32_t loopback_up;
	uint64_t core_bytes;
	uint64_t nr_files;
	uint64_t nr_tasks;
	uint64_t memlock_bytes;
	uint64_t file_bytes;
	uint64_t main_address;	/* differs between two births */
	uint8_t fd_open[PROBE_MAX_FDS / 8];
	uint64_t fd_inode[PROBE_MAX_INODES];	/* of fds 0.. */
};

struct probe_page {
	struct last_word word;
	uint32_t task;		/* enum probe_task */
	uint32_t policy;	/* enum probe_policy */
	uint32_t attempt;	/* index into attempts[] */
	int32_t exit_status;
	int32_t host_pid;	/* of the test */
	uint32_t tcp_port;	/* of 127.0.0.1, where the test listens */
	int32_t shm_key;	/* of a segment of the test, open to all */
	char abstract[64];	/* name of an abstract socket of the test */

	uint32_t state;		/* enum probe_state */
	int32_t result;		/* of the attempt: 0 it worked, or -errno */
	struct probe_report report;
};

_Static_assert(sizeof(struct probe_page) <= PROBE_PAGE_BYTES, "probe_page");

/* When an attempt may work without a policy. */
enum excuse {
	EXCUSE_NEVER,
	EXCUSE_ALWAYS,
	EXCUSE_NO_LANDLOCK,	/* kernel has no Landlock */
	EXCUSE_NO_LANDLOCK_NET,	/* before ABI 4 */
	EXCUSE_NO_MDWE,		/* before Linux 6.3 */
	EXCUSE_ROOTLESS,	/* all processes have the user's own uid */
};

/* Context: probe, confined.  Return: 0 it worked, or -errno. */
typedef int (*attempt_run)(const struct probe_page *page);

struct attempt {
	const char *name;
	attempt_run run;
	enum excuse excuse;
	const char *reason;	/* why it is harmless where it is excused */
};

extern const struct attempt attempts_files[];
extern const struct attempt attempts_processes[];
extern const struct attempt attempts_network[];
extern const struct attempt attempts_kernel[];

/* Attempt nr of all tables in a row, NULL after the last one. */
const struct attempt *attempt_get(unsigned int nr);

extern const struct policy *const probe_policies[PROBE_NR_POLICIES];

/* -errno or 0 of what a system call returned. */
int attempt_outcome(long returned);

/* A ring on RING_FD, if the kernel has them; made before confinement. */
void probe_ring_make(void);
/* Return: 0 the ring opened the file, -ENODEV there is no ring, -errno. */
int probe_ring_open(const char *path);

#endif
