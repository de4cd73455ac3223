/* SPDX-License-Identifier: Apache-2.0 */
/* What the jail tests share: resources for a probe, its birth, TAP. */
#ifndef TESTS_JAIL_HARNESS_H
#define TESTS_JAIL_HARNESS_H

#include <stdbool.h>

#include "jail/birth.h"
#include "tests/jail/probe.h"
#include "tests/tap.h"

#define HARNESS_TIMEOUT_MS	10000
#define HARNESS_IMAGE_BYTES	65536

/*
 * Make everything that probes are given and everything they try to reach:
 * sockets, an image, a terminal that is in use, a listening host.
 */
void harness_open(void);
/* Also called at exit. */
void harness_close(void);

/* The shared page, cleared, with what all tasks need filled in. */
struct probe_page *harness_page(enum probe_task task, enum probe_policy policy);

/* The page as it is. */
struct probe_page *harness_last_page(void);

/* A spec for the probe with the fds that a process of that policy has. */
void harness_spec(enum probe_policy policy, struct birth_spec *spec);

/* birth_begin() and birth_wait_exec(); bails out if that fails. */
void harness_birth(enum probe_policy policy, struct birth_child *child);

/*
 * Start the probe as a device that is started by hand: fork, its fds, exec;
 * no jail but what it makes itself.
 */
void harness_start_alone(enum probe_policy policy, struct birth_child *child);

/* Wait until the probe has come that far.  Return: false, it did not. */
bool harness_wait_state(const struct probe_page *page, enum probe_state state);

/* What probes have logged since the last call; static text. */
const char *harness_log(void);

/* true: this process has no child at all, dead or alive. */
bool harness_is_childless(void);

unsigned int harness_count_fds(void);

#endif
