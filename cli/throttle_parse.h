/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throttling as it is written down, "iops=500 bytes_read=20M": in [blk]
 * throttle and in `bulkhead device VM throttle` (C1, C7).
 */
#ifndef CLI_THROTTLE_PARSE_H
#define CLI_THROTTLE_PARSE_H

#include "ipc/throttle.h"

#define THROTTLE_TEXT_MAX	512	/* bytes of all settings, with the NUL */
#define THROTTLE_WHY_MAX	192	/* bytes of an error, with the NUL */

/* No limit at all. */
void throttle_none(struct throttle_settings *settings);

/*
 * Change what text names, leave the rest: KEY=VALUE..., or "off" for none.
 * Return: 0; -EINVAL with what is wrong in why, *settings unchanged.
 */
int throttle_parse(const char *text, struct throttle_settings *settings,
		   char why[THROTTLE_WHY_MAX]);

/* The inverse; "off" if there is no limit. */
void throttle_format(const struct throttle_settings *settings,
		     char text[THROTTLE_TEXT_MAX]);

#endif
