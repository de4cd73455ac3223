/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root of the host has uids to spare; root of a container may have few, or
 * one; anybody else has the one (C3).
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/ids.h"

/* user_namespaces(7): lines of first id inside, first outside, count. */
static bool is_mapped(const char *map, unsigned int id)
{
	unsigned int inside, outside, count;
	bool found = false;
	FILE *f = fopen(map, "re");

	if (!f)
		return false;
	while (!found &&
	       fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
		found = id >= inside && id - inside < count;
	fclose(f);
	return found;
}

bool ids_available(uid_t id)
{
	return geteuid() == 0 && is_mapped("/proc/self/uid_map", id) &&
	       is_mapped("/proc/self/gid_map", id);
}
