/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaders: a kernel file into guest RAM (C5).
 *
 * The file is hostile.  It is read after the last narrowing, each byte that
 * decides anything once, and only into guest RAM below 4 GiB and above the
 * first MiB, where the boot data of boot.h lie.
 */
#ifndef VMM_CORE_LOAD_H
#define VMM_CORE_LOAD_H

#include <asm/bootparam.h>
#include <stdint.h>

#include "vmm-core/guest_mem.h"

#define LOAD_BASE	0x100000u	/* nothing is loaded below */

/* An open file and its size when the core was born. */
struct load_file {
	int fd;
	uint64_t size_bytes;
};

/* One line for people: what is wrong with which file. */
struct load_error {
	char text[200];
};

enum load_protocol {
	LOAD_LINUX64,	/* 64-bit Linux boot protocol: entered in long mode */
	LOAD_PVH,	/* entered in 32-bit protected mode */
};

struct loaded_kernel {
	enum load_protocol protocol;
	gpa_t entry;
	gpa_t start;		/* of what the kernel occupies, */
	gpa_t end;		/* bss and decompression buffer included */
	uint64_t initrd_end_max;	/* the initrd must end at or below */
	uint32_t cmdline_max;	/* bytes, without the NUL */
	struct setup_header setup;	/* LOAD_LINUX64 of a bzImage; else zero */
};

/*
 * Find out what the file is, check it and load it.
 * RAM that no segment covers stays untouched: it is zero in a new VM.
 * Return: 0, or -ENOEXEC with error filled.
 */
int load_kernel(const struct load_file *file, struct loaded_kernel *kernel,
		struct load_error *error);

/*
 * Load the initrd as high as the kernel allows.  gpa: where it came to lie.
 * Return: 0, or -ENOEXEC with error filled.
 */
int load_initrd(const struct load_file *file,
		const struct loaded_kernel *kernel, gpa_t *gpa,
		struct load_error *error);

/* --- between the loaders ---------------------------------------------------- */

int load_elf(const struct load_file *file, struct loaded_kernel *kernel,
	     struct load_error *error);
int load_bzimage(const struct load_file *file, struct loaded_kernel *kernel,
		 struct load_error *error);

/* Always -ENOEXEC, with the text in error. */
int load_fail(struct load_error *error, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Read exactly [offset, offset + len) of the file into dst, host memory or
 * guest RAM.  what: names the part, for the error.
 */
int load_read(const struct load_file *file, uint64_t offset, void *dst,
	      uint64_t len, const char *what, struct load_error *error);

/* Low RAM at or above LOAD_BASE that holds [gpa, gpa + len), or NULL. */
void *load_span(gpa_t gpa, uint64_t len);

/* End of RAM below the hole. */
gpa_t load_low_end(void);

#endif
