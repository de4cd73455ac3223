/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language of fault rules, the same on the command line, in [fault] and
 * in scripts; bulkhead(1), FAULTS, is the user's side:
 *
 *	ACTION[=VALUE] [op=OP,...] [sector=A[-B]] [after=N] [every=N]
 *	[probability=P] [count=N]
 *
 * Pure: nothing of a VM is known here but the role of the device.
 */
#ifndef CLI_FAULT_PARSE_H
#define CLI_FAULT_PARSE_H

#include <stddef.h>

#include "ipc/fault.h"
#include "ipc/life.h"

#define FAULT_WHY_MAX	320	/* bytes of an error line, with the NUL */
#define FAULT_TEXT_MAX	256	/* bytes of a rule in words, with the NUL */

/*
 * text: one rule; its first character is in this column, counted from 1.
 * *rule has no id and no seed yet.
 * Return: 0; -EINVAL, and "column N: what is wrong; what would do" in why.
 */
int fault_parse(const char *text, unsigned int column, enum life_role role,
		struct fault_rule *rule, char why[FAULT_WHY_MAX]);

/* The rule in the words that fault_parse() takes; role as then. */
void fault_format(const struct fault_rule *rule, enum life_role role,
		  char text[FAULT_TEXT_MAX]);

#endif
