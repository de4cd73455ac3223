/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers short enough for a column: three digits and a unit. */
#ifndef CLI_FIGURES_H
#define CLI_FIGURES_H

#include <stdint.h>

#define FIGURE_MAX	16	/* bytes, NUL included */

/* "87ns", "4.21us", "13.0ms", "2.10s".  Return: text. */
const char *figure_ns(uint64_t ns, char text[FIGURE_MAX]);

/* "999", "1.20k", "34.5M".  Return: text. */
const char *figure_count(double value, char text[FIGURE_MAX]);

/* KiB as "812K", "1.20M".  Return: text. */
const char *figure_kib(uint64_t kib, char text[FIGURE_MAX]);

#endif
