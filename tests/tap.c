/* SPDX-License-Identifier: Apache-2.0 */
/* See tap.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tap.h"

static unsigned int nr_results;
static unsigned int nr_failed;

__attribute__((format(printf, 2, 0)))
static void tap_line(bool ok, const char *fmt, va_list args)
{
	nr_results++;
	nr_failed += !ok;
	printf("%s %u - ", ok ? "ok" : "not ok", nr_results);
	vprintf(fmt, args);
}

bool tap_result(bool ok, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	tap_line(ok, fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	return ok;
}

void tap_skip(const char *reason, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	tap_line(true, fmt, args);
	va_end(args);
	printf(" # SKIP %s\n", reason);
	fflush(stdout);
}

int tap_end(void)
{
	printf("1..%u\n", nr_results);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

noreturn void tap_bail_out(const char *fmt, ...)
{
	va_list args;

	fputs("Bail out! ", stdout);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	exit(EXIT_FAILURE);
}
