/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control command "fault" (ipc/README.md): rules in, rules out.  In the
 * supervisor, C7.
 */
#include <jansson.h>
#include <stdio.h>

#include "cli/control.h"
#include "cli/control_commands.h"
#include "cli/fault_parse.h"
#include "cli/faults.h"

static void list_child(json_t *rules, const struct child *child)
{
	for (unsigned int i = 0; i < child->faults->nr_rules; i++) {
		const struct fault_rule *rule = &child->faults->rule[i];
		struct stats_fault counts = faults_counts(child, i);
		char text[FAULT_TEXT_MAX];

		fault_format(rule, child->role, text);
		json_array_append_new(rules,
				      json_pack("{s:i, s:s, s:s, s:I, s:I}",
						"id", (int)rule->id, "device",
						child->name, "rule", text,
						"seen",
						(json_int_t)counts.seen,
						"fired",
						(json_int_t)counts.fired));
	}
}

static json_t *list(struct vm *vm)
{
	json_t *rules = json_array();

	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c))
		list_child(rules, c);
	return json_pack("{s:i, s:b, s:I, s:o}", "version", CONTROL_VERSION,
			 "ok", 1, "seed", (json_int_t)vm->fault_seed, "rules",
			 rules);
}

/* A field that is there must be of its type. */
static const char *check_fields(const json_t *request)
{
	const json_t *clear = json_object_get(request, "clear");
	const json_t *seed = json_object_get(request, "seed");
	const json_t *rule = json_object_get(request, "rule");
	const json_t *script = json_object_get(request, "script");

	if (clear && !json_is_boolean(clear))
		return "clear must be true or false";
	if (seed && (!json_is_integer(seed) || json_integer_value(seed) < 0))
		return "seed must be a whole number, 0 or more";
	if ((rule && !json_is_string(rule)) ||
	    (script && !json_is_string(script)))
		return "rule and script must be text";
	if (rule && script)
		return "either rule or script";
	return NULL;
}

json_t *control_fault(struct vm *vm, const json_t *request, bool *waits)
{
	const json_t *seed = json_object_get(request, "seed");
	const char *rule =
		json_string_value(json_object_get(request, "rule"));
	const char *script =
		json_string_value(json_object_get(request, "script"));
	const struct faults_change change = {
		.clear = json_is_true(json_object_get(request, "clear")),
		.reseed = seed != NULL,
		.seed = (uint64_t)json_integer_value(seed),
		.rules = rule ? rule : script,
		.script = script != NULL,
	};
	const char *wrong = check_fields(request);
	char why[VM_WHY_MAX];

	(void)waits;
	if (wrong)
		return control_error("%s", wrong);
	if (faults_change(vm, &change, why))
		return control_error("%s", why);
	if (change.clear || change.reseed || change.rules)
		event_note(vm, "faults-changed", NULL, 0, "%s", "");
	return list(vm);
}
