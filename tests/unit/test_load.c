/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm-core/load*.c and boot.c: hostile kernels.  Each test makes a good file
 * in memory, breaks one thing, and loads it into a small guest.  Whatever the
 * file says, nothing outside of what the loader reports may change.
 */
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/boot.h"
#include "vmm-core/load.h"

#define RAM_BYTES	(16ull << 20)
#define FILE_MAX	65536u
#define SETUP_BYTES	1024u		/* boot sector and one more */
#define CODE_BYTES	4096u
#define CODE_FILL	0x5a
#define KERNEL_GPA	0x200000u
#define NOTE_OFFSET	0x200u
#define CODE_OFFSET	0x1000u

/* Each test runs in a process of its own: RAM is mapped once, zero. */
static union {
	uint8_t bytes[FILE_MAX];
	struct {
		uint8_t boot[0x1f1];
		struct setup_header hdr;
	} __attribute__((packed)) linux64;
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdrs[4];
	} elf;
} image;
static size_t image_bytes;
static struct loaded_kernel kernel;
static struct load_error error;

static int memfd_with(const void *data, size_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq((int)write(fd, data, bytes), (int)bytes);
	return fd;
}

static void ram_make(void)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)RAM_BYTES), 0);
	ck_assert_int_eq(guest_mem_init(fd, RAM_BYTES), 0);
}

static int load(void)
{
	struct load_file file = {
		.fd = memfd_with(image.bytes, image_bytes),
		.size_bytes = image_bytes,
	};
	int err;

	error.text[0] = '\0';
	err = load_kernel(&file, &kernel, &error);
	close(file.fd);
	return err;
}

/* Refused, with a reason that contains the words. */
static void refused(const char *words)
{
	ck_assert_int_eq(load(), -ENOEXEC);
	ck_assert_msg(strstr(error.text, words), "'%s' lacks '%s'", error.text,
		      words);
	ck_assert_ptr_null(strchr(error.text, '\n'));
}

static unsigned int ram_bytes_changed(gpa_t from, gpa_t to)
{
	const uint8_t *ram = guest_mem_span(0, RAM_BYTES);
	unsigned int nr = 0;

	for (gpa_t at = from; at < to; at++)
		nr += ram[at] != 0;
	return nr;
}

/* --- bzImage ---------------------------------------------------------------- */

static void make_bzimage(void)
{
	struct setup_header *hdr = &image.linux64.hdr;

	memset(&image, 0, sizeof(image));
	hdr->setup_sects = 1;
	hdr->syssize = CODE_BYTES / 16;
	hdr->boot_flag = 0xaa55;
	hdr->jump = 0x66eb;	/* to 0x268: a header of 2.15 */
	hdr->header = 0x53726448;
	hdr->version = 0x020f;
	hdr->loadflags = LOADED_HIGH;
	hdr->initrd_addr_max = 0x7fffffff;
	hdr->kernel_alignment = 0x200000;
	hdr->relocatable_kernel = 1;
	hdr->xloadflags = XLF_KERNEL_64;
	hdr->cmdline_size = 2047;
	hdr->pref_address = KERNEL_GPA;
	hdr->init_size = 0x10000;
	memset(image.bytes + SETUP_BYTES, CODE_FILL, CODE_BYTES);
	image_bytes = SETUP_BYTES + CODE_BYTES;
}

START_TEST(bzimage_is_loaded)
{
	ram_make();
	make_bzimage();
	image_bytes += 100;	/* a signature */
	ck_assert_msg(load() == 0, "%s", error.text);
	ck_assert_int_eq(kernel.protocol, LOAD_LINUX64);
	ck_assert_uint_eq(kernel.start, KERNEL_GPA);
	ck_assert_uint_eq(kernel.entry, KERNEL_GPA + 0x200);
	ck_assert_uint_eq(kernel.end, KERNEL_GPA + 0x10000);
	ck_assert_uint_eq(kernel.cmdline_max, 2047);
	ck_assert_uint_eq(kernel.initrd_end_max, 0x80000000);
	ck_assert_uint_eq(ram_bytes_changed(0, RAM_BYTES), CODE_BYTES);
	ck_assert_uint_eq(ram_bytes_changed(KERNEL_GPA,
					    KERNEL_GPA + CODE_BYTES),
			  CODE_BYTES);
}
END_TEST

START_TEST(bzimage_cut_anywhere_is_refused)
{
	size_t whole;

	ram_make();
	make_bzimage();
	whole = image_bytes;
	/* Through every header field, and through the code. */
	for (image_bytes = 0; image_bytes < whole;
	     image_bytes += image_bytes < 0x280 ? 1 : 61) {
		ck_assert_int_eq(load(), -ENOEXEC);
		ck_assert_int_gt((int)strlen(error.text), 0);
	}
	ck_assert_uint_eq(ram_bytes_changed(0, RAM_BYTES), 0);
}
END_TEST

START_TEST(bzimage_header_fields)
{
	struct setup_header *hdr = &image.linux64.hdr;

	ram_make();
	make_bzimage();
	hdr->boot_flag = 0;
	refused("neither an ELF file nor a bzImage");
	make_bzimage();
	hdr->header = 0;
	refused("neither an ELF file nor a bzImage");
	make_bzimage();
	hdr->version = 0x020b;
	refused("protocol 2.11");
	make_bzimage();
	hdr->jump = 0x30eb;	/* a header of 2.05 */
	refused("too short");
	make_bzimage();
	hdr->loadflags = 0;
	refused("zImage");
	make_bzimage();
	hdr->xloadflags = 0;
	refused("no 64-bit entry");
	make_bzimage();
	hdr->kernel_alignment = 0;
	refused("alignment");
	make_bzimage();
	hdr->kernel_alignment = 0x300000;
	refused("alignment");
	make_bzimage();
	hdr->kernel_alignment = 0x80000000;
	refused("alignment");
	make_bzimage();
	hdr->syssize = 0;
	refused("syssize");
	make_bzimage();
	hdr->cmdline_size = 0;
	refused("command line");
	ck_assert_uint_eq(ram_bytes_changed(0, RAM_BYTES), 0);
}
END_TEST

START_TEST(bzimage_sizes_that_overflow)
{
	struct setup_header *hdr = &image.linux64.hdr;

	ram_make();
	make_bzimage();
	hdr->syssize = UINT32_MAX;
	refused("truncated");
	make_bzimage();
	hdr->setup_sects = 255;
	refused("truncated");
	make_bzimage();
	hdr->init_size = UINT32_MAX;
	refused("more memory");
	make_bzimage();
	hdr->relocatable_kernel = 0;
	hdr->pref_address = UINT64_MAX - 0x1000;
	refused("more memory");
	make_bzimage();
	hdr->relocatable_kernel = 0;
	hdr->pref_address = RAM_BYTES - 0xf000;
	refused("more memory");
	ck_assert_uint_eq(ram_bytes_changed(0, RAM_BYTES), 0);
}
END_TEST

START_TEST(bzimage_moves_only_if_it_may)
{
	struct setup_header *hdr = &image.linux64.hdr;

	ram_make();
	make_bzimage();
	hdr->pref_address = 0x10000000;
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(kernel.start, 0x200000);
	/* Never over the boot data. */
	hdr->pref_address = 0x7000;
	hdr->relocatable_kernel = 0;
	refused("more memory");
	ck_assert_uint_eq(ram_bytes_changed(0, LOAD_BASE), 0);
}
END_TEST

START_TEST(bzimage_setup_sects_zero_is_four)
{
	ram_make();
	make_bzimage();
	image.linux64.hdr.setup_sects = 0;
	image_bytes = 5 * 512 + CODE_BYTES;
	memset(image.bytes + SETUP_BYTES, 0, image_bytes - SETUP_BYTES);
	image.bytes[5 * 512] = CODE_FILL;
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(ram_bytes_changed(KERNEL_GPA, KERNEL_GPA + 1), 1);
}
END_TEST

/* --- ELF --------------------------------------------------------------------- */

static void make_elf(void)
{
	Elf64_Ehdr *ehdr = &image.elf.ehdr;
	static const uint32_t note[] = { 4, 4, 18, 0x006e6558, KERNEL_GPA + 16 };

	memset(&image, 0, sizeof(image));
	memcpy(ehdr->e_ident, ELFMAG, SELFMAG);
	ehdr->e_ident[EI_CLASS] = ELFCLASS64;
	ehdr->e_ident[EI_DATA] = ELFDATA2LSB;
	ehdr->e_type = ET_EXEC;
	ehdr->e_machine = EM_X86_64;
	ehdr->e_phoff = sizeof(*ehdr);
	ehdr->e_phentsize = sizeof(Elf64_Phdr);
	ehdr->e_phnum = 3;
	ehdr->e_entry = KERNEL_GPA;
	image.elf.phdrs[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = CODE_OFFSET,
		.p_paddr = KERNEL_GPA, .p_filesz = CODE_BYTES,
		.p_memsz = 2 * CODE_BYTES,
	};
	image.elf.phdrs[1] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = CODE_OFFSET,
		.p_paddr = KERNEL_GPA + 0x10000, .p_filesz = 16,
		.p_memsz = 16,
	};
	image.elf.phdrs[2] = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = NOTE_OFFSET,
		.p_filesz = sizeof(note),
	};
	memcpy(image.bytes + NOTE_OFFSET, note, sizeof(note));
	memset(image.bytes + CODE_OFFSET, CODE_FILL, CODE_BYTES);
	image_bytes = CODE_OFFSET + CODE_BYTES;
}

START_TEST(elf_is_loaded)
{
	ram_make();
	make_elf();
	ck_assert_msg(load() == 0, "%s", error.text);
	ck_assert_int_eq(kernel.protocol, LOAD_PVH);
	ck_assert_uint_eq(kernel.entry, KERNEL_GPA + 16);
	ck_assert_uint_eq(kernel.start, KERNEL_GPA);
	ck_assert_uint_eq(kernel.end, KERNEL_GPA + 0x10010);
	ck_assert_uint_eq(ram_bytes_changed(0, RAM_BYTES), CODE_BYTES + 16);

	/* No note: vmlinux. */
	image.elf.ehdr.e_phnum = 2;
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(kernel.protocol, LOAD_LINUX64);
	ck_assert_uint_eq(kernel.entry, KERNEL_GPA);
}
END_TEST

START_TEST(elf_cut_anywhere_is_refused)
{
	size_t whole;

	ram_make();
	make_elf();
	whole = image_bytes;
	for (image_bytes = 0; image_bytes < whole;
	     image_bytes += image_bytes < CODE_OFFSET ? 1 : 61) {
		ck_assert_int_eq(load(), -ENOEXEC);
		ck_assert_int_gt((int)strlen(error.text), 0);
	}
}
END_TEST

START_TEST(elf_header_fields)
{
	Elf64_Ehdr *ehdr = &image.elf.ehdr;

	ram_make();
	make_elf();
	ehdr->e_ident[EI_CLASS] = ELFCLASS32;
	refused("not for x86-64");
	make_elf();
	ehdr->e_machine = EM_AARCH64;
	refused("not for x86-64");
	make_elf();
	ehdr->e_type = ET_REL;
	refused("not an executable");
	make_elf();
	ehdr->e_phentsize = 32;
	refused("program headers of 32 bytes");
	make_elf();
	ehdr->e_phnum = 0;
	refused("0 ELF program headers");
	make_elf();
	ehdr->e_phnum = 65535;
	refused("65535 ELF program headers");
	make_elf();
	ehdr->e_phoff = UINT64_MAX - 8;
	refused("truncated");
	make_elf();
	image.elf.phdrs[0].p_type = image.elf.phdrs[1].p_type = PT_NULL;
	refused("without a segment");
	ck_assert_uint_eq(ram_bytes_changed(0, RAM_BYTES), 0);
}
END_TEST

/* paddr, memsz of segment 0 */
static const struct {
	uint64_t paddr;
	uint64_t memsz;
} outside[] = {
	{ 0, 0x3000 },				/* over the boot data */
	{ 0xff000, 0x2000 },			/* half over it */
	{ RAM_BYTES, 0x2000 },			/* behind RAM */
	{ RAM_BYTES - 0x1000, 0x2000 },		/* half behind it */
	{ UINT64_MAX - 0xfff, 0x2000 },		/* wraps */
	{ KERNEL_GPA, UINT64_MAX },		/* wraps by size */
	{ KERNEL_GPA, UINT64_MAX - KERNEL_GPA + 1 },	/* ends at 2^64 */
	{ PCI_MMIO_BASE, 0x2000 },		/* in the hole */
	{ HIGH_RAM_BASE, 0x2000 },
};

START_TEST(elf_segments_outside_of_ram)
{
	ram_make();
	make_elf();
	image.elf.phdrs[0].p_paddr = outside[_i].paddr;
	image.elf.phdrs[0].p_memsz = outside[_i].memsz;
	refused("outside of RAM");
	ck_assert_uint_eq(ram_bytes_changed(0, RAM_BYTES), 0);
}
END_TEST

START_TEST(elf_segments_over_each_other)
{
	static const uint64_t where[] = {
		KERNEL_GPA, KERNEL_GPA + 2 * CODE_BYTES - 1, KERNEL_GPA - 15,
	};

	ram_make();
	for (size_t i = 0; i < sizeof(where) / sizeof(*where); i++) {
		make_elf();
		image.elf.phdrs[1].p_paddr = where[i];
		refused("overlap");
	}
	make_elf();
	image.elf.phdrs[1].p_paddr = KERNEL_GPA + 2 * CODE_BYTES;
	ck_assert_int_eq(load(), 0);
}
END_TEST

START_TEST(elf_sizes_that_lie)
{
	ram_make();
	make_elf();
	image.elf.phdrs[0].p_filesz = 3 * CODE_BYTES;
	refused("larger in the file");
	make_elf();
	image.elf.phdrs[0].p_offset = UINT64_MAX - 16;
	refused("truncated");
	make_elf();
	image.elf.phdrs[0].p_memsz = image.elf.phdrs[0].p_filesz = 1 << 20;
	image.elf.phdrs[1].p_type = PT_NULL;
	refused("truncated");
	make_elf();
	image.elf.phdrs[0].p_memsz = RAM_BYTES;
	refused("outside of RAM");
	make_elf();
	image.elf.phdrs[2].p_filesz = 1 << 20;
	refused("notes");
}
END_TEST

START_TEST(elf_notes_that_lie)
{
	uint32_t *note = (uint32_t *)(void *)(image.bytes + NOTE_OFFSET);

	ram_make();
	/* Sizes beyond the segment: no note, so vmlinux. */
	for (unsigned int field = 0; field < 2; field++) {
		make_elf();
		note[field] = UINT32_MAX - 2;
		ck_assert_int_eq(load(), 0);
		ck_assert_int_eq(kernel.protocol, LOAD_LINUX64);
		make_elf();
		note[field] = 9;
		ck_assert_int_eq(load(), 0);
		ck_assert_int_eq(kernel.protocol, LOAD_LINUX64);
	}
	make_elf();
	note[4] = 0x100;	/* entry outside of all segments */
	refused("none of its segments");
	make_elf();
	image.elf.ehdr.e_phnum = 2;
	image.elf.ehdr.e_entry = UINT64_MAX;
	refused("none of its segments");
}
END_TEST

START_TEST(noise_is_refused)
{
	ram_make();
	memset(&image, 0, sizeof(image));
	image_bytes = 0;
	refused("empty");
	image_bytes = FILE_MAX;
	refused("neither");
	memset(&image, 0xff, sizeof(image));
	refused("neither");
	memcpy(image.bytes, ELFMAG, SELFMAG);
	refused("not for x86-64");
}
END_TEST

START_TEST(a_file_that_shrinks_is_refused)
{
	struct load_file file;

	ram_make();
	make_bzimage();
	file.fd = memfd_with(image.bytes, image_bytes);
	file.size_bytes = image_bytes;
	ck_assert_int_eq(ftruncate(file.fd, SETUP_BYTES + 10), 0);
	ck_assert_int_eq(load_kernel(&file, &kernel, &error), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(error.text, "shorter"));
	close(file.fd);
}
END_TEST

/* --- initrd and boot data -------------------------------------------------------- */

static int load_initrd_of(uint64_t bytes, gpa_t *gpa)
{
	struct load_file file = { .size_bytes = bytes };
	int err;

	file.fd = memfd_create("initrd", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(file.fd, (off_t)bytes), 0);
	err = load_initrd(&file, &kernel, gpa, &error);
	close(file.fd);
	return err;
}

START_TEST(initrd_lies_high_and_clear)
{
	gpa_t gpa = 0;

	ram_make();
	make_bzimage();
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(load_initrd_of(5000, &gpa), 0);
	ck_assert_uint_eq(gpa, RAM_BYTES - 8192);
	kernel.initrd_end_max = 0x800000;
	ck_assert_int_eq(load_initrd_of(4096, &gpa), 0);
	ck_assert_uint_eq(gpa, 0x7ff000);
	ck_assert_int_eq(load_initrd_of(0x800000 - kernel.end, &gpa), 0);
	ck_assert_int_eq(load_initrd_of(0x800001 - kernel.end, &gpa),
			 -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(error.text, "more memory"));
	ck_assert_int_eq(load_initrd_of(1ull << 40, &gpa), -ENOEXEC);
	ck_assert_int_eq(load_initrd_of(0, &gpa), -ENOEXEC);
	kernel.initrd_end_max = 0;
	ck_assert_int_eq(load_initrd_of(1, &gpa), -ENOEXEC);
}
END_TEST

START_TEST(boot_data_of_linux)
{
	const struct boot_params *zero;
	struct boot_info info = {
		.kernel = &kernel, .cmdline = "quiet", .initrd = 0xff0000,
		.initrd_bytes = 100, .rsdp = BOOT_ACPI,
	};

	ram_make();
	make_bzimage();
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(boot_write(&info, &error), 0);
	zero = guest_mem_span(BOOT_ZERO_PAGE, sizeof(*zero));
	ck_assert_uint_eq(zero->hdr.header, 0x53726448);
	ck_assert_uint_eq(zero->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(zero->hdr.ramdisk_image, 0xff0000);
	ck_assert_uint_eq(zero->hdr.ramdisk_size, 100);
	ck_assert_uint_eq(zero->acpi_rsdp_addr, BOOT_ACPI);
	ck_assert_uint_eq(zero->e820_entries, 4);
	ck_assert_uint_eq(zero->sentinel, 0);
	ck_assert_str_eq(guest_mem_span(zero->hdr.cmd_line_ptr, 6), "quiet");
	/* Kernel and boot data do not touch. */
	ck_assert_uint_eq(ram_bytes_changed(BOOT_LOW_END, LOAD_BASE), 0);
	kernel.cmdline_max = 4;
	ck_assert_int_eq(boot_write(&info, &error), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(error.text, "command line of 5 bytes"));
}
END_TEST

START_TEST(memory_map_covers_ram_once)
{
	static const uint64_t sizes[] = {
		2ull << 20, LOW_RAM_END, LOW_RAM_END + (2ull << 20),
		8ull << 30,
	};
	struct boot_range ranges[BOOT_MAX_RANGES];
	const struct guest_region *regions;
	uint64_t ram = 0;
	unsigned int nr;
	int fd = memfd_create("ram", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)sizes[_i]), 0);
	ck_assert_int_eq(guest_mem_init(fd, sizes[_i]), 0);
	nr = boot_memory_map(ranges);
	for (unsigned int i = 0; i < nr; i++) {
		if (i > 0)
			ck_assert_uint_ge(ranges[i].gpa, ranges[i - 1].gpa +
					  ranges[i - 1].size_bytes);
		if (ranges[i].type == BOOT_RANGE_RAM) {
			ram += ranges[i].size_bytes;
			ck_assert_ptr_nonnull(guest_mem_span(ranges[i].gpa,
				ranges[i].size_bytes));
		}
	}
	ck_assert_uint_eq(ram, sizes[_i] - (LOAD_BASE - BOOT_LOW_END));

	/* And the regions themselves: no span across the hole. */
	nr = guest_mem_regions(&regions);
	ck_assert_uint_eq(nr, sizes[_i] > LOW_RAM_END ? 2 : 1);
	ck_assert_ptr_null(guest_mem_span(regions[0].size_bytes - 1, 2));
	ck_assert_ptr_null(guest_mem_span(regions[0].size_bytes, 0));
	ck_assert_ptr_null(guest_mem_span(0, UINT64_MAX));
	ck_assert_ptr_null(guest_mem_span(UINT64_MAX, 1));
	if (nr == 2)
		ck_assert_ptr_eq(guest_mem_span(HIGH_RAM_BASE, 1),
				 regions[0].host + LOW_RAM_END);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load");
	TCase *tcase = tcase_create("load");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, bzimage_is_loaded);
	tcase_add_test(tcase, bzimage_cut_anywhere_is_refused);
	tcase_add_test(tcase, bzimage_header_fields);
	tcase_add_test(tcase, bzimage_sizes_that_overflow);
	tcase_add_test(tcase, bzimage_moves_only_if_it_may);
	tcase_add_test(tcase, bzimage_setup_sects_zero_is_four);
	tcase_add_test(tcase, elf_is_loaded);
	tcase_add_test(tcase, elf_cut_anywhere_is_refused);
	tcase_add_test(tcase, elf_header_fields);
	tcase_add_loop_test(tcase, elf_segments_outside_of_ram, 0,
			    sizeof(outside) / sizeof(*outside));
	tcase_add_test(tcase, elf_segments_over_each_other);
	tcase_add_test(tcase, elf_sizes_that_lie);
	tcase_add_test(tcase, elf_notes_that_lie);
	tcase_add_test(tcase, noise_is_refused);
	tcase_add_test(tcase, a_file_that_shrinks_is_refused);
	tcase_add_test(tcase, initrd_lies_high_and_clear);
	tcase_add_test(tcase, boot_data_of_linux);
	tcase_add_loop_test(tcase, memory_map_covers_ram_once, 0, 4);
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
