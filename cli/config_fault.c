/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [fault]: rules that hold from the guest's first request on (C1).  Its keys
 * are "core" and the names of devices, any number of times; cli/fault_parse.c
 * reads the values.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_priv.h"
#include "cli/fault_parse.h"

static int take_seed(const struct config_source *src,
		     const struct config_entry *entry, struct config *cfg)
{
	char *end;

	errno = 0;
	cfg->fault_seed = strtoull(entry->value, &end, 10);
	if (!errno && entry->value[0] >= '0' && entry->value[0] <= '9' &&
	    !*end && cfg->fault_seed <= INT64_MAX)
		return 0;
	return config_error(src->err, "%s: seed = %s: expected a whole number",
			    entry->origin, entry->value);
}

/* Those that a device has so far; its page has room for FAULT_MAX_RULES. */
static unsigned int count_of(const struct config *cfg, unsigned int device)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < cfg->nr_faults; i++)
		nr += cfg->fault[i].device == device;
	return nr;
}

static int take_rule(const struct config_source *src,
		     const struct config_entry *entry, struct config *cfg,
		     unsigned int device)
{
	struct config_fault *fault = &cfg->fault[cfg->nr_faults];
	bool core = device == CONFIG_CORE;
	const char *name = core ? entry->key : cfg->device[device].name;
	char why[FAULT_WHY_MAX];

	if (cfg->nr_faults == CONFIG_MAX_FAULTS ||
	    count_of(cfg, device) == FAULT_MAX_RULES)
		return config_error(src->err,
				    "%s: more than %d rules for %s, or %d in all",
				    entry->origin, FAULT_MAX_RULES, name,
				    CONFIG_MAX_FAULTS);
	if (fault_parse(entry->value, 1, core ? LIFE_ROLE_CORE :
			cfg->device[device].role, &fault->rule, why))
		return config_error(src->err, "%s: %s = %.100s: %s",
				    entry->origin, entry->key, entry->value,
				    why);
	fault->device = device;
	cfg->nr_faults++;
	return 0;
}

int config_take_fault(const struct config_source *src,
		      const struct config_entry *entry, struct config *cfg)
{
	if (!strcmp(entry->key, "seed"))
		return take_seed(src, entry, cfg);
	if (!strcmp(entry->key, "core"))
		return take_rule(src, entry, cfg, CONFIG_CORE);
	for (unsigned int i = 0; i < cfg->nr_devices; i++)
		if (!strcmp(cfg->device[i].name, entry->key))
			return take_rule(src, entry, cfg, i);
	return config_error(src->err,
			    "%s: [fault]: no device '%s'; its keys are seed, core and the devices' names",
			    entry->origin, entry->key);
}
