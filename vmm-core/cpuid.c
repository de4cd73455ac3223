/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID of a vCPU, made out of what KVM supports (core process, C2).
 *
 * One package of nr_vcpus cores with one thread each; APIC id = vCPU index.
 * First-level caches belong to one core, the last level to all.
 * Sections: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.
 */
#include "vmm-core/cpuid.h"

#include <asm/kvm_para.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define KVM_CPUID_TIMING	0x40000010u	/* as VMware defined it */
#define APIC_BUS_HZ		1000000000u	/* of KVM's local APIC timer */
#define LEAF_HAS_SUBLEAF	KVM_CPUID_FLAG_SIGNIFCANT_INDEX

struct shape {
	struct kvm_cpuid2 *table;
	const struct cpuid_machine *machine;
	uint32_t apic_id;
	unsigned int id_bits;	/* of the APIC id that number the cores */
};

static struct kvm_cpuid_entry2 *entry_find(struct kvm_cpuid2 *table,
					   uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		if (entry->function == leaf && entry->index == subleaf)
			return entry;
	}
	return NULL;
}

static struct kvm_cpuid_entry2 *entry_get(struct kvm_cpuid2 *table,
					  uint32_t leaf, uint32_t subleaf,
					  uint32_t flags)
{
	struct kvm_cpuid_entry2 *entry = entry_find(table, leaf, subleaf);

	if (entry)
		return entry;
	if (table->nent >= CPUID_MAX_ENTRIES)
		return NULL;
	entry = &table->entries[table->nent++];
	*entry = (struct kvm_cpuid_entry2){
		.function = leaf, .index = subleaf, .flags = flags,
	};
	return entry;
}

static void leaf_drop(struct kvm_cpuid2 *table, uint32_t leaf)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function != leaf)
			table->entries[kept++] = table->entries[i];
	table->nent = kept;
}

static uint32_t leaf_max(struct kvm_cpuid2 *table, uint32_t base)
{
	const struct kvm_cpuid_entry2 *entry = entry_find(table, base, 0);

	return entry ? entry->eax : 0;
}

static bool vendor_is_intel(struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 *entry = entry_find(table, 0, 0);

	return entry && memcmp(&entry->ebx, "Genu", 4) == 0 &&
	       memcmp(&entry->edx, "ineI", 4) == 0 &&
	       memcmp(&entry->ecx, "ntel", 4) == 0;
}

static uint32_t bits_set(uint32_t old, unsigned int low, unsigned int width,
			 uint32_t value)
{
	uint32_t mask = ((1u << width) - 1) << low;

	return (old & ~mask) | ((value << low) & mask);
}

/* SDM, leaf 01H */
static void shape_leaf_1(const struct shape *s)
{
	struct kvm_cpuid_entry2 *entry = entry_find(s->table, 1, 0);

	if (!entry)
		return;
	entry->ebx = bits_set(entry->ebx, 24, 8, s->apic_id);
	entry->ebx = bits_set(entry->ebx, 16, 8, 1u << s->id_bits);
	entry->edx = bits_set(entry->edx, 28, 1, s->machine->nr_vcpus > 1);
	entry->ecx = bits_set(entry->ecx, 31, 1, 1);	/* hypervisor present */
	entry->ecx = bits_set(entry->ecx, 24, 1,
			      s->machine->has_tsc_deadline != 0);
}

/* SDM, leaf 01H; APM, 80000001H, 8000000AH: no VM inside of this one. */
static void shape_nesting(const struct shape *s)
{
	struct kvm_cpuid_entry2 *entry = entry_find(s->table, 1, 0);

	if (entry)	/* VMX */
		entry->ecx = bits_set(entry->ecx, 5, 1, 0);
	entry = entry_find(s->table, 0x80000001, 0);
	if (entry)	/* SVM */
		entry->ecx = bits_set(entry->ecx, 2, 1, 0);
	leaf_drop(s->table, 0x8000000a);
}

/*
 * SDM, leaf 04H, and APM, 8000001DH: one entry per cache, alike in the fields
 * that matter: EAX[4:0] type, [7:5] level, [25:14] sharers - 1.
 */
static void shape_caches(const struct shape *s, uint32_t leaf)
{
	for (uint32_t i = 0; i < s->table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &s->table->entries[i];
		bool last_level = (entry->eax >> 5 & 7) >= 3;

		if (entry->function != leaf || (entry->eax & 0x1f) == 0)
			continue;
		entry->eax = bits_set(entry->eax, 14, 12, last_level ?
				      (1u << s->id_bits) - 1 : 0);
		/* Leaf 04H only: core ids in the package. */
		if (leaf == 4)
			entry->eax = bits_set(entry->eax, 26, 6,
					      (1u << s->id_bits) - 1);
	}
}

/* SDM, leaf 0BH: sub-leaf 0 threads, 1 cores; EDX the x2APIC id in all. */
static int shape_topology(const struct shape *s)
{
	struct kvm_cpuid_entry2 *entry;

	if (leaf_max(s->table, 0) < 0xb)
		return 0;
	leaf_drop(s->table, 0xb);
	entry = entry_get(s->table, 0xb, 0, LEAF_HAS_SUBLEAF);
	if (!entry)
		return -ENOSPC;
	entry->ebx = 1;
	entry->ecx = 1 << 8;	/* level type: SMT */
	entry->edx = s->apic_id;

	entry = entry_get(s->table, 0xb, 1, LEAF_HAS_SUBLEAF);
	if (!entry)
		return -ENOSPC;
	entry->eax = s->id_bits;
	entry->ebx = s->machine->nr_vcpus;
	entry->ecx = 2 << 8 | 1;	/* level type: core */
	entry->edx = s->apic_id;

	/* What lies beyond the last level says "invalid", with the id. */
	entry = entry_get(s->table, 0xb, 2, LEAF_HAS_SUBLEAF);
	if (!entry)
		return -ENOSPC;
	entry->ecx = 2;
	entry->edx = s->apic_id;
	return 0;
}

/* APM: 80000001H, 80000008H, 8000001EH */
static void shape_amd(const struct shape *s)
{
	struct kvm_cpuid_entry2 *entry;

	if (vendor_is_intel(s->table))
		return;
	entry = entry_find(s->table, 0x80000001, 0);
	if (entry)	/* CmpLegacy */
		entry->ecx = bits_set(entry->ecx, 1, 1,
				      s->machine->nr_vcpus > 1);
	entry = entry_find(s->table, 0x80000008, 0);
	if (entry) {
		entry->ecx = bits_set(entry->ecx, 0, 8,
				      s->machine->nr_vcpus - 1);
		entry->ecx = bits_set(entry->ecx, 12, 4, s->id_bits);
	}
	entry = entry_find(s->table, 0x8000001e, 0);
	if (entry) {
		entry->eax = s->apic_id;
		entry->ebx = s->apic_id & 0xff;	/* one thread per core */
		entry->ecx = 0;			/* one node */
	}
	shape_caches(s, 0x8000001d);
}

/*
 * The TSC's frequency, in the two places where guests look for it.  SDM, leaf
 * 15H: TSC = crystal * EBX / EAX.  KVM's APIC timer runs at APIC_BUS_HZ, and
 * guests take the crystal for its clock, so the crystal is that.
 */
static int shape_timing(const struct shape *s)
{
	struct kvm_cpuid_entry2 *entry;
	uint32_t tsc_khz = s->machine->tsc_khz;

	entry = entry_find(s->table, KVM_CPUID_SIGNATURE, 0);
	if (entry && entry->eax < KVM_CPUID_TIMING)
		entry->eax = KVM_CPUID_TIMING;
	entry = entry_get(s->table, KVM_CPUID_TIMING, 0, 0);
	if (!entry)
		return -ENOSPC;
	entry->eax = tsc_khz;
	entry->ebx = APIC_BUS_HZ / 1000;

	if (!vendor_is_intel(s->table) || leaf_max(s->table, 0) < 0x16)
		return 0;
	entry = entry_get(s->table, 0x15, 0, 0);
	if (!entry)
		return -ENOSPC;
	entry->eax = APIC_BUS_HZ / 1000;
	entry->ebx = tsc_khz;
	entry->ecx = APIC_BUS_HZ;
	entry = entry_get(s->table, 0x16, 0, 0);
	if (!entry)
		return -ENOSPC;
	entry->eax = bits_set(0, 0, 16, tsc_khz / 1000);
	entry->ebx = bits_set(0, 0, 16, tsc_khz / 1000);
	return 0;
}

int cpuid_shape(struct kvm_cpuid2 *table, unsigned int index,
		const struct cpuid_machine *machine)
{
	struct shape s = {
		.table = table, .machine = machine, .apic_id = index,
	};
	int err;

	while (1u << s.id_bits < machine->nr_vcpus)
		s.id_bits++;

	/* The host's own: topology (two forms), SGX. */
	leaf_drop(table, 0x1f);
	leaf_drop(table, 0x80000026);
	leaf_drop(table, 0x12);
	shape_leaf_1(&s);
	shape_nesting(&s);
	shape_caches(&s, 4);
	shape_amd(&s);
	err = shape_topology(&s);
	if (err)
		return err;
	return shape_timing(&s);
}
