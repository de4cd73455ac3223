/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both kernel formats have in common: telling them apart, reading a file
 * of which nothing is sure, and the initrd.  Core process, after the last
 * narrowing (C5).
 */
#include "vmm-core/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES	4096u

int load_fail(struct load_error *error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	return -ENOEXEC;
}

int load_read(const struct load_file *file, uint64_t offset, void *dst,
	      uint64_t len, const char *what, struct load_error *error)
{
	uint8_t *to = dst;

	if (offset > file->size_bytes || len > file->size_bytes - offset)
		return load_fail(error, "truncated: %s needs %llu bytes at offset %llu, the file has %llu",
				 what, (unsigned long long)len,
				 (unsigned long long)offset,
				 (unsigned long long)file->size_bytes);
	while (len > 0) {
		ssize_t nr = pread(file->fd, to, len, (off_t)offset);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return load_fail(error, "cannot read %s: %s", what,
					 strerror(errno));
		if (nr == 0)
			return load_fail(error, "became shorter while %s was read",
					 what);
		to += nr;
		offset += (uint64_t)nr;
		len -= (uint64_t)nr;
	}
	return 0;
}

gpa_t load_low_end(void)
{
	const struct guest_region *regions;

	return guest_mem_regions(&regions) ? regions[0].size_bytes : 0;
}

void *load_span(gpa_t gpa, uint64_t len)
{
	if (gpa < LOAD_BASE || gpa >= load_low_end())
		return NULL;
	return guest_mem_span(gpa, len);
}

int load_kernel(const struct load_file *file, struct loaded_kernel *kernel,
		struct load_error *error)
{
	uint8_t magic[4];
	int err;

	if (file->size_bytes == 0)
		return load_fail(error, "empty file");
	*kernel = (struct loaded_kernel){ 0 };
	err = load_read(file, 0, magic, sizeof(magic), "the magic number",
			error);
	if (err)
		return err;
	if (memcmp(magic, "\177ELF", sizeof(magic)) == 0)
		return load_elf(file, kernel, error);
	return load_bzimage(file, kernel, error);
}

int load_initrd(const struct load_file *file,
		const struct loaded_kernel *kernel, gpa_t *gpa,
		struct load_error *error)
{
	gpa_t end = load_low_end();
	gpa_t start;

	if (file->size_bytes == 0)
		return load_fail(error, "empty file");
	if (end > kernel->initrd_end_max)
		end = kernel->initrd_end_max;
	if (file->size_bytes > end ||
	    (start = (end - file->size_bytes) & ~(gpa_t)(PAGE_BYTES - 1)) <
	    kernel->end)
		return load_fail(error, "%llu bytes do not fit between the kernel's end 0x%llx and 0x%llx: give the VM more memory",
				 (unsigned long long)file->size_bytes,
				 (unsigned long long)kernel->end,
				 (unsigned long long)end);
	*gpa = start;
	return load_read(file, 0, load_span(start, file->size_bytes),
			 file->size_bytes, "the initrd", error);
}
