/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For test_hardening.sh: overflow CALL BYTES writes that many bytes into 16 by
 * that call, in a program that is built as the confined ones are.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/log.h"

#define ROOM	16

static char buffer[ROOM];
static const char source[4096];

__attribute__((format(printf, 2, 3)))
static int by_vsnprintf(size_t bytes, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(buffer, bytes, format, args);
	va_end(args);
	return len;
}

static int write_by(const char *call, size_t bytes)
{
	if (!strcmp(call, "memcpy"))
		memcpy(buffer, source, bytes);
	else if (!strcmp(call, "memmove"))
		memmove(buffer, source, bytes);
	else if (!strcmp(call, "memset"))
		memset(buffer, 1, bytes);
	else if (!strcmp(call, "snprintf"))
		return snprintf(buffer, bytes, "%s", "some text") != 9;
	else if (!strcmp(call, "vsnprintf"))
		return by_vsnprintf(bytes, "%s", "some text") != 9;
	else if (!strcmp(call, "read"))
		return read(STDIN_FILENO, buffer, bytes) < 0;
	else if (!strcmp(call, "pread"))
		return pread(STDIN_FILENO, buffer, bytes, 0) < 0;
	else
		return 2;
	return 0;
}

int main(int argc, char **argv)
{
	log_init("overflow", LOG_LEVEL_ERR);
	return argc == 3 ? write_by(argv[1], strtoul(argv[2], NULL, 10)) : 2;
}
