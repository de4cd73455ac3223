/* SPDX-License-Identifier: Apache-2.0 */
/* TAP for tests that are not written with Check. */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>
#include <stdnoreturn.h>

/* One line of TAP.  Return: ok, as it came. */
bool tap_result(bool ok, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void tap_skip(const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "1..N".  Return: exit status. */
int tap_end(void);
/* Not a result of what is tested: the test itself cannot go on. */
noreturn void tap_bail_out(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

#endif
