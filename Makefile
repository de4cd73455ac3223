# SPDX-License-Identifier: Apache-2.0
# make            build everything below $(O)
# make check      install what is missing, build, run every test
# make demo       install what is missing, build, boot a Debian kernel
# make bench      figures beside QEMU's, in one run
# make san        the unit and wire tests under ASan and UBSan
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
ifneq ($(SAN),)
# Sanitizers want the dynamic loader; such a build is for tests, not for use.
MODE := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -Wno-format-truncation # gcc guesses worse there
LINK := $(MODE)
else
MODE := $(HARDEN) -fPIE
LINK := -static-pie -Wl,-z,relro,-z,now,-z,noexecstack
endif
COMPILE = $(CC) $(BASE) $(WARN) $(MODE) $(CFLAGS)

# --- sources, in the order of the data path ---------------------------------
# gen/NAME.c is made by a rule below, into $(O)/gen.

IPC := ipc/log.c ipc/fdmsg.c ipc/life.c
CONFINE := jail/confine.c jail/capabilities.c jail/landlock.c policy/install.c policy/lastword.c

CORE := vmm-core/main.c vmm-core/report.c \
	vmm-core/guest_mem.c vmm-core/kvm.c vmm-core/cpuid.c vmm-core/vcpu.c \
	vmm-core/exit_report.c vmm-core/bus.c vmm-core/irq.c \
	vmm-core/load.c vmm-core/load_bzimage.c vmm-core/load_elf.c vmm-core/boot.c \
	vmm-core/acpi.c vmm-core/acpi_pm.c vmm-core/pvpanic.c \
	vmm-core/serial_link.c vmm-core/uart_shadow.c vmm-core/relink.c \
	vmm-core/pci.c vmm-core/pci_bar.c vmm-core/msix.c \
	vmm-core/virtio_pci.c vmm-core/virtio_pci_regs.c vmm-core/virtio_pci_bus.c \
	vmm-core/vhost_front.c vmm-core/vhost_front_replay.c \
	ipc/vhost_user.c ipc/regchan.c gen/policy_core.c $(IPC) $(CONFINE)

DEVICE := devproc/device.c devproc/standalone.c devproc/life_link.c \
	devproc/loop.c devproc/fault.c ipc/fault.c $(IPC) $(CONFINE)
VHOST := devproc/vhost_device.c devproc/vhost_queue.c devproc/vhost_fault.c devproc/vring.c \
	devproc/guest_mem.c devproc/peer_file.c devproc/inflight.c \
	devproc/inflight_region.c ipc/vhost_user.c $(DEVICE)
CHARDEV := devproc/chardev.c

BLK := devproc/blk/main.c devproc/blk/request.c devproc/blk/backend.c \
	devproc/blk/image.c devproc/blk/image_ring.c devproc/blk/faults.c devproc/blk/record.c \
	gen/policy_blk.c $(VHOST)
CONSOLE := devproc/console.c $(CHARDEV) gen/policy_console.c $(VHOST)
RNG := devproc/rng.c gen/policy_rng.c $(VHOST)
SERIAL := devproc/serial.c devproc/uart.c $(CHARDEV) ipc/regchan.c \
	gen/policy_serial.c $(DEVICE)

JAIL := jail/birth.c jail/stages.c jail/capabilities.c jail/birth_text.c jail/death.c \
	jail/inspect.c policy/lastword.c gen/syscall_names.c
CLI_CONFIG := cli/config.c cli/config_read.c cli/config_keys.c \
	cli/config_value.c cli/config_fault.c cli/fault_parse.c ipc/fault.c
CLI_SUPERVISOR := cli/supervisor.c cli/record_file.c cli/signals.c cli/title.c cli/loop.c \
	cli/runtime_dir.c cli/resources.c cli/memory.c cli/image.c \
	cli/chardev_end.c cli/terminal.c cli/programs.c cli/link.c \
	cli/children.c cli/rebirth.c cli/ids.c cli/child_log.c cli/events.c cli/control.c \
	cli/control_commands.c cli/control_faults.c cli/faults.c
CLI_DOCTOR := cli/cmd_doctor.c cli/doctor_vm.c cli/doctor_kvm.c \
	cli/doctor_jail.c cli/doctor_host.c
CLI := cli/main.c cli/cmd_config_args.c cli/cmd_run.c cli/cmd_check.c \
	cli/cmd_ps.c cli/procfs.c cli/cmd_stop.c cli/cmd_device.c cli/cmd_fault.c cli/cmd_replay.c cli/replay.c \
	cli/client.c \
	$(CLI_CONFIG) $(CLI_SUPERVISOR) $(CLI_DOCTOR) $(JAIL) $(IPC)

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

$(eval $(call program,bulkhead,$(CLI),-linih -ljansson -lcap))
$(eval $(call program,bulkhead-core,$(CORE),-lcap))
# The archive: the shared liburing 2.3 does not export all of its own header.
$(eval $(call program,bulkhead-blk,$(BLK),-l:liburing.a -lcap))
$(eval $(call program,bulkhead-console,$(CONSOLE),-lcap))
$(eval $(call program,bulkhead-rng,$(RNG),-lcap))
$(eval $(call program,bulkhead-serial,$(SERIAL),-lcap))

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

$(O)/vmm-core/acpi.o: $(O)/gen/dsdt.hex $(O)/gen/ssdt_serial.hex
$(O)/vmm-core/acpi.o: BASE += -I$(O)

# What the supervisor calls a system call that killed a process.
$(O)/gen/syscall_names.c: $(O)/policyc
	$(call say,POLICY,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(O)/policyc --syscall-names --output $@

# --- tests -------------------------------------------------------------------

# $(call test,PATH,SOURCES,LIBRARIES): $(O)/PATH, run by tests/run
define test
$(O)/$(1): $(call objects,$(2))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(MODE) -pie -pthread -o $$@ $$^ $(3)
OBJECTS += $(call objects,$(2))
TESTS += $(O)/$(1)
endef

CHECK := -lcheck -lsubunit -lm -lrt

$(eval $(call test,tests/unit/test_fdmsg,tests/unit/test_fdmsg.c ipc/fdmsg.c ipc/vhost_user.c ipc/log.c,$(CHECK)))
$(eval $(call test,tests/unit/test_life,tests/unit/test_life.c ipc/life.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_log,tests/unit/test_log.c ipc/log.c,$(CHECK)))
$(eval $(call test,tests/unit/test_config,tests/unit/test_config.c $(CLI_CONFIG) ipc/life.c ipc/fdmsg.c,-linih $(CHECK)))
$(eval $(call test,tests/unit/test_client,tests/unit/test_client.c cli/client.c cli/runtime_dir.c $(CLI_CONFIG) ipc/life.c ipc/log.c ipc/fdmsg.c,-linih -ljansson $(CHECK)))
$(eval $(call test,tests/unit/test_events,tests/unit/test_events.c cli/events.c cli/loop.c ipc/life.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_fault_parse,tests/unit/test_fault_parse.c cli/fault_parse.c ipc/fault.c ipc/life.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/cli/talk,tests/cli/talk.c,))
$(eval $(call test,tests/unit/test_child_log,tests/unit/test_child_log.c cli/child_log.c cli/loop.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_guest_mem,tests/unit/test_guest_mem.c devproc/guest_mem.c devproc/peer_file.c,$(CHECK)))
$(eval $(call test,tests/unit/test_inflight,tests/unit/test_inflight.c devproc/inflight.c,$(CHECK)))
$(eval $(call test,tests/unit/test_vring,tests/unit/test_vring.c devproc/vring.c devproc/guest_mem.c devproc/peer_file.c devproc/inflight.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_recovery,tests/unit/test_recovery.c devproc/vring.c devproc/guest_mem.c devproc/peer_file.c devproc/inflight.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_blk_request,tests/unit/test_blk_request.c devproc/blk/request.c devproc/vring.c devproc/guest_mem.c devproc/peer_file.c devproc/inflight.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_uart,tests/unit/test_uart.c devproc/uart.c,$(CHECK)))
$(eval $(call test,tests/unit/test_chardev,tests/unit/test_chardev.c devproc/chardev.c devproc/fault.c ipc/fault.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/wire/test_regchan,tests/wire/test_regchan.c ipc/regchan.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/wire/test_serial,tests/wire/test_serial.c tests/wire/child.c ipc/regchan.c ipc/life.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/wire/test_vhost_back,tests/wire/test_vhost_back.c tests/wire/child.c tests/wire/front.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_blk,tests/wire/test_blk.c tests/wire/child.c tests/wire/front.c tests/wire/front_blk.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_blk_by_hand,tests/wire/test_blk_by_hand.c tests/wire/front.c tests/wire/front_blk.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_faults,tests/wire/test_faults.c tests/wire/child.c tests/wire/front.c tests/wire/front_blk.c ipc/fault.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/unit/test_replay,tests/unit/test_replay.c cli/replay.c,$(CHECK)))
$(eval $(call test,tests/wire/test_faults_chars,tests/wire/test_faults_chars.c tests/wire/child.c tests/wire/front.c ipc/fault.c ipc/regchan.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/unit/test_fault,tests/unit/test_fault.c devproc/fault.c ipc/fault.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/wire/test_record,tests/wire/test_record.c cli/replay.c tests/wire/child.c tests/wire/front.c tests/wire/front_blk.c ipc/fault.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_console,tests/wire/test_console.c tests/wire/child.c tests/wire/front.c ipc/vhost_user.c $(IPC),$(CHECK)))
$(eval $(call test,tests/wire/test_rng,tests/wire/test_rng.c tests/wire/child.c tests/wire/front.c ipc/vhost_user.c $(IPC),$(CHECK)))

$(eval $(call test,tests/unit/test_bus,tests/unit/test_bus.c vmm-core/bus.c,$(CHECK)))
$(eval $(call test,tests/unit/test_cpuid,tests/unit/test_cpuid.c vmm-core/cpuid.c,$(CHECK)))
$(eval $(call test,tests/unit/test_acpi,tests/unit/test_acpi.c vmm-core/acpi.c,$(CHECK)))
$(eval $(call test,tests/unit/test_load,tests/unit/test_load.c vmm-core/load.c vmm-core/load_bzimage.c vmm-core/load_elf.c vmm-core/boot.c vmm-core/guest_mem.c ipc/log.c,$(CHECK)))

# The probe goes into jails, so it is linked like the processes that do.
JAIL_ATTEMPTS := tests/jail/attempts.c tests/jail/ring.c \
	tests/jail/attempts_files.c tests/jail/attempts_processes.c \
	tests/jail/attempts_network.c tests/jail/attempts_kernel.c \
	gen/policy_blk.c gen/policy_console.c gen/policy_core.c \
	gen/policy_rng.c gen/policy_serial.c
JAIL_PROBE := tests/jail/probe.c $(JAIL_ATTEMPTS) ipc/log.c ipc/fdmsg.c $(CONFINE)
$(eval $(call program,tests/jail/probe,$(JAIL_PROBE),-luring -lcap))

JAIL_TEST := tests/jail/harness.c tests/tap.c ipc/log.c ipc/fdmsg.c $(JAIL)
$(eval $(call test,tests/jail/test_break_out,tests/jail/test_break_out.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap))
$(eval $(call test,tests/jail/test_birth,tests/jail/test_birth.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap))
$(eval $(call test,tests/jail/test_stages,tests/jail/test_stages.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap -lseccomp))
$(eval $(call program,tests/jail/show_jail,tests/jail/show_jail.c jail/inspect.c))
$(eval $(call program,tests/perf/bench_jail,tests/perf/bench_jail.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap))
$(eval $(call program,tests/perf/bench_start,tests/perf/bench_start.c tests/perf/cpu.c))
$(eval $(call program,tests/perf/bench_blk,tests/perf/bench_blk.c tests/perf/cpu.c tests/wire/front.c tests/wire/front_blk.c ipc/vhost_user.c $(IPC)))
BENCHES := $(O)/tests/perf/bench_jail $(O)/tests/perf/bench_start \
	$(O)/tests/perf/bench_blk $(O)/tests/perf/first_byte.guest \
	$(O)/tests/perf/bench_rebirth
$(O)/tests/jail/test_break_out $(O)/tests/jail/test_birth $(O)/tests/jail/test_stages: | $(O)/tests/jail/probe

# Bare-metal guests: what KVM's instruction emulator can run (tests/guest/lib.h).
GUEST_FLAGS := -std=gnu11 -I. -O1 -ffreestanding -fno-pie -mno-red-zone \
	-mgeneral-regs-only -mcmodel=kernel -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables $(WARN) \
	-nostdlib -static -Wl,-T,tests/guest/guest.lds \
	-Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments
$(O)/tests/perf/first_byte.guest: tests/perf/first_byte.S tests/guest/guest.lds vmm-core/layout.h
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_FLAGS) -o $@ $<

# $(call guest,NAME,SOURCES): $(O)/tests/guest/NAME.guest
define guest
$(O)/tests/guest/$(1).guest: $(2) tests/guest/guest.lds tests/guest/lib.h tests/guest/virtio.h vmm-core/layout.h
	$$(call say,GUEST,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(GUEST_FLAGS) -o $$@ $(2)
GUESTS += $(O)/tests/guest/$(1).guest
endef

GUEST_LIB := tests/guest/start.S tests/guest/lib.c
$(eval $(call guest,first,tests/guest/first.S))
$(eval $(call guest,exits,tests/guest/exits.c $(GUEST_LIB)))
$(eval $(call guest,smp,tests/guest/smp.c $(GUEST_LIB)))
$(eval $(call guest,virtio_blk,tests/guest/virtio_blk.c tests/guest/virtio.c $(GUEST_LIB)))
$(eval $(call guest,blk_storm,tests/guest/blk_storm.c tests/guest/virtio.c $(GUEST_LIB)))

GUEST_TEST := tests/guest/harness.c tests/tap.c ipc/log.c ipc/fdmsg.c ipc/life.c \
	ipc/regchan.c
$(eval $(call test,tests/guest/test_exits,tests/guest/test_exits.c $(GUEST_TEST)))
$(eval $(call test,tests/guest/test_smp,tests/guest/test_smp.c $(GUEST_TEST)))
$(eval $(call test,tests/guest/test_virtio_blk,tests/guest/test_virtio_blk.c $(GUEST_TEST)))
STORM := tests/guest/storm_vm.c $(GUEST_TEST)
$(eval $(call test,tests/guest/test_rebirth,tests/guest/test_rebirth.c $(STORM)))
$(eval $(call program,tests/perf/bench_rebirth,tests/perf/bench_rebirth.c $(STORM)))
$(O)/tests/guest/test_rebirth $(O)/tests/perf/bench_rebirth: | $(GUESTS) all
$(O)/tests/guest/test_exits $(O)/tests/guest/test_smp $(O)/tests/guest/test_virtio_blk: | $(GUESTS) $(O)/bulkhead-core $(O)/bulkhead-blk

# The PCI side of the core, with fakes in place of KVM and of the back-ends.
PCI := vmm-core/pci.c vmm-core/pci_bar.c vmm-core/bus.c
FRONT := vmm-core/vhost_front.c vmm-core/vhost_front_replay.c ipc/vhost_user.c
VIRTIO := vmm-core/msix.c vmm-core/virtio_pci.c vmm-core/virtio_pci_regs.c \
	vmm-core/virtio_pci_bus.c vmm-core/guest_mem.c vmm-core/relink.c $(PCI) $(FRONT)

$(eval $(call test,tests/unit/test_pci,tests/unit/test_pci.c $(PCI) ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_msix,tests/unit/test_msix.c tests/unit/fake_kvm.c vmm-core/msix.c ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/unit/test_virtio_pci,tests/unit/test_virtio_pci.c tests/unit/fake_kvm.c tests/wire/fake_backend.c $(VIRTIO) ipc/log.c ipc/fdmsg.c,$(CHECK)))
$(eval $(call test,tests/wire/test_vhost_front,tests/wire/test_vhost_front.c tests/wire/fake_backend.c $(FRONT) ipc/log.c ipc/fdmsg.c,$(CHECK)))

POLICYC_PARTS := $(filter-out policy/policyc.c,$(POLICYC))
$(eval $(call test,tests/unit/test_policyc,tests/unit/test_policyc.c $(POLICYC_PARTS),-lseccomp $(CHECK)))
$(eval $(call test,tests/policy/test_install,tests/policy/test_install.c policy/install.c policy/lastword.c $(POLICYC_PARTS) $(patsubst %,gen/policy_%.c,blk console core rng serial) gen/syscall_names.c,-lseccomp))
$(eval $(call test,tests/policy/coverage,tests/policy/coverage.c tests/tap.c $(POLICYC_PARTS),-lseccomp))

tests: all $(TESTS) $(O)/tests/jail/show_jail $(BENCHES)

sanitized: all $(filter $(O)/tests/unit/% $(O)/tests/wire/%,$(TESTS))

# Packages are installed where apt is the way to do it; see tests/install.
check:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)tests/run $(O)

demo:
	$(Q)tests/install build lab
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)tests/demo $(O)

# Kills under a Debian guest's fio --verify, in the lab: about eight minutes.
check-rebirth:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) tests/lab/rebirth

bench:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)tests/perf/bench $(O)

# Sanitizers: everything that needs no jail and no /dev/kvm.
san:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 O=$(O)-san SAN=1 sanitized
	$(Q)tests/run $(O)-san unit wire

lab-shell:
	$(Q)tests/install lab
	$(Q)tests/lab/lab --shell

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/bulkhead \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 $(O)/bulkhead $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(filter-out $(O)/bulkhead,$(PROGRAMS:%=$(O)/%)) \
		$(DESTDIR)$(PREFIX)/libexec/bulkhead/
	install -m 644 docs/bulkhead.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 docs/bulkhead.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/

clean:
	rm -rf $(O) $(O)-san

-include $(sort $(OBJECTS:.o=.d))

.PHONY: all tests check-rebirth sanitized check demo bench san lab-shell install clean
