/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of the VM: the static ones are compiled from dsdt.asl and
 * ssdt_serial.asl, the others are written here.  Core process (C2).
 * "ACPI" is the ACPI specification 6.4.
 */
#include "vmm-core/acpi.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "gen/dsdt.hex"
#include "gen/ssdt_serial.hex"

#define OEM_ID		"BULKHD"
#define OEM_TABLE_ID	"BULKHEAD"
#define CREATOR_ID	"BKHD"
#define MAX_TABLES	6	/* listed in the XSDT */

_Static_assert(PCI_MMIO_LAST == PCI_MMIO_END - 1 &&
	       PCI_MMIO_BYTES == PCI_MMIO_END - PCI_MMIO_BASE, "layout.h");

#define PACKED __attribute__((packed))

struct acpi_header {	/* ACPI, 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

struct acpi_rsdp {	/* ACPI, 5.2.5.3 */
	char signature[8];
	uint8_t checksum;	/* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t pad[3];
} PACKED;

struct acpi_address {	/* ACPI, 5.2.3.2: generic address structure */
	uint8_t space;	/* 1: system I/O */
	uint8_t bits;
	uint8_t offset;
	uint8_t access;	/* 1 byte, 2 word, 3 dword */
	uint64_t address;
} PACKED;

struct acpi_fadt {	/* ACPI, 5.2.9 */
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved1;
	uint8_t preferred_profile;
	uint16_t sci_interrupt;
	uint8_t smi[8];			/* no SMI: always in ACPI mode */
	uint32_t pm1a_event;
	uint32_t pm1b_event;
	uint32_t pm1a_control;
	uint32_t pm1b_control;
	uint32_t pm2_control;
	uint32_t pm_timer;
	uint32_t gpe[2];
	uint8_t pm1_event_length;
	uint8_t pm1_control_length;
	uint8_t pm2_control_length;
	uint8_t pm_timer_length;
	uint8_t gpe_lengths[3];
	uint8_t c_state_control;
	uint16_t c2_latency_us;
	uint16_t c3_latency_us;
	uint8_t cache_and_rtc[9];
	uint16_t boot_flags;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_address x_pm1a_event;
	struct acpi_address x_pm1b_event;
	struct acpi_address x_pm1a_control;
	struct acpi_address x_pm1b_control;
	struct acpi_address x_pm2_control;
	struct acpi_address x_pm_timer;
	struct acpi_address x_gpe[2];
	struct acpi_address sleep_control;
	struct acpi_address sleep_status;
	uint64_t hypervisor_vendor;
} PACKED;

_Static_assert(sizeof(struct acpi_header) == 36, "ACPI, 5.2.6");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI, 5.2.5.3");
_Static_assert(offsetof(struct acpi_fadt, pm1a_event) == 56, "ACPI, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI, 5.2.9");
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI, 5.2.9");

/* ACPI, 5.2.9, "Fixed ACPI Description Table Fixed Feature Flags" */
#define FADT_WBINVD		(1u << 0)
#define FADT_PROC_C1		(1u << 2)
#define FADT_NO_SLEEP_BUTTON	(1u << 5)
#define FADT_NO_FIXED_RTC	(1u << 6)
#define FADT_RESET_REGISTER	(1u << 10)
#define FADT_HEADLESS		(1u << 12)
/* ACPI, 5.2.9.3: no 8042, no VGA, no ASPM, no CMOS clock */
#define BOOT_NO_VGA		(1u << 2)
#define BOOT_NO_ASPM		(1u << 4)
#define BOOT_NO_CMOS_RTC	(1u << 5)

struct acpi_madt {	/* ACPI, 5.2.12 */
	struct acpi_header header;
	uint32_t lapic;
	uint32_t flags;		/* bit 0: there are 8259s too */
} PACKED;

struct madt_lapic {	/* ACPI, 5.2.12.2 */
	uint8_t type;
	uint8_t length;
	uint8_t uid;
	uint8_t apic_id;
	uint32_t flags;		/* bit 0: enabled */
} PACKED;

struct madt_ioapic {	/* ACPI, 5.2.12.3 */
	uint8_t type;
	uint8_t length;
	uint8_t id;
	uint8_t pad;
	uint32_t address;
	uint32_t gsi_base;
} PACKED;

struct madt_override {	/* ACPI, 5.2.12.5 */
	uint8_t type;
	uint8_t length;
	uint8_t bus;		/* 0: ISA */
	uint8_t source;
	uint32_t gsi;
	uint16_t flags;		/* 0xd: active high, level */
} PACKED;

struct madt_lapic_nmi {	/* ACPI, 5.2.12.7 */
	uint8_t type;
	uint8_t length;
	uint8_t uid;		/* 0xff: all */
	uint16_t flags;
	uint8_t lint;
} PACKED;

struct acpi_mcfg {	/* PCI Firmware 3.2, 4.1.2 */
	struct acpi_header header;
	uint64_t reserved1;
	uint64_t ecam;
	uint16_t segment;
	uint8_t bus_first;
	uint8_t bus_last;
	uint32_t reserved2;
} PACKED;

struct acpi_facs {	/* ACPI, 5.2.10 */
	char signature[4];
	uint32_t length;
	uint8_t zero[24];
	uint8_t version;
	uint8_t zero2[31];
} PACKED;

_Static_assert(sizeof(struct acpi_facs) == 64, "ACPI, 5.2.10");

/* The area being filled, and the tables in it so far. */
struct writer {
	uint8_t *area;
	uint32_t area_bytes;
	uint32_t used;
	gpa_t area_gpa;
	int error;
	unsigned int nr_tables;
	uint64_t tables[MAX_TABLES];
};

/* Append len bytes, aligned.  Return: their address in the guest. */
static gpa_t put(struct writer *w, const void *data, uint32_t len,
		 uint32_t align)
{
	uint32_t at = (w->used + align - 1) & ~(align - 1);

	if (w->error || at > w->area_bytes || len > w->area_bytes - at) {
		w->error = -ENOSPC;
		return 0;
	}
	memcpy(w->area + at, data, len);
	w->used = at + len;
	return w->area_gpa + at;
}

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static void header_fill(struct acpi_header *header, const char *signature,
			uint8_t revision, uint32_t length)
{
	memcpy(header->signature, signature, 4);
	header->length = length;
	header->revision = revision;
	memcpy(header->oem_id, OEM_ID, 6);
	memcpy(header->oem_table_id, OEM_TABLE_ID, 8);
	header->oem_revision = 1;
	memcpy(header->creator_id, CREATOR_ID, 4);
	header->creator_revision = 1;
	header->checksum = 0;
	header->checksum = checksum(header, length);
}

/* Append a table and list it in the XSDT to come. */
static void put_listed(struct writer *w, const void *table, uint32_t len)
{
	gpa_t gpa = put(w, table, len, 16);

	if (w->nr_tables == MAX_TABLES)
		w->error = -ENOSPC;
	else
		w->tables[w->nr_tables++] = gpa;
}

static struct acpi_address port(uint16_t number, uint8_t bytes)
{
	return (struct acpi_address){
		.space = 1,
		.bits = (uint8_t)(bytes * 8),
		.access = bytes,	/* 1 and 2 mean the same in both */
		.address = number,
	};
}

static void put_fadt(struct writer *w, gpa_t facs, gpa_t dsdt)
{
	struct acpi_fadt fadt = {
		.facs = (uint32_t)facs,
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.sci_interrupt = IRQ_SCI,
		.pm1a_event = PORT_PM1_EVENT,
		.pm1_event_length = PORT_PM1_EVENT_LEN,
		.pm1a_control = PORT_PM1_CONTROL,
		.pm1_control_length = PORT_PM1_CONTROL_LEN,
		/* ACPI, 5.2.9: above 100 and 1000 us: no C2, no C3 */
		.c2_latency_us = 101,
		.c3_latency_us = 1001,
		.boot_flags = BOOT_NO_VGA | BOOT_NO_ASPM | BOOT_NO_CMOS_RTC,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON |
			 FADT_NO_FIXED_RTC | FADT_RESET_REGISTER |
			 FADT_HEADLESS,
		.reset = port(PORT_RESET, 1),
		.reset_value = RESET_VALUE,
		.minor_revision = 4,
		/* One block: status and enable, two bytes each */
		.x_pm1a_event = port(PORT_PM1_EVENT, 2),
		.x_pm1a_control = port(PORT_PM1_CONTROL, 2),
	};

	fadt.x_pm1a_event.bits = PORT_PM1_EVENT_LEN * 8;
	header_fill(&fadt.header, "FACP", 6, sizeof(fadt));
	put_listed(w, &fadt, sizeof(fadt));
}

static void put_madt(struct writer *w, unsigned int nr_vcpus)
{
	uint8_t table[1024] = { 0 };
	struct writer t = { .area = table, .area_bytes = sizeof(table) };
	struct acpi_madt madt = { .lapic = LAPIC_BASE, .flags = 1 };
	struct madt_ioapic ioapic = {
		.type = 1, .length = sizeof(ioapic), .address = IOAPIC_BASE,
	};
	struct madt_override sci = {
		.type = 2, .length = sizeof(sci), .source = IRQ_SCI,
		.gsi = IRQ_SCI, .flags = 0xd,
	};
	struct madt_lapic_nmi nmi = {
		.type = 4, .length = sizeof(nmi), .uid = 0xff, .lint = 1,
	};

	put(&t, &madt, sizeof(madt), 1);
	for (unsigned int i = 0; i < nr_vcpus; i++) {
		struct madt_lapic lapic = {
			.type = 0, .length = sizeof(lapic), .uid = (uint8_t)i,
			.apic_id = (uint8_t)i, .flags = 1,
		};

		put(&t, &lapic, sizeof(lapic), 1);
	}
	put(&t, &ioapic, sizeof(ioapic), 1);
	put(&t, &sci, sizeof(sci), 1);
	put(&t, &nmi, sizeof(nmi), 1);
	if (t.error) {
		w->error = t.error;
		return;
	}
	/* Copy out, fill in, copy back: the array is only byte-aligned. */
	memcpy(&madt, table, sizeof(madt));
	header_fill(&madt.header, "APIC", 5, sizeof(madt));
	madt.header.length = t.used;
	madt.header.checksum = 0;
	memcpy(table, &madt, sizeof(madt));
	table[offsetof(struct acpi_header, checksum)] =
		checksum(table, t.used);
	put_listed(w, table, t.used);
}

static void put_mcfg(struct writer *w)
{
	struct acpi_mcfg mcfg = { .ecam = PCI_ECAM_BASE };

	header_fill(&mcfg.header, "MCFG", 1, sizeof(mcfg));
	put_listed(w, &mcfg, sizeof(mcfg));
}

static gpa_t put_xsdt(struct writer *w)
{
	struct {
		struct acpi_header header;
		uint64_t tables[MAX_TABLES];
	} PACKED xsdt = { 0 };
	uint32_t len = (uint32_t)(sizeof(xsdt.header) +
				  w->nr_tables * sizeof(uint64_t));

	memcpy(xsdt.tables, w->tables, w->nr_tables * sizeof(uint64_t));
	header_fill(&xsdt.header, "XSDT", 1, len);
	return put(w, &xsdt, len, 16);
}

static void write_rsdp(struct acpi_rsdp *rsdp, gpa_t xsdt)
{
	*rsdp = (struct acpi_rsdp){
		.signature = { 'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ' },
		.oem_id = { 'B', 'U', 'L', 'K', 'H', 'D' },
		.revision = 2,
		.length = sizeof(*rsdp),
		.xsdt = xsdt,
	};
	rsdp->checksum = checksum(rsdp, 20);
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

int acpi_write(const struct acpi_machine *machine, uint8_t *area,
	       uint32_t area_bytes, gpa_t area_gpa)
{
	struct writer w = {
		.area = area, .area_bytes = area_bytes, .area_gpa = area_gpa,
	};
	struct acpi_facs facs = {
		.signature = { 'F', 'A', 'C', 'S' },
		.length = sizeof(facs),
		.version = 2,
	};
	struct acpi_rsdp rsdp = { 0 };
	gpa_t facs_gpa;
	gpa_t dsdt_gpa;

	put(&w, &rsdp, sizeof(rsdp), 16);	/* its place; filled last */
	/* ACPI, 5.2.10: FACS on a 64-byte boundary */
	facs_gpa = put(&w, &facs, sizeof(facs), 64);
	dsdt_gpa = put(&w, dsdt_aml_code, sizeof(dsdt_aml_code), 16);
	put_fadt(&w, facs_gpa, dsdt_gpa);
	put_madt(&w, machine->nr_vcpus);
	put_mcfg(&w);
	if (machine->has_serial)
		put_listed(&w, ssdt_serial_aml_code,
			   sizeof(ssdt_serial_aml_code));
	write_rsdp(&rsdp, put_xsdt(&w));
	if (w.error)
		return w.error;
	memcpy(area, &rsdp, sizeof(rsdp));
	return (int)w.used;
}
