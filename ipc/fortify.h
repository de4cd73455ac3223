/* SPDX-License-Identifier: Apache-2.0 */
/*
 * _FORTIFY_SOURCE for programs with musl, which has none: calls that write into
 * a buffer whose size the compiler knows check that size.  Given to every file
 * of those programs by the compiler's -include; nobody includes it.
 *
 * As with glibc, what surely fits costs nothing, and what surely does not is a
 * warning.  gcc, "Object Size Checking".
 */
#ifndef IPC_FORTIFY_H
#define IPC_FORTIFY_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Used wherever it can be inlined, which is always; the library's own else. */
#define FORTIFY	extern inline \
	__attribute__((gnu_inline, always_inline, artificial))

FORTIFY void *memcpy(void *restrict to, const void *restrict from,
		     size_t bytes)
{
	return __builtin___memcpy_chk(to, from, bytes,
				      __builtin_object_size(to, 0));
}

FORTIFY void *memmove(void *to, const void *from, size_t bytes)
{
	return __builtin___memmove_chk(to, from, bytes,
				       __builtin_object_size(to, 0));
}

FORTIFY void *memset(void *to, int byte, size_t bytes)
{
	return __builtin___memset_chk(to, byte, bytes,
				      __builtin_object_size(to, 0));
}

/* read(2) into room bytes; the process ends if it were more. */
ssize_t fortify_read(int fd, void *to, size_t bytes, size_t room);

FORTIFY ssize_t read(int fd, void *to, size_t bytes)
{
	return fortify_read(fd, to, bytes, __builtin_object_size(to, 0));
}

/* The same of pread(2). */
ssize_t fortify_pread(int fd, void *to, size_t bytes, off_t offset,
		      size_t room);

FORTIFY ssize_t pread(int fd, void *to, size_t bytes, off_t offset)
{
	return fortify_pread(fd, to, bytes, offset,
			     __builtin_object_size(to, 0));
}

FORTIFY int vsnprintf(char *restrict to, size_t bytes,
		      const char *restrict format, va_list args)
{
	return __builtin___vsnprintf_chk(to, bytes, 0,
					 __builtin_object_size(to, 1), format,
					 args);
}

/* Not every compiler can inline a function with "...". */
#define snprintf(to, bytes, ...) \
	__builtin___snprintf_chk(to, bytes, 0, __builtin_object_size(to, 1), \
				 __VA_ARGS__)

#undef FORTIFY
#endif
