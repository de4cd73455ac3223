/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of bytes as users write them, see cli/bytes.h. */
#include "cli/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int bytes_parse(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t n;
	char *end;

	/* Digits only: strtoull() alone would take "-1" and " 7". */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || (*end && (!unit || end[1])))
		return -EINVAL;
	if (unit && __builtin_mul_overflow(n, 1ull << 10 * (unit - units + 1),
					   &n))
		return -EINVAL;
	*bytes = n;
	return 0;
}
