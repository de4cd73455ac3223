/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked calls that the compiler makes of those in fortify.h, under the
 * names that it gives them (gcc, "Object Size Checking").
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ipc/log.h"

void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room);
void *__memmove_chk(void *to, const void *from, size_t bytes, size_t room);
void *__memset_chk(void *to, int byte, size_t bytes, size_t room);
ssize_t fortify_read(int fd, void *to, size_t bytes, size_t room);
ssize_t fortify_pread(int fd, void *to, size_t bytes, off_t offset,
		      size_t room);
int __snprintf_chk(char *to, size_t bytes, int flag, size_t room,
		   const char *format, ...)
	__attribute__((format(printf, 5, 6)));
int __vsnprintf_chk(char *to, size_t bytes, int flag, size_t room,
		    const char *format, va_list args)
	__attribute__((format(printf, 5, 0)));

/* SIGILL: no policy has the calls of abort(3). */
static void check(const char *name, size_t bytes, size_t room)
{
	if (bytes <= room)
		return;
	log_err("bug: %s of %zu bytes into %zu", name, bytes, room);
	__builtin_trap();
}

void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room)
{
	check("memcpy", bytes, room);
	return memcpy(to, from, bytes);
}

void *__memmove_chk(void *to, const void *from, size_t bytes, size_t room)
{
	check("memmove", bytes, room);
	return memmove(to, from, bytes);
}

void *__memset_chk(void *to, int byte, size_t bytes, size_t room)
{
	check("memset", bytes, room);
	return memset(to, byte, bytes);
}

int __vsnprintf_chk(char *to, size_t bytes, int flag, size_t room,
		    const char *format, va_list args)
{
	(void)flag;
	check("snprintf", bytes, room);
	return vsnprintf(to, bytes, format, args);
}

int __snprintf_chk(char *to, size_t bytes, int flag, size_t room,
		   const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = __vsnprintf_chk(to, bytes, flag, room, format, args);
	va_end(args);
	return len;
}

ssize_t fortify_read(int fd, void *to, size_t bytes, size_t room)
{
	check("read", bytes, room);
	return read(fd, to, bytes);
}

ssize_t fortify_pread(int fd, void *to, size_t bytes, off_t offset,
		      size_t room)
{
	check("pread", bytes, room);
	return pread(fd, to, bytes, offset);
}
