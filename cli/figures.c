/* SPDX-License-Identifier: Apache-2.0 */
/* See figures.h.  Run by clients. */
#include <stdio.h>

#include "cli/figures.h"

/* Three digits of value, which is below 1000 unless units ran out. */
static const char *print(double value, const char *unit, char text[FIGURE_MAX])
{
	int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

	snprintf(text, FIGURE_MAX, "%.*f%s", digits, value, unit);
	return text;
}

/* As often divided by `step` as there are units, while it has four digits. */
static const char *scale(double value, double step, const char *const *units,
			 unsigned int nr_units, char text[FIGURE_MAX])
{
	unsigned int i = 0;

	for (; i + 1 < nr_units && value >= 999.5; i++)
		value /= step;
	if (i == 0) {
		snprintf(text, FIGURE_MAX, "%.0f%s", value, units[0]);
		return text;
	}
	return print(value, units[i], text);
}

const char *figure_ns(uint64_t ns, char text[FIGURE_MAX])
{
	static const char *const units[] = { "ns", "us", "ms", "s" };

	return scale((double)ns, 1000, units, 4, text);
}

const char *figure_count(double value, char text[FIGURE_MAX])
{
	static const char *const units[] = { "", "k", "M", "G", "T" };

	return scale(value, 1000, units, 5, text);
}

const char *figure_kib(uint64_t kib, char text[FIGURE_MAX])
{
	static const char *const units[] = { "K", "M", "G", "T" };

	return scale((double)kib, 1024, units, 4, text);
}
