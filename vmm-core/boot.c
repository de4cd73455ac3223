/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot data for both entry protocols, written into the first MiB of guest RAM
 * by the core process before the guest runs (C5).
 *
 * "boot.rst" is the kernel's Documentation/x86/boot.rst, "PVH" is Xen's
 * docs/misc/pvh.pandoc with xen/include/public/arch-x86/hvm/start_info.h.
 */
#include "vmm-core/boot.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>

#include "vmm-core/kvm_ioctl.h"

#define PAGE_BYTES	4096u
#define LARGE_PAGE_BYTES	0x200000ull
#define NR_DIRECTORIES	4u	/* 1 GiB each: all below 4 GiB is mapped */
#define TABLE_ENTRIES	512u
#define PTE_PRESENT_WRITE	3u
#define PTE_LARGE	(1u << 7)

#define LOADER_UNKNOWN	0xffu	/* boot.rst, type_of_loader: undefined */
#define VIDEO_NORMAL	0xffffu	/* boot.rst, vid_mode */

#define SELECTOR_CODE	0x10u	/* boot.rst: __BOOT_CS */
#define SELECTOR_DATA	0x18u	/* boot.rst: __BOOT_DS */
#define SELECTOR_TASK	0x20u
#define TASK_LIMIT	0x67u	/* of an empty 32- or 64-bit TSS */

#define CR0_PE	(1ull << 0)
#define CR0_ET	(1ull << 4)
#define CR0_NE	(1ull << 5)
#define CR0_PG	(1ull << 31)
#define CR4_PAE	(1ull << 5)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define RFLAGS_FIXED	2u

/* PVH: struct hvm_start_info, version 1 */
#define START_MAGIC	0x336ec578u
#define START_VERSION	1u

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap;
	uint32_t nr_memmap;
	uint32_t pad;
};

struct pvh_module {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t cmdline;
	uint64_t pad;
};

struct pvh_range {
	uint64_t gpa;
	uint64_t size_bytes;
	uint32_t type;
	uint32_t pad;
};

/* All of it at BOOT_START_INFO. */
struct pvh_area {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_range ranges[BOOT_MAX_RANGES];
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "hvm_start_info");
_Static_assert(sizeof(struct pvh_module) == 32, "hvm_modlist_entry");
_Static_assert(sizeof(struct pvh_range) == 24, "hvm_memmap_table_entry");
_Static_assert(BOOT_MAX_RANGES <= E820_MAX_ENTRIES_ZEROPAGE, "e820");

unsigned int boot_memory_map(struct boot_range ranges[BOOT_MAX_RANGES])
{
	const struct guest_region *regions;
	unsigned int nr_regions = guest_mem_regions(&regions);
	unsigned int nr = 0;

	ranges[nr++] = (struct boot_range){ 0, BOOT_LOW_END, BOOT_RANGE_RAM };
	ranges[nr++] = (struct boot_range){ BOOT_LOW_END,
		LOAD_BASE - BOOT_LOW_END, BOOT_RANGE_RESERVED };
	ranges[nr++] = (struct boot_range){ LOAD_BASE,
		regions[0].size_bytes - LOAD_BASE, BOOT_RANGE_RAM };
	/* Linux uses ECAM only where the memory map keeps it free. */
	ranges[nr++] = (struct boot_range){ PCI_ECAM_BASE, PCI_ECAM_BYTES,
		BOOT_RANGE_RESERVED };
	for (unsigned int i = 1; i < nr_regions; i++)
		ranges[nr++] = (struct boot_range){ regions[i].gpa,
			regions[i].size_bytes, BOOT_RANGE_RAM };
	return nr;
}

/* boot.rst, "64-bit Boot Protocol": zero page, header copied into it */
static void zero_page_write(const struct boot_info *info)
{
	struct boot_params *zero = guest_mem_span(BOOT_ZERO_PAGE,
						  sizeof(*zero));
	struct boot_range ranges[BOOT_MAX_RANGES];
	unsigned int nr = boot_memory_map(ranges);

	memset(zero, 0, sizeof(*zero));
	zero->hdr = info->kernel->setup;
	zero->hdr.type_of_loader = LOADER_UNKNOWN;
	zero->hdr.vid_mode = VIDEO_NORMAL;
	zero->hdr.cmd_line_ptr = BOOT_CMDLINE;
	zero->hdr.ramdisk_image = (uint32_t)info->initrd;
	zero->hdr.ramdisk_size = (uint32_t)info->initrd_bytes;
	zero->acpi_rsdp_addr = info->rsdp;
	zero->e820_entries = (uint8_t)nr;
	for (unsigned int i = 0; i < nr; i++)
		zero->e820_table[i] = (struct boot_e820_entry){
			.addr = ranges[i].gpa,
			.size = ranges[i].size_bytes,
			.type = ranges[i].type,
		};
}

/* PVH: struct hvm_start_info and what it points to */
static void start_info_write(const struct boot_info *info)
{
	struct pvh_area *area = guest_mem_span(BOOT_START_INFO, sizeof(*area));
	struct boot_range ranges[BOOT_MAX_RANGES];
	unsigned int nr = boot_memory_map(ranges);

	memset(area, 0, sizeof(*area));
	area->info = (struct pvh_start_info){
		.magic = START_MAGIC,
		.version = START_VERSION,
		.nr_modules = info->initrd_bytes != 0,
		.modlist = BOOT_START_INFO + offsetof(struct pvh_area, initrd),
		.cmdline = BOOT_CMDLINE,
		.rsdp = info->rsdp,
		.memmap = BOOT_START_INFO + offsetof(struct pvh_area, ranges),
		.nr_memmap = nr,
	};
	area->initrd.gpa = info->initrd;
	area->initrd.size_bytes = info->initrd_bytes;
	for (unsigned int i = 0; i < nr; i++)
		area->ranges[i] = (struct pvh_range){
			.gpa = ranges[i].gpa,
			.size_bytes = ranges[i].size_bytes,
			.type = ranges[i].type,
		};
}

/* Identity map of the first 4 GiB in 2 MiB pages (SDM volume 3, 4.5). */
static void page_tables_write(void)
{
	uint64_t *tables = guest_mem_span(BOOT_PAGE_TABLES,
					  (2 + NR_DIRECTORIES) * PAGE_BYTES);
	uint64_t *pdpt = tables + TABLE_ENTRIES;
	uint64_t *directory = pdpt + TABLE_ENTRIES;

	tables[0] = (BOOT_PAGE_TABLES + PAGE_BYTES) | PTE_PRESENT_WRITE;
	for (unsigned int i = 0; i < NR_DIRECTORIES; i++)
		pdpt[i] = (BOOT_PAGE_TABLES + (2 + i) * PAGE_BYTES) |
			  PTE_PRESENT_WRITE;
	for (unsigned int i = 0; i < NR_DIRECTORIES * TABLE_ENTRIES; i++)
		directory[i] = i * LARGE_PAGE_BYTES | PTE_LARGE |
			       PTE_PRESENT_WRITE;
}

/* SDM volume 3, 3.4.5: flat segments, for when the guest reloads them. */
static void gdt_write(void)
{
	static const uint64_t gdt[] = {
		[SELECTOR_CODE / 8] = 0x00af9b000000ffff,
		[SELECTOR_DATA / 8] = 0x00cf93000000ffff,
		[SELECTOR_TASK / 8] = 0x00008b0000000000 | TASK_LIMIT,
	};

	memcpy(guest_mem_span(BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
}

int boot_write(const struct boot_info *info, struct load_error *error)
{
	size_t len = strlen(info->cmdline);

	if (len > info->kernel->cmdline_max)
		return load_fail(error, "command line of %zu bytes, this kernel takes %u",
				 len, info->kernel->cmdline_max);
	memcpy(guest_mem_span(BOOT_CMDLINE, len + 1), info->cmdline, len + 1);
	if (info->kernel->protocol == LOAD_PVH) {
		start_info_write(info);
		return 0;
	}
	zero_page_write(info);
	page_tables_write();
	gdt_write();
	return 0;
}

/* --- registers -------------------------------------------------------------- */

static struct kvm_segment segment_flat(uint16_t selector, uint8_t type,
				       int is_long)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = !is_long,
		.s = 1,
		.l = is_long ? 1 : 0,
		.g = 1,
	};
}

static void segments_set(struct kvm_sregs *sregs, int is_long)
{
	struct kvm_segment data = segment_flat(SELECTOR_DATA, 3, 0);

	sregs->cs = segment_flat(SELECTOR_CODE, 11, is_long);
	sregs->ds = sregs->es = sregs->ss = sregs->fs = sregs->gs = data;
	/* A busy TSS: VMX and PVH want one; nothing is ever in it. */
	sregs->tr = (struct kvm_segment){
		.limit = TASK_LIMIT,
		.selector = SELECTOR_TASK,
		.type = 11,
		.present = 1,
	};
}

/* boot.rst, "64-bit Boot Protocol": long mode, paging on, zero page in RSI */
static void registers_linux64(struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	segments_set(sregs, 1);
	sregs->gdt.base = BOOT_GDT;
	sregs->gdt.limit = SELECTOR_TASK + 7;
	sregs->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	sregs->cr3 = BOOT_PAGE_TABLES;
	sregs->cr4 = CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
	regs->rsi = BOOT_ZERO_PAGE;
}

/* PVH, "x86": protected mode, paging off, start_info in EBX */
static void registers_pvh(struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	segments_set(sregs, 0);
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr4 = 0;
	sregs->efer = 0;
	regs->rbx = BOOT_START_INFO;
}

int boot_set_registers(int vcpu_fd, const struct loaded_kernel *kernel)
{
	struct kvm_regs regs = { .rip = kernel->entry, .rflags = RFLAGS_FIXED };
	struct kvm_sregs sregs;

	if (kvm_ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) != 0)
		return -errno;
	if (kernel->protocol == LOAD_PVH)
		registers_pvh(&sregs, &regs);
	else
		registers_linux64(&sregs, &regs);
	if (kvm_ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) != 0)
		return -errno;
	return kvm_ioctl(vcpu_fd, KVM_SET_REGS, &regs) != 0 ? -errno : 0;
}
