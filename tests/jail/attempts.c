/* SPDX-License-Identifier: Apache-2.0 */
/* All attempts to break out, as one list, and the policies they run under. */
#include <errno.h>
#include <stddef.h>

#include "tests/jail/probe.h"

static const struct attempt *const tables[] = {
	attempts_files,
	attempts_processes,
	attempts_network,
	attempts_kernel,
};

const struct policy *const probe_policies[PROBE_NR_POLICIES] = {
	[PROBE_POLICY_BLK] = &policy_blk,
	[PROBE_POLICY_CONSOLE] = &policy_console,
	[PROBE_POLICY_CORE] = &policy_core,
	[PROBE_POLICY_RNG] = &policy_rng,
	[PROBE_POLICY_SERIAL] = &policy_serial,
};

const struct attempt *attempt_get(unsigned int nr)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct attempt *a = tables[i]; a->name; a++) {
			if (nr-- == 0)
				return a;
		}
	}
	return NULL;
}

int attempt_outcome(long returned)
{
	return returned < 0 ? -errno : 0;
}
