/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overwrite the command line that the kernel shows for this process.
 *
 * The strings of argv and of the environment lie one after the other; the
 * title may use all of that once the environment has been copied away.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/title.h"

static char *title_start;
static size_t title_bytes;

/* Extend the area by strings that follow it without a gap. */
static char *extend(char *end, char *const *strings)
{
	for (; *strings && *strings == end; strings++)
		end += strlen(*strings) + 1;
	return end;
}

static void drop_strings(char **strings)
{
	for (unsigned int i = 0; strings[i]; i++)
		free(strings[i]);
	free(strings);
}

/* libc frees neither: both live as long as the process. */
static int copy_environment(void)
{
	unsigned int n = 0;
	char **copy;

	while (environ[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return -1;
	for (unsigned int i = 0; i < n; i++) {
		copy[i] = strdup(environ[i]);
		if (!copy[i]) {
			drop_strings(copy);
			return -1;
		}
	}
	environ = copy;
	return 0;
}

void title_init(int argc, char **argv)
{
	char *end;

	if (argc < 1)
		return;
	end = extend(argv[0], argv);
	end = extend(end, environ);
	if (copy_environment())
		return;
	title_start = argv[0];
	title_bytes = (size_t)(end - argv[0]);
}

void title_set(const char *fmt, ...)
{
	va_list ap;

	if (!title_bytes)
		return;
	memset(title_start, 0, title_bytes);
	va_start(ap, fmt);
	vsnprintf(title_start, title_bytes, fmt, ap);
	va_end(ap);
}
