/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF kernels: through PVH if a note says where (Xen's docs/misc/pvh.pandoc),
 * else vmlinux through the 64-bit Linux boot protocol.  Core process (C5).
 */
#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include "vmm-core/load.h"

#define MAX_PHDRS	32
#define MAX_NOTE_BYTES	8192
#define NOTE_PHYS32_ENTRY	18	/* Xen: XEN_ELFNOTE_PHYS32_ENTRY */
#define CMDLINE_MAX	2047		/* x86 Linux: COMMAND_LINE_SIZE - 1 */

struct elf_image {
	unsigned int nr_phdrs;
	Elf64_Phdr phdrs[MAX_PHDRS];
};

static int header_check(const Elf64_Ehdr *ehdr, struct load_error *error)
{
	if (ehdr->e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr->e_ident[EI_DATA] != ELFDATA2LSB ||
	    ehdr->e_machine != EM_X86_64)
		return load_fail(error, "ELF file, but not for x86-64");
	if (ehdr->e_type != ET_EXEC && ehdr->e_type != ET_DYN)
		return load_fail(error, "ELF file, but not an executable");
	if (ehdr->e_phentsize != sizeof(Elf64_Phdr))
		return load_fail(error, "ELF program headers of %u bytes, need %zu",
				 ehdr->e_phentsize, sizeof(Elf64_Phdr));
	if (ehdr->e_phnum == 0 || ehdr->e_phnum > MAX_PHDRS)
		return load_fail(error, "%u ELF program headers, need 1 to %d",
				 ehdr->e_phnum, MAX_PHDRS);
	return 0;
}

static bool segments_overlap(const Elf64_Phdr *a, const Elf64_Phdr *b)
{
	return a->p_paddr < b->p_paddr + b->p_memsz &&
	       b->p_paddr < a->p_paddr + a->p_memsz;
}

/* Once this says yes, p_paddr + p_memsz does not wrap. */
static int segment_check(const struct elf_image *image, unsigned int nr,
			 struct load_error *error)
{
	const Elf64_Phdr *seg = &image->phdrs[nr];

	if (seg->p_filesz > seg->p_memsz)
		return load_fail(error, "ELF segment %u is larger in the file than in memory",
				 nr);
	if (!load_span(seg->p_paddr, seg->p_memsz))
		return load_fail(error, "ELF segment %u (0x%llx bytes at 0x%llx) is outside of RAM from 0x%x to 0x%llx",
				 nr, (unsigned long long)seg->p_memsz,
				 (unsigned long long)seg->p_paddr, LOAD_BASE,
				 (unsigned long long)load_low_end());
	for (unsigned int i = 0; i < nr; i++) {
		const Elf64_Phdr *other = &image->phdrs[i];

		if (other->p_type == PT_LOAD && other->p_memsz != 0 &&
		    segments_overlap(seg, other))
			return load_fail(error, "ELF segments %u and %u overlap",
					 i, nr);
	}
	return 0;
}

static int segments_load(const struct load_file *file,
			 const struct elf_image *image,
			 struct loaded_kernel *kernel,
			 struct load_error *error)
{
	kernel->start = UINT64_MAX;
	for (unsigned int i = 0; i < image->nr_phdrs; i++) {
		const Elf64_Phdr *seg = &image->phdrs[i];
		int err;

		if (seg->p_type != PT_LOAD || seg->p_memsz == 0)
			continue;
		err = segment_check(image, i, error);
		if (!err)
			err = load_read(file, seg->p_offset,
					load_span(seg->p_paddr, seg->p_filesz),
					seg->p_filesz, "an ELF segment", error);
		if (err)
			return err;
		if (seg->p_paddr < kernel->start)
			kernel->start = seg->p_paddr;
		if (seg->p_paddr + seg->p_memsz > kernel->end)
			kernel->end = seg->p_paddr + seg->p_memsz;
	}
	if (kernel->end == 0)
		return load_fail(error, "ELF file without a segment to load");
	return 0;
}

static uint32_t note_align(uint32_t bytes)
{
	return (bytes + 3) & ~3u;
}

/* Walk the notes of one segment.  Return: whether *entry was found. */
static bool notes_find_entry(const uint8_t *notes, size_t len, gpa_t *entry)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name;
		size_t desc;

		memcpy(&note, notes + at, sizeof(note));
		if (note.n_namesz > len || note.n_descsz > len)
			return false;
		name = at + sizeof(note);
		desc = name + note_align(note.n_namesz);
		at = desc + note_align(note.n_descsz);
		if (at > len)
			return false;
		if (note.n_type != NOTE_PHYS32_ENTRY || note.n_namesz != 4 ||
		    memcmp(notes + name, "Xen", 4) != 0 || note.n_descsz < 4)
			continue;
		*entry = 0;	/* the address has 32 bits; some write 64 */
		memcpy(entry, notes + desc, 4);
		return true;
	}
	return false;
}

/* Return: 0; 1 if a note names the entry, then in kernel; -ENOEXEC. */
static int pvh_find(const struct load_file *file,
		    const struct elf_image *image,
		    struct loaded_kernel *kernel, struct load_error *error)
{
	uint8_t notes[MAX_NOTE_BYTES];

	for (unsigned int i = 0; i < image->nr_phdrs; i++) {
		const Elf64_Phdr *seg = &image->phdrs[i];
		int err;

		if (seg->p_type != PT_NOTE)
			continue;
		if (seg->p_filesz > sizeof(notes))
			return load_fail(error, "ELF notes of %llu bytes, at most %zu are read",
					 (unsigned long long)seg->p_filesz,
					 sizeof(notes));
		err = load_read(file, seg->p_offset, notes, seg->p_filesz,
				"the ELF notes", error);
		if (err)
			return err;
		if (notes_find_entry(notes, seg->p_filesz, &kernel->entry))
			return 1;
	}
	return 0;
}

static bool entry_is_loaded(const struct elf_image *image, gpa_t entry)
{
	for (unsigned int i = 0; i < image->nr_phdrs; i++) {
		const Elf64_Phdr *seg = &image->phdrs[i];

		if (seg->p_type == PT_LOAD && entry >= seg->p_paddr &&
		    entry - seg->p_paddr < seg->p_memsz)
			return true;
	}
	return false;
}

int load_elf(const struct load_file *file, struct loaded_kernel *kernel,
	     struct load_error *error)
{
	struct elf_image image;
	Elf64_Ehdr ehdr;
	int found;
	int err;

	err = load_read(file, 0, &ehdr, sizeof(ehdr), "the ELF header", error);
	if (!err)
		err = header_check(&ehdr, error);
	if (err)
		return err;
	image.nr_phdrs = ehdr.e_phnum;
	err = load_read(file, ehdr.e_phoff, image.phdrs,
			image.nr_phdrs * sizeof(Elf64_Phdr),
			"the ELF program headers", error);
	if (!err)
		err = segments_load(file, &image, kernel, error);
	if (err)
		return err;

	found = pvh_find(file, &image, kernel, error);
	if (found < 0)
		return found;
	kernel->protocol = found ? LOAD_PVH : LOAD_LINUX64;
	if (!found)
		kernel->entry = ehdr.e_entry;
	if (!entry_is_loaded(&image, kernel->entry))
		return load_fail(error, "ELF entry point 0x%llx is in none of its segments",
				 (unsigned long long)kernel->entry);
	kernel->initrd_end_max = UINT32_MAX;
	kernel->cmdline_max = CMDLINE_MAX;
	return 0;
}
