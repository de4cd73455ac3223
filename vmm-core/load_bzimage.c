/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzImage through the 64-bit Linux boot protocol (the kernel's
 * Documentation/x86/boot.rst; "boot.rst" below).  Core process (C5).
 */
#include <stddef.h>
#include <string.h>

#include "vmm-core/load.h"

#define HEADER_OFFSET	0x1f1u	/* boot.rst, "The Real-Mode Kernel Header" */
#define HEADER_MAGIC	0x53726448u	/* "HdrS" */
#define BOOT_FLAG	0xaa55u
#define VERSION_MIN	0x020cu	/* 2.12 brought xloadflags */
#define SECTOR_BYTES	512u
#define PARAGRAPH_BYTES	16u
#define ENTRY64_OFFSET	0x200u	/* boot.rst, "64-bit Boot Protocol" */
#define ALIGN_MAX	0x40000000u

/*
 * Read the header, as long as it says it is: its end is given by the jump
 * instruction at 0x200 (boot.rst, "Details of Header Fields", jump).
 */
static int header_read(const struct load_file *file, struct setup_header *hdr,
		       struct load_error *error)
{
	uint8_t sector[2 * SECTOR_BYTES];
	size_t jump_at = HEADER_OFFSET + offsetof(struct setup_header, jump);
	size_t end;
	size_t len;
	int err;

	err = load_read(file, 0, sector, sizeof(sector), "the boot sector",
			error);
	if (err)
		return err;
	end = jump_at + 2 + sector[jump_at + 1];
	len = end - HEADER_OFFSET;
	if (len > sizeof(*hdr))
		len = sizeof(*hdr);
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr, sector + HEADER_OFFSET, len);

	if (hdr->boot_flag != BOOT_FLAG || hdr->header != HEADER_MAGIC)
		return load_fail(error, "neither an ELF file nor a bzImage");
	if (hdr->version < VERSION_MIN)
		return load_fail(error, "boot protocol %u.%02u, need 2.12 or later: use Linux 3.8 or later",
				 hdr->version >> 8, hdr->version & 0xff);
	if (len <= offsetof(struct setup_header, init_size) + 3)
		return load_fail(error, "boot header of %zu bytes is too short for its version",
				 len);
	return 0;
}

static int header_check(const struct setup_header *hdr,
			struct load_error *error)
{
	uint32_t align = hdr->kernel_alignment;

	if (!(hdr->loadflags & LOADED_HIGH))
		return load_fail(error, "a zImage, loaded low: use a bzImage");
	if (!(hdr->xloadflags & XLF_KERNEL_64))
		return load_fail(error, "no 64-bit entry point: use an x86-64 kernel");
	if (align == 0 || (align & (align - 1)) != 0 || align > ALIGN_MAX)
		return load_fail(error, "alignment 0x%x is not a power of two up to 0x%x",
				 align, ALIGN_MAX);
	if (hdr->syssize == 0)
		return load_fail(error, "boot header names no code (syssize 0)");
	if (hdr->cmdline_size == 0)
		return load_fail(error, "boot header allows no command line");
	return 0;
}

/*
 * Where the kernel goes: where it prefers to be, or, if RAM ends before that
 * and the kernel is relocatable, as low as its alignment allows.
 * needed: bytes from there on that belong to it.
 */
static int place(const struct setup_header *hdr, uint64_t needed, gpa_t *gpa,
		 struct load_error *error)
{
	uint64_t align = hdr->kernel_alignment;

	*gpa = hdr->pref_address;
	if (load_span(*gpa, needed))
		return 0;
	if (hdr->relocatable_kernel) {
		*gpa = (LOAD_BASE + align - 1) & ~(align - 1);
		if (load_span(*gpa, needed))
			return 0;
	}
	return load_fail(error, "needs %llu KiB at 0x%llx, RAM below 4 GiB ends at 0x%llx: give the VM more memory",
			 (unsigned long long)needed / 1024,
			 (unsigned long long)*gpa,
			 (unsigned long long)load_low_end());
}

int load_bzimage(const struct load_file *file, struct loaded_kernel *kernel,
		 struct load_error *error)
{
	struct setup_header *hdr = &kernel->setup;
	uint64_t code_offset;
	uint64_t code_bytes;
	uint64_t needed;
	int err;

	err = header_read(file, hdr, error);
	if (!err)
		err = header_check(hdr, error);
	if (err)
		return err;

	/* boot.rst, setup_sects: for compatibility, 0 means 4 */
	code_offset = ((hdr->setup_sects ? hdr->setup_sects : 4u) + 1u) *
		      SECTOR_BYTES;
	/* What follows, a signature for instance, is not code. */
	code_bytes = (uint64_t)hdr->syssize * PARAGRAPH_BYTES;
	needed = hdr->init_size;
	if (needed < code_bytes)
		needed = code_bytes;
	/* A file that is cut is told so, however large it claims to be. */
	if (code_offset + code_bytes > file->size_bytes)
		return load_fail(error, "truncated: its header speaks of %llu bytes, the file has %llu",
				 (unsigned long long)(code_offset + code_bytes),
				 (unsigned long long)file->size_bytes);
	err = place(hdr, needed, &kernel->start, error);
	if (err)
		return err;

	kernel->protocol = LOAD_LINUX64;
	kernel->entry = kernel->start + ENTRY64_OFFSET;
	kernel->end = kernel->start + needed;
	/* boot.rst, initrd_addr_max: the highest address of its last byte */
	kernel->initrd_end_max = (uint64_t)hdr->initrd_addr_max + 1;
	kernel->cmdline_max = hdr->cmdline_size;
	return load_read(file, code_offset,
			 load_span(kernel->start, code_bytes), code_bytes,
			 "the kernel's code", error);
}
