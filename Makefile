# SPDX-License-Identifier: Apache-2.0
# make            build everything below $(O)
# make check      install what is missing, build, run every test
# make demo       install what is missing, build, boot a Debian kernel
# make check-qcow2  qcow2 images: 200 kills, power cuts and random writes, many rounds
# make bench      figures beside QEMU's, in one run
# make san        the unit, wire and fuzz tests under ASan and UBSan
# make check-security   the evidence that a hostile guest gets nothing
# make fuzz       look for hostile inputs (FUZZ_SECONDS=60 FUZZ_TARGETS=...)
# make lab-shell  a root shell in the emulated machine with a hardware-style KVM
# V=1 shows commands; O=DIR builds elsewhere; CC=clang works too.

O ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
VERSION := 0.1

ifeq ($(V),1)
Q :=
else
Q := @
endif
say = $(if $(Q),@printf '  %-7s %s\n' '$(1)' '$(2)')

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wsign-compare -Wformat=2 -Wundef -Wvla -Werror
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fcf-protection \
	-ftrivial-auto-var-init=zero
# clang 14 wants to hear that one twice; later ones know it under either name.
ifneq ($(findstring clang,$(CC)),)
HARDEN += -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang
endif
CFLAGS ?= -O2 -g
BASE := -std=gnu11 -D_GNU_SOURCE -DBULKHEAD_VERSION='"$(VERSION)"' -I. -MMD -MP -pthread
COMMA := ,
ifneq ($(SAN),)
# Sanitizers want the dynamic loader; such a build is for tests, not for use.
SANITIZERS := $(if $(filter thread,$(SAN)),thread,address$(COMMA)undefined)
MODE := -fsanitize=$(SANITIZERS) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
# gcc guesses worse there; clang does not know it.
ifeq ($(findstring clang,$(CC)),)
MODE += -Wno-format-truncation
endif
ifneq ($(LIBFUZZER),)
MODE += -fsanitize=fuzzer-no-link
endif
LINK := $(MODE)
else
# What a program does not use is not in its memory: sections, and their collection.
MODE := $(HARDEN) -fPIE -ffunction-sections -fdata-sections
LINK := -static-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections
endif
COMPILE = $(CC) $(BASE) $(WARN) $(MODE) $(CFLAGS)

# The C library of the confined programs, but for sanitizers, which need glibc.
# musl: a tenth of the code in each jail, and a start that does not ask the
# processor for its caches (docs/THREAT-MODEL.md, docs/BENCHMARKS.md).
MUSL_INCLUDE ?= $(firstword $(wildcard /usr/include/x86_64-linux-musl \
	/usr/x86_64-linux-musl/include /usr/lib/musl/include))
MUSL_LIB ?= $(firstword $(wildcard /usr/lib/x86_64-linux-musl \
	/usr/x86_64-linux-musl/lib64 /usr/x86_64-linux-musl/lib /usr/lib/musl/lib))
# Asked when it is needed: a fresh machine has no compiler yet.
compiler_file = $(shell $(CC) -print-file-name=$(1))
FORTIFY = -include ipc/fortify.h
MUSL_COMPILE = $(COMPILE) -nostdinc -isystem $(call compiler_file,include) \
	-isystem $(MUSL_INCLUDE) -isystem $(O)/include $(FORTIFY)
# clang warns of musl's CMSG_NXTHDR(); the same files are compiled with glibc's.
ifneq ($(findstring clang,$(CC)),)
MUSL_COMPILE += -Wno-sign-compare
endif
MUSL_LINK = $(LINK) -nostdlib -L$(MUSL_LIB) $(MUSL_LIB)/rcrt1.o \
	$(MUSL_LIB)/crti.o $(call compiler_file,crtbeginS.o)
MUSL_END = $(MUSL_LIB)/libc.a $(call compiler_file,libgcc.a) \
	$(call compiler_file,crtendS.o) $(MUSL_LIB)/crtn.o

# --- sources, in the order of the data path ---------------------------------
# gen/NAME.c is made by a rule below, into $(O)/gen.

IPC := ipc/small_pages.c ipc/log.c ipc/fdmsg.c ipc/life.c ipc/pages.c
CONFINE := jail/confine.c jail/capabilities.c jail/landlock.c policy/install.c policy/lastword.c

CORE := vmm-core/main.c vmm-core/report.c \
	vmm-core/guest_mem.c vmm-core/kvm.c vmm-core/msr_filter.c vmm-core/cpuid.c vmm-core/vcpu.c \
	vmm-core/gate.c vmm-core/exit_report.c vmm-core/core_fault.c vmm-core/bus.c vmm-core/core_stats.c vmm-core/irq.c \
	vmm-core/load.c vmm-core/load_bzimage.c vmm-core/load_elf.c vmm-core/boot.c \
	vmm-core/acpi.c vmm-core/acpi_pm.c vmm-core/pvpanic.c \
	vmm-core/serial_link.c vmm-core/uart_shadow.c vmm-core/relink.c vmm-core/chores.c \
	vmm-core/pci.c vmm-core/pci_bar.c vmm-core/msix.c \
	vmm-core/virtio_pci.c vmm-core/virtio_pci_regs.c vmm-core/virtio_pci_bus.c vmm-core/virtio_pci_make.c \
	vmm-core/vhost_front.c vmm-core/vhost_front_replay.c \
	ipc/vhost_user.c ipc/regchan.c ipc/fault_match.c ipc/fault.c gen/policy_core.c $(IPC) $(CONFINE)

DEVICE := devproc/device.c devproc/stats.c devproc/walk.c devproc/standalone.c devproc/life_link.c \
	devproc/loop.c ipc/fault_match.c ipc/fault.c $(IPC) $(CONFINE)
VRING := devproc/vring.c devproc/vring_walk.c devproc/vring_split.c devproc/vring_packed.c \
	devproc/inflight.c devproc/inflight_packed.c devproc/guest_mem.c devproc/peer_file.c
VHOST := devproc/vhost_device.c devproc/vhost_queue.c devproc/vhost_fault.c $(VRING) \
	devproc/inflight_region.c ipc/vhost_user.c $(DEVICE)
CHARDEV := devproc/chardev.c

# What knows qcow2 images, above file_io.h: in the device, and in the child of
# `bulkhead disk`.
QCOW2 := devproc/blk/qcow2_header.c devproc/blk/qcow2_entry.c devproc/blk/qcow2_unpack.c \
	devproc/blk/qcow2_cache.c devproc/blk/qcow2_find.c devproc/blk/qcow2_packed.c \
	devproc/blk/qcow2_lease.c devproc/blk/qcow2_grow.c devproc/blk/qcow2_map.c \
	devproc/blk/qcow2_scan.c devproc/blk/qcow2_open.c devproc/blk/zeroes.c
QCOW2_LIBS := -l:libz.a -l:libzstd.a

BLK := devproc/blk/main.c devproc/blk/request.c devproc/blk/engine.c devproc/blk/batch.c devproc/blk/steps.c \
	devproc/blk/transfer.c devproc/blk/piece.c devproc/blk/bounce.c devproc/blk/raw.c \
	devproc/blk/file_io.c devproc/blk/fixed.c devproc/blk/ring.c \
	devproc/blk/image.c ipc/no_atime.c ipc/dio_align.c devproc/blk/faults.c devproc/blk/throttle.c devproc/blk/bucket.c devproc/blk/hold.c \
	devproc/blk/mirror.c devproc/blk/copy.c devproc/blk/target.c devproc/blk/qcow2_flat.c devproc/blk/record.c \
	devproc/blk/qcow2_format.c $(QCOW2) \
	gen/policy_blk.c $(VHOST)
CONSOLE := devproc/console.c $(CHARDEV) gen/policy_console.c $(VHOST)
RNG := devproc/rng.c gen/policy_rng.c $(VHOST)
SERIAL := devproc/serial.c devproc/uart.c $(CHARDEV) ipc/regchan.c \
	gen/policy_serial.c $(DEVICE)

JAIL := jail/heritage.c jail/birth.c jail/stages.c jail/capabilities.c jail/birth_text.c jail/death.c \
	jail/inspect.c policy/lastword.c gen/syscall_names.c
CLI_CONFIG := cli/config.c cli/config_read.c cli/config_keys.c \
	cli/config_value.c cli/config_backing.c cli/throttle_parse.c cli/bytes.c cli/config_limits.c cli/config_processes.c cli/config_fault.c cli/fault_parse.c ipc/fault.c
CLI_SUPERVISOR := cli/supervisor.c cli/record_file.c cli/signals.c cli/title.c cli/loop.c \
	cli/runtime_dir.c cli/procfs.c cli/notify.c cli/cgroup.c cli/cgroup_files.c cli/resources.c cli/memory.c cli/image.c ipc/no_atime.c ipc/dio_align.c \
	cli/chardev_end.c cli/terminal.c cli/programs.c cli/link.c \
	cli/children.c cli/rebirth.c cli/pause.c cli/spare.c cli/ids.c cli/child_log.c cli/events.c cli/control.c \
	cli/control_commands.c cli/control_faults.c cli/faults.c \
	cli/control_disk.c cli/throttles.c cli/disks.c cli/move.c cli/snapshot.c
CLI_DOCTOR := cli/cmd_doctor.c cli/doctor_vm.c cli/doctor_kvm.c \
	cli/doctor_jail.c cli/doctor_host.c cli/doctor_disks.c cli/doctor_walls.c
CLI_SUPERVISOR += cli/control_stats.c cli/event_log.c cli/control_walk.c
# A snapshot of a running disk is a new image, and so is what one is moved to.
CLI_SUPERVISOR += cli/disk_create.c cli/disk_flat.c devproc/blk/qcow2_flat.c devproc/blk/qcow2_header.c devproc/blk/qcow2_entry.c
CLI_STATS := cli/stats_vm.c cli/stats_page.c cli/figures.c \
	cli/cmd_stats.c cli/stats_text.c cli/stats_json.c cli/stats_metrics.c cli/cmd_events.c cli/cmd_walk.c \
	cli/cmd_top.c cli/top_rows.c cli/top_print.c cli/top_screen.c
# Its child that looks into images is confined as a device is.
CLI_DISK := cli/disk.c cli/disk_open.c cli/disk_child.c cli/disk_io.c \
	cli/disk_commit.c cli/disk_child_commit.c cli/disk_child_empty.c \
	$(QCOW2) gen/policy_disk.c $(filter-out $(JAIL),$(CONFINE))
CLI := cli/main.c cli/cmd_config_args.c cli/cmd_run.c cli/cmd_check.c \
	cli/cmd_ps.c cli/cmd_stop.c cli/cmd_device.c cli/cmd_disk.c cli/cmd_fault.c cli/cmd_replay.c cli/replay.c \
	cli/client.c \
	$(sort $(CLI_STATS) $(CLI_CONFIG) $(CLI_SUPERVISOR) $(CLI_DOCTOR) $(CLI_DISK) $(JAIL) $(IPC))

POLICYC := policy/policyc.c policy/parse.c policy/expression.c policy/lint.c \
	policy/constants.c policy/build.c policy/verify.c

# --- programs ----------------------------------------------------------------

PROGRAMS := bulkhead bulkhead-core bulkhead-blk bulkhead-console bulkhead-rng \
	bulkhead-serial

all: $(PROGRAMS:%=$(O)/%)

objects = $(patsubst %.c,$(O)/%.o,$(patsubst %.S,$(O)/%.o,$(1)))

# $(call program,NAME,SOURCES,LIBRARIES)
define program
$(O)/$(1): $(call objects,$(2))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LINK) -pthread -o $$@ $$^ $(3)
OBJECTS += $(call objects,$(2))
endef

musl_objects = $(patsubst $(O)/%,$(O)/musl/%,$(call objects,ipc/fortify.c $(1)))

# $(call musl_program,NAME,SOURCES,LIBRARIES)
define musl_program
$(O)/$(1): $(call musl_objects,$(2))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(MUSL_LINK) -o $$@ $$^ $(3) $$(MUSL_END)
OBJECTS += $(call musl_objects,$(2))
endef
confined = $(if $(SAN),$(program),$(musl_program))

$(eval $(call program,bulkhead,$(CLI),-linih -ljansson $(QCOW2_LIBS) -lcap))
$(eval $(call confined,bulkhead-core,$(CORE),-l:libcap.a))
# The archive: the shared liburing 2.3 does not export all of its own header.
$(eval $(call confined,bulkhead-blk,$(BLK),-l:liburing.a $(QCOW2_LIBS) -l:libcap.a))
$(eval $(call confined,bulkhead-console,$(CONSOLE),-l:libcap.a))
$(eval $(call confined,bulkhead-rng,$(RNG),-l:libcap.a))
$(eval $(call confined,bulkhead-serial,$(SERIAL),-l:libcap.a))

# What they may see of the system's other headers: the kernel's, and those of
# libraries, which have nothing of glibc in them.
OTHER_HEADERS := linux asm asm-generic video sys/capability.h sys/sdt.h \
	sys/sdt-config.h zlib.h zconf.h zstd.h zstd_errors.h liburing liburing.h
system_header = $(firstword $(wildcard /usr/include/x86_64-linux-gnu/$(1) \
	/usr/include/$(1)))
$(O)/include/.made: Makefile
	$(Q)[ -n "$(MUSL_INCLUDE)" ] && [ -n "$(MUSL_LIB)" ] || { echo "musl is missing: apt-get install" \
		"musl-dev, or make MUSL_INCLUDE=DIR MUSL_LIB=DIR" >&2; exit 1; }
	$(Q)mkdir -p $(@D)/sys
	$(Q)$(foreach h,$(OTHER_HEADERS),$(if $(call system_header,$(h)),ln -sfn \
		$(call system_header,$(h)) $(@D)/$(h),{ echo "$(h) is missing in" \
		"/usr/include; tests/packages/build names the packages" >&2; \
		exit 1; }) &&) touch $@

# The checks of fortify.h are made of the calls that they check.
$(O)/musl/ipc/fortify.o: FORTIFY :=

$(O)/musl/%.o: %.c | $(O)/include/.made
	$(call say,CC,$< (musl))
	$(Q)mkdir -p $(@D)
	$(Q)$(MUSL_COMPILE) -c -o $@ $<

$(O)/musl/gen/%.o: $(O)/gen/%.c | $(O)/include/.made
	$(call say,CC,$< (musl))
	$(Q)mkdir -p $(@D)
	$(Q)$(MUSL_COMPILE) -c -o $@ $<

$(O)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<

$(O)/%.o: %.S
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<

$(O)/gen/%.o: $(O)/gen/%.c
	$(call say,CC,$<)
	$(Q)$(COMPILE) -c -o $@ $<

# Policies are compiled on the build host; processes carry the result only.
$(O)/policyc: $(call objects,$(POLICYC))
	$(call say,LD,$@)
	$(Q)$(CC) $(MODE) -pie -o $@ $^ -lseccomp
OBJECTS += $(call objects,$(POLICYC))

.PRECIOUS: $(O)/gen/policy_%.c
$(O)/gen/policy_%.c: policy/%.policy $(wildcard policy/common*.policy) $(O)/policyc
	$(call say,POLICY,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(O)/policyc --name $* --output $@ $<

# ACPI code: .asl through the C preprocessor (layout.h), iasl to a C array.
$(O)/gen/%.i: vmm-core/%.asl vmm-core/layout.h
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -E -P -undef -x c -I. -o $@ $<

.PRECIOUS: $(O)/gen/%.i $(O)/gen/%.hex
$(O)/gen/%.hex: $(O)/gen/%.i
	$(call say,IASL,vmm-core/$*.asl)
	$(Q)mkdir -p $(O)/gen/iasl
	$(Q)iasl -we -vs -tc -p $(O)/gen/iasl/$* $< >$@.log || { cat $@.log; exit 1; }
	$(Q)sed "s/^unsigned char/static const unsigned char/" $(O)/gen/iasl/$*.hex >$@

$(O)/vmm-core/acpi.o $(O)/musl/vmm-core/acpi.o: $(O)/gen/dsdt.hex $(O)/gen/ssdt_serial.hex
$(O)/vmm-core/acpi.o $(O)/musl/vmm-core/acpi.o: BASE += -I$(O)

# What the supervisor calls a system call that killed a process.
$(O)/gen/syscall_names.c: $(O)/policyc
	$(call say,POLICY,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(O)/policyc --syscall-names --output $@

# --- tests -------------------------------------------------------------------
# Each layer says in its tests.mk what it builds.

include tests/common.mk
include $(patsubst %,tests/%/tests.mk,unit wire policy jail cli guest fuzz perf)
include tests/security.mk

# examples/power-cut: the program whose power is cut.
$(eval $(call program,examples/ledger,examples/power-cut/ledger.c))

tests: all $(O)/examples/ledger $(TESTS) $(O)/tests/jail/show_jail $(BENCHES)

sanitized: all $(filter $(O)/tests/unit/% $(O)/tests/wire/% $(O)/tests/fuzz/%,$(TESTS))

# Packages are installed where apt is the way to do it; see tests/install.
check:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)tests/run $(O)

demo:
	$(Q)tests/install build lab
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)tests/demo $(O)

check-qcow2:
	$(Q)tests/install build check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) QCOW2_KILLS=200 CK_VERBOSITY=normal \
		$(O)/tests/wire/test_blk_qcow2
	$(Q)QCOW2_ROUNDS=5 CK_VERBOSITY=normal $(O)/tests/unit/test_qcow2
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) QCOW2_CUTS=8 CK_VERBOSITY=normal \
		$(O)/tests/wire/test_record_qcow2

# Kills of each device under a Debian guest's traffic, in the lab: a quarter of
# an hour, or less: make check-rebirth KILLS=20 STOPS=2 CRASHES=3 ROLES=blk
check-rebirth:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) tests/lab/rebirth

# The hostile guest for HOSTILE_SECONDS, with seeds of its own choice, and
# the hostile device at length.
HOSTILE_SECONDS ?= 600
check-hostile:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) HOSTILE_SECONDS=$(HOSTILE_SECONDS) tests/guest/test_hostile.sh
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) HOSTILE_CONNECTIONS=200 tests/guest/test_hostile_device.sh

# A guest's database, and a program with a bug, under power cuts: docs/POWER-CUT.md.
example-power-cut:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 all $(O)/examples/ledger
	$(Q)examples/power-cut/run $(O)

bench:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)tests/perf/bench $(O)

# Sanitizers: everything that needs no jail and no /dev/kvm.
san:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 O=$(O)-san SAN=1 sanitized
	$(Q)TEST_LIMIT=400 tests/run -j 2 $(O)-san unit wire fuzz

# Fuzz targets under libFuzzer, one after another, FUZZ_SECONDS each.
fuzz:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 O=$(O)-fuzz CC=clang SAN=1 LIBFUZZER=1 fuzzers
	$(Q)FUZZ_SECONDS="$(FUZZ_SECONDS)" tests/fuzz/run $(O)-fuzz $(FUZZ_TARGETS)

lab-shell:
	$(Q)tests/install lab
	$(Q)tests/lab/lab --shell

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/bulkhead \
		$(addprefix $(DESTDIR)$(PREFIX)/share/man/,man1 man5 man7)
	install -m 755 $(O)/bulkhead $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(filter-out $(O)/bulkhead,$(PROGRAMS:%=$(O)/%)) \
		$(DESTDIR)$(PREFIX)/libexec/bulkhead/
	install -m 644 docs/bulkhead.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 docs/bulkhead.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 docs/bulkhead-inspect.7 $(DESTDIR)$(PREFIX)/share/man/man7/
	install -d $(addprefix $(DESTDIR)$(PREFIX)/lib/,systemd/system sysusers.d)
	sed 's|/usr/local|$(PREFIX)|' systemd/bulkhead@.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/bulkhead@.service
	install -m 644 systemd/bulkhead.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/bulkhead.conf

clean:
	rm -rf $(O) $(O)-san $(O)-tsan $(O)-fuzz

-include $(sort $(OBJECTS:.o=.d))

.PHONY: all tests check-qcow2 example-power-cut check-rebirth check-hostile sanitized check demo bench san fuzz lab-shell install clean
