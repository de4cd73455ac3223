# SPDX-License-Identifier: Apache-2.0
# make            build everything below $(O)
# make check      install what is missing, build, run every test
# make demo       install what is missing, build, boot a Debian kernel
# make bench      figures beside QEMU's, in one run
# make san        the unit, wire and policy tests under ASan and UBSan
# make lab-shell  a root shell in the emulated machine with a hardware-style KVM
# V=1 shows commands; O=DIR builds elsewhere; CC=clang works too.

O ?= build
CC ?= gcc
HOSTCC ?= $(CC)
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
CFLAGS ?= -O2 -g
BASE := -std=gnu11 -D_GNU_SOURCE -DBULKHEAD_VERSION='"$(VERSION)"' -I. -I$(O) -MMD -MP -pthread
ifneq ($(SAN),)
# Sanitizers want the dynamic loader; such a build is for tests, not for use.
MODE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK := $(MODE)
else
MODE := $(HARDEN) -fPIE
LINK := -static-pie -Wl,-z,relro,-z,now,-z,noexecstack
endif
COMPILE = $(CC) $(BASE) $(WARN) $(MODE) $(CFLAGS)

# --- sources, in the order of the data path ---------------------------------

IPC := ipc/log.c ipc/fdmsg.c ipc/life.c
CONFINE := jail/confine.c jail/landlock.c policy/install.c policy/lastword.c

CORE := vmm-core/main.c vmm-core/report.c \
	vmm-core/guest_mem.c vmm-core/kvm.c vmm-core/cpuid.c vmm-core/vcpu.c \
	vmm-core/exit_report.c vmm-core/bus.c vmm-core/irq.c \
	vmm-core/load_bzimage.c vmm-core/load_elf.c vmm-core/boot.c \
	vmm-core/acpi.c vmm-core/acpi_pm.c vmm-core/pvpanic.c \
	vmm-core/serial_link.c \
	vmm-core/pci.c vmm-core/pci_bar.c vmm-core/msix.c \
	vmm-core/virtio_pci.c vmm-core/vhost_front.c \
	ipc/vhost_user.c ipc/regchan.c $(IPC) $(CONFINE)

DEVICE := devproc/life_link.c devproc/loop.c $(IPC) $(CONFINE)
VHOST := devproc/vhost_device.c devproc/vring.c devproc/guest_mem.c \
	devproc/inflight.c ipc/vhost_user.c $(DEVICE)
CHARDEV := devproc/chardev.c

BLK := devproc/blk/main.c devproc/blk/request.c devproc/blk/backend.c $(VHOST)
CONSOLE := devproc/console.c $(CHARDEV) $(VHOST)
RNG := devproc/rng.c $(VHOST)
SERIAL := devproc/serial.c devproc/uart.c $(CHARDEV) ipc/regchan.c $(DEVICE)

JAIL := jail/birth.c jail/stages.c
CLI := cli/main.c $(JAIL) $(IPC)

PROGRAMS := bulkhead bulkhead-core bulkhead-blk bulkhead-console bulkhead-rng \
	bulkhead-serial

all: $(PROGRAMS:%=$(O)/%)

# $(call program,NAME,SOURCES,LIBS)
define program
$(O)/$(1): $$(patsubst %.c,$(O)/%.o,$(2))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LINK) -pthread -o $$@ $$^ $(3)
ALL_SOURCES += $(2)
endef

$(eval $(call program,bulkhead,$(CLI),-linih -ljansson -lcap))
$(eval $(call program,bulkhead-core,$(CORE) $(O)/policy/core.c,-lcap))
$(eval $(call program,bulkhead-blk,$(BLK) $(O)/policy/blk.c,-luring -lcap))
$(eval $(call program,bulkhead-console,$(CONSOLE) $(O)/policy/console.c,-lcap))
$(eval $(call program,bulkhead-rng,$(RNG) $(O)/policy/rng.c,-lcap))
$(eval $(call program,bulkhead-serial,$(SERIAL) $(O)/policy/serial.c,-lcap))

$(O)/%.o: %.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<

$(O)/$(O)/policy/%.o: $(O)/policy/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<

.PHONY: all
